import t from 'tap';
import { ReadAhead } from '../../src/gateway/read-ahead.ts';
import { LIMITS } from '../../src/limits.ts';

/** What is asked for after outcomes at a steady rate, asked every ms. */
function afterSteady(perSec: number, ms: number): number {
  const ahead = new ReadAhead(0);
  let ended = 0;
  for (let nowMs = 1; nowMs <= ms; nowMs += 1) {
    while (ended < (nowMs * perSec) / 1000) {
      ahead.ended();
      ended += 1;
    }
    ahead.messages(nowMs);
  }
  return ahead.messages(ms);
}

t.test('as much waits as the gateway ends while the next is on its way', async (t) => {
  t.equal(afterSteady(4_000, 500), 100);
  t.equal(afterSteady(400, 500), 10);
  t.equal(afterSteady(1_000_000, 500), LIMITS.gatewayAhead);
});

t.test('nothing waits at a slow gateway, nor at one that has just begun', async (t) => {
  t.equal(afterSteady(30, 1_000), 0);
  t.equal(afterSteady(100_000, 40), 0);
  t.equal(afterSteady(0, 1_000), 0);
});

t.test('a gateway that was fast is slow after the next outcomes', async (t) => {
  const ahead = new ReadAhead(0);
  for (let count = 0; count < 1_000; count += 1) ahead.ended();
  t.ok(ahead.messages(50) > 0);
  ahead.ended();
  t.equal(ahead.messages(5_050), 0);
});
