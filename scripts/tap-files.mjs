// Runs tap test files, each as a process of its own, one more at one time than there are cores (at most 4):
// most of them wait for daemons, sockets and timers half of the time.
// Without tap's own runner: that compiles every source anew in each process and each worker thread,
// 21 of 27 s of processor time for a file that starts a daemon; the loader of ts-hook.mjs keeps what it compiled.
import { spawn } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { root } from './steps.mjs';

/** A file that takes longer is ended and counts as failed; longer than any time-out within a file. */
const FILE_TIMEOUT_MS = 300_000;
const JOBS_MAX = 4;
const SHOWN_LINES = 40;
const hook = new URL('./ts-hook.mjs', import.meta.url).href;

/** Every test file, those of folders with long ones first, so that no core idles at the end. */
export async function testFiles() {
  const names = await readdir(join(root, 'test'), { recursive: true });
  const files = names.filter((name) => name.endsWith('.test.ts')).sort();
  const rank = (file) =>
    /^(crash|gate|usage|bench|shard|gateway|accounts|callbacks|cli|proxy|rest)\//.test(file)
      ? 0
      : 1;
  return files.sort((one, other) => rank(one) - rank(other)).map((file) => join('test', file));
}

/**
 * Runs the files, prints a line of each, and the output of those that failed.
 *
 * @param {string[]} files
 * @returns {Promise<{ passed: number, failed: number }>} assertions; a file that ended without its totals
 *   counts as one failed
 */
export async function runTapFiles(files) {
  const left = [...files];
  const totals = { passed: 0, failed: 0 };
  const work = async () => {
    for (let file = left.shift(); file !== undefined; file = left.shift()) {
      const { passed, failed } = await runFile(file);
      totals.passed += passed;
      totals.failed += failed;
    }
  };
  const jobs = Math.min(JOBS_MAX, availableParallelism() + 1);
  await Promise.all(Array.from({ length: jobs }, work));
  return totals;
}

async function runFile(file) {
  const startMs = performance.now();
  const { code, output } = await outputOf(file);
  const results = join(root, '.tap', 'test-results', `${file}.tap`);
  await mkdir(join(results, '..'), { recursive: true });
  await writeFile(results, output);
  const { passed, failed, found } = readTotals(output);
  const isSound = found && (code === 0) === (failed === 0);
  const counted = { passed, failed: isSound ? failed : Math.max(failed, 1) };
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const verdict = counted.failed === 0 ? 'ok' : `FAILED (exit code ${code})`;
  console.log(
    `${verdict} ${file} ${counted.passed} passed, ${counted.failed} failed, ${seconds} s`,
  );
  for (const [, reason] of output.matchAll(/# SKIP (.*)$/gm)) console.log(`  skipped: ${reason}`);
  if (counted.failed > 0) show(output);
  return counted;
}

/** The summary that tap prints last counts the assertions of all subtests. */
function readTotals(output) {
  const summary = [...output.matchAll(/^# \{(.*)\}$/gm)].at(-1)?.[1];
  const count = (name) => Number(summary?.match(new RegExp(`\\b${name}: (\\d+)`))?.[1] ?? 0);
  return { passed: count('pass'), failed: count('fail'), found: summary !== undefined };
}

function show(output) {
  for (const [, name] of output.matchAll(/^ *not ok \d+ - (.*)$/gm)) console.log(`not ok: ${name}`);
  const lines = output.split('\n');
  const first = lines.findIndex((line) => /^ *not ok /.test(line));
  const from = first === -1 ? Math.max(0, lines.length - SHOWN_LINES) : first;
  console.log(lines.slice(from, from + SHOWN_LINES).join('\n'));
}

function outputOf(file) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', hook, file], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TAP_TIMEOUT: '180' },
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
    child.stderr.pipe(process.stderr, { end: false });
    const timer = setTimeout(() => child.kill('SIGKILL'), FILE_TIMEOUT_MS);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? `${signal}`, output });
    });
  });
}
