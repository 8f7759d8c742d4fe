import t from 'tap';
import { ArrivalLog } from '../../../bench/gateways/load/arrival-log.ts';
import {
  markedText,
  markersOf,
  markerText,
  readMarker,
  writeMarker,
} from '../../../bench/gateways/load/marker.ts';

/** A log whose clock stands at `clock.ms`, and which reads the time itself. */
function logOf(expected: number) {
  const clock = { ms: 0 };
  const log = new ArrivalLog(
    expected,
    () => clock.ms * 2,
    () => clock.ms,
  );
  return { log, clock };
}

t.test('the rate is that of the middle', async (t) => {
  const { log, clock } = logOf(1000);
  for (let sequence = 0; sequence < 1000; sequence += 1) {
    // The first and the last tenth crawl, what is between takes 1 ms each.
    clock.ms += sequence < 100 || sequence >= 900 ? 1000 : 1;
    log.take(sequence);
  }
  t.ok(log.isComplete);
  const { messages, seconds, first, last } = log.middle();
  t.equal(messages, 800);
  t.equal(seconds, 0.8);
  t.equal(last - first, 1600);
});

t.test('a message that is missing, comes twice or was never sent fails the round', async (t) => {
  const missing = logOf(3).log;
  for (const sequence of [0, 2]) missing.take(sequence);
  t.notOk(missing.isComplete);
  t.throws(() => missing.middle(), { message: '2 of 3 messages came' });

  const twice = logOf(3).log;
  for (const sequence of [0, 2, 2]) twice.take(sequence);
  t.ok(twice.isComplete, 'nobody waits for the rest');
  t.throws(() => twice.middle(), { message: 'message 2 came twice, after 2 of 3' });

  const late = logOf(3).log;
  for (const sequence of [0, 1, 2]) late.take(sequence);
  t.doesNotThrow(() => late.middle());
  late.take(1);
  t.throws(() => late.middle(), /came twice/);

  const strange = logOf(3).log;
  strange.take(3);
  t.throws(() => strange.middle(), /message 3 was never sent/);
});

t.test('numbers are found wherever they stand, and nothing else is taken for one', async (t) => {
  const body = Buffer.from(
    `{"a":"#12#","b":"${markerText(42)} #1234567 ${markerText(9_999_999)}"}`,
  );
  const places = markersOf(body);
  t.strictSame(
    places.map((at) => readMarker(body, at)),
    [42, 9_999_999],
  );
  writeMarker(body, places[0] as number, 1_234_567);
  t.match(body.toString(), '#1234567# #1234567 #9999999#');
  t.strictSame(markersOf(Buffer.from('#######')), []);
  t.equal(markedText(7, 160).length, 160);
  t.strictSame(markersOf(Buffer.from(markedText(7, 160))), [0]);
});
