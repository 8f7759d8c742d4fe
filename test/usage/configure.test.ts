// Whatever an operator may put of tenants, prices and caps, the counters can read: unreadable bytes of a
// change would end the daemon, and the next start with it.
import t from 'tap';
import { ZodError } from 'zod';
import { nanoOf } from '../../src/base/nano.ts';
import { CapSlots } from '../../src/dispatch/cap-slots.ts';
import { checkEntityName } from '../../src/dispatch/entity-names.ts';
import { amountOf, capSchema, priceSchema } from '../../src/dispatch/price-schemas.ts';
import { LIMITS } from '../../src/limits.ts';
import { native } from '../../src/native.ts';
import { encodeInUse, INPUT_OP, InputBuffer } from '../../src/protocol/exchange.ts';
import {
  CAP_PERIOD,
  encodeUsageConfigure,
  MEASURE,
  type UsageChange,
} from '../../src/protocol/usage-exchange.ts';

const NOW_US = 1_790_000_000_000_000;
const LONGEST = 'a:+@_.-Z'.repeat(16);
const FROM_MS_MAX = 8_640_000_000_000_000;

function usage(): InstanceType<typeof native.Usage> {
  return new native.Usage({
    bootId: 1,
    hashKey: new Uint8Array(16),
    nowUs: NOW_US,
    eventKeyHours: 24,
    eventKeysMax: 1000,
    countersMax: 1000,
  });
}

/** @throws Error when the counters cannot read one of them */
function configure(changes: Iterable<UsageChange>): void {
  const input = new InputBuffer();
  for (const change of changes) {
    input.append(INPUT_OP.configure, 0, encodeUsageConfigure(change));
  }
  const { buffer, bytes } = input.finish(0);
  usage().configure(NOW_US, new Uint8Array(buffer, 0, bytes));
}

/** Undefined: it is refused before it is stored. */
function taken<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ZodError) return undefined;
    throw error;
  }
}

t.test('all values of caps that are taken can be read', async (t) => {
  const slots = new CapSlots();
  const values = ['0', '999999999999999', '1000000000000000', '999999999.999999999', '0.000000001'];
  let caps = 0;
  for (const category of ['messages', 'messages-accepted', 'message-bytes', 'totalprice']) {
    for (const [by, period, value] of combined(
      Object.keys(MEASURE),
      Object.keys(CAP_PERIOD),
      values,
    )) {
      const fields = taken(() => capSchema.parse({ category, by, period, value }));
      if (fields === undefined) continue;
      const name = `${LONGEST}/${caps}`;
      checkEntityName('cap', name);
      const told = {
        ...fields,
        slot: slots.of(name, fields),
        value: amountOf(fields.by, fields.value),
      };
      configure([
        { kind: 'cap', name, fields: told },
        { kind: 'cap', name, fields: null },
      ]);
      caps += 1;
    }
  }
  t.equal(caps, 96);
  slots.close();
  const last = { ...capSchema.parse({ value: '1' }), value: 1n };
  const beyond = { ...last, slot: LIMITS.capSlots };
  t.doesNotThrow(() =>
    configure([{ kind: 'cap', name: 'a/b', fields: { ...last, slot: LIMITS.capSlots - 1 } }]),
  );
  t.throws(() => configure([{ kind: 'cap', name: 'a/b', fields: beyond }]), 'the test can fail');
});

t.test('all price lists that are taken can be read', async (t) => {
  const most = Array.from({ length: LIMITS.priceSteps }, (_, at) => {
    return { fromMs: FROM_MS_MAX - LIMITS.priceSteps + 1 + at, price: '999999999.999999999' };
  });
  const lists = [most, [{ fromMs: 0, price: '0' }], [{ price: '0.000000001' }]];
  t.equal(
    taken(() => priceSchema.parse({ steps: [...most, most[0]] })),
    undefined,
  );
  for (const name of [`${'p'.repeat(64)}/${LONGEST}`, 'messages', 'totalprice']) {
    checkEntityName('price', name);
    for (const [by, steps] of combined(['count', 'usage'], lists)) {
      const fields = priceSchema.parse({ by, steps });
      const told = {
        by: fields.by,
        steps: fields.steps.map(({ fromMs, price }) => ({ fromMs, nano: nanoOf(price) ?? -1n })),
      };
      const changes: UsageChange[] = [
        { kind: 'price', name, fields: told },
        { kind: 'price', name, fields: null },
      ];
      t.doesNotThrow(() => configure(changes), `${name} by ${fields.by}`);
    }
  }
});

t.test(
  'all names of tenants can be read, also when it is asked whether they are in use',
  async (t) => {
    t.equal(LONGEST.length, LIMITS.nameBytes);
    for (const name of [LONGEST, 'x', 'fairlead.platform']) {
      checkEntityName('tenant', name);
      for (const parent of [LONGEST, null]) {
        const changes: UsageChange[] = [
          { kind: 'tenant', name, fields: { parent } },
          { kind: 'tenant', name, fields: null },
        ];
        t.doesNotThrow(() => configure(changes), name);
      }
      const machine = usage();
      machine.recoverFinish(NOW_US);
      const input = new InputBuffer();
      for (const kind of ['tenant', 'price', 'cap'] as const) {
        input.append(INPUT_OP.inUse, 1, encodeInUse(kind, name));
      }
      const { buffer, bytes } = input.finish(1);
      machine.step(NOW_US, 0, new Uint8Array(buffer, 0, bytes));
      t.ok(machine.give(new Uint8Array(4)).effectsBytes > 0, 'it is answered');
    }
  },
);

/** One of each, in all ways. */
function combined<const T extends readonly (readonly unknown[])[]>(
  ...lists: T
): { [K in keyof T]: T[K][number] }[] {
  let all: unknown[][] = [[]];
  for (const list of lists) all = all.flatMap((before) => list.map((each) => [...before, each]));
  return all as { [K in keyof T]: T[K][number] }[];
}
