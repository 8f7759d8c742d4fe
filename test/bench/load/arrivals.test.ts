import t from 'tap';
import { Arrivals } from '../../../bench/load/arrivals.ts';
import { percentilesMs } from '../../../bench/load/latency.ts';
import type { MessageShape } from '../../../bench/load/message-shape.ts';

const shape: MessageShape = {
  destination: 'bench-0',
  tenants: 2,
  sendersPerTenant: 2,
  payloadBytes: 160,
  messagesPerFrame: 4,
  option: 'at',
};
const wallMs = (): number => performance.timeOrigin + performance.now();

/** Eight messages of four senders, from now on one a ms, numbered from 4. */
function arrivalsFrom(firstAtMs: number): Arrivals {
  const times = { firstAtMs, perMs: 1, firstSequence: 4 };
  return new Arrivals({ shape, slots: 2, times, messages: 8 });
}

/** When the message should be there, and `lateMs` more, as performance.now() says it. */
function nowMs(firstAtMs: number, sequence: number, lateMs: number): number {
  return firstAtMs + (sequence - 4) + lateMs - performance.timeOrigin;
}

t.test('lateness counts from the time of each message', async (t) => {
  const firstAtMs = Math.floor(wallMs());
  const arrivals = arrivalsFrom(firstAtMs);
  for (let sequence = 4; sequence < 12; sequence += 1) {
    arrivals.arrived(sequence, nowMs(firstAtMs, sequence, sequence === 11 ? 40 : 10));
  }
  const { lateness, maxLateMs } = arrivals.result();
  const [p50 = 0] = percentilesMs([lateness], [50]);
  t.ok(p50 > 8.9 && p50 < 11.1, `${p50} ms`);
  t.ok(maxLateMs > 38.9 && maxLateMs < 41.1, `${maxLateMs} ms`);
});

t.test('what is early, twice, unknown, missing or out of order is an error', async (t) => {
  const firstAtMs = Math.floor(wallMs());
  const arrive = (sequences: readonly number[], lateMs = 5): Arrivals => {
    const arrivals = arrivalsFrom(firstAtMs);
    for (const sequence of sequences) {
      arrivals.arrived(sequence, nowMs(firstAtMs, sequence, lateMs));
    }
    return arrivals;
  };
  t.throws(() => arrive([4], -5), /message 4 is .* ms early/);
  t.throws(() => arrive([4, 4]), /message 4 is here again/);
  t.throws(() => arrive([12]), /message 12 is here again or unknown/);
  t.throws(() => arrive([3]), /message 3 is .*unknown/);
  t.throws(() => arrive([8, 4]), /message 4 comes after 8 of its sender/);
  t.throws(() => arrive([4, 5, 6, 7, 8, 9, 10]).result(), /message 11 did not arrive/);
  t.doesNotThrow(() => arrive([5, 4, 9, 8, 7, 6, 10, 11]).result(), 'senders in any order');
});
