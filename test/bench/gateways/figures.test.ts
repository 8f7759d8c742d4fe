import t from 'tap';
import { hangingResult } from '../../../bench/gateways/hanging.ts';
import { callbackText, StatusOrder } from '../../../bench/gateways/load/status-order.ts';
import { encodeHistogram, newHistogram } from '../../../bench/load/latency.ts';

t.test('callbacks: each status of a message once, in order', async (t) => {
  const order = new StatusOrder(2, ['queued', 'sending', 'sent']);
  t.equal(order.take(1, 'queued'), 3);
  t.equal(order.take(0, 'queued'), 0);
  t.equal(order.take(1, 'sending'), 4);
  t.equal(order.take(1, 'sending'), 'message 1 was told sending, sent was to come');
  t.equal(order.take(0, 'sent'), 'message 0 was told sent, sending was to come');
  t.equal(order.take(1, 'sent'), 5);
  t.equal(order.take(1, 'sent'), 'message 1 was told sent, nothing more was to come');
  t.match(order.take(2, 'queued'), /which there is not/);
  t.equal(callbackText(Buffer.from('{"data":{"status":"sent","code":null}}')), 'sent');
  t.equal(callbackText(Buffer.from('{}')), '');
});

t.test('hanging: the ratio is that of the median rounds', async (t) => {
  const roundOf = (ms: number) => {
    const histogram = newHistogram();
    for (let count = 0; count < 100; count += 1) histogram.recordValue(ms * 1000);
    return { arrived: 100, latency: encodeHistogram(histogram), heldMax: ms, requests: 100 };
  };
  const plan = {
    endpoints: 10,
    hanging: 1,
    ratePerSec: 100,
    warmUpMs: 0,
    measureMs: 1_000,
    rounds: 3,
  };
  const result = hangingResult(plan, [2, 100, 3].map(roundOf), [3, 1, 6].map(roundOf));
  t.match(result, { withoutP99MsOfRounds: { length: 3 }, heldMax: 6, seconds: 1 });
  t.ok(Math.abs(result.p99Ratio - 1) < 0.01);
  t.ok(Math.abs(result.withP99Ms - 3) < 0.01);
});
