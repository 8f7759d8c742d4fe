/**
 * Status callbacks: takes the status events of all shards, keeps what a callback needs to know of each
 * message, and puts the wanted ones into the outbox.
 *
 * Records, items and the sequence taken of a shard are one transaction, so each event is put once,
 * whatever ends in between; only then the shard is told. While the outbox is full nothing is taken:
 * shards hold what they have to tell, and at their bound refuse messages with a callback. One
 * transaction at a time; what comes meanwhile goes with the next. Main thread.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { messageIdFromText } from '../protocol/message-id.ts';
import {
  CALLBACK_EVENTS_DEFAULT,
  decodeStatusEvents,
  EVENT_STATUS,
  type EventStatusName,
  eventStatusName,
  statusMask,
} from '../protocol/status-events.ts';
import { CallbackBatch } from './callback-batch.ts';
import {
  allRecords,
  decodeCallbackRecord,
  decodeTaken,
  idOfTimeKey,
  recordKey,
  takenKey,
  waitingBefore,
  waitsMsOf,
} from './callback-record.ts';
import type {
  CallbackAccount,
  CallbackNumbers,
  CallbacksOptions,
  LateMessage,
  LateStatus,
} from './ports.ts';

interface Told {
  readonly shard: number;
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

/** A receipt that came late; null: the message is to be forgotten here too. */
interface Late {
  readonly id: Uint8Array;
  readonly receipt: LateStatus | null;
  readonly resolve: (isKnown: boolean) => void;
  readonly reject: (error: Error) => void;
}

/** Bytes of events of one transaction, roughly: some thousand of them. */
const BATCH_BYTES = 256 * 1024;
/** Records that one transaction drops. */
const DROPS_MAX = 1_000;
const SWEEP_MS = 30_000;
const LOG_MS = 60_000;
const RETRY_MS = 1_000;

export class Callbacks {
  readonly #options: CallbacksOptions;
  readonly #nowMs: () => number;
  readonly #recordsMax: number;
  readonly #taken = new Map<number, number>();
  readonly #told: Told[] = [];
  #waitingBytes = 0;
  readonly #late: Late[] = [];
  #records = 0;
  #sweepDue = true;
  readonly #counts = { events: 0, items: 0, refused: 0, unknown: 0, late: 0, dropped: 0 };
  readonly #loggedMs = new Map<string, number>();
  readonly #sweeper: NodeJS.Timeout;
  #working: Promise<void> | undefined;
  #isStopped = false;
  #wakeUp: () => void = () => {};

