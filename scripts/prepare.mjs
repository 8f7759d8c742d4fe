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
const { code } = await run('npm', ['run', '--silent', 'build']);
process.exit(code);
