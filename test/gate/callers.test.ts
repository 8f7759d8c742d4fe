// Callers of the process: each is counted down once, each wait is told once, whatever comes first.
import t from 'tap';
import { Callers, type CallersOptions } from '../../src/gate/callers.ts';
import type { Entered } from '../../src/gate/machine.ts';
import type { Impeded, Passed } from '../../src/gate/ports.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import { FakeMachine } from './fake-machine.ts';

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

t.test('a fault of the machine is heard', async (t) => {
  const { callers, waited, ask, steps } = make();
  t.throws(() => callers.enter(ask, waited), /nothing lies ready/);
  t.strictSame(steps, ['fault nothing lies ready']);
});
