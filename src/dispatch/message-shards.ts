/**
 * What is asked about messages, sent to the shards that have them: by the shard in an id, by that of
 * a destination, else to all of them.
 */
import { type ErrorName, errorName, FairleadError } from '../errors.ts';
import { INPUT_OP } from '../protocol/exchange.ts';
import { decodeDaemonFrame, encodeCancel, type OkFrame, readCancelOk } from '../protocol/frames.ts';
import { messageIdFromText } from '../protocol/message-id.ts';
import {
  encodeCancelAll,
  encodeErase,
  encodeFind,
  encodeRedact,
  encodeReplay,
  type MessageFilter,
} from '../protocol/message-ops.ts';
import type { LateMessage, LateMessages, ShardPorts } from './ports.ts';

/** What of the entities is needed here. */
export interface Destinations {
  readonly autoCreate: boolean;
  shardOf(destination: string): number | undefined;
  create(destination: string): Promise<void>;
}

/** A message as the core tells it. */
export interface FoundMessage {
  readonly id: string;
  readonly destination: string;
  readonly tenant: string;
  readonly sender: string | null;
  readonly recipient: string | null;
  /** Base64. */
  readonly payload: string;
  readonly acceptedMs: number;
  readonly callback: string | null;
  readonly status: string;
  /** Why it ended: the gateway's own, or an error number. */
  readonly code: number | null;
  /** Ms since the epoch. */
  readonly endedMs: number | null;
  readonly cost: number;
  readonly tag: string | null;
  readonly redacted: boolean;
  readonly deadLetter: boolean;
}

/** Which messages: all that the filter lets through, or of these ids those that are the tenant's. */
export interface DeadLetterChoice extends MessageFilter {
  readonly ids?: readonly string[] | undefined;
}

/** Hint of an answer that says overloaded, where the core says none. */
const RETRY_AFTER_MS = 1000;

interface PlacedId {
  readonly shard: number;
  readonly id: Uint8Array;
}

export class MessageShards {
  readonly destinations: Destinations;
  readonly #ports: ShardPorts;
  readonly #late: LateMessages | undefined;

  constructor(destinations: Destinations, ports: ShardPorts, late?: LateMessages) {
    this.destinations = destinations;
    this.#ports = ports;
    this.#late = late;
  }

