// The clock follows the wall clock slowly and never goes backwards.
import t from 'tap';
import { measuredOffsetUs, ProcessClock, SLEW_US_PER_SEC } from '../../src/base/clock.ts';

t.test('tells the wall time in whole microseconds, on every thread the same', async (t) => {
  const clock = ProcessClock.start();
  const other = ProcessClock.attach(clock.shared);
  const now = clock.nowUs();
  t.ok(Number.isSafeInteger(now));
  t.ok(Math.abs(now - Date.now() * 1_000) < 50_000);
  t.ok(Math.abs(other.nowUs() - now) < 50_000);
  clock.stop();
});

t.test('a look that was interrupted does not set the clock', async (t) => {
  /** Both clocks agree; so many looks lose 40 ms between the two readings, before or after the wall's. */
  const offset = (interrupted: number, isBefore: boolean): number => {
    let [nowUs, looks] = [0, 0];
    const lose = (when: boolean): void => {
      if (looks <= interrupted && when === isBefore) nowUs += 40_000;
    };
    return measuredOffsetUs({
      monotonicUs: () => {
        nowUs += 1;
        return nowUs;
      },
      wallMs: () => {
        looks += 1;
        lose(true);
        const wallMs = nowUs / 1_000;
        lose(false);
        return wallMs;
      },
    });
  };
  t.ok(Math.abs(offset(3, true)) < 10);
  t.ok(Math.abs(offset(3, false)) < 10);
  t.ok(Math.abs(offset(1_000, false)) <= 40_001, 'the best there was');
});

t.test('a step of the wall clock bends time by 500 ppm at most', async (t) => {
  const clock = ProcessClock.start();
  const offset = new Float64Array(clock.shared);
  const before = offset[0] as number;
  clock.follow(clock.nowUs() + 3_600_000_000);
  t.equal((offset[0] as number) - before, SLEW_US_PER_SEC);
  clock.follow(clock.nowUs() + 200);
  t.equal((offset[0] as number) - before, SLEW_US_PER_SEC, 'a small difference is left alone');
  clock.stop();
});

t.test('a wall clock set back never takes time backwards', async (t) => {
  const clock = ProcessClock.start();
  let last = clock.nowUs();
  for (let second = 0; second < 1_000; second += 1) {
    clock.follow(0);
    const now = clock.nowUs();
    if (now < last) t.fail(`${now} after ${last}`);
    last = now;
  }
  t.pass('never backwards');
  clock.stop();
});
