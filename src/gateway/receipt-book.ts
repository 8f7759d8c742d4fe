/**
 * From the ids that gateways gave to messages to the messages: puts them when a message is sent,
 * takes them when a receipt comes.
 *
 * A receipt may come before the answer to its message: it waits for the ids until what the gateway
 * had under way has ended, and for the settlement, which the shard has to have first. A message of
 * several parts is delivered when all of them are, and undelivered with the first that is. What is
 * unknown is counted and no fault, so that no peer repeats it for ever.
 */
import type { Logger } from '../base/logger.ts';
import { ERRORS } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { messageIdFromText, messageIdToText } from '../protocol/message-id.ts';
import { type ReceiptRecord, receiptHash } from './receipt-record.ts';
import type { ReceiptStore } from './receipt-store.ts';
import type { ReceiptTeller } from './receipt-teller.ts';
import type { ReceiptKeeper } from './runner.ts';

export interface GatewayReceipt {
  readonly gateway: string;
  /** Forms of the id, in the order in which they are tried. */
  readonly candidates: readonly string[];
  readonly status: 'delivered' | 'undelivered' | 'failed';
  /** The gateway's own code. */
  readonly code?: number | undefined;
}

/**
 * - `applied`: the message has the status
 * - `partly`: other parts of it are still to come
 * - `late`: the shard has forgotten the message; its callbacks were told
 * - `unknown`: nothing was sent under this id, or too long ago
 */
export type Taken = 'applied' | 'partly' | 'late' | 'unknown';

export interface ReceiptBookOptions {
  readonly store: ReceiptStore;
  readonly teller: ReceiptTeller;
  /** Keys the hashes of ids. */
  readonly hashKey: Uint8Array;
  /** 0: no receipt is waited for. */
  readonly waitMs: number;
  /** Resolves when all that a gateway has under way now has ended; undefined: nothing is. */
  readonly landed: (gateway: string) => Promise<unknown> | undefined;
  /** Tells callbacks of a message that its shard has forgotten; false: nobody wants to know. */
  readonly late: (receipt: {
    readonly messageId: string;
    readonly status: GatewayReceipt['status'];
    readonly code: number | undefined;
  }) => Promise<boolean>;
  readonly logger: Logger;
}

const STATUS_NUMBERS = { delivered: 6, undelivered: 7, failed: 8 } as const;
const SWEEP_MS = 60_000;
const LOG_MS = 60_000;

export class ReceiptBook implements ReceiptKeeper {
  readonly #options: ReceiptBookOptions;
  /** By message: resolved when the settlements of all its attempts are on their way. */
  readonly #unsettled = new Map<
    string,
    { attempts: number; readonly done: Promise<void>; readonly settle: () => void }
  >();
  /** By hash as text: receipts that came before their ids. */
  readonly #early = new Map<string, (() => void)[]>();
  #earlyCount = 0;
  #dropping = false;
  #loggedAtMs = Number.NEGATIVE_INFINITY;
  readonly #sweeper: NodeJS.Timeout;
  readonly taken: Record<Taken, number> = { applied: 0, partly: 0, late: 0, unknown: 0 };
  /** Given up because there were too many. */
  dropped = 0;

  constructor(options: ReceiptBookOptions) {
    this.#options = options;
    this.#sweeper = setInterval(() => void this.#sweep(), SWEEP_MS).unref();
  }

  get waiting(): { readonly entries: number; readonly bytes: number } {
    const { entries, bytes } = this.#options.store;
    return { entries, bytes };
  }

  async put(sent: Parameters<ReceiptKeeper['put']>[0]): Promise<void> {
    const { store, waitMs, hashKey } = this.#options;
    const { gateway, messageId: text } = sent;
    const ids = sent.ids.slice(0, LIMITS.receiptParts);
    const messageId = messageIdFromText(text);
    if (waitMs === 0 || messageId === undefined || ids.length === 0) return;
    const hashes = ids.map((id) => receiptHash(hashKey, gateway, id));
    const [first] = hashes as [Buffer];
    const common = { messageId, atMs: Date.now(), parts: ids.length, delivered: 0n, first };
    this.#expect(text);
    const puts = hashes.map((hash, index) => ({ hash, record: { ...common, part: index + 1 } }));
    const written = store.write(puts);
    for (const hash of hashes) this.#wakeEarly(hash.toString('latin1'));
    await written;
    void this.#dropExcess();
  }

  settled(messageId: string): void {
    const unsettled = this.#unsettled.get(messageId);
    if (unsettled === undefined) return;
    unsettled.attempts -= 1;
    if (unsettled.attempts > 0) return;
    unsettled.settle();
    this.#unsettled.delete(messageId);
  }

  /** Resolves when it is durable that the receipt came, or that nothing is known of its id. */
  async take(receipt: GatewayReceipt): Promise<Taken> {
    const taken = await this.#take(receipt);
    this.taken[taken] += 1;
    return taken;
  }

