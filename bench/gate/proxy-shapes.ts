/** What the requests of the proxy's rows are, and the daemon's side of them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const TENANT = 'bench';
const TENANT_HEADER = 'x-bench-tenant';
const API_KEY = 'bench-key-0123456789abcdef';
const PATH = '/bench';

export interface ProxyShape {
  readonly name: 'gate/proxy' | 'gate/proxy/post' | 'gate/proxy/key';
  readonly method: 'GET' | 'POST';
  /** Bytes of a request's body. */
  readonly sentBytes: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Where the daemon takes the tenant from. */
  readonly tenantFrom: 'header' | 'key';
}

const byHeader = { headers: { [TENANT_HEADER]: TENANT }, tenantFrom: 'header' } as const;

export const PROXY_SHAPES: readonly ProxyShape[] = [
  { name: 'gate/proxy', method: 'GET', sentBytes: 0, ...byHeader },
  {
    name: 'gate/proxy/post',
    method: 'POST',
    sentBytes: 1024,
    headers: { ...byHeader.headers, 'content-type': 'application/octet-stream' },
    tenantFrom: 'header',
  },
  {
    name: 'gate/proxy/key',
    method: 'GET',
    sentBytes: 0,
    headers: { 'x-api-key': API_KEY },
    tenantFrom: 'key',
  },
];

export const urlOf = (port: number): string => `http://127.0.0.1:${port}${PATH}`;

/** One request of it as bytes. */
export function requestOf({ method, sentBytes, headers }: ProxyShape): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = sentBytes === 0 ? '' : `Content-Length: ${sentBytes}\r\n`;
  const head = `${method} ${PATH} HTTP/1.1\r\nHost: bench\r\n${lines.join('')}${length}\r\n`;
  return `${head}${'x'.repeat(sentBytes)}`;
}

/** What the daemon's route says of the tenant, and what the daemon needs for it. */
export function tenantSettings(
  { tenantFrom }: ProxyShape,
  dataDir: string,
): { readonly route: readonly string[]; readonly settings: readonly string[] } {
  if (tenantFrom === 'header') {
    const settings = ['proxyListener.trust=["127.0.0.1"]'];
    return { route: [`tenantFrom="header:${TENANT_HEADER}"`], settings };
  }
  const dir = join(dataDir, 'secrets');
  mkdirSync(dir);
  writeFileSync(join(dir, 'keys'), `${TENANT} ${API_KEY}\n`);
  return { route: ['tenantFrom="key"', 'keys="keys"'], settings: [`secrets.dir=${dir}`] };
}
