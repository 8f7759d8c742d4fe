// Runs the commands that the scripts of this folder are made of, and prints their totals.
// Tools are called by their path in node_modules/.bin: npx keeps some flags for itself.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';

export const root = join(import.meta.dirname, '..');
const binaries = join(root, 'node_modules', '.bin');

/**
 * Runs one command in the repository's root with its output shown.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ capture?: boolean, env?: Record<string, string> }} [options] capture: also keep stdout
 * @returns {Promise<{ code: number, stdout: string }>} code 127 when the command cannot be started
 */
export function run(command, args, { capture = false, env = {} } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['inherit', capture ? 'pipe' : 'inherit', 'inherit'],
      env: { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH}`, ...env },
    });
    let stdout = '';
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      stdout += text;
      process.stdout.write(text);
    });
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`);
      resolve({ code: 127, stdout });
    });
    child.on('close', (code, signal) => {
      resolve({ code: code ?? 128 + (constants.signals[signal] ?? 0), stdout });
    });
  });
}

/**
 * The last line of `test` and `check`: nothing follows it, and it says what the exit code says.
 *
 * @param {{ passed: number, failed: number }} totals
 * @returns {never}
 */
export function finish({ passed, failed }) {
  // A reporter may leave the cursor, and codes for it, in the middle of a line.
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}
