// The parts of usage on the main thread by themselves: amounts, deltas, own counts, wants, permits.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { nanoOf, nanoText } from '../../src/base/nano.ts';
import { MainPort } from '../../src/exchange/main-port.ts';
import { type TwoPhaseMachine, WantingMachine } from '../../src/exchange/wanting-machine.ts';
import {
  type Billable,
  type Configure,
  encodeBillable,
  encodeConfigure,
} from '../../src/protocol/configure.ts';
import { readJournal } from '../../src/protocol/journal.ts';
import { encodeDeltas, USAGE_CATEGORY } from '../../src/protocol/usage-deltas.ts';
import {
  encodeUsageConfigure,
  USAGE_OP,
  type UsageChange,
} from '../../src/protocol/usage-exchange.ts';
import { Environment } from '../../src/store/environment.ts';
import { openUsageEnvironment } from '../../src/store/usage-tables.ts';
import { CountedGate, type Passed } from '../../src/usage/counted-gate.ts';
import { OwnCounts } from '../../src/usage/own-counts.ts';
import { FakeMachine } from '../gate/fake-machine.ts';

interface ConfigureRow {
  readonly kind: 'price' | 'cap' | 'billable';
  readonly name: string;
  readonly hex: string;
  readonly fields: unknown;
}

