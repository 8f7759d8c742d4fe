import fc from 'fast-check';
import t from 'tap';
import { type Joined, type Part, PartJoiner } from '../../../src/gateway/smpp/part-joiner.ts';
import { readUserData } from '../../../src/gateway/smpp/user-data.ts';
import { LIMITS } from '../../../src/limits.ts';

const part = (key: string, count: number, number: number, bytes = 10): Part => ({
  key,
  count,
  number,
  payload: new Uint8Array(bytes).fill(number),
  dataCoding: 0,
  header: null,
  from: 'a',
  to: 'b',
});

function open() {
  let nowMs = 0;
  const timers = new Map<object, { atMs: number; fire: () => void }>();
  const incomplete: Joined[] = [];
  const clock = {
    nowMs: () => nowMs,
    after(ms: number, fire: () => void) {
      const timer = {};
      timers.set(timer, { atMs: nowMs + ms, fire });
      return () => timers.delete(timer);
    },
    random: () => 0,
  };
  const advance = (ms: number): void => {
    nowMs += ms;
    for (const [timer, { atMs, fire }] of timers) {
      if (atMs <= nowMs && timers.delete(timer)) fire();
    }
  };
  const joiner = new PartJoiner(clock, (joined) => incomplete.push(joined));
  return { joiner, incomplete, advance };
}

t.test('the time of each message is its own', async (t) => {
  const { joiner, incomplete, advance } = open();
  joiner.add(part('first', 2, 1));
  advance(LIMITS.smppPartsWaitMs - 1);
  joiner.add(part('second', 2, 2));
  t.strictSame(incomplete, []);
  advance(1);
  t.match(incomplete, [{ complete: false, parts: [{ key: 'first' }] }]);
  advance(LIMITS.smppPartsWaitMs - 2);
  t.equal(incomplete.length, 1);
  advance(1);
  t.match(incomplete[1], { parts: [{ key: 'second', number: 2 }] });
  t.equal(joiner.size, 0);
});

t.test('past a bound the oldest makes room', async (t) => {
  const { joiner, incomplete } = open();
  for (let index = 0; index <= LIMITS.smppPartsMessages; index += 1) {
    joiner.add(part(`m${index}`, 2, 1));
  }
  t.match(incomplete, [{ parts: [{ key: 'm0' }] }]);
  t.equal(joiner.size, LIMITS.smppPartsMessages);

  const heavy = open();
  const bytes = LIMITS.smppPartsBytes / 4;
  for (let index = 0; index < 4; index += 1) heavy.joiner.add(part(`h${index}`, 3, 1, bytes));
  heavy.joiner.add(part('h3', 3, 1, bytes));
  t.strictSame(heavy.incomplete, [], 'a part that is replaced takes no more room');
  heavy.joiner.add(part('h4', 3, 1, 1));
  t.match(heavy.incomplete, [{ parts: [{ key: 'h0' }] }]);
});

t.test('a message that was whole before its last part came again', async (t) => {
  const { joiner, incomplete } = open();
  joiner.add(part('m', 2, 1));
  const last = part('m', 2, 2);
  const joined = joiner.add(last) as Joined;
  t.equal(joiner.add(last), undefined, 'the peer repeats it while the handler runs');
  joiner.putBack(joined, last);
  t.match(incomplete, [{ complete: true, parts: [{ number: 1 }, { number: 2 }] }]);
  t.equal(joiner.size, 0);
});

t.test('any octets have a header or none', async (t) => {
  const property = fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
    const { body, concatenation, header } = readUserData(octets);
    return (
      body.length + (header?.length ?? 0) <= octets.length &&
      (concatenation === undefined || concatenation.number <= concatenation.count)
    );
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2_000 }));
  const longer = Uint8Array.of(5, 0, 3, 1);
  t.equal(readUserData(longer).body, longer);
  t.match(readUserData(Uint8Array.of(5, 0, 3, 1, 2, 3, 65)), { concatenation: undefined });
  t.strictSame(readUserData(Uint8Array.of(5, 0, 3, 7, 2, 1, 65)).concatenation, {
    reference: 7,
    count: 2,
    number: 1,
  });
});
