// Runs after `npm install` in a checkout: builds the native addon and the TypeScript.
import { spawnSync } from 'node:child_process';
import { root, run } from './steps.mjs';

const cargo = spawnSync('cargo', ['--version'], { cwd: root, stdio: 'ignore' });
if (cargo.status !== 0) {
  console.error(
    'Fairlead builds its native core from source and needs Rust 1.88 or newer with cargo on the PATH: install it (Debian: rustup), then run npm install again.',
  );
  process.exit(1);
}
// Both at one time: the types of the addon are in the repository, and most of its build is one thread's.
const codes = await Promise.all(
  ['build:native', 'build:ts'].map(
    async (script) => (await run('npm', ['run', '--silent', script])).code,
  ),
);
process.exit(codes.find((code) => code !== 0) ?? 0);
