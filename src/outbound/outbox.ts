/**
 * The durable outbox: requests that are sent until they are taken, or their schedule is over.
 *
 * Takes items (`put`), decides when each is sent, and what an answer means for it. What is where and
 * how it is stored is outbox-items.ts. An item is delivered at least once; items of a stream
 * strictly one after another: the next is sent when the end of the one before is flushed.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Writes } from '../store/environment.ts';
import { itemKey } from '../store/outbound-tables.ts';
import { type AttemptParts, type AttemptResult, attempt } from './outbox-attempt.ts';
import type { OutboxEndpoint } from './outbox-endpoint.ts';
import { ITEM_STATE } from './outbox-index.ts';
import { type ItemNumbers, OutboxItems } from './outbox-items.ts';
import { encodeItem, type NewItem, type Signing } from './outbox-records.ts';
import type { OutboxTime } from './outbox-time.ts';
import { type OutboxEnvironment, OutboxWriter } from './outbox-writer.ts';
import { type Schedule, scheduleMs, waitMs } from './retry-rules.ts';

export interface OutboxOptions extends AttemptParts {
  readonly environment: OutboxEnvironment;
  readonly schedule: Schedule;
  readonly time: OutboxTime;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Deliveries to one endpoint at the same time. */
  readonly concurrency: number;
  /** How long items that failed are kept. */
  readonly failedKeepMs: number;
  /** Called for each item that its endpoint has taken. */
  readonly onDelivered?: ((signing: Signing) => void) | undefined;
  /** Called when a write failed: the process has to end. */
  readonly onFatal: (error: Error) => void;
  readonly itemsMax?: number;
  readonly itemsPerEndpointMax?: number;
  readonly failedMax?: number;
}

export interface RefusedItem {
  readonly id: string;
  readonly reason: 'endpointDisabled' | 'outboxFull';
}

export interface OutboxNumbers extends ItemNumbers {
  /** Since the start. */
  readonly taken: number;
  readonly delivered: number;
  readonly attempts: number;
}

