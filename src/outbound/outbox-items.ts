/**
 * The items of the outbox and their endpoints: what is where, and how each change is written.
 *
 * Knows nothing of sending. A change is in memory at once where nothing may happen twice (an item
 * that is sent, fails or ends), and takes effect for others (the next of its stream) when it is flushed.
 */
import { LIMITS } from '../limits.ts';
import { endpointKey, itemKey } from '../store/outbound-tables.ts';
import type { OutboxEndpoint } from './outbox-endpoint.ts';
import { OutboxEndpoints } from './outbox-endpoints.ts';
import { hashOf, ITEM_STATE, OutboxIndex } from './outbox-index.ts';
import { storedEndpoints, storedItems } from './outbox-load.ts';
import { decodeItem, encodeEndpoint, encodeProgress, type NewItem } from './outbox-records.ts';
import type { OutboxTime } from './outbox-time.ts';
import { OutboxTurns } from './outbox-turns.ts';
import type { OutboxEnvironment, OutboxWriter } from './outbox-writer.ts';
import { type Schedule, waitMs } from './retry-rules.ts';

export interface OutboxItemsOptions {
  readonly environment: OutboxEnvironment;
  readonly writer: OutboxWriter;
  readonly time: OutboxTime;
  readonly schedule: Schedule;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly concurrency: number;
  readonly failedKeepMs: number;
  readonly failedMax?: number;
}

export interface ItemNumbers {
  /** Items that neither ended nor failed. */
  readonly waiting: number;
  readonly failed: number;
  /** Of the records of all items. */
  readonly bytes: number;
  readonly inFlight: number;
  readonly endpoints: number;
  readonly disabledEndpoints: number;
  /** Since the start: items that failed for good, and failed ones that were dropped. */
  readonly failedForGood: number;
  readonly dropped: number;
  /** Of the index, without the heaps of the endpoints. */
  readonly memoryBytes: number;
}

/** Items of a disabled endpoint that fail in one transaction. */
const FAILS_AT_ONCE = 1_000;
const ERROR_LENGTH_MAX = 200;
const DISABLED = 'the endpoint is disabled';

export class OutboxItems {
  readonly index = new OutboxIndex();
  readonly turns = new OutboxTurns(this.index);
  readonly endpoints: OutboxEndpoints;
  readonly #options: OutboxItemsOptions;
  /** Slots of items that failed, the oldest first. */
  readonly #failed = new Set<number>();
  /** Items that were not sent yet, as they came; those left out are read back. */
  readonly #cache = new Map<number, NewItem>();
  #cacheBytes = 0;
  #bytes = 0;
  #nextNumber = 1;
  #failedForGood = 0;
  #dropped = 0;

  constructor(options: OutboxItemsOptions) {
    this.#options = options;
    this.endpoints = new OutboxEndpoints({
      index: this.index,
      concurrency: options.concurrency,
      onForgetDisabled: ({ url }) => this.#writeEndpoint(url, undefined),
    });
  }

  /** Bytes of the records of all items. */
  get bytes(): number {
    return this.#bytes;
  }

  get numbers(): ItemNumbers {
    return {
      waiting: this.index.size - this.#failed.size,
      failed: this.#failed.size,
      bytes: this.#bytes,
      inFlight: this.turns.inFlight,
      endpoints: this.endpoints.size,
      disabledEndpoints: this.endpoints.disabled,
      failedForGood: this.#failedForGood,
      dropped: this.#dropped,
      memoryBytes: this.index.memoryBytes,
    };
  }

  /** When the oldest of those that failed is dropped. */
  get oldestFailedEndsMs(): number {
    const [oldest] = this.#failed;
    if (oldest === undefined) return Number.POSITIVE_INFINITY;
    return (this.index.dueMs[oldest] as number) + this.#options.failedKeepMs;
  }

  /** Reads everything that is stored. @throws RecordError */
  load(): void {
    const { environment, time } = this.#options;
    for (const { url, disabledMs } of storedEndpoints(environment)) {
      this.endpoints.disable(this.endpoints.of(url), disabledMs);
    }
    const failed: number[] = [];
    for (const { number, bytes, item, progress } of storedItems(environment)) {
      this.#nextNumber = number + 1;
      const slot = this.#addSlot(item, { number, bytes });
      if (progress !== undefined) {
        this.index.attempts[slot] = progress.attempts;
        this.index.dueMs[slot] = progress.dueMs;
        this.index.sinceMs[slot] = progress.sinceMs;
        this.index.hasProgress[slot] = 1;
      }
      if (progress?.isFailed === true) failed.push(slot);
      else if (this.index.joinStream(slot)) this.index.state[slot] = ITEM_STATE.blocked;
      else this.#toHeap(slot);
    }
    failed.sort((a, b) => (this.index.dueMs[a] as number) - (this.index.dueMs[b] as number));
    for (const slot of failed) this.#nowFailed(slot);
    const nowMs = time.nowMs();
    for (const endpoint of this.endpoints.from(0)) {
      if (endpoint.disabledMs !== 0) this.#failSome(endpoint);
      else this.turns.plan(endpoint, nowMs);
    }
  }

