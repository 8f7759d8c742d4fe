// node scripts/check.mjs: everything that must hold before a commit; all that CI runs.
// A failed step does not hide the later ones, save that nothing is tested that did not build.
// The last line is `N passed, N failed`; a failed step counts as one failed.
import { finish, run } from './steps.mjs';

const cargo = (subcommand, ...args) => [
  'cargo',
  [subcommand, '--manifest-path=native/Cargo.toml', ...args],
];
const clippyArgs = ['--workspace', '--all-targets', '--quiet', '--profile=test-fast'];
const generated = ['native/node/index.d.ts', 'native/Cargo.lock', 'package-lock.json'];

/**
 * Those in one row run at one time. The addon's last minute of compiling is one thread's, so what looks at
 * sources runs beside it. Clippy takes the profile of the tests, which then need no build scripts and macros again.
 */
const steps = [
  [
    ['biome', 'biome', ['ci', '--error-on-warnings']],
    ['rustfmt', ...cargo('fmt', '--all', '--check')],
  ],
  [
    ['build', process.execPath, ['scripts/prepare.mjs']],
    ['types', 'tsc', ['-p', 'tsconfig.json']],
    ['clippy', ...cargo('clippy', ...clippyArgs, '--', '-Dwarnings')],
  ],
  [['generated files', 'git', ['diff', '--exit-code', '--stat', '--', ...generated]]],
];

let failedSteps = 0;
for (const row of steps) {
  const codes = await Promise.all(row.map(([name, command, args]) => step(name, command, args)));
  const failed = codes.filter((code) => code !== 0).length;
  failedSteps += failed;
  // The build comes first in its row.
  if (row[0][0] === 'build' && codes[0] !== 0) finish({ passed: 0, failed: failedSteps });
}

let totals = { passed: 0, failed: 1 };
await step('test', process.execPath, ['scripts/test.mjs', '--no-build'], (stdout) => {
  const line = stdout.trimEnd().split('\n').at(-1) ?? '';
  const match = line.match(/^(\d+) passed, (\d+) failed$/);
  if (match) totals = { passed: Number(match[1]), failed: Number(match[2]) };
});
finish({ passed: totals.passed, failed: totals.failed + failedSteps });

/** Runs one step and prints its name, verdict and seconds. */
async function step(name, command, args, read) {
  console.log(`\n# ${name}`);
  const start = performance.now();
  const { code, stdout } = await run(command, args, { capture: read !== undefined });
  read?.(stdout);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`# ${name}: ${code === 0 ? 'ok' : `FAILED (exit code ${code})`}, ${seconds} s`);
  return code;
}
