/**
 * Tells shards what became of messages after they were sent: those of one turn in one frame a
 * shard, and what a frame's answer calls unknown once more, one by one.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import {
  decodeDaemonFrame,
  encodeReceipt,
  encodeStatus,
  type MessageReceipt,
  type OkFrame,
  readSettleOk,
  readStatusOk,
} from '../protocol/frames.ts';
import { MESSAGE_STATUS } from '../protocol/kinds.ts';
import type { GatewayShards } from './ports.ts';

/**
 * - `applied`: the message has this status now, or one that stands above it
 * - `gone`: the shard does not remember the message
 * - `unfit`: it is there, and was not sent as far as the shard knows
 */
export type Told = 'applied' | 'gone' | 'unfit';

interface Waiting {
  readonly receipt: MessageReceipt;
  readonly resolve: (told: Told) => void;
  readonly reject: (error: unknown) => void;
}

/** A settlement may be on its way while its receipt is here. */
const SENDING_TRIES = 50;
const TRY_AGAIN_MS = 100;

export class ReceiptTeller {
  readonly #shards: Pick<GatewayShards, 'call'>;
  readonly #count: number;
  readonly #waiting = new Map<number, Waiting[]>();

  constructor(shards: Pick<GatewayShards, 'call'>, count: number) {
    this.#shards = shards;
    this.#count = count;
  }

  /** @throws FairleadError goingAway when the daemon ends before the shard has it */
  tell(receipt: MessageReceipt): Promise<Told> {
    const shard = shardOf(receipt.messageId);
    if (shard >= this.#count) return Promise.resolve('gone');
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(shard) ?? [];
      if (waiting.length === 0) {
        this.#waiting.set(shard, waiting);
        setImmediate(() => void this.#send(shard));
      }
      waiting.push({ receipt, resolve, reject });
    });
  }

  async #send(shard: number): Promise<void> {
    const all = this.#waiting.get(shard) ?? [];
    this.#waiting.delete(shard);
    for (let at = 0; at < all.length; at += LIMITS.idsPerFrame) {
      const some = all.slice(at, at + LIMITS.idsPerFrame);
      try {
        const unknown = await this.#tellAll(
          shard,
          some.map(({ receipt }) => receipt),
        );
        for (const each of some) {
          if (unknown === 0) each.resolve('applied');
          else this.#tellOne(shard, each.receipt).then(each.resolve, each.reject);
        }
      } catch (error) {
        for (const { reject } of some) reject(error);
      }
    }
  }

  async #tellOne(shard: number, receipt: MessageReceipt): Promise<Told> {
    for (let tries = 1; ; tries += 1) {
      if ((await this.#tellAll(shard, [receipt])) === 0) return 'applied';
      const frame = encodeStatus({ id: 1, messageIds: [receipt.messageId] });
      const [entry] = readStatusOk(await this.#ask(shard, frame));
      if (entry === undefined) return 'gone';
      if (entry.status !== MESSAGE_STATUS.sending || tries >= SENDING_TRIES) return 'unfit';
      await later(TRY_AGAIN_MS);
    }
  }

  /** Resolves with how many the shard does not know as sent. */
  async #tellAll(shard: number, receipts: readonly MessageReceipt[]): Promise<number> {
    return readSettleOk(await this.#ask(shard, encodeReceipt({ id: 1, receipts }))).unknown;
  }

  async #ask(shard: number, frame: Uint8Array): Promise<OkFrame> {
    for (;;) {
      try {
        const answer = decodeDaemonFrame(await this.#shards.call(shard, frame));
        if (answer.kind === 'ok') return answer;
        throw new Error(`a shard answered a receipt with ${JSON.stringify(answer)}`);
      } catch (error) {
        const isFull = error instanceof FairleadError && error.error === 'overloaded';
        if (!isFull) throw error;
        await later(TRY_AGAIN_MS);
      }
    }
  }
}

function shardOf(messageId: Uint8Array): number {
  return (messageId[0] ?? 0) * 256 + (messageId[1] ?? 0);
}

function later(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
