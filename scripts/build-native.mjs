// node scripts/build-native.mjs [--force]: builds the native addon, unless it is there already from the same sources.
// cargo alone would link it anew each time, since the builder tells it another folder for its types.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from './steps.mjs';

const native = join(root, 'native');
/** What the build makes; part of the stamp, so that one that was replaced by hand is made anew. */
const made = ['fairlead.node', 'index.d.ts'].map((name) => join(native, 'node', name));
const stampFile = join(native, 'node', '.built-from');

// Before the build: what changes meanwhile is not in it.
const from = sourcesHash();
if (!process.argv.includes('--force') && stamp() === readStamp()) {
  console.log('The native addon is there already, from the same sources.');
  process.exit(0);
}
const { code } = await run('napi', [
  ...['build', '--release', '--manifest-path', 'native/node/Cargo.toml'],
  ...['--output-dir', 'native/node', '--dts', 'index.d.ts', '--no-js', '--no-const-enum'],
]);
if (code === 0) writeFileSync(stampFile, stamp());
process.exit(code);

/** Of sources, tools and results; empty where there is no result. */
function stamp() {
  return made.every((file) => existsSync(file)) ? `${from} ${hashOf(made).digest('hex')}` : '';
}

function sourcesHash() {
  const hash = hashOf(sources());
  const compiler = spawnSync('rustc', ['--version'], { cwd: native, encoding: 'utf8' }).stdout;
  hash.update(`${process.arch} ${compiler} ${process.env.RUSTFLAGS ?? ''}`);
  return hash.digest('hex');
}

function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(file));
  return hash;
}

/** All that the addon is made of. */
function sources() {
  const names = ['Cargo.toml', 'Cargo.lock', 'core/Cargo.toml', 'node/Cargo.toml', 'node/build.rs'];
  const files = names.map((name) => join(native, name));
  for (const folder of ['core/src', 'node/src']) {
    const found = readdirSync(join(native, folder), { recursive: true, withFileTypes: true });
    files.push(...found.filter((it) => it.isFile()).map((it) => join(it.parentPath, it.name)));
  }
  return [...files.sort(), join(root, 'package-lock.json')];
}

function readStamp() {
  return existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : 'none';
}
