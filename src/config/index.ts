export { type AuthKey, readAuthKeys } from './auth-keys.ts';
export { ConfigError, type ConfigProblem, describeProblem } from './config-error.ts';
export { type ConfigInput, type LoadedConfig, loadConfig, type Setting } from './load-config.ts';
export { redact } from './redact.ts';
export { type Config, OPTIONS, type ProxyRouteOption, shardsDefault } from './schema.ts';
export { Secrets } from './secrets.ts';
