/**
 * What the clients of a run ask, from a seed: events and messages, new ones and some that were asked before. Each
 * is folded when it is asked for the first time, since it is asked again until it is answered.
 */
import type { PublishMessage } from '../../src/protocol/frames.ts';
import type { UseEntry } from '../../src/protocol/usage-frames.ts';
import { below, type Random } from '../crash/traffic.ts';
import { type Counted, DAY_MS, dayOf, type Fold } from './fold.ts';
import {
  CATEGORIES,
  CONSUMED,
  type DestinationName,
  priceOf,
  pricesAt,
  TAGS,
  TENANTS,
} from './world.ts';

export interface AskedEvent {
  readonly entry: UseEntry;
  isAnswered: boolean;
}

export interface AskedMessage {
  readonly destination: DestinationName;
  readonly tenant: string;
  readonly message: PublishMessage;
  readonly cost: number;
  /** Set by its first answer. */
  id: string | undefined;
}

/** Shares of events. */
const AGAIN_SHARE = 0.2;
const LATE_SHARE = 0.6;
const EDGE_SHARE = 0.1;
const TAGGED_SHARE = 0.3;
const CORRECTION_SHARE = 0.4;
const LOOSE_SHARE = 0.05;
/** Less than an event may be late: an edge lies a day before, and it may be asked again much later. */
const LATE_DAYS = 33;
const KEPT = 20_000;
const SHORT_TTL_MS = 1_500;
const MESSAGE_AGAIN_SHARE = 0.1;
const EVENTS_MAX = 40;
const MESSAGES_MAX = 40;

export interface MixOptions {
  readonly random: Random;
  readonly fold: Fold;
  /** When the run began. */
  readonly startMs: number;
  readonly nowMs: () => number;
  /** Every event, when it is asked for the first time; true: it crosses the value of a trigger. */
  readonly counted: (counted: Counted) => boolean;
}

export class Mix {
  readonly #options: MixOptions;
  readonly #prices;
  readonly #kept: AskedEvent[] = [];
  readonly #keptMessages = new Map<DestinationName, AskedMessage[]>();
  /** Every message that was asked. */
  readonly messages: AskedMessage[] = [];
  readonly asked = { events: 0, messages: 0, again: 0, late: 0, corrections: 0, loose: 0 };

  constructor(options: MixOptions) {
    this.#options = options;
    this.#prices = pricesAt(options.startMs);
  }

  /** Events of one frame; whether the first asking of one of them crosses a value. */
  events(): { readonly events: AskedEvent[]; readonly crosses: boolean } {
    const { random } = this.#options;
    let crosses = false;
    const events = Array.from({ length: 1 + below(random, EVENTS_MAX) }, () => {
      const known =
        random() < AGAIN_SHARE ? this.#kept[below(random, this.#kept.length)] : undefined;
      if (known !== undefined) {
        this.asked.again += 1;
        return known;
      }
      const event = this.#fresh();
      crosses = this.#ask(event) || crosses;
      return event;
    });
    return { events, crosses };
  }

  /** Asks one that the caller made, which is folded. */
  own(entry: UseEntry): AskedEvent {
    const event = { entry, isAnswered: false };
    this.#ask(event);
    return event;
  }

  /** Messages of one frame. */
  publish(): { readonly destination: DestinationName; readonly messages: AskedMessage[] } {
    const { random } = this.#options;
    const destination = this.#destination();
    const kept = listOf(this.#keptMessages, destination);
    const messages = Array.from({ length: 1 + below(random, MESSAGES_MAX) }, () => {
      const isAgain = kept.length > 0 && random() < MESSAGE_AGAIN_SHARE;
      const message = isAgain ? kept[below(random, kept.length)] : undefined;
      if (message !== undefined) this.asked.again += 1;
      return message ?? this.#message(destination, kept);
    });
    return { destination, messages };
  }

  #destination(): DestinationName {
    const { random } = this.#options;
    const dice = random();
    if (dice < 0.03) return 'held';
    if (dice < 0.06) return 'short';
    if (dice < 0.08) return 'full';
    return CONSUMED[below(random, CONSUMED.length)] as DestinationName;
  }

  #message(destination: DestinationName, kept: AskedMessage[]): AskedMessage {
    const { random } = this.#options;
    const tenant = TENANTS[below(random, TENANTS.length)] as string;
    const cost = random() < 0.3 ? 1 + below(random, 5) : 1;
    this.asked.messages += 1;
    const options = {
      k: `message ${this.asked.messages}`,
      ...(cost > 1 && { c: cost }),
      ...(random() < TAGGED_SHARE && { g: TAGS[below(random, TAGS.length)] as string }),
      ...(destination === 'short' && { ttl: SHORT_TTL_MS }),
    };
    const payload = 'x'.repeat(1 + below(random, 160));
    const message = { destination, tenant, message: { tenant, payload, options }, cost };
    const asked: AskedMessage = { ...message, id: undefined };
    // Those that are refused are not remembered by their key.
    if (destination !== 'full') {
      this.messages.push(asked);
      keep(kept, asked, random);
    }
    return asked;
  }

  #fresh(): AskedEvent {
    const { random } = this.#options;
    const tenant = TENANTS[below(random, TENANTS.length)] as string;
    const isLoose = random() < LOOSE_SHARE;
    const category = isLoose ? 'loose' : (CATEGORIES[below(random, 4)] as string);
    const isCorrection = category === 'fixed' && random() < CORRECTION_SHARE;
    const quantity = isCorrection ? -1 - below(random, 9) : below(random, 26);
    const at = this.#at();
    const entry: UseEntry = {
      ...{ tenant, category, quantity },
      ...(isLoose ? {} : { key: `event ${this.asked.events}` }),
      ...(at !== undefined && { at }),
      ...(random() < TAGGED_SHARE && { tag: TAGS[below(random, TAGS.length)] as string }),
      ...(!isLoose && random() < 0.2 && { count: isCorrection ? -1 : 1 + below(random, 3) }),
    };
    const event = { entry, isAnswered: false };
    this.asked.corrections += Number(isCorrection);
    this.asked.late += Number(at !== undefined);
    if (!isLoose) keep(this.#kept, event, random);
    return event;
  }

  /** Undefined: now. Some days back, some of them on the very edges of days. */
  #at(): number | undefined {
    const { random, startMs } = this.#options;
    const dice = random();
    if (dice > LATE_SHARE) return undefined;
    const at = startMs - below(random, LATE_DAYS * DAY_MS);
    if (dice > EDGE_SHARE) return at;
    const midnight = dayOf(at) * DAY_MS;
    return dice < EDGE_SHARE / 2 ? midnight - 1 : midnight;
  }

  #ask({ entry }: AskedEvent): boolean {
    const { category, quantity: usage, tag = '', at = this.#options.nowMs() } = entry;
    this.asked.events += 1;
    if (category === 'loose') {
      this.asked.loose += 1;
      return false;
    }
    const tenant = entry.tenant as string;
    const count = entry.count ?? (usage < 0 ? 0 : 1);
    const price = priceOf(this.#prices, tenant, { category, atMs: at, count, usage });
    const counted = { account: tenant, category, tag, day: dayOf(at), count, usage, price };
    this.#options.fold.count(counted);
    return this.#options.counted(counted);
  }
}

/** Keeps some of all that came. */
function keep<T>(kept: T[], one: T, random: Random): void {
  if (kept.length < KEPT) kept.push(one);
  else kept[below(random, KEPT)] = one;
}

function listOf<K, V>(map: Map<K, V[]>, key: K): V[] {
  const list = map.get(key) ?? [];
  map.set(key, list);
  return list;
}
