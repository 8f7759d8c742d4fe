/**
 * Which endpoint may send next. Endpoints take turns, one delivery a turn, so that one with many
 * items does not keep the others waiting.
 *
 * An endpoint is `ready` (in a line), planned for a time (in the heap), or neither: it has nothing
 * to send, or as much under way as it may. Endpoints that did not answer last have a line of their
 * own and at most half of the deliveries: those that hang leave the others their share.
 */
import { LIMITS } from '../limits.ts';
import { Fifo } from './fifo.ts';
import { MinHeap } from './min-heap.ts';
import type { OutboxEndpoint } from './outbox-endpoint.ts';
import type { OutboxIndex } from './outbox-index.ts';

interface Planned {
  readonly endpoint: OutboxEndpoint;
  ms: number;
}

export class OutboxTurns {
  readonly #index: OutboxIndex;
  readonly #inFlightMax: number;
  readonly #proven = new Fifo<OutboxEndpoint>();
  readonly #unproven = new Fifo<OutboxEndpoint>();
  readonly #plans = new Map<OutboxEndpoint, Planned>();
  readonly #wakes = new MinHeap<Planned>({
    before: (one, other) => one.ms < other.ms,
    moved: ({ endpoint }, position) => {
      endpoint.wakePosition = position;
    },
  });
  #inFlight = 0;
  #unprovenInFlight = 0;
  #isProvenTurn = false;

  constructor(index: OutboxIndex, inFlightMax: number = LIMITS.outboxInFlight) {
    this.#index = index;
    this.#inFlightMax = inFlightMax;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** When the next endpoint may have something to send; undefined: none is planned. */
  get nextMs(): number | undefined {
    return this.#wakes.first?.ms;
  }

  /** Plans an endpoint anew; call it after each change of what waits, is under way or is allowed. */
  plan(endpoint: OutboxEndpoint, nowMs: number): void {
    if (endpoint.isReady) return;
    const ms = this.#nextMsOf(endpoint);
    const plan = this.#plans.get(endpoint);
    if (ms > nowMs && ms !== Number.POSITIVE_INFINITY) {
      if (plan === undefined) {
        const made = { endpoint, ms };
        this.#plans.set(endpoint, made);
        this.#wakes.push(made);
      } else if (plan.ms !== ms) {
        plan.ms = ms;
        this.#wakes.update(endpoint.wakePosition);
      }
      return;
    }
    if (plan !== undefined) {
      this.#plans.delete(endpoint);
      this.#wakes.removeAt(endpoint.wakePosition);
    }
    if (ms <= nowMs) this.#enqueue(endpoint);
  }

  /** Lines up the endpoints whose time has come. */
  wake(nowMs: number): void {
    for (;;) {
      const first = this.#wakes.first;
      if (first === undefined || first.ms > nowMs) return;
      this.plan(first.endpoint, nowMs);
    }
  }

  /** The endpoint whose turn it is and who may send; undefined: none may. */
  next(nowMs: number): OutboxEndpoint | undefined {
    while (this.#inFlight < this.#inFlightMax) {
      const line = this.#nextLine();
      const endpoint = line.shift();
      if (endpoint === undefined) return undefined;
      endpoint.isReady = false;
      if (this.#nextMsOf(endpoint) <= nowMs) return endpoint;
      this.plan(endpoint, nowMs);
    }
    return undefined;
  }

  /** A delivery to the endpoint began. @returns what to call when it has ended */
  began(endpoint: OutboxEndpoint): () => void {
    const wasProven = endpoint.isProven;
    endpoint.inFlight += 1;
    this.#inFlight += 1;
    if (!wasProven) this.#unprovenInFlight += 1;
    return () => {
      endpoint.inFlight -= 1;
      this.#inFlight -= 1;
      if (!wasProven) this.#unprovenInFlight -= 1;
    };
  }

  /** Both lines in turn, as far as they have someone and may. */
  #nextLine(): Fifo<OutboxEndpoint> {
    const unprovenMay = this.#unproven.size > 0 && this.#unprovenInFlight < this.#inFlightMax / 2;
    this.#isProvenTurn = !unprovenMay || (this.#proven.size > 0 && !this.#isProvenTurn);
    return this.#isProvenTurn ? this.#proven : this.#unproven;
  }

  #nextMsOf(endpoint: OutboxEndpoint): number {
    const slot = endpoint.heap.first;
    if (slot === undefined || endpoint.inFlight >= endpoint.concurrency) {
      return Number.POSITIVE_INFINITY;
    }
    return Math.max(this.#index.dueMs[slot] as number, endpoint.notBeforeMs);
  }

  #enqueue(endpoint: OutboxEndpoint): void {
    endpoint.isReady = true;
    (endpoint.isProven ? this.#proven : this.#unproven).push(endpoint);
  }
}
