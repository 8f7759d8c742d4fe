// The same numbers stand in TypeScript, in Rust and in the documents: none may go its own way.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { ERRORS } from '../../src/errors.ts';
import { LIMITS } from '../../src/limits.ts';
import { KIND, MESSAGE_STATUS, OUTCOME } from '../../src/protocol/kinds.ts';

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const errors: Readonly<Record<string, (typeof ERRORS)[keyof typeof ERRORS]>> = ERRORS;
const limits: Readonly<Record<string, number>> = LIMITS;

/** `retryAfterMs` of `RETRY_AFTER_MS` or `RetryAfterMs`. */
function camel(name: string): string {
  const joined = name.includes('_')
    ? name.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
    : name;
  return joined.charAt(0).toLowerCase() + joined.slice(1);
}

t.test('error numbers of the core', async (t) => {
  const rows = [...read('native/core/src/error.rs').matchAll(/^ {4}(\w+) = (\d+),$/gm)];
  t.ok(rows.length > 20, `${rows.length} numbers found`);
  for (const [, name = '', code] of rows) {
    t.equal(errors[camel(name)]?.code, Number(code), name);
  }
});

t.test('error numbers are unique and in their group', async (t) => {
  const codes = Object.values(errors).map(({ code }) => code);
  t.equal(new Set(codes).size, codes.length);
  for (const code of codes) t.ok(['1', '2', '3', '4', '5', '9'].includes(String(code).charAt(0)));
});

t.test('limits of the core', async (t) => {
  // Bounds of the core alone.
  const own = [
    ...['recordsPerExchange', 'cellsPerChain', 'cellPlaces', 'takeTriesMax', 'freePermitsMin'],
    ...['gateIdleMs', 'gateLogBytes', 'gateLogRecords', 'snapshotPermits', 'gateDeletes'],
    ...['gateItems', 'gateKeysLookedAt', 'gatePaceUsMax', 'gateTurnsLost', 'gateCountedTenants'],
    ...['gateCountsGatherMs', 'gateCountsList'],
    ...['usageQuantityEnd', 'usageCountEnd', 'usageCountersAll', 'usageDirtyCells', 'usageItems'],
    ...['usageCheckpointCells', 'usageCheckpointMs', 'usageLogBytes', 'usagePieceCells'],
    ...['usageDeletes', 'usageReads', 'usageReadDays', 'usageReadRanges', 'usageParents'],
  ];
  const source = read('native/core/src/limits.rs');
  const rows = [...source.matchAll(/^pub const (\w+): \w+ =\s*([\d_* ]+);$/gm)];
  t.equal(rows.length, [...source.matchAll(/^pub const/gm)].length, 'every limit is a product');
  for (const [, name = '', product = ''] of rows) {
    const key = camel(name.toLowerCase().includes('_') ? name : name.toLowerCase());
    if (own.includes(key)) continue;
    const factors = product.replaceAll('_', '').split('*').map(Number);
    const value = factors.reduce((before, factor) => before * factor, 1);
    t.equal(limits[key], value, name);
  }
});

t.test('kinds and outcomes of the core', async (t) => {
  const files = ['client_frame/mod.rs', 'client_frame/settle.rs', 'daemon_frame.rs'];
  const source = files.map((file) => read(`native/core/src/${file}`)).join('');
  const table = (prefix: string): Record<string, number> =>
    Object.fromEntries(
      [...source.matchAll(new RegExp(`^pub const ${prefix}_(\\w+): \\w+ = (\\d+);$`, 'gm'))].map(
        ([, name = '', number]) => [
          camel(name.includes('_') ? name : name.toLowerCase()),
          Number(number),
        ],
      ),
    );
  t.same(table('OUTCOME'), OUTCOME);
  const kinds: Readonly<Record<string, number>> = KIND;
  const core = Object.entries(table('KIND'));
  t.equal(core.length, 17);
  for (const [name, number] of core) t.equal(kinds[name], number, name);
});

t.test('docs/protocol.md has the tables', async (t) => {
  const text = read('docs/protocol.md').replace(/ {2,}/g, ' ');
  for (const [name, row] of Object.entries(errors)) {
    const retry = row.retryable ? 'yes' : 'no';
    const line = `| ${row.code} | ${name} | ${row.status} | ${retry} | ${row.sentence} |`;
    t.ok(text.includes(line), line);
  }
  const listed = [...text.matchAll(/^\| (\d{4}) \|/gm)].length;
  t.equal(listed, Object.keys(errors).length, 'no error that is not in src/errors.ts');
  for (const [name, kind] of Object.entries(KIND)) {
    const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    t.ok(text.includes(`| ${kind} | ${words} |`), `${kind} ${words}`);
  }
  for (const [name, status] of Object.entries(MESSAGE_STATUS)) {
    t.ok(text.includes(`| ${status} | ${name} |`), `${status} ${name}`);
  }
  for (const name of documentedLimits) {
    const line = `| ${name} | ${(limits[name] ?? 0).toLocaleString('en')} |`;
    t.ok(text.includes(line), line);
  }
});

const documentedLimits = [
  'frameBytes',
  'messagesPerFrame',
  'outcomesPerFrame',
  'idsPerFrame',
  'permitsPerFrame',
  'seatsPerPermit',
  'permitLeaseMsMin',
  'permitLeaseMsMax',
  'payloadBytes',
  'nameBytes',
  'idempotencyKeyBytes',
  'callbackBytes',
  'levelMax',
  'costMax',
  'scheduleMsMax',
  'validityMsMax',
  'creditMax',
  'publishWindowBytes',
  'subscriptionsPerConnection',
  'subscriptionsPerDestination',
  'parkAtBytes',
  'unparkBelowBytes',
  'closeAtBytes',
  'retryAfterMsMax',
  'throttleMsMax',
];
