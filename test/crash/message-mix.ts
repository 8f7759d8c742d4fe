/**
 * The messages a publisher sends: plain ones, some with options, and keyed ones again: those whose
 * fate a kill left open until they are acknowledged, and some others later, for no reason.
 */
import type { PublishMessage, PublishOptions } from '../../src/protocol/frames.ts';
import {
  below,
  type DestinationName,
  type Key,
  LEVELLED_TENANTS,
  LEVELS,
  payloadOf,
  type Random,
  SENDERS,
  TENANTS,
} from './traffic.ts';

/** What became of it decides whether a keyed message is sent again. */
export interface Sent {
  readonly key: Key;
  readonly message: PublishMessage;
  /** In the log: `QUEUE,SEQ,OPTION…` of a new one, `=FRAME:INDEX` of one that is sent again. */
  readonly word: string;
  /** The first sending of the same keyed message; of a new one itself. */
  readonly first: First;
}

interface First {
  readonly key: Key;
  readonly message: PublishMessage;
  readonly destination: DestinationName;
  readonly isKeyed: boolean;
  acknowledged: boolean;
}

const KEYED_SHARE = 0.2;
const SCHEDULED_SHARE = 0.06;
const SCHEDULED_MS_MAX = 3_000;
const SHORT_LIVED_SHARE = 0.1;
const TTL_MS_MIN = 30;
const TTL_MS_MAX = 1_500;
const ORDER_KEY_SHARE = 0.1;
const ORDER_KEYS = 3;
const COST_SHARE = 0.08;
const COST_MAX = 6;
const LEVEL_SHARE = 0.2;
/** Share of messages that are an acknowledged one again. */
const AGAIN_SHARE = 0.04;
/** Acknowledged keyed messages that may be sent again, for each destination. */
const AGAIN_MAX = 2_000;

export class MessageMix {
  readonly #random: Random;
  readonly #lines: number;
  readonly #sequences = new Map<string, number>();
  readonly #unconfirmed = new Map<DestinationName, First[]>();
  readonly #acknowledged = new Map<DestinationName, First[]>();

  constructor(random: Random, lines: number) {
    this.#random = random;
    this.#lines = lines;
  }

  /** Destinations with keyed messages of which nobody knows whether they were taken. */
  get unconfirmed(): DestinationName[] {
    return [...this.#unconfirmed].filter(([, of]) => of.length > 0).map(([name]) => name);
  }

  /** The next message of a frame: an unconfirmed one, one once more, or a new one. */
  next(key: Key, destination: DestinationName, line: number): Sent {
    const unconfirmed = this.#unconfirmed.get(destination)?.pop();
    if (unconfirmed !== undefined) return again(unconfirmed);
    const known = this.#acknowledged.get(destination) ?? [];
    if (known.length > 0 && this.#random() < AGAIN_SHARE) {
      return again(known[below(this.#random, known.length)] as First);
    }
    return this.#fresh(key, destination, line);
  }

  /** An unconfirmed one, if there is any. */
  nextUnconfirmed(destination: DestinationName): Sent | undefined {
    const first = this.#unconfirmed.get(destination)?.pop();
    return first === undefined ? undefined : again(first);
  }

  acknowledged({ first }: Sent): void {
    if (!first.isKeyed || first.acknowledged) return;
    first.acknowledged = true;
    const known = listOf(this.#acknowledged, first.destination);
    if (known.length < AGAIN_MAX) known.push(first);
    else known[below(this.#random, AGAIN_MAX)] = first;
  }

  unanswered({ first }: Sent): void {
    if (first.isKeyed && !first.acknowledged) {
      listOf(this.#unconfirmed, first.destination).push(first);
    }
  }

  #fresh(key: Key, destination: DestinationName, line: number): Sent {
    const random = this.#random;
    const number = below(random, (TENANTS * SENDERS) / this.#lines) * this.#lines + line;
    const tenant = number % TENANTS;
    const sender = `s${Math.floor(number / TENANTS)}`;
    const options = this.#options(key, line);
    const level = tenant < LEVELLED_TENANTS ? (options.l ?? 0) : 0;
    const queue = `t${tenant}/${options.o ?? sender}/${level}`;
    const sequence = (this.#sequences.get(`${destination}/${queue}`) ?? 0) + 1;
    this.#sequences.set(`${destination}/${queue}`, sequence);
    const message = {
      ...{ tenant: `t${tenant}`, sender, recipient: '+1' },
      payload: payloadOf(key),
      ...(Object.keys(options).length > 0 && { options }),
    };
    const { k, at, ttl } = options;
    const words = [
      `${queue},${sequence}`,
      ...(k === undefined ? [] : ['k']),
      ...(at === undefined ? [] : [`a${at}`]),
      ...(ttl === undefined ? [] : [`t${ttl}`]),
    ];
    const isKeyed = k !== undefined;
    const first = { key, message, destination, isKeyed, acknowledged: false };
    return { key, message, word: words.join(','), first };
  }

  #options({ frame, index }: Key, line: number): PublishOptions {
    const random = this.#random;
    const happens = (share: number): boolean => random() < share;
    return {
      ...(happens(KEYED_SHARE) && { k: `order ${frame}:${index}` }),
      ...(happens(SCHEDULED_SHARE) && { at: Date.now() + 5 + below(random, SCHEDULED_MS_MAX) }),
      ...(happens(SHORT_LIVED_SHARE) && {
        ttl: TTL_MS_MIN + below(random, TTL_MS_MAX - TTL_MS_MIN),
      }),
      ...(happens(ORDER_KEY_SHARE) && { o: `o${line}-${below(random, ORDER_KEYS)}` }),
      ...(happens(COST_SHARE) && { c: 1 + below(random, COST_MAX) }),
      ...(happens(LEVEL_SHARE) && { l: below(random, LEVELS + 1) }),
    };
  }
}

const again = (first: First): Sent => ({
  key: first.key,
  message: first.message,
  word: `=${first.key.frame}:${first.key.index}`,
  first,
});

function listOf<K, V>(map: Map<K, V[]>, key: K): V[] {
  const list = map.get(key) ?? [];
  map.set(key, list);
  return list;
}
