// node scripts/ts.mjs FILE [ARGS…]: runs a TypeScript file of this repository as it stands.
// A child process with `--import`, because worker threads inherit that flag and so run .ts too.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

const args = process.argv.slice(2);
if (args.length === 0) {
  console.error('usage: node scripts/ts.mjs FILE [ARGS...]');
  process.exit(2);
}
const child = spawn(process.execPath, ['--import', import.meta.resolve('./ts-hook.mjs'), ...args], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => child.kill(signal));
}
child.on('exit', (code, signal) => {
  process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
});