  close(): void {
    clearInterval(this.#sweeper);
    for (const wake of [...this.#early.values()].flat()) wake();
    for (const { settle } of this.#unsettled.values()) settle();
  }

  async #take(receipt: GatewayReceipt): Promise<Taken> {
    const found = this.#find(receipt) ?? (await this.#findEarly(receipt));
    if (found === undefined) return 'unknown';
    const { hash, record } = found;
    const messageId = messageIdToText(record.messageId);
    await this.#unsettled.get(messageId)?.done;
    const isPartly = record.parts > 1 && receipt.status === 'delivered';
    if (isPartly && !(await this.#lastPart(hash, record))) return 'partly';
    const { teller, late, store } = this.#options;
    const { status, code } = receipt;
    const told = await teller.tell({
      messageId: record.messageId,
      status: STATUS_NUMBERS[status],
      code,
    });
    const isKnown = told !== 'gone' || (await late({ messageId, status, code }));
    await store.write([], record.parts > 1 ? [hash, record.first] : [hash]);
    if (told === 'applied') return 'applied';
    return told === 'gone' && isKnown ? 'late' : 'unknown';
  }

  /** Notes one part as delivered; whether all are now. */
  async #lastPart(hash: Uint8Array, record: ReceiptRecord): Promise<boolean> {
    const { store } = this.#options;
    // As it is now: other parts may have come while this one waited for the settlement.
    const first = store.get(record.first);
    // Without its first part the message's end was told before.
    if (first === undefined || !sameBytes(first.messageId, record.messageId)) {
      await store.write([], [hash]);
      return false;
    }
    const delivered = first.delivered | (1n << BigInt(record.part - 1));
    if (delivered === (1n << BigInt(record.parts)) - 1n) return true;
    const removes = record.part === 1 ? [] : [hash];
    await store.write([{ hash: record.first, record: { ...first, delivered } }], removes);
    return false;
  }

  #find(receipt: GatewayReceipt): { hash: Buffer; record: ReceiptRecord } | undefined {
    const { store, hashKey } = this.#options;
    for (const candidate of receipt.candidates) {
      const hash = receiptHash(hashKey, receipt.gateway, candidate);
      const record = store.get(hash);
      if (record !== undefined) return { hash, record };
    }
    return undefined;
  }

  /** Waits for the ids until the gateway cannot answer with them any more. */
  async #findEarly(
    receipt: GatewayReceipt,
  ): Promise<{ hash: Buffer; record: ReceiptRecord } | undefined> {
    const { landed, hashKey, waitMs } = this.#options;
    if (waitMs === 0 || this.#earlyCount >= LIMITS.receiptsEarly) return undefined;
    // What is begun later is none of this receipt's.
    const all = landed(receipt.gateway);
    if (all === undefined) return undefined;
    const hashes = receipt.candidates.map((each) =>
      receiptHash(hashKey, receipt.gateway, each).toString('latin1'),
    );
    this.#earlyCount += 1;
    let timer: NodeJS.Timeout | undefined;
    let wake: () => void = () => {};
    await new Promise<void>((resolve) => {
      wake = resolve;
      timer = setTimeout(resolve, LIMITS.receiptEarlyMs).unref();
      void all.then(wake);
      for (const hash of hashes) this.#early.set(hash, [...(this.#early.get(hash) ?? []), wake]);
    });
    clearTimeout(timer);
    this.#earlyCount -= 1;
    for (const hash of hashes) {
      const others = (this.#early.get(hash) ?? []).filter((each) => each !== wake);
      if (others.length === 0) this.#early.delete(hash);
      else this.#early.set(hash, others);
    }
    return this.#find(receipt);
  }

  #wakeEarly(hash: string): void {
    for (const wake of this.#early.get(hash) ?? []) wake();
  }

  /** A message is sent twice where its lease ended under way: both attempts may have ids. */
  #expect(messageId: string): void {
    const unsettled = this.#unsettled.get(messageId);
    if (unsettled !== undefined) {
      unsettled.attempts += 1;
      return;
    }
    let settle: () => void = () => {};
    const done = new Promise<void>((resolve) => {
      settle = resolve;
    });
    this.#unsettled.set(messageId, { attempts: 1, done, settle });
  }

  async #dropExcess(): Promise<void> {
    if (this.#dropping) return;
    this.#dropping = true;
    const dropped = await this.#options.store.dropExcess();
    this.#dropping = false;
    if (dropped === 0) return;
    this.dropped += dropped;
    const nowMs = performance.now();
    if (nowMs - this.#loggedAtMs < LOG_MS) return;
    this.#loggedAtMs = nowMs;
    const { code, sentence } = ERRORS.receiptDropped;
    this.#options.logger.warn({ code, sentence, dropped: this.dropped }, 'receipts were dropped');
  }

  async #sweep(): Promise<void> {
    await this.#options.store.sweep(Date.now() - this.#options.waitMs);
  }
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
