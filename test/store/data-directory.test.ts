// The data directory: made once, locked, and refused when it does not fit.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DataDirectory, type DataDirectoryOptions } from '../../src/store/data-directory.ts';

const addon = JSON.stringify(join(import.meta.dirname, '../../native/node/fairlead.node'));

const optionsOf = (path: string, more: Partial<DataDirectoryOptions> = {}) => ({
  path,
  shards: undefined,
  shardsDefault: 2,
  durability: 'flushed' as const,
  ...more,
});

t.test('is made once and keeps its identity', async (t) => {
  const path = join(t.testdir(), 'new', 'data');
  const directory = DataDirectory.open(optionsOf(path));
  t.match(directory.dataId, /^[0-9a-f]{32}$/);
  t.equal(directory.hashKey.length, 16);
  t.equal(directory.shards, 2);
  t.equal(statSync(join(path, 'fairlead.json')).mode & 0o777, 0o600);
  directory.close();
  const again = DataDirectory.open(optionsOf(path, { shardsDefault: 7 }));
  t.strictSame(
    [again.dataId, [...again.hashKey], again.shards],
    [directory.dataId, [...directory.hashKey], 2],
  );
  again.close();
});

t.test('another number of shards is refused with both numbers', async (t) => {
  const path = t.testdir();
  DataDirectory.open(optionsOf(path, { shards: 3 })).close();
  DataDirectory.open(optionsOf(path, { shards: 3 })).close();
  t.throws(() => DataDirectory.open(optionsOf(path, { shards: 4 })), /3 shard.* 4 are configured/);
});

t.test('durable and memory directories are never mixed', async (t) => {
  const path = t.testdir();
  DataDirectory.open(optionsOf(path)).close();
  t.throws(() => DataDirectory.open(optionsOf(path, { durability: 'memory' })), /durable data/);
  DataDirectory.open(optionsOf(path, { durability: 'committed' })).close();
  const memory = t.testdir({ memory: {} });
  DataDirectory.open(optionsOf(join(memory, 'memory'), { durability: 'memory' })).close();
  t.throws(() => DataDirectory.open(optionsOf(join(memory, 'memory'))), /may be incomplete/);
});

t.test('a newer format and damaged files are refused', async (t) => {
  const path = t.testdir();
  DataDirectory.open(optionsOf(path)).close();
  const file = join(path, 'fairlead.json');
  const identity = JSON.parse(readFileSync(file, 'utf8')) as object;
  const cases: [string, RegExp][] = [
    [JSON.stringify({ ...identity, format: 2 }), /format 2.*newer daemon/],
    [JSON.stringify({ ...identity, hashKey: 'short' }), /damaged/],
    [JSON.stringify({ ...identity, shards: 0 }), /damaged/],
    ['{', /damaged/],
  ];
  for (const [text, message] of cases) {
    writeFileSync(file, text);
    t.throws(() => DataDirectory.open(optionsOf(path)), message);
  }
});

t.test('a second daemon is refused until the first is gone, also by kill -9', async (t) => {
  const path = t.testdir();
  const first = DataDirectory.open(optionsOf(path));
  t.throws(() => DataDirectory.open(optionsOf(path)), /in use by another daemon \(pid \d+\)/);
  first.close();
  const code = `require(${addon}).lockFile(${JSON.stringify(join(path, 'lock'))}); console.log('locked'); setInterval(() => {}, 1000)`;
  const child = spawn(process.execPath, ['-e', code], { env: {} });
  await once(child.stdout, 'data');
  t.throws(() => DataDirectory.open(optionsOf(path)), /in use/);
  child.kill('SIGKILL');
  await once(child, 'exit');
  DataDirectory.open(optionsOf(path)).close();
});
