/** What is counted and measured of one gateway; it outlives the gateway's drivers. */
import type { ResultKind } from './job.ts';

const RESULT_KINDS = [
  'sent',
  'retry',
  'failed',
  'throttled',
  'notAttempted',
  'doubt',
] as const satisfies readonly ResultKind[];

/** Attempts whose duration is kept. */
const DURATIONS = 1024;
/** Seconds over which sent messages are averaged. */
const RATE_SECONDS = 10;

export interface LastError {
  readonly atMs: number;
  readonly message: string;
}

const ERROR_LENGTH_MAX = 300;

export class GatewayNumbers {
  readonly outcomes: Record<ResultKind, number>;
  refusedByHook = 0;
  lastError: LastError | undefined;
  readonly #durations = new Float64Array(DURATIONS);
  #measured = 0;
  /** Messages sent in each of the last seconds, and which second that was. */
  readonly #sent = new Float64Array(RATE_SECONDS + 1);
  readonly #second = new Float64Array(RATE_SECONDS + 1);
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.outcomes = { sent: 0, retry: 0, failed: 0, throttled: 0, notAttempted: 0, doubt: 0 };
  }

  ended(kind: ResultKind): void {
    this.outcomes[kind] += 1;
    if (kind !== 'sent') return;
    const second = Math.floor(this.#nowMs() / 1000);
    const place = second % this.#sent.length;
    if (this.#second[place] !== second) {
      this.#second[place] = second;
      this.#sent[place] = 0;
    }
    this.#sent[place] = (this.#sent[place] ?? 0) + 1;
  }

  took(ms: number): void {
    this.#durations[this.#measured % DURATIONS] = ms;
    this.#measured += 1;
  }

  failed(message: string): void {
    this.lastError = { atMs: Date.now(), message: message.slice(0, ERROR_LENGTH_MAX) };
  }

  /** Mean of the last ten whole seconds. */
  get sentPerSec(): number {
    const now = Math.floor(this.#nowMs() / 1000);
    let sum = 0;
    for (const [place, second] of this.#second.entries()) {
      if (second < now && second >= now - RATE_SECONDS) sum += this.#sent[place] ?? 0;
    }
    return sum / RATE_SECONDS;
  }

  /** Of the last 1,024 attempts, ms; null before the first. */
  quantile(part: number): number | null {
    const count = Math.min(this.#measured, DURATIONS);
    if (count === 0) return null;
    const sorted = this.#durations.slice(0, count).sort();
    return sorted[Math.min(count - 1, Math.floor(part * count))] ?? null;
  }

  get counts(): Readonly<Record<ResultKind, number>> {
    return Object.fromEntries(RESULT_KINDS.map((kind) => [kind, this.outcomes[kind]])) as Record<
      ResultKind,
      number
    >;
  }
}
