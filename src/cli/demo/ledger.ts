// The outside account of a run: what the daemon acknowledged and what came out of it, by message id.
// It knows nothing of the daemon but what the clients saw, so lost and doubled messages show here.

/** Columns of equal length: what publishers saw acknowledged, in any order. */
export interface AcceptedBlock {
  readonly tenants: Uint8Array;
  /** 16 bytes a message. */
  readonly ids: Uint8Array;
}

/** Columns of equal length: what the consumer was handed, in order of delivery. */
export interface DeliveredBlock {
  readonly tenants: Uint8Array;
  readonly ids: Uint8Array;
  /** Milliseconds of the host's monotonic clock: the publish call, and the delivery. */
  readonly publishedAt: Float64Array;
  readonly receivedAt: Float64Array;
}

/** One delivery, in the order in which the consumer got them. */
export interface Delivered {
  readonly tenant: number;
  readonly publishedAt: number;
  readonly receivedAt: number;
}

const ACCEPTED = 1;
const DELIVERED = 2;

export interface LedgerTotals {
  readonly accepted: number;
  /** Messages delivered at least once. */
  readonly delivered: number;
  /** Acknowledged and never delivered. */
  readonly lost: number;
  /** Deliveries beyond the first of a message. */
  readonly duplicates: number;
  /** Delivered although no publisher saw them acknowledged. */
  readonly unknown: number;
}

export class Ledger {
  readonly deliveries: Delivered[] = [];
  readonly acceptedByTenant: number[];
  readonly deliveredByTenant: number[];
  readonly #seen = new Map<string, number>();
  #accepted = 0;
  #deliveredOnce = 0;
  #both = 0;
  #duplicates = 0;

  constructor(tenants: number) {
    this.acceptedByTenant = new Array<number>(tenants).fill(0);
    this.deliveredByTenant = new Array<number>(tenants).fill(0);
  }

  accept({ tenants, ids }: AcceptedBlock): void {
    const bytes = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength);
    tenants.forEach((tenant, index) => {
      const state = this.#mark(bytes, index, ACCEPTED);
      if ((state & ACCEPTED) !== 0) throw new Error('two messages were given one id');
      this.#accepted += 1;
      this.acceptedByTenant[tenant] = (this.acceptedByTenant[tenant] ?? 0) + 1;
      if ((state & DELIVERED) !== 0) this.#both += 1;
    });
  }

  deliver({ tenants, ids, publishedAt, receivedAt }: DeliveredBlock): void {
    const bytes = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength);
    tenants.forEach((tenant, index) => {
      const state = this.#mark(bytes, index, DELIVERED);
      if ((state & DELIVERED) !== 0) {
        this.#duplicates += 1;
        return;
      }
      this.#deliveredOnce += 1;
      if ((state & ACCEPTED) !== 0) this.#both += 1;
      this.deliveredByTenant[tenant] = (this.deliveredByTenant[tenant] ?? 0) + 1;
      this.deliveries.push({
        tenant,
        publishedAt: publishedAt[index] ?? 0,
        receivedAt: receivedAt[index] ?? 0,
      });
    });
  }

  totals(): LedgerTotals {
    return {
      accepted: this.#accepted,
      delivered: this.#deliveredOnce,
      lost: this.#accepted - this.#both,
      duplicates: this.#duplicates,
      unknown: this.#deliveredOnce - this.#both,
    };
  }

  /** Sets the flag and returns what was known before. The key is the id as 16 one-byte characters. */
  #mark(ids: Buffer, index: number, flag: number): number {
    const key = ids.toString('latin1', index * 16, index * 16 + 16);
    const before = this.#seen.get(key) ?? 0;
    this.#seen.set(key, before | flag);
    return before;
  }
}