/** Items whose time was over, or that are dropped, in one go. */
const STEPS_A_TURN = 1_000;
const RETRY_AFTER_MS = 1_000;

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #items: OutboxItems;
  readonly #writer: OutboxWriter;
  readonly #lifeMs: number;
  readonly #counts = { taken: 0, delivered: 0, attempts: 0 };
  /** Settles when the puts so far are flushed. */
  #stored: Promise<unknown> = Promise.resolve();
  #isRunning = false;
  #isStopped = false;
  #armedMs = Number.POSITIVE_INFINITY;
  #disarm: () => void = () => {};
  #onIdle: () => void = () => {};

  private constructor(options: OutboxOptions) {
    this.#options = options;
    const { environment, onFatal } = options;
    // What was behind something else may go when that is flushed.
    this.#writer = new OutboxWriter({ environment, onFatal, onFlushed: () => this.pump() });
    this.#lifeMs = scheduleMs(options.schedule);
    this.#items = new OutboxItems({ ...options, writer: this.#writer });
  }

  /** Reads what is stored; nothing is sent before `start`. @throws RecordError */
  static open(options: OutboxOptions): Outbox {
    const outbox = new Outbox(options);
    outbox.#items.load();
    return outbox;
  }

  /** Items and endpoints, for what shows and changes them; call `pump` after a change. */
  get items(): OutboxItems {
    return this.#items;
  }

  get numbers(): OutboxNumbers {
    return { ...this.#items.numbers, ...this.#counts };
  }

  /** Sends from now on. */
  start(): void {
    this.#isRunning = true;
    this.pump();
  }

  /**
   * Takes items, all in one transaction; `alsoWrite` adds writes of other tables to it. An item whose
   * id is in the outbox is not taken again. Items for an endpoint that is disabled, or has as many
   * waiting as it may, are left out and told.
   *
   * @returns what was left out, when the others are flushed
   * @throws FairleadError outboxFull with retryAfterMs, payloadTooLarge, goingAway: nothing was taken
   */
  async put(
    items: readonly NewItem[],
    alsoWrite?: (writes: Writes) => void,
  ): Promise<readonly RefusedItem[]> {
    if (this.#isStopped) throw new FairleadError('goingAway');
    const refused: RefusedItem[] = [];
    const fresh = this.#choose(items, refused);
    const records = fresh.map((item) => ({ item, record: encodeItem(item) }));
    this.#checkRoom(records);
    const slots = records.map(({ item, record }) => this.#items.add(item, record.length));
    const work = this.#options.environment.commitQueued((writes) => {
      for (const [at, { record }] of records.entries()) {
        const number = this.#items.index.number[slots[at] as number] as number;
        writes.put(itemKey('item', number), record);
      }
      alsoWrite?.(writes);
    });
    // An item that was here before may itself still be on its way to the disk.
    const stored = Promise.all([this.#stored, work]);
    this.#stored = stored;
    try {
      await stored;
    } catch (error) {
      this.#options.onFatal(error as Error);
      throw error;
    }
    this.#counts.taken += slots.length;
    for (const slot of slots) this.#items.stored(slot);
    this.pump();
    return refused;
  }

  /** Starts what may be started, and plans when to look again. */
  pump(): void {
    if (!this.#isRunning || this.#isStopped) return;
    const { turns } = this.#items;
    const nowMs = this.#options.time.nowMs();
    turns.wake(nowMs);
    for (let steps = 0; ; steps += 1) {
      if (steps === STEPS_A_TURN) {
        setImmediate(() => this.pump());
        return;
      }
      const endpoint = turns.next(nowMs);
      const slot = endpoint?.heap.pop();
      if (endpoint === undefined || slot === undefined) break;
      const isOver = (this.#items.index.sinceMs[slot] as number) + this.#lifeMs < nowMs;
      if (endpoint.isBroken && isOver) {
        this.#items.fail(slot, `its time was over; ${endpoint.lastError}`);
      } else {
        this.#send(slot, endpoint, nowMs);
      }
      turns.plan(endpoint, nowMs);
    }
    this.#items.trimFailed(nowMs, STEPS_A_TURN);
    this.#arm(nowMs);
  }

  /** Begins no more deliveries; waits for those under way, up to `deadlineMs`, and for the disk. */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopped = true;
    this.#disarm();
    if (this.#items.turns.inFlight > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadlineMs);
        this.#onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    await this.#stored.catch(() => {});
    await this.#writer.flush();
  }

  /** Those of the items that are taken. */
  #choose(items: readonly NewItem[], refused: RefusedItem[]): NewItem[] {
    const fresh = new Map<string, NewItem>();
    const room = new Map<OutboxEndpoint, number>();
    const perEndpoint = this.#options.itemsPerEndpointMax ?? LIMITS.outboxItemsPerEndpoint;
    for (const item of items) {
      const { id, url, body } = item;
      if (body.length > LIMITS.outboxBodyBytes) throw new FairleadError('payloadTooLarge');
      if (fresh.has(id) || this.#items.find(id) !== 0) continue;
      const endpoint = this.#items.endpointOf(url);
      const left = room.get(endpoint) ?? perEndpoint - endpoint.waiting;
      room.set(endpoint, left - 1);
      if (endpoint.disabledMs !== 0) refused.push({ id, reason: 'endpointDisabled' });
      else if (left <= 0) refused.push({ id, reason: 'outboxFull' });
      else fresh.set(id, item);
    }
    return [...fresh.values()];
  }

  #checkRoom(records: readonly { readonly record: Uint8Array }[]): void {
    const { index, bytes } = this.#items;
    const itemsMax = this.#options.itemsMax ?? LIMITS.outboxItems;
    const more = records.reduce((sum, { record }) => sum + record.length, 0);
    if (index.size + records.length <= itemsMax && bytes + more <= LIMITS.outboxBytes) return;
    // What failed gives way to what is new.
    this.#items.dropFailed(Math.max(STEPS_A_TURN, records.length));
    const message = `The outbox holds ${index.size} items of ${bytes} bytes.`;
    throw new FairleadError('outboxFull', message, { retryAfterMs: RETRY_AFTER_MS });
  }

  #send(slot: number, endpoint: OutboxEndpoint, startMs: number): void {
    this.#items.index.state[slot] = ITEM_STATE.sending;
    let item: NewItem;
    try {
      item = this.#items.take(slot);
    } catch (error) {
      // A record that is damaged or gone: what else is, nobody knows.
      this.#options.onFatal(error as Error);
      return;
    }
    const ended = this.#items.turns.began(endpoint);
    this.#counts.attempts += 1;
    attempt(item, this.#options, startMs).then(
      (result) => {
        ended();
        if (result.verdict === 'taken') this.#options.onDelivered?.(item.signing);
        this.#settle(slot, endpoint, result, startMs);
        if (this.#items.turns.inFlight === 0) this.#onIdle();
        this.pump();
      },
      (error: unknown) => this.#options.onFatal(error as Error),
    );
  }

  #settle(slot: number, endpoint: OutboxEndpoint, result: AttemptResult, startMs: number): void {
    const nowMs = this.#options.time.nowMs();
    const random = this.#options.random();
    if (result.verdict === 'taken') {
      endpoint.succeeded(result.ms);
      this.#counts.delivered += 1;
      this.#items.end(slot);
    } else if (result.verdict === 'none') {
      // What our own end broke off is no attempt.
      if (this.#isStopped) return;
      const { error, isFinal } = result;
      const isTimeout = error.kind === 'timeout';
      const text = `${error.kind}: ${error.message}`;
      endpoint.unreachable({ isTimeout, nowMs, random, error: text });
      this.#again(slot, endpoint, { nowMs, error: text, askedMs: 0, isFinal });
    } else {
      const { status, ms, retryAfterMs: askedMs, verdict } = result;
      const error = `status ${status}`;
      const isSlower = verdict === 'slower';
      endpoint.refused({ ms, isSlower, startMs, nowMs, retryAfterMs: askedMs, random, error });
      const isFinal = verdict === 'gone';
      if (isFinal) this.#items.disable(endpoint, nowMs);
      this.#again(slot, endpoint, { nowMs, error, askedMs, isFinal });
    }
    this.#items.turns.plan(endpoint, nowMs);
  }

  /** After an attempt that failed: the next one, or the end. */
  #again(
    slot: number,
    endpoint: OutboxEndpoint,
    failure: { nowMs: number; error: string; askedMs: number; isFinal: boolean },
  ): void {
    const { nowMs, error, askedMs, isFinal } = failure;
    const attempts = (this.#items.index.attempts[slot] as number) + 1;
    this.#items.index.attempts[slot] = attempts;
    const wait = waitMs(this.#options.schedule, attempts, this.#options.random());
    if (isFinal || wait === undefined || endpoint.disabledMs !== 0) this.#items.fail(slot, error);
    else this.#items.retry(slot, Math.ceil(nowMs + Math.max(wait, askedMs)), error);
  }

  #arm(nowMs: number): void {
    const { turns, oldestFailedEndsMs } = this.#items;
    const nextMs = Math.min(turns.nextMs ?? Number.POSITIVE_INFINITY, oldestFailedEndsMs);
    if (nextMs === this.#armedMs) return;
    this.#disarm();
    this.#armedMs = nextMs;
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#disarm = this.#options.time.after(Math.max(0, nextMs - nowMs), () => {
      this.#armedMs = Number.POSITIVE_INFINITY;
      this.pump();
    });
  }
}