/** Fields of a golden row with their amounts as whole numbers. */
function amountsOf(fields: unknown): object | null {
  if (fields === null) return null;
  const { steps, value, ...rest } = fields as {
    readonly steps?: readonly [number, string][];
    readonly value?: string;
  };
  return {
    ...rest,
    ...(steps && { steps: steps.map(([fromMs, nano]) => ({ fromMs, nano: BigInt(nano) })) }),
    ...(value && { value: BigInt(value) }),
  };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

t.test('amounts are exact', async (t) => {
  for (const [text, nano] of [
    ['0.0075', 7_500_000n],
    ['999999999.999999999', 999_999_999_999_999_999n],
    ['-1.5', -1_500_000_000n],
    ['12', 12_000_000_000n],
  ] as const) {
    t.equal(nanoOf(text), nano);
    t.equal(nanoOf(nanoText(nano)), nano);
  }
  t.equal(nanoText(-1n), '-0.000000001');
  for (const text of ['', '1.', '.5', '1e3', '0.0000000001', '1,5', ' 1']) {
    t.equal(nanoOf(text), undefined, JSON.stringify(text));
  }
});

t.test('prices, caps and what is billable have the bytes that the core reads', async (t) => {
  const path = new URL('../golden/usage-deltas.json', import.meta.url);
  const { configure } = JSON.parse(readFileSync(path, 'utf8')) as { configure: ConfigureRow[] };
  for (const { kind, name, fields, hex: expected } of configure) {
    if (kind === 'billable') {
      t.equal(hex(encodeBillable(fields as Billable)), expected);
      continue;
    }
    const change = { kind, name, fields: amountsOf(fields) } as UsageChange;
    t.equal(hex(encodeUsageConfigure(change)), expected, name);
    t.equal(hex(encodeConfigure(change as Configure)), expected, name);
  }
});

t.test('a list of deltas has the bytes that the core reads', async (t) => {
  const path = new URL('../golden/usage-deltas.json', import.meta.url);
  const golden = JSON.parse(readFileSync(path, 'utf8')) as { categories: [number, string][] };
  const ours = Object.entries(USAGE_CATEGORY).map(([name, number]) => [number, name]);
  t.strictSame(ours, golden.categories);
  const groups = new Map([['acme', [{ category: 20, day: 20_779, count: 3, usage: -2 }]]]);
  t.equal(
    hex(encodeDeltas(groups)),
    `01${'04'}${Buffer.from('acme').toString('hex')}0114${'00'}aba201060300`,
  );
});

t.test('what the main thread counts is told together, a day for itself', async (t) => {
  const told: string[] = [];
  let nowMs = 86_400_000 - 1;
  const gatherMs = 200;
  const rest = () => new Promise<void>((resolve) => setTimeout(resolve, gatherMs + 50));
  const own = new OwnCounts({
    nowMs: () => nowMs,
    tell: (deltas) => told.push(hex(deltas)),
    countsMax: 3,
    gatherMs,
  });
  own.add('a', 'webhooks');
  own.add('a', 'webhooks', 4);
  own.add('', 'webhooks');
  t.strictSame(told, []);
  await turn();
  const list = (day: number, count: number, usage: number) =>
    hex(encodeDeltas(new Map([['a', [{ category: USAGE_CATEGORY.webhooks, day, count, usage }]]])));
  t.strictSame(told, [list(0, 2, 5)], 'the first at the end of its turn');
  own.add('a', 'webhooks');
  nowMs += 1;
  own.add('a', 'webhooks');
  t.strictSame(told.slice(1), [list(0, 1, 1)], 'the day before is told at once');
  await turn();
  own.add('a', 'webhooks', 2);
  await turn();
  t.equal(told.length, 2, 'what follows a list waits');
  await rest();
  t.strictSame(told.slice(2), [list(1, 2, 3)], 'and leaves together');
  await rest();
  own.add('a', 'webhooks');
  await turn();
  t.strictSame(
    told.slice(3),
    [list(1, 1, 1)],
    'after a rest without counts at the end of its turn again',
  );
  for (const account of ['a', 'b', 'c']) own.add(account, 'permits');
  t.equal(told.length, 5, 'as many as may be are told at once');
});

t.test('a machine gets what it wants, in the order of its wants', async (t) => {
  const environment = Environment.open({
    path: t.testdir(),
    durability: 'memory',
    mapBytes: 64 * 1024 * 1024,
  });
  t.teardown(() => environment.close());
  const long = new Uint8Array(300).fill(7);
  environment.commitNow((writes) => {
    for (const key of [1, 2, 3]) writes.put(Uint8Array.of(5, key), Uint8Array.of(key));
    writes.put(long, new Uint8Array(100_000).fill(1));
  });
  const wants = Buffer.concat([
    Uint8Array.of(3, 0, 0, 0),
    Uint8Array.of(1, 2, 0, 5, 2, 2, 0, 5, 9),
    Uint8Array.of(0, 2, 0, 5, 8),
    Uint8Array.of(0, 300 & 255, 300 >> 8),
    long,
  ]);
  const given: [number, number][][] = [];
  const machine: TwoPhaseMachine = {
    step: (_, committed) => {
      t.equal(committed, 4);
      return { wantsBytes: given.length === 0 ? wants.length : 0 };
    },
    takeWants: (output) => output.set(wants),
    give: (records) => {
      given.push([...readJournal(records)].map(({ key, value }) => [key.length, value.length]));
      return { effectsBytes: 0, journalBytes: 4, flush: false };
    },
    takeEffects: () => {},
    takeJournal: () => {},
  };
  const wanting = new WantingMachine({ machine, environment, committed: () => 4 });
  wanting.step(1, new Uint8Array());
  wanting.step(1, new Uint8Array());
  const range = [
    [2, 1],
    [2, 1],
    [0, 0],
  ];
  t.strictSame(given, [[...range, [0, 0], [300, 100_000], [0, 0]], []]);
});

t.test('what is told is released with the step that took it, behind its flush', async (t) => {
  const flushes: (() => void)[] = [];
  const machine = new FakeMachine();
  const released: number[] = [];
  const port = new MainPort({
    machine,
    strict: true,
    counterNames: [],
    inputBytesMax: 1024,
    stepsInFlightMax: 8,
    nowUs: () => 1,
    journal: {
      stage: (_, bytes, take) => {
        take(new Uint8Array(bytes));
        return bytes <= 4
          ? Promise.resolve()
          : new Promise<void>((resolve) => flushes.push(resolve));
      },
    },
    sink: { sendFrames: () => {}, closeConnection: () => {}, windowReleased: () => {} },
    onFatal: (error) => t.fail(error.message),
  });
  machine.ready.push({ puts: [1] }, {});
  port.tell(USAGE_OP.deltas, 1, new Uint8Array(9), () => released.push(1));
  port.tell(USAGE_OP.deltas, 2, new Uint8Array(9), () => released.push(2));
  await turn();
  port.tell(USAGE_OP.deltas, 1, new Uint8Array(9), () => released.push(3));
  await turn();
  t.strictSame(released, [], 'also what wrote nothing waits for what was before');
  flushes[0]?.();
  await turn();
  t.strictSame(released, [1, 2, 3]);
});

t.test('permits of a tenant, and whole seconds of them', async (t) => {
  const counted: string[] = [];
  let nowMs = 0;
  const left: (boolean | undefined)[] = [];
  const passed: Passed = {
    kind: 'passed',
    used: 1,
    limit: 2,
    leave: (ok) => left.push(ok),
  };
  const gate = new CountedGate({
    gate: { enter: () => passed },
    count: (...all) => counted.push(all.join(' ')),
    nowMs: () => nowMs,
    tenantsMax: 2,
  });
  const enter = (tenant: string) => gate.enter({ resource: 'r', tenant }, () => {}) as Passed;
  const first = enter('acme');
  nowMs += 1_600;
  first.leave(true);
  first.leave(true);
  const second = enter('acme');
  nowMs += 500;
  second.leave();
  enter('').leave();
  t.strictSame(counted, [
    'acme permits',
    'acme permit-seconds 1',
    'acme permits',
    'acme permit-seconds 1',
  ]);
  t.strictSame(left, [true, true, undefined, undefined]);
  counted.length = 0;
  const hold = (tenant: string) => {
    const held = enter(tenant);
    nowMs += 600;
    held.leave();
  };
  for (const tenant of ['globex', 'acme', 'globex']) hold(tenant);
  const seconds = counted.filter((line) => line.startsWith('globex permit-seconds'));
  t.strictSame(seconds, ['globex permit-seconds 0', 'globex permit-seconds 1'], 'both are kept');
});

t.test('the store of usage knows whose it is', async (t) => {
  const path = t.testdir();
  const options = { path, durability: 'flushed' as const };
  await openUsageEnvironment({ ...options, dataId: 'a' }).close();
  await openUsageEnvironment({ ...options, dataId: 'a' }).close();
  t.throws(() => openUsageEnvironment({ ...options, dataId: 'b' }), /is that of a/);
});
