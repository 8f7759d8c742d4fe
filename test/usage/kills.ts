/**
 * When a run kills its daemon: at random; right when a callback arrives (its firing may not be ticked off);
 * right after the answer to events that crossed a value (its callback may not be kept yet); and once more while
 * it starts. Each life lasts until a share of the events is asked: some too short for a checkpoint, some with several.
 */
import type { Random } from '../crash/traffic.ts';

export const KILL_KINDS = ['random', 'callback', 'answer', 'restart'] as const;
export type KillKind = (typeof KILL_KINDS)[number];

const KIND_SHARES: Readonly<Record<KillKind, number>> = {
  random: 0.3,
  callback: 0.25,
  answer: 0.3,
  restart: 0.15,
};
const LONG_SHARE = 0.2;
const LONG_MS = [6_000, 9_000] as const;
const SHORT_MS = [150, 1_500] as const;
/** How long an aimed kill waits for what it aims at. */
const AIM_TIMEOUT_MS = 3_000;
const AFTER_MS_MAX = 3;

export interface Life {
  readonly kind: KillKind;
  /** Share of all events at which the kill is due. */
  readonly until: number;
}

/** Lives whose kills come to `kills`; and how long they are to last together. */
export function planLives(random: Random, kills: number): { lives: Life[]; ms: number } {
  const planned: { kind: KillKind; ms: number }[] = [];
  for (let left = kills; left > 0; ) {
    const kind = kindOf(random(), left);
    const [low, high] = random() < LONG_SHARE ? LONG_MS : SHORT_MS;
    planned.push({ kind, ms: low + random() * (high - low) });
    left -= kind === 'restart' ? 2 : 1;
  }
  // The last life is not killed: what is left is asked in it.
  const ms = planned.reduce((sum, life) => sum + life.ms, 0) + SHORT_MS[1];
  let atMs = 0;
  const lives = planned.map(({ kind, ms: lifeMs }) => {
    atMs += lifeMs;
    return { kind, until: atMs / ms };
  });
  return { lives, ms };
}

function kindOf(dice: number, left: number): KillKind {
  let share = dice;
  for (const kind of KILL_KINDS) {
    share -= KIND_SHARES[kind];
    if (share < 0) return kind === 'restart' && left < 2 ? 'random' : kind;
  }
  return 'random';
}

/** Waits for the moment of a kill. */
export class Aim {
  readonly #waiting = new Map<KillKind, () => void>();

  /** Something of this kind has happened. */
  hit(kind: KillKind): void {
    this.#waiting.get(kind)?.();
  }

  /** Resolves at the moment to kill; with the kind that it was in the end. */
  async take(kind: KillKind, random: Random): Promise<KillKind> {
    if (kind === 'random' || kind === 'restart') {
      await pause(random() * 40);
      return kind;
    }
    const isHit = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), AIM_TIMEOUT_MS);
      this.#waiting.set(kind, () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
    this.#waiting.delete(kind);
    // Half of them in the very turn.
    if (random() < 0.5) await pause(random() * AFTER_MS_MAX);
    return isHit ? kind : 'random';
  }
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));
