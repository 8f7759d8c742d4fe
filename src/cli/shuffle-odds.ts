import { CliError, EXIT } from './cli-error.ts';
import { printJson, printLine } from './output.ts';

const SLOTS_MAX = 4096;
const HAND_MAX = 16;
const NOISY_MAX = 100_000;

/** C(n, k) as a product of ratios; exact enough for hands of at most 16 of 4,096 slots (below 1e58). */
function choose(n: number, k: number): number {
  if (k < 0 || k > n) return 0;
  let ways = 1;
  for (let i = 0; i < k; i += 1) ways *= (n - i) / (i + 1);
  return ways;
}

/**
 * The probability that every slot of a tenant's hand is also in the hand of some noisy tenant.
 *
 * Walks through the number of slots covered so far, one noisy hand after the other. All terms are
 * positive, unlike those of inclusion and exclusion, so nothing cancels.
 *
 * @param slots N, 2…4,096
 * @param hand k, 1…16, at most N
 * @param noisy noisy tenants, from 0
 */
export function shuffleOdds(slots: number, hand: number, noisy: number): number {
  const all = choose(slots, hand);
  let covered = new Float64Array(slots + 1);
  covered[0] = 1;
  const most = (hands: number): number => Math.min(slots, hands * hand);
  for (let hands = 1; hands <= noisy; hands += 1) {
    const next = new Float64Array(slots + 1);
    for (let before = 0; before <= most(hands - 1); before += 1) {
      const part = covered[before] ?? 0;
      // Too small to be seen in any sum of the others.
      if (part < 1e-300) continue;
      for (let added = 0; added <= Math.min(hand, slots - before); added += 1) {
        const ways = choose(slots - before, added) * choose(before, hand - added);
        next[before + added] = (next[before + added] ?? 0) + (part * ways) / all;
      }
    }
    covered = next;
    // All slots are covered but for less than a double can tell from 1.
    if (1 - (covered[slots] ?? 0) < Number.EPSILON) return 1;
  }
  let odds = 0;
  for (let count = hand; count <= slots; count += 1) {
    odds += ((covered[count] ?? 0) * choose(count, hand)) / all;
  }
  return Math.min(1, odds);
}

/** Prints how likely a tenant of a set with the policy shuffle finds no slot without a noisy one. */
export function printShuffleOdds(
  texts: readonly [slots: string, hand: string, noisy: string],
  options: { readonly json?: boolean },
): void {
  const slots = wholeNumber('N', texts[0], 2, SLOTS_MAX);
  const hand = wholeNumber('k', texts[1], 1, Math.min(HAND_MAX, slots));
  const noisy = wholeNumber('noisy', texts[2], 0, NOISY_MAX);
  const probability = shuffleOdds(slots, hand, noisy);
  if (options.json) {
    printJson({ slots, hand, noisy, probability });
    return;
  }
  const rarely = probability > 0 ? `, one tenant in ${Math.round(1 / probability)}` : '';
  printLine(
    `${noisy} noisy tenants cover the whole hand of another with probability ${probability.toPrecision(4)}${rarely}`,
  );
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new CliError(
    EXIT.usage,
    `${name} is a whole number from ${least} to ${most}, received ${JSON.stringify(text)}.`,
  );
}
