// Node's hook for .ts files: hands over their JavaScript, and keeps it in .tap/ts, a file for each source,
// since a process that starts 200 sources would compile them for longer than most tests run.
// There is nothing to resolve: imports name their files with `.ts`, and types are erased, never turned into code.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { threadId } from 'node:worker_threads';

const root = join(import.meta.dirname, '..');
const kept = join(root, '.tap', 'ts');
/** Part of what a kept file is known by: whatever else the code depends on than its source. */
const maker = [readFileSync(import.meta.filename), process.version];
/** Those of `tsconfig.json` that change the code of one file. */
const options = {
  ...{ loader: 'ts', format: 'esm', target: 'es2023' },
  ...{ tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } } },
  ...{ sourcemap: 'inline', sourcesContent: false },
};
let esbuild;

/** @type {import('node:module').LoadHook} */
export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return await nextLoad(url, context);
  const file = fileURLToPath(url);
  return { format: 'module', source: await codeOf(file), shortCircuit: true };
}

/** From the place where it is kept, if it was made of the same source. */
async function codeOf(file) {
  const source = readFileSync(file, 'utf8');
  const hash = createHash('sha1');
  for (const part of [...maker, source]) hash.update(part);
  // At the end: the map counts the lines before it.
  const mark = `//${hash.digest('hex')}\n`;
  const path = relative(root, file);
  if (path.startsWith('..') || isAbsolute(path)) return await compiled(file, source);
  const place = join(kept, `${path}.js`);
  const before = readIfThere(place);
  if (before?.endsWith(mark)) return before;
  const code = `${await compiled(file, source)}${mark}`;
  mkdirSync(dirname(place), { recursive: true });
  // Many processes may compile the same file at one time; each of them moves a whole one into its place.
  const draft = `${place}.${process.pid}-${threadId}`;
  writeFileSync(draft, code);
  renameSync(draft, place);
  return code;
}

async function compiled(file, source) {
  esbuild ??= await import('esbuild');
  const { code } = await esbuild.transform(source, { ...options, sourcefile: file });
  return code;
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}
