// Callers of the process: each is counted down once, each wait is told once, whatever comes first.
import t from 'tap';
import { Callers, type CallersOptions } from '../../src/gate/callers.ts';
import { KeyHandles } from '../../src/gate/key-handles.ts';
import type { Impeded, Passed } from '../../src/gate/ports.ts';
import { native } from '../../src/native.ts';
import { INPUT_OP, InputBuffer } from '../../src/protocol/exchange.ts';
import { encodeGateConfigure } from '../../src/protocol/gate-exchange.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import { type Entered, FakeMachine } from './fake-machine.ts';

const passed = (number: number): Entered => {
  return { kind: 0, number, code: 0, retryAfterMs: 0, used: 2, limit: 4, position: 0 };
};
const waiting = (number: number): Entered => {
  return { ...passed(number), kind: 1, position: 3, estimateMs: 70 };
};
const impeded = (code: number): Entered => {
  return { ...passed(0), kind: 2, code, retryAfterMs: 500, limit: undefined };
};
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function make(options: Partial<CallersOptions> = {}) {
  const machine = new FakeMachine();
  const steps: string[] = [];
  const callers = new Callers({
    machine,
    nowUs: () => 1,
    stepSoon: () => steps.push('step'),
    onFault: (error) => steps.push(`fault ${(error as Error).message}`),
    make: undefined,
    ...options,
  });
  const ends: string[] = [];
  const kept: (Passed | Impeded)[] = [];
  const waited = (end: Passed | Impeded): void => {
    kept.push(end);
    ends.push(end.kind === 'passed' ? 'passed' : `impeded ${end.code} ${end.retryAfterMs}`);
  };
  const ask = { resource: 'api', tenant: 'acme' };
  const entered = (ticket: number, ...fields: unknown[]) => callers.entered(ticket, pack(fields));
  return { machine, steps, callers, ends, kept, waited, ask, entered };
}

t.test('who passes leaves once', async (t) => {
  const { machine, callers, waited, ask, steps } = make();
  machine.entered = [passed(9), impeded(4002)];
  const end = callers.enter(ask, waited);
  t.match(end, { kind: 'passed', used: 2, limit: 4 });
  if (end.kind !== 'passed') return;
  end.leave(true);
  end.leave(false);
  machine.wantsStep = true;
  const other = callers.enter({ ...ask, seats: 3, waitMs: 0 }, waited);
  t.match(other, { kind: 'impeded', code: 4002, retryAfterMs: 500 });
  t.strictSame(machine.calls, ['enter api acme 1 -1', 'leave 9 true', 'enter api acme 3 0']);
  t.strictSame(steps, [], 'none is wanted');
});

t.test('who waits is told once: let in, refused, or given up', async (t) => {
  const { machine, callers, waited, ask, steps, ends, kept, entered } = make();
  machine.entered = [waiting(1), waiting(2), waiting(3), waiting(4)];
  const asked = [1, 2, 3, 4].map(() => callers.enter(ask, waited));
  t.match(asked[0], { kind: 'waiting', position: 3, estimateMs: 70 });
  t.equal(steps.length, 4, 'each wait has a step for its time');
  entered(2, 22, 0, 0);
  entered(1, null, 4007, 250);
  t.strictSame(ends, ['passed', 'impeded 4007 250']);
  machine.wantsStep = true;
  for (const each of asked) if (each.kind === 'waiting') each.giveUp();
  t.strictSame(machine.calls.slice(4), ['giveUp 3', 'giveUp 4'], 'the others are over');
  t.equal(steps.length, 6);
  entered(3, 33, 0, 0);
  entered(4, null, 4007, 0);
  t.equal(machine.calls.at(-1), 'leave 33 undefined', 'let in too late: counted down at once');
  t.equal(ends.length, 2);
  if (kept[0]?.kind === 'passed') kept[0].leave(true);
  t.equal(machine.calls.at(-1), 'leave 22 true');
  t.equal(callers.waiting, 0);
});

