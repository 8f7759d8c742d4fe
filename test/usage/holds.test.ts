// What triggers hold tenants at: how holds end, lie above each other, and outlast a restart.
import t, { type Test } from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { FairleadError } from '../../src/errors.ts';
import type { UsageAction } from '../../src/protocol/usage-exchange.ts';
import { Environment } from '../../src/store/environment.ts';
import type { HeldField, HeldValue } from '../../src/usage/hold-record.ts';
import { type HeldTrigger, Holds } from '../../src/usage/holds.ts';
import { sidText } from '../../src/usage/texts.ts';

const pause: UsageAction = { kind: 'pause', number: null, code: null };
const cap = (number: number): UsageAction => ({ kind: 'capRate', number, code: null });
const sidOf = (number: number): Uint8Array => new Uint8Array(16).fill(number);
const nameOf = (number: number): string => sidText(sidOf(number));

/** Holds over a tenant that is a map, and triggers that are another. */
function make(t: Test) {
  const environment = Environment.open({
    path: t.testdir(),
    durability: 'flushed',
    mapBytes: 64 * 1024 * 1024,
  });
  const clock = { nowMs: Date.parse('2026-11-30T23:59:59Z') };
  const tenants = new Map<string, Map<HeldField, HeldValue>>();
  const fieldsOf = (tenant = 'acme'): Map<HeldField, HeldValue> => {
    const fields = tenants.get(tenant) ?? new Map<HeldField, HeldValue>();
    tenants.set(tenant, fields);
    if (fields.size === 0) fields.set('paused', false).set('ratePerSec', null);
    return fields;
  };
  const triggers = new Map<string, HeldTrigger>();
  const asked: string[] = [];
  const failing = new Set<string>();
  const open = (): Holds =>
    new Holds({
      environment,
      tenants: {
        get: (tenant, field) => fieldsOf(tenant).get(field) ?? null,
        set: async (tenant, field, value) => {
          if (failing.has(tenant)) throw new FairleadError('invalidValue');
          fieldsOf(tenant).set(field, value);
        },
      },
      stateOf: async (trigger) => {
        asked.push(trigger);
        return triggers.get(trigger);
      },
      nowMs: () => clock.nowMs,
      logger: silentLogger,
      onFatal: (error) => t.fail(error.message),
    });
  const at = { holds: open() };
  t.teardown(async () => {
    await at.holds.close();
    await environment.close();
  });
  const restart = async (): Promise<void> => {
    await at.holds.close();
    at.holds = open();
  };
  const firing = (number: number, action: UsageAction, more: object = {}) => {
    const [sid, account, period] = [sidOf(number), 'acme', 'alltime'];
    const { arming = 0 } = triggers.get(nameOf(number)) ?? {};
    const told = {
      sequence: 1,
      category: 'pages',
      tag: '',
      by: 'count',
      recurring: 'none',
    } as const;
    const values = { threshold: 0, value: '1', currentValue: '1', firedMs: 1, friendlyName: null };
    const callbacks: [] = [];
    return { ...told, ...values, sid, account, period, arming, callbacks, action, ...more };
  };
  /** All of one transaction, as firings that come together. */
  const fire = async (...firings: ReturnType<typeof firing>[]): Promise<void> => {
    for (const { sid, arming } of firings) {
      const name = sidText(sid);
      if (!triggers.has(name)) triggers.set(name, { arming, rearmBelow: null });
    }
    const held = firings.flatMap((each) => at.holds.holdOf(each) ?? []);
    await environment.commitQueued((writes) => {
      for (const { write } of held) write(writes);
    });
    for (const { hold } of held) await at.holds.apply(hold);
  };
  const end = async (number: number): Promise<void> => {
    const name = nameOf(number);
    const { arming = 0, rearmBelow = null } = triggers.get(name) ?? {};
    triggers.set(name, { arming: arming + 1, rearmBelow });
    await at.holds.release(name);
  };
  const acme = fieldsOf();
  return { at, acme, clock, fieldsOf, triggers, asked, failing, restart, firing, fire, end };
}

