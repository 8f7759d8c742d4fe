// When the effects of a step leave, in which order, and when the next step is made.
import t from 'tap';
import { FairleadError } from '../../src/errors.ts';
import { GatePort, type GatePortOptions } from '../../src/gate/gate-port.ts';
import { LIMITS } from '../../src/limits.ts';
import { EFFECT_OP } from '../../src/protocol/exchange.ts';
import { GATE_OP } from '../../src/protocol/gate-exchange.ts';
import { FakeMachine } from './fake-machine.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const frame = (text: string) => Uint8Array.from(Buffer.from(text));
const send = (connection: number, text: string) => {
  return { op: EFFECT_OP.send, connection, bytes: frame(text) };
};

/** A port whose journals are flushed when the test says so. */
function make(options: Partial<GatePortOptions> = {}) {
  const machine = new FakeMachine();
  const out: string[] = [];
  const flushes: { resolve: () => void; reject: (error: Error) => void }[] = [];
  let durable = Promise.resolve();
  const port = new GatePort({
    machine,
    strict: true,
    nowUs: () => 1,
    journal: {
      stage: (_, bytes, take) => {
        take(new Uint8Array(bytes));
        if (bytes <= 4) return durable;
        const before = durable;
        const flushed = new Promise<void>((resolve, reject) => flushes.push({ resolve, reject }));
        durable = Promise.all([before, flushed]).then(() => {});
        return durable;
      },
    },
    sink: {
      sendFrames: (connection, buffer, spans, count) => {
        for (let at = 0; at < 2 * count; at += 2) {
          const start = spans[at] as number;
          const bytes = buffer.subarray(start, start + (spans[at + 1] as number));
          out.push(`${connection} ${Buffer.from(bytes)}`);
        }
      },
      closeConnection: (connection, code) => out.push(`close ${connection} ${code}`),
      windowReleased: (connection, bytes) => out.push(`window ${connection} ${bytes}`),
    },
    counted: (deltas) => out.push(`counted ${Buffer.from(deltas)}`),
    entered: (ticket) => out.push(`entered ${ticket}`),
    onFatal: (error) => out.push(`fatal ${error.message}`),
    ...options,
  });
  const flush = async (index: number) => {
    flushes[index]?.resolve();
    await turn();
  };
  return { machine, port, out, flushes, flush };
}

t.test(
  'all input of a turn is one step, and nothing waits where nothing was written',
  async (t) => {
    const { machine, port, out } = make();
    port.connect(7, 16, 'acme');
    t.equal(port.frame(7, frame('abc')), true);
    port.disconnect(7);
    machine.ready.push({ effects: [send(7, 'one'), send(7, 'two'), send(8, 'three')] });
    t.strictSame(machine.steps, []);
    await turn();
    t.strictSame(machine.steps, [['2 7', '1 7', '3 7']]);
    t.strictSame(out, ['7 one', '7 two', '8 three', 'window 7 3']);
    await turn();
    t.equal(machine.steps.length, 1, 'without input there is no step');
  },
);

t.test('what tenants are counted for leaves behind the flush, without its number', async (t) => {
  const { machine, port, out, flush } = make();
  const counted = { op: EFFECT_OP.usage, connection: 0, bytes: frame('........list') };
  machine.ready.push({ effects: [counted, send(1, 'a')], puts: [1] });
  port.frame(1, frame('x'));
  await turn();
  t.strictSame(out, []);
  await flush(0);
  t.strictSame(out.slice(0, 2), ['counted list', '1 a']);
});

t.test('strict: effects leave behind their flush and in order', async (t) => {
  const { machine, port, out, flush } = make();
  machine.ready.push(
    { effects: [send(1, 'a')], puts: [1] },
    { effects: [send(2, 'b')] },
    { effects: [send(3, 'c')], puts: [2] },
  );
  for (const connection of [1, 2, 3]) {
    port.frame(connection, frame('x'));
    await turn();
  }
  t.equal(machine.steps.length, 3, 'steps go on while flushes are under way');
  t.strictSame(out, []);
  await flush(1);
  t.strictSame(out, [], 'a later flush waits for the one before');
  await flush(0);
  t.strictSame(out, ['1 a', 'window 1 1', '2 b', 'window 2 1', '3 c', 'window 3 1']);
  t.equal(port.flushes.snapshot().count, 2);
});

