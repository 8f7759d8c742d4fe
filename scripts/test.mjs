// node scripts/test.mjs [--no-build] [TEST FILES…]: builds, then runs the Rust and TypeScript tests.
// With test files named, only these run. The last line is `N passed, N failed`.
import { finish, run } from './steps.mjs';
import { runTapFiles, testFiles } from './tap-files.mjs';

const args = process.argv.slice(2);
const build = !args.includes('--no-build');
const files = args.filter((arg) => arg !== '--no-build');

if (build) {
  const { code } = await run('npm', ['run', '--silent', 'build']);
  if (code !== 0) {
    console.error('test: the build failed, so no test ran');
    finish({ passed: 0, failed: 1 });
  }
}
const parts =
  files.length === 0
    ? [await cargoTests(), await runTapFiles(await testFiles())]
    : [await runTapFiles(files)];
finish({
  passed: parts.reduce((sum, part) => sum + part.passed, 0),
  failed: parts.reduce((sum, part) => sum + part.failed, 0),
});

/** Counts tests: one `test result:` line a test binary. */
async function cargoTests() {
  const { code, stdout } = await run(
    'cargo',
    [
      'test',
      '--manifest-path=native/Cargo.toml',
      '--profile=test-fast',
      '--lib',
      '--tests',
      '--no-fail-fast',
    ],
    { capture: true },
  );
  const results = [...stdout.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed/gm)];
  const passed = results.reduce((sum, result) => sum + Number(result[1]), 0);
  const failed = results.reduce((sum, result) => sum + Number(result[2]), 0);
  return honest('cargo', { code, passed, failed, found: results.length > 0 });
}

/** A tool that printed no totals, or failed without a failed test, counts as one failure. */
function honest(tool, { code, passed, failed, found }) {
  if (found && (code === 0 || failed > 0)) return { passed, failed };
  console.error(
    `${tool}: exit code ${code}, ${found ? 'no failed test' : 'no totals'} in its output`,
  );
  return { passed, failed: failed + 1 };
}