t.test('holds end with their period, and what somebody else set stays', async (t) => {
  const { at, acme, clock, restart, firing, fire, end } = make(t);
  await fire(firing(1, pause, { period: '2026-11' }));
  await fire(firing(2, cap(5), { period: '2026-11' }));
  await fire(firing(3, cap(2)));
  await fire(firing(4, cap(1), { period: '2026-10' }));
  t.strictSame(Object.fromEntries(acme), { paused: true, ratePerSec: 2 }, 'not of a period before');
  await restart();
  t.equal(at.holds.size, 3, 'after a restart');
  acme.set('paused', false);
  clock.nowMs += 1_000;
  await at.holds.look();
  t.strictSame(Object.fromEntries(acme), { paused: false, ratePerSec: 2 }, 'one still holds it');
  await end(3);
  t.strictSame(Object.fromEntries(acme), { paused: false, ratePerSec: null });
  t.equal(at.holds.size, 0);
});

t.test('an operator between two holds is not forgotten', async (t) => {
  const { at, acme, restart, firing, fire, end } = make(t);
  await fire(firing(1, cap(5)));
  acme.set('ratePerSec', 7);
  await fire(firing(2, cap(2)));
  await restart();
  await end(2);
  t.equal(acme.get('ratePerSec'), 7, 'back to what it was');
  await end(1);
  t.equal(acme.get('ratePerSec'), 7);
  t.equal(at.holds.size, 0);
});

t.test('holds above each other end in any order', async (t) => {
  const { acme, restart, firing, fire, end } = make(t);
  for (const order of ['123', '132', '213', '231', '312', '321']) {
    await fire(firing(1, cap(5)), firing(2, cap(2)));
    await fire(firing(3, cap(9)));
    await fire(firing(1, cap(5), { threshold: 1 }));
    t.equal(acme.get('ratePerSec'), 5, 'the one that fired last');
    await restart();
    const left = new Set([1, 2, 3]);
    for (const number of order) {
      await end(Number(number));
      left.delete(Number(number));
      // In order of their firing.
      const upper = [2, 3, 1].filter((each) => left.has(each)).at(-1);
      const expected = upper === undefined ? null : [5, 2, 9][upper - 1];
      t.equal(acme.get('ratePerSec'), expected, `${order}: after the end of ${number}`);
    }
  }
});

t.test('a replaced trigger keeps its hold while it acts as before', async (t) => {
  const { at, acme, firing, fire } = make(t);
  await fire(firing(1, cap(5)));
  await at.holds.replaced(nameOf(1), { arming: 0, action: cap(5) });
  t.equal(acme.get('ratePerSec'), 5);
  for (const now of [
    { arming: 1, action: cap(5) },
    { arming: 0, action: cap(6) },
    { arming: 0, action: pause },
    { arming: 0, action: null },
  ]) {
    await fire(firing(1, cap(5)));
    await at.holds.replaced(nameOf(1), now);
    t.equal(acme.get('ratePerSec'), null, JSON.stringify(now));
  }
});

t.test('one that cannot be ended keeps no other', async (t) => {
  const { at, fieldsOf, clock, failing, firing, fire } = make(t);
  await fire(firing(1, pause, { period: '2026-11' }));
  await fire(firing(2, pause, { period: '2026-11', account: 'globex' }));
  failing.add('acme');
  clock.nowMs += 1_000;
  await Promise.all([at.holds.look(), at.holds.look()]);
  t.equal(fieldsOf('acme').get('paused'), true);
  t.equal(fieldsOf('globex').get('paused'), false);
  failing.clear();
  await at.holds.look();
  t.equal(fieldsOf('acme').get('paused'), false, 'it is tried again');
});

t.test('only what may be armed by its counter is asked for again and again', async (t) => {
  const { at, acme, triggers, asked, restart, firing, fire } = make(t);
  triggers.set(nameOf(2), { arming: 0, rearmBelow: '3' });
  await fire(firing(1, pause), firing(2, cap(5)));
  for (let look = 0; look < 3; look += 1) await at.holds.look();
  t.strictSame(asked, [nameOf(1), nameOf(2), nameOf(2), nameOf(2)]);
  triggers.set(nameOf(2), { arming: 1, rearmBelow: '3' });
  await at.holds.look();
  t.strictSame(Object.fromEntries(acme), { paused: true, ratePerSec: null });
  triggers.set(nameOf(1), { arming: 1, rearmBelow: null });
  await at.holds.look();
  t.equal(acme.get('paused'), true);
  await restart();
  await at.holds.look();
  t.equal(acme.get('paused'), false, 'armed anew just before a crash: found at the start');
});
