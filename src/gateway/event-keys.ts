/**
 * Keys of inbound messages that were taken within a day, so that a gateway may hand one over again.
 *
 * Tables of the outbound environment: `08` + hash → u48 ms; `09` + ms (u64) + hash → nothing, in order
 * of time. Bounded by LIMITS.inboundKeys: past it the oldest goes, and a repetition of it is taken again.
 */
import { createHmac } from 'node:crypto';
import { LIMITS } from '../limits.ts';
import type { Environment } from '../store/environment.ts';
import { OUTBOUND_TABLE } from '../store/outbound-tables.ts';

const HASH_BYTES = 16;
const TIME_BYTES = 8;
const STEP = 500;

export interface EventKeysOptions {
  readonly environment: Environment;
  readonly hashKey: Uint8Array;
  readonly onFatal: (error: Error) => void;
  readonly keysMax?: number;
  readonly nowMs?: () => number;
}

export class EventKeys {
  readonly #options: EventKeysOptions;
  readonly #keysMax: number;
  readonly #nowMs: () => number;
  #count: number;
  #sweeping = false;

  constructor(options: EventKeysOptions) {
    this.#options = options;
    this.#keysMax = options.keysMax ?? LIMITS.inboundKeys;
    this.#nowMs = options.nowMs ?? Date.now;
    const { environment } = options;
    this.#count = environment.count(timeKey(0), tableEnd());
  }

  get count(): number {
    return this.#count;
  }

  /** What an event of a tenant is known by. */
  hashOf(tenant: string, eventKey: string): Buffer {
    const mac = createHmac('sha256', this.#options.hashKey);
    return mac.update(`inbound\0${tenant}\0${eventKey}`).digest().subarray(0, HASH_BYTES);
  }

  /** Whether it was taken within the last day. */
  has(hash: Uint8Array): boolean {
    const value = this.#options.environment.get(idKey(hash));
    if (value === undefined) return false;
    const atMs = Buffer.from(value).readUIntBE(0, 6);
    return atMs > this.#nowMs() - LIMITS.idempotencyWindowMs;
  }

  /** Resolves when it is flushed. */
  async add(hash: Uint8Array): Promise<void> {
    const nowMs = this.#nowMs();
    const value = Buffer.alloc(6);
    value.writeUIntBE(nowMs, 0, 6);
    this.#count += 1;
    await this.#commit((put) => {
      put(idKey(hash), value);
      put(timeKey(nowMs, hash), Buffer.alloc(1));
    });
    void this.sweep();
  }

  /** Forgets what is over a day old, and the oldest past the bound; a step a call. */
  async sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    const { environment } = this.#options;
    const excess = this.#count - this.#keysMax;
    const beforeMs =
      excess > 0 ? Number.MAX_SAFE_INTEGER : this.#nowMs() - LIMITS.idempotencyWindowMs;
    const countMax = excess > 0 ? Math.min(excess, STEP) : STEP;
    const keys: Uint8Array[] = [];
    environment.refresh();
    for (const { key } of environment.range(timeKey(0), timeKey(beforeMs))) {
      keys.push(Buffer.from(key));
      if (keys.length >= countMax) break;
    }
    if (keys.length > 0) {
      this.#count -= keys.length;
      await this.#commit((_, remove) => {
        for (const key of keys) {
          remove(key);
          if (this.#isLast(key)) remove(idKey(key.subarray(1 + TIME_BYTES)));
        }
      });
    }
    this.#sweeping = false;
  }

  /** Whether the event of this time key has not come again since. */
  #isLast(key: Uint8Array): boolean {
    const value = this.#options.environment.get(idKey(key.subarray(1 + TIME_BYTES)));
    if (value === undefined) return false;
    const atMs = Buffer.from(key).readBigUInt64BE(1);
    return BigInt(Buffer.from(value).readUIntBE(0, 6)) === atMs;
  }

  async #commit(
    write: (
      put: (key: Uint8Array, value: Uint8Array) => void,
      remove: (key: Uint8Array) => void,
    ) => void,
  ): Promise<void> {
    try {
      await this.#options.environment.commitQueued((writes) =>
        write(
          (key, value) => writes.put(key, value),
          (key) => writes.remove(key),
        ),
      );
    } catch (error) {
      this.#options.onFatal(error as Error);
      throw error;
    }
  }
}

function idKey(hash: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(OUTBOUND_TABLE.inboundKeys), hash]);
}

function timeKey(atMs: number, hash: Uint8Array = new Uint8Array()): Uint8Array {
  const key = Buffer.alloc(1 + TIME_BYTES + hash.length);
  key[0] = OUTBOUND_TABLE.inboundTimes;
  key.writeBigUInt64BE(BigInt(atMs), 1);
  key.set(hash, 1 + TIME_BYTES);
  return key;
}

function tableEnd(): Uint8Array {
  return Uint8Array.of(OUTBOUND_TABLE.inboundTimes + 1);
}