  /** Counts what is stored: about a second a million. */
  constructor(options: CallbacksOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#recordsMax = options.recordsMax ?? LIMITS.callbackRecords;
    const { start, end } = allRecords();
    for (const _ of options.environment.range(start, end)) this.#records += 1;
    this.#sweeper = setInterval(() => {
      this.#sweepDue = true;
      this.#work();
    }, SWEEP_MS).unref();
  }

  get numbers(): CallbackNumbers {
    const waitingBytes = this.#waitingBytes;
    return { ...this.#counts, records: this.#records, waitingBytes };
  }

  /** Takes one record of a shard's events; the bytes are copied. */
  statusEvents(shard: number, sequence: number, bytes: Uint8Array): void {
    if (this.#isStopped) return;
    this.#told.push({ shard, sequence, bytes: bytes.slice() });
    this.#waitingBytes += bytes.length;
    this.#work();
  }

  /**
   * A receipt of a message that its shard has forgotten: its callback is told once.
   *
   * @returns whether the message is known here, when that is flushed
   * @throws FairleadError goingAway
   */
  lateReceipt(
    messageId: string,
    status: LateStatus['status'],
    code: number | undefined,
  ): Promise<boolean> {
    const id = messageIdFromText(messageId);
    if (id === undefined) return Promise.resolve(false);
    if (this.#isStopped) return Promise.reject(new FairleadError('goingAway'));
    return this.#changeLate(id, { status, code, atMs: this.#nowMs() });
  }

  /**
   * Drops what is kept of a message: no callback of it is told any more.
   *
   * @returns whether something was kept, when that is flushed
   * @throws FairleadError goingAway
   */
  forget(messageId: string): Promise<boolean> {
    const id = messageIdFromText(messageId);
    if (id === undefined) return Promise.resolve(false);
    if (this.#isStopped) return Promise.reject(new FairleadError('goingAway'));
    return this.#changeLate(id, null);
  }

  #changeLate(id: Uint8Array, receipt: LateStatus | null): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#late.push({ id, receipt, resolve, reject });
      this.#work();
    });
  }

  /** A message that its shard has forgotten, once a late receipt came; as long as that is kept. */
  lateMessage(messageId: string): LateMessage | undefined {
    const id = messageIdFromText(messageId);
    if (id === undefined) return undefined;
    const { environment } = this.#options;
    environment.refresh();
    const value = environment.get(recordKey(id));
    const record = value === undefined ? undefined : decodeCallbackRecord(value);
    if (record?.late === undefined) return undefined;
    const { destination, tenant, tag = null, attempt: attempts, waitsMs, late } = record;
    const status = eventStatusName(late.status) as LateStatus['status'];
    const sentMs = waitsMs > 0 ? waitsMs : null;
    const told = { status, code: late.code ?? null, attempts, sentMs, endedMs: late.atMs };
    return { destination, tenant, tag, ...told };
  }

  /** Looks for records that have waited long enough; by itself twice a minute. */
  sweep(): Promise<void> {
    this.#sweepDue = true;
    this.#work();
    return this.#working ?? Promise.resolve();
  }

  /** Takes nothing more; resolves when what is under way is flushed. What was not taken is told again. */
  async close(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#sweeper);
    this.#wakeUp();
    await this.#working;
    for (const { reject } of this.#late.splice(0)) reject(new FairleadError('goingAway'));
  }

  get #hasWork(): boolean {
    return this.#told.length > 0 || this.#late.length > 0 || this.#sweepDue;
  }

  #work(): void {
    if (this.#working !== undefined) return;
    this.#working = this.#loop()
      .catch((error: unknown) => this.#options.onFatal(error as Error))
      .finally(() => {
        this.#working = undefined;
        if (this.#hasWork && !this.#isStopped) this.#work();
      });
  }

  async #loop(): Promise<void> {
    // What came in the same turn goes together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#hasWork && !this.#isStopped) await this.#step();
  }

  /** One transaction. @throws RecordError, Error of a write */
  async #step(): Promise<void> {
    const { environment, accountOf } = this.#options;
    environment.refresh();
    const batch = new CallbackBatch({ environment, accountOf, maskOf });
    const told = this.#takeTold(batch);
    const late = this.#late.splice(0, DROPS_MAX);
    const known = late.map(({ id, receipt }) => {
      if (receipt === null) return batch.forget(id);
      return batch.late(id, EVENT_STATUS[receipt.status], receipt.code, receipt.atMs);
    });
    const dropped = this.#drop(batch);
    if (!batch.isEmpty && !(await this.#put(batch))) {
      this.#told.unshift(...told);
      this.#late.unshift(...late);
      return;
    }
    this.#counts.dropped += dropped;
    this.#records += batch.added;
    this.#counts.events += batch.events;
    this.#counts.unknown += batch.unknown;
    for (const [shard, sequence] of batch.taken) this.#taken.set(shard, sequence);
    this.#waitingBytes -= told.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#tellShards(told);
    for (const [at, { receipt, resolve }] of late.entries()) {
      if (receipt !== null) this.#counts.late += Number(known[at]);
      resolve(known[at] === true);
    }
  }

  /** Moves what was told into the batch, but for what was taken before. */
  #takeTold(batch: CallbackBatch): Told[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#told.length && bytes < BATCH_BYTES) {
      bytes += (this.#told[count] as Told).bytes.length;
      count += 1;
    }
    const told = this.#told.splice(0, count);
    for (const { shard, sequence, bytes } of told) {
      if (sequence > this.#takenOf(shard)) batch.add(shard, sequence, decodeStatusEvents(bytes));
    }
    return told;
  }

  /** The last of each shard is told, also where it was taken before: the shard still had it. */
  #tellShards(told: readonly Told[]): void {
    const last = new Map(told.map(({ shard, sequence }) => [shard, sequence]));
    for (const [shard, sequence] of last) this.#options.eventsTaken(shard, sequence);
  }

  #takenOf(shard: number): number {
    let taken = this.#taken.get(shard);
    if (taken === undefined) {
      const value = this.#options.environment.get(takenKey(shard));
      taken = value === undefined ? 0 : decodeTaken(value);
      this.#taken.set(shard, taken);
    }
    return taken;
  }

  /**
   * Drops records that have waited long enough, and the oldest of those that are too many.
   *
   * @returns how many were dropped because there were too many
   */
  #drop(batch: CallbackBatch): number {
    const excess = this.#records + batch.added - this.#recordsMax;
    if (!this.#sweepDue && excess <= 0) return 0;
    const endMs = this.#nowMs() - this.#options.receiptWaitMs;
    const { start, end } = waitingBefore(2 ** 48 - 1);
    let dropped = 0;
    let count = 0;
    this.#sweepDue = false;
    for (const { key } of this.#options.environment.range(start, end)) {
      const isOver = waitsMsOf(key) < endMs;
      if (!isOver && dropped >= excess) break;
      if (count === DROPS_MAX) {
        this.#sweepDue = true;
        break;
      }
      count += 1;
      if (batch.drop(idOfTimeKey(key)) && !isOver) dropped += 1;
    }
    if (dropped > 0) {
      const fields = { dropped, records: this.#records };
      const text = 'too many messages wait for receipts: the oldest have no callbacks any more';
      this.#log('callbackRecords', fields, text);
    }
    return dropped;
  }

  /** Until the outbox takes it; false: the daemon stops, and nothing was taken. */
  async #put(batch: CallbackBatch): Promise<boolean> {
    for (;;) {
      try {
        const refused = await this.#options.outbox.put(batch.items, (writes) =>
          batch.write(writes),
        );
        this.#counts.items += batch.items.length - refused.length;
        this.#counts.refused += refused.length;
        if (refused.length > 0) {
          const [{ id = '', reason = '' } = {}] = refused;
          this.#log(
            'refused',
            { refused: refused.length, id, reason },
            'callbacks are left out by the outbox',
          );
        }
        return true;
      } catch (error) {
        if (!(error instanceof FairleadError)) throw error;
        if (error.error !== 'outboxFull') return this.#stopped();
        const { retryAfterMs = RETRY_MS } = error.details ?? {};
        this.#log('full', { bytes: this.#waitingBytes }, 'the outbox is full: callbacks wait');
        await this.#pause(Number(retryAfterMs));
        if (this.#isStopped) return false;
      }
    }
  }

  /** The outbox ends with the daemon, before this does. */
  #stopped(): false {
    this.#isStopped = true;
    return false;
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wakeUp = () => {};
  }

  /** At most once a minute a reason. */
  #log(reason: string, fields: object, text: string): void {
    const nowMs = this.#nowMs();
    if (nowMs - (this.#loggedMs.get(reason) ?? Number.NEGATIVE_INFINITY) < LOG_MS) return;
    this.#loggedMs.set(reason, nowMs);
    this.#options.logger.warn(fields, text);
  }
}

/** The statuses of a message that says none: its account's, or the default. */
function maskOf(account: CallbackAccount | undefined): number {
  const statuses = account?.callbackStatuses;
  if (statuses === undefined || statuses === null) return CALLBACK_EVENTS_DEFAULT;
  return statusMask(statuses.filter((name): name is EventStatusName => name in EVENT_STATUS));
}
