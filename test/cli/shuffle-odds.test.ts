// The odds of the policy shuffle: against counting, against chance, and as a command.
import t from 'tap';
import { shuffleOdds } from '../../src/cli/shuffle-odds.ts';
import { randomFrom } from '../crash/traffic.ts';
import { runCli } from './run-cli.ts';

function randomHand(slots: number, hand: number, random: () => number): Set<number> {
  const drawn = new Set<number>();
  while (drawn.size < hand) drawn.add(Math.floor(random() * slots));
  return drawn;
}

/** Inclusion and exclusion over the slots of the hand: exact where nothing cancels much. */
function byExclusion(slots: number, hand: number, noisy: number): number {
  let sum = 0;
  let ways = 1;
  for (let missed = 0; missed <= hand; missed += 1) {
    let free = 1;
    for (let i = 0; i < hand; i += 1) free *= Math.max(0, slots - missed - i) / (slots - i);
    sum += (missed % 2 === 0 ? 1 : -1) * ways * free ** noisy;
    ways *= (hand - missed) / (missed + 1);
  }
  return sum;
}

t.test('small cases that can be counted', async (t) => {
  t.equal(shuffleOdds(64, 4, 0), 0);
  const near = (found: number, wanted: number) => Math.abs(found - wanted) < 1e-12;
  t.ok(near(shuffleOdds(10, 1, 1), 0.1));
  t.ok(near(shuffleOdds(10, 1, 3), 1 - 0.9 ** 3));
  t.ok(near(shuffleOdds(4, 2, 1), 1 / 6));
  t.equal(shuffleOdds(5, 5, 1), 1);
  t.ok(shuffleOdds(4096, 16, 100_000) > 0.999);
});

t.test('agrees with inclusion and exclusion', async (t) => {
  for (const slots of [8, 64, 500]) {
    for (const hand of [1, 2, 4, 8]) {
      for (const noisy of [1, 5, 40]) {
        const [found, wanted] = [shuffleOdds(slots, hand, noisy), byExclusion(slots, hand, noisy)];
        t.ok(Math.abs(found - wanted) < 1e-9, `${slots} ${hand} ${noisy}: ${found}, ${wanted}`);
      }
    }
  }
});

t.test('agrees with chance', async (t) => {
  const random = randomFrom(7);
  for (const [slots, hand, noisy] of [
    [16, 2, 4],
    [32, 4, 20],
  ] as const) {
    const runs = 20_000;
    let covered = 0;
    for (let run = 0; run < runs; run += 1) {
      const union = new Set<number>();
      for (let place = 0; place < noisy; place += 1) {
        for (const slot of randomHand(slots, hand, random)) union.add(slot);
      }
      if ([...randomHand(slots, hand, random)].every((slot) => union.has(slot))) covered += 1;
    }
    const wanted = shuffleOdds(slots, hand, noisy);
    const deviation = Math.sqrt((wanted * (1 - wanted)) / runs);
    t.ok(Math.abs(covered / runs - wanted) < 4 * deviation, `${covered / runs}, ${wanted}`);
  }
});

t.test('the command', async (t) => {
  const json = await runCli(['shuffle-odds', '4', '2', '1', '--json']);
  t.equal(json.code, 0);
  t.match(JSON.parse(json.stdout), { slots: 4, hand: 2, noisy: 1 });
  const text = await runCli(['shuffle-odds', '4', '2', '1']);
  t.match(text.stdout, /probability 0\.1667, one tenant in 6\n/);
  t.match(await runCli(['shuffle-odds', '4', '5', '1']), {
    code: 64,
    stderr: /k is a whole number from 1 to 4, received "5"/,
  });
});
