import t from 'tap';
import { ReadAhead } from '../../src/gateway/read-ahead.ts';
import { LIMITS } from '../../src/limits.ts';

/** What is asked for after outcomes at a steady rate, told every ms, with so many waiting then. */
function afterSteady(perSec: number, ms: number, waiting = 1): number {
  const ahead = new ReadAhead(0);
  let ended = 0;
  for (let nowMs = 1; nowMs <= ms; nowMs += 1) {
    while (ended < (nowMs * perSec) / 1000) {
      ahead.ended();
      ended += 1;
    }
    ahead.waits(waiting);
    ahead.messages(nowMs);
  }
  return ahead.messages(ms);
}

t.test('as much waits as the gateway ends while the next is on its way', async (t) => {
  t.equal(afterSteady(4_000, 50), 100);
  t.equal(afterSteady(400, 50), 10);
  t.equal(afterSteady(1_000_000, 50), LIMITS.gatewayAhead);
});

t.test('a gateway that has nothing to send is handed more, to a bound', async (t) => {
  t.equal(afterSteady(4_000, 100, 0), 150);
  t.equal(afterSteady(4_000, 150, 0), 225);
  t.equal(afterSteady(4_000, 2_000, 0), 400, 'what it ends in 100 ms');
  t.equal(afterSteady(1_000_000, 2_000, 0), LIMITS.gatewayAhead);
});

t.test('what waits all the time is handed out later', async (t) => {
  const [first, later] = [afterSteady(4_000, 50, 80), afterSteady(4_000, 100, 80)];
  t.equal(first - later, 20);
  t.equal(afterSteady(4_000, 1_000, 80), 0);
});

t.test('nothing waits at a slow gateway, nor at one that has just begun', async (t) => {
  t.equal(afterSteady(9, 1_000, 0), 0);
  t.equal(afterSteady(100_000, 40), 0);
  t.equal(afterSteady(0, 1_000, 0), 0);
});

t.test('a gateway that was fast is slow after the next outcomes', async (t) => {
  const ahead = new ReadAhead(0);
  for (let count = 0; count < 1_000; count += 1) ahead.ended();
  t.ok(ahead.messages(50) > 0);
  ahead.ended();
  t.equal(ahead.messages(5_050), 0);
});
