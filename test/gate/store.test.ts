// The store of permits: what was answered is on the disk, also where only flushed transactions count.
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { GateService, type GateServiceOptions } from '../../src/gate/gate-service.ts';
import { native } from '../../src/native.ts';
import { SCOPE_BIT } from '../../src/protocol/exchange.ts';
import {
  type AcquireAnswer,
  decodeDaemonFrame,
  encodeAcquire,
  encodeRelease,
  readAcquireOk,
} from '../../src/protocol/frames.ts';
import type { GateChange } from '../../src/protocol/gate-exchange.ts';
import { META_IDENTITY } from '../../src/protocol/records.ts';
import { Environment } from '../../src/store/environment.ts';

const CONNECTION = 1;
const resource: GateChange = {
  kind: 'resource',
  name: 'calls',
  fields: {
    ...{ limit: null, tenantLimit: 1_000, mode: 'reject', waitersMax: 1, waitMs: 0 },
    ...{ ratePerSec: null, leaseMs: 60_000, adaptive: null },
  },
};

/** The gate on real files, with one connection whose answers come to `answered`. */
async function open(path: string, options: Partial<GateServiceOptions> & { nowUs?: () => number }) {
  const answers: AcquireAnswer[] = [];
  let heard: (() => void) | undefined;
  const nowUs = options.nowUs ?? (() => Date.now() * 1_000);
  const gate = await GateService.open({
    path,
    durability: 'flushed',
    dataId: 'one',
    strict: true,
    machine: new native.Gate({
      ...{ bootId: 7, hashKey: new Uint8Array(16).fill(3), nowUs: nowUs() },
      relaxed: options.strict === false,
      ...{ graceMs: 5_000, permitsMax: 10_000, keysMax: 1_000 },
    }),
    nowUs,
    changes: [resource],
    resources: undefined,
    counted: () => {},
    sink: {
      sendFrames: (_, buffer, spans, count) => {
        for (let at = 0; at < 2 * count; at += 2) {
          const start = spans[at] as number;
          const frame = decodeDaemonFrame(buffer.slice(start, start + (spans[at + 1] as number)));
          if (frame.kind === 'ok' && Array.isArray(frame.result[0])) {
            answers.push(...readAcquireOk(frame));
          } else if (frame.kind !== 'ok') throw new Error(JSON.stringify(frame));
        }
        heard?.();
      },
      closeConnection: () => {},
      windowReleased: () => {},
    },
    logger: silentLogger,
    onFatal: (error) => {
      throw error;
    },
    ...options,
  });
  gate.connect(CONNECTION, SCOPE_BIT.gate, 'acme');
  const ask = (frame: Uint8Array): Promise<void> => {
    const told = new Promise<void>((resolve) => {
      heard = resolve;
    });
    gate.frame(CONNECTION, frame);
    return told;
  };
  return { gate, answers, ask };
}

t.test('an answered permit outlives a power cut, an answered release too', async (t) => {
  const dir = t.testdir();
  const { gate, answers, ask } = await open(join(dir, 'gate'), {});
  const entries = Array.from({ length: 5 }, () => ({ resource: 'calls' }));
  let held = 0;
  for (let round = 1; round <= 8; round += 1) {
    await ask(encodeAcquire({ id: round, entries }));
    held += 5;
    if (round % 3 === 0) {
      const permits = answers
        .splice(0, 4)
        .flatMap((answer) => (answer.kind === 'granted' ? [answer.permit] : []));
      await ask(encodeRelease({ id: 100 + round, permits }));
      held -= 4;
    }
    // As the disk is at this moment; only what was flushed counts.
    const copy = join(dir, `copy-${round}`);
    cpSync(join(dir, 'gate'), copy, { recursive: true });
    const after = await open(copy, { safeRestore: true });
    const { permits } = await after.gate.port.counters();
    t.equal(permits, held, `round ${round}`);
    await after.gate.close();
  }
  await gate.close();
});