  /** The endpoint of a URL: all before its query. */
  endpointOf(url: string): OutboxEndpoint {
    return this.endpoints.of(url);
  }

  /** The endpoint of an item. */
  endpointAt(slot: number): OutboxEndpoint {
    return this.endpoints.at(this.index.endpoint[slot] as number);
  }

  /** The slot of an item by its id; 0: it is not here. */
  find(id: string): number {
    return this.index.find(hashOf(id), (slot) => this.#itemOf(slot)?.id === id);
  }

  isFailed(slot: number): boolean {
    return this.#failed.has(slot);
  }

  /** Slots of failed items of an endpoint, the oldest first. */
  *failedOf(endpoint: OutboxEndpoint): Generator<number, void> {
    for (const slot of this.#failed) if (this.index.endpoint[slot] === endpoint.place) yield slot;
  }

  /** A new item, whose record of so many bytes is being written. */
  add(item: NewItem, bytes: number): number {
    const slot = this.#addSlot(item, { number: this.#nextNumber, bytes });
    this.#nextNumber += 1;
    // Until it is stored, it is nowhere else.
    this.#cache.set(slot, item);
    this.#cacheBytes += bytes;
    if (this.index.joinStream(slot)) this.index.state[slot] = ITEM_STATE.storingBehind;
    return slot;
  }

  /** Its record is flushed: it may be sent, unless it is behind another of its stream. */
  stored(slot: number): void {
    if (this.#cacheBytes > LIMITS.outboxCacheBytes) this.#uncache(slot);
    if (this.index.state[slot] === ITEM_STATE.storing) this.#ready(slot);
    else this.index.state[slot] = ITEM_STATE.blocked;
  }

  /** The item, to be sent. */
  take(slot: number): NewItem {
    const item = this.#itemOf(slot);
    if (item === undefined) throw new Error(`item ${this.index.number[slot]} is not stored`);
    this.#uncache(slot);
    return item;
  }

  /** It was taken by its endpoint: it goes. */
  end(slot: number): void {
    this.#remove(slot, () => {
      this.endpointAt(slot).waiting -= 1;
      this.#leaveStream(slot);
      this.#free(slot);
    });
  }

  /** It is tried again at `dueMs`. */
  retry(slot: number, dueMs: number, error: string): void {
    this.index.dueMs[slot] = dueMs;
    this.#writeProgress(slot, { isFailed: false, error });
    this.#toHeap(slot);
  }

  /** It is not tried again by itself. */
  fail(slot: number, error: string, after: () => void = () => {}): void {
    this.index.state[slot] = ITEM_STATE.ending;
    this.#uncache(slot);
    this.#failedForGood += 1;
    this.index.dueMs[slot] = this.#options.time.nowMs();
    this.#writeProgress(slot, { isFailed: true, error }, () => {
      this.endpointAt(slot).waiting -= 1;
      this.#leaveStream(slot);
      this.#nowFailed(slot);
      after();
    });
  }

  /** Drops what failed too long ago, and what is beyond the bound; at most so many. */
  trimFailed(nowMs: number, most: number): void {
    const failedMax = this.#options.failedMax ?? LIMITS.outboxFailed;
    for (let count = 0; count < most; count += 1) {
      if (this.#failed.size <= failedMax && this.oldestFailedEndsMs > nowMs) return;
      this.dropFailed(1);
    }
  }

  /** Drops the oldest of those that failed. */
  dropFailed(most: number): void {
    for (let count = 0; count < most; count += 1) {
      const [slot] = this.#failed;
      if (slot === undefined) return;
      this.#failed.delete(slot);
      this.#dropped += 1;
      this.#remove(slot, () => {
        this.endpointAt(slot).failed -= 1;
        this.#free(slot);
      });
    }
  }

  /** Failed items wait again, as if they were new. @returns how many, when that is flushed */
  async replay(slots: readonly number[]): Promise<number> {
    const nowMs = this.#options.time.nowMs();
    let replayed = 0;
    for (const slot of slots) {
      if (!this.#failed.delete(slot)) continue;
      replayed += 1;
      const endpoint = this.endpointAt(slot);
      endpoint.failed -= 1;
      endpoint.waiting += 1;
      this.index.attempts[slot] = 0;
      this.index.dueMs[slot] = nowMs;
      this.index.sinceMs[slot] = nowMs;
      this.#writeProgress(slot, { isFailed: false, error: '' });
      if (this.index.joinStream(slot)) this.index.state[slot] = ITEM_STATE.blocked;
      else this.#ready(slot);
    }
    await this.#options.writer.flush();
    return replayed;
  }

  /** The endpoint answered 410: what waits for it fails, and nothing new is taken. */
  disable(endpoint: OutboxEndpoint, nowMs: number): void {
    if (endpoint.disabledMs !== 0) return;
    this.endpoints.disable(endpoint, nowMs);
    this.#writeEndpoint(endpoint.url, nowMs);
    this.#failSome(endpoint);
  }

  /** Takes that back; what failed stays failed. @returns when it is flushed */
  async enable(endpoint: OutboxEndpoint): Promise<void> {
    if (endpoint.disabledMs !== 0) this.#writeEndpoint(endpoint.url, undefined);
    this.endpoints.enable(endpoint);
    this.turns.plan(endpoint, this.#options.time.nowMs());
    await this.#options.writer.flush();
  }

  #failSome(endpoint: OutboxEndpoint): void {
    for (let count = 1; count <= FAILS_AT_ONCE && endpoint.disabledMs !== 0; count += 1) {
      const slot = endpoint.heap.pop();
      if (slot === undefined) return;
      const goOn = count === FAILS_AT_ONCE ? () => this.#failSome(endpoint) : undefined;
      this.fail(slot, DISABLED, goOn);
    }
  }

  #addSlot(item: NewItem, { number, bytes }: { number: number; bytes: number }): number {
    const { id, stream, createdMs, url } = item;
    const { place } = this.endpoints.hasOneMore(url);
    this.#bytes += bytes;
    const { schedule, random } = this.#options;
    const dueMs = Math.ceil(createdMs + (waitMs(schedule, 0, random()) ?? 0));
    const idHash = hashOf(id);
    return this.index.add({ idHash, stream, number, createdMs, dueMs, bytes, endpoint: place });
  }

  #itemOf(slot: number): NewItem | undefined {
    const cached = this.#cache.get(slot);
    if (cached !== undefined) return cached;
    const { environment } = this.#options;
    const key = itemKey('item', this.index.number[slot] as number);
    let record = environment.get(key);
    if (record === undefined) {
      environment.refresh();
      record = environment.get(key);
    }
    return record === undefined ? undefined : decodeItem(record);
  }

  #uncache(slot: number): void {
    if (this.#cache.delete(slot)) this.#cacheBytes -= this.index.bytes[slot] as number;
  }

  #ready(slot: number): void {
    const endpoint = this.endpointAt(slot);
    if (endpoint.disabledMs !== 0) {
      this.fail(slot, DISABLED);
      return;
    }
    this.#toHeap(slot);
    this.turns.plan(endpoint, this.#options.time.nowMs());
  }

  #toHeap(slot: number): void {
    this.index.state[slot] = ITEM_STATE.waiting;
    this.endpointAt(slot).heap.push(slot);
  }

  #nowFailed(slot: number): void {
    this.index.state[slot] = ITEM_STATE.failed;
    this.#failed.add(slot);
    const endpoint = this.endpointAt(slot);
    endpoint.failed += 1;
  }

  #leaveStream(slot: number): void {
    const next = this.index.leaveStream(slot);
    if (next === 0) return;
    if (this.index.state[next] === ITEM_STATE.blocked) this.#ready(next);
    // It is still being written, and goes when it is.
    else this.index.state[next] = ITEM_STATE.storing;
  }

  #free(slot: number): void {
    const endpoint = this.endpointAt(slot);
    this.#bytes -= this.index.bytes[slot] as number;
    this.index.remove(slot);
    this.endpoints.lostOne(endpoint);
  }

  #writeProgress(
    slot: number,
    { isFailed, error }: { isFailed: boolean; error: string },
    after?: () => void,
  ): void {
    const { index } = this;
    index.hasProgress[slot] = 1;
    const record = encodeProgress({
      attempts: index.attempts[slot] as number,
      dueMs: index.dueMs[slot] as number,
      sinceMs: index.sinceMs[slot] as number,
      isFailed,
      error: error.slice(0, ERROR_LENGTH_MAX),
    });
    const key = itemKey('progress', index.number[slot] as number);
    this.#options.writer.add((writes) => writes.put(key, record), after);
  }

  #remove(slot: number, after: () => void): void {
    const { index } = this;
    index.state[slot] = ITEM_STATE.ending;
    this.#uncache(slot);
    const number = index.number[slot] as number;
    const hasProgress = index.hasProgress[slot] === 1;
    this.#options.writer.add((writes) => {
      writes.remove(itemKey('item', number));
      if (hasProgress) writes.remove(itemKey('progress', number));
    }, after);
  }

  #writeEndpoint(url: string, disabledMs: number | undefined): void {
    const key = endpointKey(url);
    const record = disabledMs === undefined ? undefined : encodeEndpoint({ url, disabledMs });
    this.#options.writer.add((writes) => {
      if (record === undefined) writes.remove(key);
      else writes.put(key, record);
    });
  }
}