  /** All shards, or the one that has a destination if there is one of that name. */
  shardsOf(destination: string | undefined): readonly number[] {
    const shard = destination === undefined ? undefined : this.destinations.shardOf(destination);
    if (shard !== undefined) return [shard];
    return Array.from({ length: this.#ports.count }, (_, index) => index);
  }

  /**
   * Asks a shard; resolves with its answer.
   *
   * @throws FairleadError the error that the answer names
   */
  async ask<T>(shard: number, op: number, body: Uint8Array): Promise<T> {
    const answer = (await this.#ports.ask(shard, op, body)) as { error?: ErrorName } & T;
    const { error } = answer;
    if (error === undefined) return answer;
    const details = error === 'overloaded' ? { retryAfterMs: RETRY_AFTER_MS } : undefined;
    throw new FairleadError(error, undefined, details);
  }

  /**
   * Sends one client frame; resolves with its ok.
   *
   * @throws FairleadError what the frame was refused with
   */
  async call(shard: number, tenant: string | undefined, frame: Uint8Array): Promise<OkFrame> {
    const answer = decodeDaemonFrame(await this.#ports.call(shard, tenant, frame));
    if (answer.kind === 'ok') return answer;
    if (answer.kind !== 'error') throw new TypeError(`a call was answered by ${answer.kind}`);
    throw new FairleadError(errorName(answer.code), answer.message, answer.details);
  }

  /** @throws FairleadError messageNotFound */
  async find(
    id: string,
    find: { tenant?: string | undefined; trace?: boolean },
  ): Promise<FoundMessage> {
    const { shard, id: bytes } = this.#place(id);
    return await this.#about(
      id,
      this.ask(shard, INPUT_OP.find, encodeFind({ ...find, id: bytes })),
    );
  }

  /** As `find`; what is left of a message that its shard has forgotten, where a receipt came late. */
  async findOrLate(
    id: string,
    find: { tenant?: string | undefined; trace?: boolean },
  ): Promise<FoundMessage | (LateMessage & { readonly id: string; readonly forgotten: true })> {
    try {
      return await this.find(id, find);
    } catch (error) {
      const late = isNotFound(error) ? this.#lateOf(id, find.tenant) : undefined;
      if (late === undefined) throw error;
      return { id: id.toLowerCase(), ...late, forgotten: true };
    }
  }

  #lateOf(id: string, tenant: string | undefined): LateMessage | undefined {
    const late = this.#late?.lateMessage(id);
    return tenant === undefined || late?.tenant === tenant ? late : undefined;
  }

  /** @throws FairleadError messageNotFound, messageEnded, messageInFlight */
  async cancel(id: string, tenant: string | undefined): Promise<void> {
    const { shard, id: bytes } = this.#place(id);
    const ok = await this.call(shard, tenant, encodeCancel({ id: 1, messageIds: [bytes] }));
    const [refused] = readCancelOk(ok).refused;
    if (refused === undefined) return;
    await this.#about(id, Promise.reject(new FairleadError(errorName(refused.code))));
  }

  /** @throws FairleadError messageNotFound, messageNotEnded */
  async redact(id: string, tenant: string | undefined): Promise<void> {
    const { shard, id: bytes } = this.#place(id);
    const body = encodeRedact({ id: bytes, tenant });
    await this.#about(id, this.ask(shard, INPUT_OP.redact, body));
  }

  /** Takes a message that has ended out of all answers. @throws FairleadError messageNotFound, messageNotEnded */
  async forget(id: string, tenant: string | undefined): Promise<void> {
    const { shard, id: bytes } = this.#place(id);
    const body = encodeRedact({ id: bytes, tenant });
    try {
      await this.#about(id, this.ask(shard, INPUT_OP.forget, body));
    } catch (error) {
      if (!isNotFound(error) || this.#lateOf(id, tenant) === undefined) throw error;
    }
    await this.#late?.forget(id);
  }

  /** Cancels what waits; resolves with how many. */
  async cancelAll(
    filter: MessageFilter & { readonly sender?: string | undefined },
  ): Promise<number> {
    const body = encodeCancelAll(filter);
    return await this.#sum(this.shardsOf(filter.destination), async (shard) => {
      const { cancelled } = await this.ask<{ cancelled: number }>(shard, INPUT_OP.cancelAll, body);
      return cancelled;
    });
  }

  /** Replays or purges dead letters; resolves with how many, and how many ids are none. */
  async settleDead(
    verb: 'replay' | 'purge',
    { ids, ...filter }: DeadLetterChoice,
  ): Promise<{ done: number; unknown: number }> {
    const parts = ids === undefined ? this.#allOf(filter.destination) : this.#byShard(ids);
    const { count } = this.#ports;
    let unknown = 0;
    const done = await this.#sum([...parts.keys()], async (shard) => {
      const chosen = parts.get(shard);
      if (shard >= count) {
        unknown += chosen?.length ?? 0;
        return 0;
      }
      const body = encodeReplay({ ...filter, ids: chosen });
      const answer = await this.ask<Record<string, number>>(shard, INPUT_OP[verb], body);
      unknown += answer.unknown ?? 0;
      return answer[verb === 'replay' ? 'replayed' : 'purged'] ?? 0;
    });
    return { done, unknown };
  }

  /** Redacts what has ended of a tenant; resolves with how many, and how many have not ended. */
  async redactAll(tenant: string): Promise<{ redacted: number; left: number }> {
    let left = 0;
    const redacted = await this.#sum(this.shardsOf(undefined), async (shard) => {
      let sum = 0;
      for (let cursor: string | null = ''; cursor !== null; ) {
        const body = encodeErase({ tenant, cursor });
        const page: ErasedPage = await this.ask(shard, INPUT_OP.erase, body);
        sum += page.redacted;
        left += page.left;
        cursor = page.cursor;
      }
      return sum;
    });
    return { redacted, left };
  }

  async #sum(
    shards: readonly number[],
    count: (shard: number) => Promise<number>,
  ): Promise<number> {
    const counts = await Promise.all(shards.map(count));
    return counts.reduce((sum, each) => sum + each, 0);
  }

  #allOf(destination: string | undefined): Map<number, undefined> {
    return new Map(this.shardsOf(destination).map((shard) => [shard, undefined]));
  }

  #byShard(ids: readonly string[]): Map<number, Uint8Array[]> {
    const parts = new Map<number, Uint8Array[]>();
    for (const text of new Set(ids.map((id) => id.toLowerCase()))) {
      const { shard, id } = placeOf(text);
      const part = parts.get(shard);
      if (part === undefined) parts.set(shard, [id]);
      else part.push(id);
    }
    return parts;
  }

  /** @throws FairleadError invalidValue, messageNotFound */
  #place(text: string): PlacedId {
    const place = placeOf(text);
    if (place.shard < this.#ports.count) return place;
    throw new FairleadError('messageNotFound', `There is no message ${text}.`, { id: text });
  }

  /** Errors of the message itself say which. */
  async #about<T>(id: string, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (!(error instanceof FairleadError) || !error.error.startsWith('message')) throw error;
      throw new FairleadError(error.error, `${id}: ${error.message}`, { ...error.details, id });
    }
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof FairleadError && error.error === 'messageNotFound';
}

interface ErasedPage {
  readonly redacted: number;
  readonly left: number;
  readonly cursor: string | null;
}

function placeOf(text: string): PlacedId {
  const id = messageIdFromText(text);
  if (id === undefined) {
    const shown = JSON.stringify(text.slice(0, 80));
    const message = `The id of a message is 32 hexadecimal digits, received ${shown}.`;
    throw new FairleadError('invalidValue', message, { field: 'id' });
  }
  return { shard: ((id[0] ?? 0) << 8) | (id[1] ?? 0), id };
}