t.test('a store of a newer daemon, or of another kind, is refused', async (t) => {
  const path = join(t.testdir(), 'gate');
  const { gate, ask } = await open(path, {});
  await ask(encodeAcquire({ id: 1, entries: [{ resource: 'calls' }] }));
  await gate.close();
  const again = await open(path, {});
  await again.gate.close();
  const environment = Environment.open({ path, durability: 'flushed' });
  environment.commitNow((writes) => writes.put(Uint8Array.of(40, 1), Uint8Array.of(1)));
  await environment.close();
  await t.rejects(open(path, {}), /a key this daemon does not know \(2801\)/);
});

t.test('a store belongs to one data directory; one from before claims is taken', async (t) => {
  const path = join(t.testdir(), 'gate');
  const { gate, ask } = await open(path, {});
  await ask(encodeAcquire({ id: 1, entries: [{ resource: 'calls' }] }));
  await gate.close();
  const moved = open(path, { dataId: 'other' });
  await t.rejects(moved, { name: 'IdentityError', message: /directory other is that of one/ });
  const environment = Environment.open({ path, durability: 'flushed' });
  environment.commitNow((writes) => writes.remove(META_IDENTITY));
  await environment.close();
  const taken = await open(path, { dataId: 'other' });
  t.equal((await taken.gate.port.counters()).permits, 1);
  await taken.gate.close();
  await t.rejects(open(path, {}), { name: 'IdentityError' });
});

t.test('a damaged record is refused and names itself', async (t) => {
  const path = join(t.testdir(), 'gate');
  const { gate, ask } = await open(path, {});
  await ask(encodeAcquire({ id: 1, entries: [{ resource: 'calls' }] }));
  await gate.close();
  const environment = Environment.open({ path, durability: 'flushed' });
  const [entry] = [...environment.range(Uint8Array.of(9), Uint8Array.of(10))];
  t.ok(entry, 'there is a log record');
  if (entry === undefined) return;
  const value = Buffer.from(entry.value);
  value[value.length - 1] = (value.at(-1) ?? 0) ^ 1;
  environment.commitNow((writes) => writes.put(entry.key, value));
  await environment.close();
  await t.rejects(open(path, {}), /damaged|checksum/i);
});

t.test('relaxed: answers do not wait, and a crash shuts the gate', async (t) => {
  const dir = t.testdir();
  const path = join(dir, 'gate');
  const { gate, ask, answers } = await open(path, { strict: false });
  await ask(encodeAcquire({ id: 1, entries: [{ resource: 'calls' }] }));
  t.equal(answers[0]?.kind, 'granted');
  const copy = join(dir, 'copy');
  cpSync(path, copy, { recursive: true });
  const crashed = await open(copy, { strict: false, safeRestore: true });
  t.ok((await crashed.gate.port.counters()).recoveringUntilMs > Date.now());
  await crashed.ask(encodeAcquire({ id: 1, entries: [{ resource: 'calls' }] }));
  t.match(crashed.answers, [{ kind: 'impeded', code: 4009 }]);
  await crashed.gate.close();
  await gate.drain();
  await gate.close();
  const ordered = await open(path, { strict: false });
  t.match(await ordered.gate.port.counters(), { recoveringUntilMs: 0, permits: 1 });
  await ordered.gate.close();
});

t.test('callers of the process leave with an answer, a failure, or neither', async (t) => {
  const { gate } = await open(join(t.testdir(), 'gate'), {});
  for (const ok of [true, false, undefined]) {
    const end = gate.enter({ resource: 'calls', tenant: 'acme' }, () => {});
    t.equal(end.kind, 'passed');
    t.match(await gate.port.counters(), { localPermits: 1, seats: 1 });
    if (end.kind !== 'passed') return;
    end.leave(ok);
    end.leave(ok);
    t.match(await gate.port.counters(), { localPermits: 0, seats: 0 });
  }
  await gate.close();
});
