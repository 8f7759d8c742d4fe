#!/usr/bin/env node
// Sets the size of libuv's thread pool, then loads the command. CommonJS, because loading an ES
// module already starts the pool, and then its size is fixed: LMDB flushes on it, and a
// cryptographic call was seen to wait 122 ms behind the flushes of 4 shards.
const { readFileSync }: typeof import('node:fs') = require('node:fs');

const THREADS_FOR_THE_REST = 4;
const THREADS_PER_SHARD = 3;
/** Covers the default number of shards on any machine. */
const SHARDS_MIN = 2;
const SHARDS_MAX = 256;

/** The configured number of shards, found without the parsers, which are ES modules. */
function shardsOf(argv: readonly string[]): number {
  const flags = argv.join(' ');
  const flag = flags.match(/--set[ =]shards=(\d+)/)?.[1];
  const file = flags.match(/--config[ =](\S+)/)?.[1] ?? process.env.FAIRLEAD_CONFIG;
  const shards = Number(flag ?? process.env.FAIRLEAD_SHARDS ?? shardsOfFile(file));
  return shards >= SHARDS_MIN && shards <= SHARDS_MAX ? shards : SHARDS_MIN;
}

function shardsOfFile(file = '/etc/fairlead/fairlead.toml'): string | undefined {
  try {
    return readFileSync(file, 'utf8').match(/^\s*shards\s*=\s*(\d+)/m)?.[1];
  } catch {
    // The command itself says what is wrong with the file.
    return undefined;
  }
}

if (process.argv[2] === 'serve' || process.argv[2] === 'dev') {
  const threads = THREADS_FOR_THE_REST + THREADS_PER_SHARD * shardsOf(process.argv);
  if (!(Number(process.env.UV_THREADPOOL_SIZE) >= threads)) {
    process.env.UV_THREADPOOL_SIZE = String(threads);
  }
}
void import('./main.ts');