t.test('relaxed: effects leave at once, but behind a flush that the step asks for', async (t) => {
  const { machine, port, out, flush } = make({ strict: false });
  machine.ready.push(
    { effects: [send(1, 'a')], puts: [1] },
    { effects: [send(1, 'b')], puts: [2], flush: true },
    { effects: [send(1, 'c')], puts: [3] },
  );
  for (let step = 0; step < 3; step += 1) {
    port.frame(1, frame('x'));
    await turn();
  }
  t.strictSame(out, ['1 a', 'window 1 1']);
  await flush(0);
  await flush(1);
  t.strictSame(out.slice(2), ['1 b', 'window 1 1', '1 c', 'window 1 1']);
});

t.test('callers of the process wait for no flush and are told once', async (t) => {
  const { machine, port, out, flush } = make();
  const entered = { op: EFFECT_OP.entered, connection: 5, bytes: frame('') };
  machine.ready.push({ effects: [send(1, 'a'), entered], puts: [1] });
  port.stepSoon();
  await turn();
  t.strictSame(machine.steps, [[]], 'a step without input');
  t.strictSame(out, ['entered 5']);
  await flush(0);
  t.strictSame(out, ['entered 5', '1 a']);
});

t.test('the machine says when it wants the next step', async (t) => {
  const { machine, port } = make();
  machine.ready.push({ wakeAfterMs: 0 }, { wakeAfterMs: 400 });
  port.stepSoon();
  await turn();
  await turn();
  t.equal(machine.steps.length, 2, 'at once');
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(machine.steps.length, 2);
  await new Promise((resolve) => setTimeout(resolve, 400));
  t.equal(machine.steps.length, 3, 'later');
});

t.test('replies find their requests', async (t) => {
  const { machine, port } = make();
  const first = port.request(GATE_OP.list, frame(''));
  const second = port.request(GATE_OP.top, frame(''));
  machine.ready.push({
    effects: [
      { op: EFFECT_OP.reply, connection: 2, bytes: frame('{"b":2}') },
      { op: EFFECT_OP.reply, connection: 1, bytes: frame('{"a":1}') },
      { op: EFFECT_OP.close, connection: 4, bytes: Uint8Array.of(0x30, 0x11) },
    ],
  });
  t.strictSame(await Promise.all([first, second]), ['{"a":1}', '{"b":2}']);
  t.strictSame(machine.steps, [['30 1', '32 2']]);
});

t.test('too much unread input, and too many flushes under way', async (t) => {
  const { machine, port, flush } = make();
  const large = new Uint8Array(1024 * 1024);
  let taken = 0;
  while (port.frame(1, large)) taken += 1;
  t.equal(taken, Math.floor(LIMITS.gateInputBytes / (large.length + 12)));
  t.equal(port.frame(1, large), false);
  for (let step = 0; step < taken; step += 1) await turn();
  t.equal(machine.steps.length, taken, 'one megabyte a step');
  const before = machine.steps.length;
  for (let step = 0; step < LIMITS.gateStepsInFlight + 5; step += 1) {
    machine.ready.push({ puts: [1] });
    port.frame(1, frame('x'));
    await turn();
  }
  t.equal(machine.steps.length, before + LIMITS.gateStepsInFlight);
  await flush(0);
  await turn();
  t.equal(machine.steps.length, before + LIMITS.gateStepsInFlight + 1, 'the rest in one step');
});

t.test('close answers what was taken and waits for the disk', async (t) => {
  const { machine, port, out, flush } = make();
  machine.ready.push({ effects: [send(1, 'a')], puts: [1] });
  port.frame(1, frame('x'));
  let closed = false;
  const closing = port.close().then(() => {
    closed = true;
  });
  t.equal(port.frame(1, frame('y')), false, 'nothing more is taken');
  await t.rejects(port.request(GATE_OP.list, frame('')), FairleadError);
  await turn();
  await turn();
  t.equal(closed, false);
  await flush(0);
  await closing;
  t.strictSame(out, ['1 a', 'window 1 1']);
});

t.test('a fault of the machine or of a flush ends it, once', async (t) => {
  const broken = make();
  broken.machine.failure = new Error('a bug');
  const asked = broken.port.request(GATE_OP.list, frame(''));
  await t.rejects(asked, FairleadError);
  t.strictSame(broken.out, ['fatal a bug']);
  t.equal(broken.port.frame(1, frame('x')), false);
  const { machine, port, out, flushes } = make();
  machine.ready.push({ effects: [send(1, 'a')], puts: [1] });
  port.frame(1, frame('x'));
  await turn();
  flushes[0]?.reject(new Error('the disk is gone'));
  await turn();
  t.strictSame(out, ['fatal the disk is gone'], 'nothing leaves that is not durable');
});
