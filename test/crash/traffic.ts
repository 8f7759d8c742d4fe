/** What publisher, consumer and ledger agree on: destinations, the key in a payload, random numbers. */
import { appendFileSync } from 'node:fs';

/**
 * `frail` gives a message few attempts; what is in doubt at `once` is not sent again; `slow` has a
 * rate below its load, so that it is backlogged. Elsewhere attempts have no end.
 */
export const DESTINATIONS = ['alpha', 'beta', 'frail', 'once', 'slow'] as const;
export type DestinationName = (typeof DESTINATIONS)[number];
export const SLOW = 4;
export const SLOW_PER_SEC = 300;
export const ATTEMPTS_MAX = 1_000;
export const FRAIL_ATTEMPTS_MAX = 3;
export const TENANTS = 12;
export const SENDERS = 5;
/** Tenants below this number have two service levels; the others have none. */
export const LEVELLED_TENANTS = 4;
export const LEVELS = 2;
/** Of every destination here: its default. */
export const VALIDITY_MS = 36_000_000;

/** Where a message is in the publisher's log: frame and place in it. */
export interface Key {
  readonly frame: number;
  readonly index: number;
}

const LARGE_EVERY = 400;
const LARGE_BYTES = 20_000;

/** `frame:index` and a filling that follows from it, so that a damaged payload shows. */
export function payloadOf({ frame, index }: Key): string {
  const head = `${frame}:${index}|`;
  const mixed = (Math.imul(frame, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
  const bytes = mixed % LARGE_EVERY === 0 ? LARGE_BYTES : 20 + (mixed % 500);
  return head + String.fromCharCode(97 + (mixed % 26)).repeat(bytes);
}

/** @returns undefined when the payload is not what a publisher wrote */
export function keyOf(payload: Uint8Array): Key | undefined {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString();
  const match = /^(\d+):(\d+)\|/.exec(text);
  if (match === null) return undefined;
  const key = { frame: Number(match[1]), index: Number(match[2]) };
  return payloadOf(key) === text ? key : undefined;
}

export type Random = () => number;

/** mulberry32: 32 bits of state are enough to repeat a run's decisions. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const below = (random: Random, bound: number): number => Math.floor(random() * bound);

/** Lines of an append-only file, written some ms later in one go. */
export class LogFile {
  readonly #path: string;
  readonly #timer: NodeJS.Timeout;
  #lines: string[] = [];

  constructor(path: string) {
    this.#path = path;
    this.#timer = setInterval(() => this.#write(), 50);
  }

  add(line: string): void {
    this.#lines.push(line);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#write();
  }

  #write(): void {
    if (this.#lines.length === 0) return;
    appendFileSync(this.#path, `${this.#lines.join('\n')}\n`);
    this.#lines = [];
  }
}

/** What the orchestrator says to a client process, and what it hears. */
export type ToClient =
  | { readonly do: 'connect'; readonly url: string; readonly token: string }
  /** Publisher: nothing new, repeats until acknowledged. Consumer: from now on every outcome is sent. */
  | { readonly do: 'drain' }
  | { readonly do: 'finish' };
export type FromClient =
  | { readonly is: 'connected' }
  /** First acknowledgement, or first delivery, of a connection. */
  | { readonly is: 'loaded' }
  | { readonly is: 'drained' }
  | { readonly is: 'finished' };