t.test('a resource is made at its first use, where that is configured', async (t) => {
  const made: string[] = [];
  const create = async (resource: string) => {
    made.push(resource);
  };
  const { machine, callers, waited, ask, ends } = make({ make: create });
  machine.entered = [impeded(4001), passed(5), impeded(4001), waiting(6), impeded(4001)];
  t.equal(callers.enter(ask, waited).kind, 'waiting');
  await turn();
  t.strictSame(made, ['api']);
  t.strictSame(ends, ['passed']);
  const second = callers.enter(ask, waited);
  await turn();
  if (second.kind === 'waiting') second.giveUp();
  t.equal(machine.calls.at(-1), 'giveUp 6', 'a wait behind the making is given up too');
  const third = callers.enter(ask, waited);
  if (third.kind === 'waiting') third.giveUp();
  const calls = machine.calls.length;
  await turn();
  t.equal(machine.calls.length, calls, 'given up before it was made: not asked again');
  t.strictSame(ends, ['passed']);
});

t.test(
  'a key is known by its number from its first use on, and by name when it was closed',
  async (t) => {
    const { machine, callers, waited, ask } = make();
    const handle = { key: 3, serial: 17 };
    machine.entered = [
      { ...passed(1), ...handle },
      passed(2),
      impeded(4002),
      { ...passed(0), kind: 3 },
      { ...passed(4), key: 3, serial: 18 },
      passed(5),
      passed(6),
    ];
    for (let count = 0; count < 5; count += 1) callers.enter(ask, waited);
    callers.enter({ ...ask, tenant: 'beta', seats: 2, waitMs: 5 }, waited);
    t.strictSame(machine.calls, [
      'enter api acme 1 -1',
      'enterKey 3 17 1 -1',
      'enterKey 3 17 1 -1',
      'enterKey 3 17 1 -1',
      'enter api acme 1 -1',
      'enterKey 3 18 1 -1',
      'enter api beta 2 5',
    ]);
  },
);

t.test('past the most that are kept all are forgotten', async (t) => {
  const handles = new KeyHandles(2);
  handles.keep('api', 'a', 1, 1);
  handles.keep('api', 'b', 2, 2);
  handles.keep('api', 'a', 1, 3);
  t.equal(handles.size, 2, 'the same key is kept once');
  t.strictSame(handles.of('api', 'a'), { key: 1, serial: 3 });
  handles.keep('sms', 'a', 3, 4);
  t.equal(handles.size, 1);
  t.equal(handles.of('api', 'a'), undefined);
  t.strictSame(handles.of('sms', 'a'), { key: 3, serial: 4 });
});

t.test('a place that is another tenant’s by now lets in nobody for it', async (t) => {
  const options = { bootId: 1, hashKey: new Uint8Array(16), nowUs: 1e15, relaxed: false };
  const machine = new native.Gate({ ...options, graceMs: 1, permitsMax: 9, keysMax: 1 });
  const input = new InputBuffer();
  const fields = {
    ...{ limit: null, tenantLimit: 1, mode: 'reject' as const, waitersMax: 1, waitMs: 0 },
    ...{ ratePerSec: null, leaseMs: 1_000, adaptive: null },
  } as const;
  const change = { kind: 'resource', name: 'api', fields } as const;
  input.append(INPUT_OP.configure, 0, encodeGateConfigure(change));
  const { buffer, bytes } = input.finish(0);
  machine.configure(1e15, new Uint8Array(buffer, 0, bytes));
  machine.recoverFinish(1e15);
  const { callers, waited, ask } = make({ machine, nowUs: () => 1e15 });
  for (const tenant of ['acme', 'beta', 'acme', 'acme', 'beta', 'acme']) {
    // There is room for one key: each takes the place of the one before.
    const end = callers.enter({ ...ask, tenant }, waited);
    t.match(end, { kind: 'passed', used: 1, limit: 1 }, tenant);
    const other = tenant === 'acme' ? 'beta' : 'acme';
    t.match(callers.enter({ ...ask, tenant: other }, waited), { kind: 'impeded', code: 4006 });
    t.match(callers.enter({ ...ask, tenant }, waited), { kind: 'impeded', code: 4002, used: 1 });
    if (end.kind === 'passed') end.leave(true);
  }
});

t.test('a fault of the machine is heard', async (t) => {
  const { callers, waited, ask, steps } = make();
  t.throws(() => callers.enter(ask, waited), /nothing lies ready/);
  t.strictSame(steps, ['fault nothing lies ready']);
});
