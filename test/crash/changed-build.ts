/** A copy of the build with changed lines: to see that a test turns red without what it tests. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUILD } from './daemon-process.ts';

export interface Change {
  /** In the build, for example `shard/worker.js`. */
  readonly file: string;
  /** Has to be in the file exactly once. */
  readonly from: string;
  readonly to: string;
}

export interface ChangedBuild {
  /** Its folder, in place of `dist`. */
  readonly path: string;
  remove(): void;
}

/** @throws Error when a line to change is not there: the change would test nothing */
export function changedBuild(changes: readonly Change[]): ChangedBuild {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-changed-'));
  const path = join(folder, 'dist');
  cpSync(BUILD, path, { recursive: true });
  // What the build finds beside itself.
  for (const name of ['node_modules', 'native', 'package.json']) {
    symlinkSync(join(BUILD, '..', name), join(folder, name));
  }
  for (const { file, from, to } of changes) {
    const text = readFileSync(join(path, file), 'utf8');
    const found = text.split(from).length - 1;
    if (found !== 1) throw new Error(`${file} has ${found} times: ${from}`);
    writeFileSync(
      join(path, file),
      text.replace(from, () => to),
    );
  }
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
