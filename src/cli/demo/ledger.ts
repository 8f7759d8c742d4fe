// The outside account of a run: what the daemon acknowledged and what came out of it, by message id.
// It knows nothing of the daemon but what the clients saw, so lost and doubled messages show here.

/** Columns of equal length: what publishers saw acknowledged, in any order. */
export interface AcceptedBlock {
  readonly tenants: Uint8Array;
  /** 16 bytes a message. */
  readonly ids: Uint8Array;
  /** Milliseconds of the host's monotonic clock: the acknowledgement. */
  readonly acceptedAt: Float64Array;
}

/** Columns of equal length: what the consumer was handed, in order of delivery. */
export interface DeliveredBlock {
  readonly tenants: Uint8Array;
  readonly ids: Uint8Array;
  /** Milliseconds of the host's monotonic clock: the publish call, and the delivery. */
  readonly publishedAt: Float64Array;
  readonly receivedAt: Float64Array;
}

const NEVER = Number.POSITIVE_INFINITY;

/** One message; a time is infinite until it happened. */
export interface Entry {
  readonly tenant: number;
  acceptedAt: number;
  publishedAt: number;
  receivedAt: number;
}

/** One delivery, in the order in which the consumer got them. */
export type Delivered = Readonly<Entry>;

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
  readonly #entries = new Map<string, Entry>();
  #accepted = 0;
  #both = 0;
  #duplicates = 0;

  constructor(tenants: number) {
    this.acceptedByTenant = new Array<number>(tenants).fill(0);
    this.deliveredByTenant = new Array<number>(tenants).fill(0);
  }

  /** @throws Error when an id was acknowledged before: the daemon gave it to two messages */
  accept({ tenants, ids, acceptedAt }: AcceptedBlock): void {
    tenants.forEach((tenant, index) => {
      const entry = this.#entry(ids, index, tenant);
      if (entry.acceptedAt !== NEVER) throw new Error('two messages were given one id');
      entry.acceptedAt = acceptedAt[index] ?? NEVER;
      this.#accepted += 1;
      this.acceptedByTenant[tenant] = (this.acceptedByTenant[tenant] ?? 0) + 1;
      if (entry.receivedAt !== NEVER) this.#both += 1;
    });
  }

  deliver({ tenants, ids, publishedAt, receivedAt }: DeliveredBlock): void {
    tenants.forEach((tenant, index) => {
      const entry = this.#entry(ids, index, tenant);
      if (entry.receivedAt !== NEVER) {
        this.#duplicates += 1;
        return;
      }
      entry.publishedAt = publishedAt[index] ?? NEVER;
      entry.receivedAt = receivedAt[index] ?? NEVER;
      this.deliveries.push(entry);
      this.deliveredByTenant[tenant] = (this.deliveredByTenant[tenant] ?? 0) + 1;
      if (entry.acceptedAt !== NEVER) this.#both += 1;
    });
  }

  totals(): LedgerTotals {
    const delivered = this.deliveries.length;
    return {
      accepted: this.#accepted,
      delivered,
      lost: this.#accepted - this.#both,
      duplicates: this.#duplicates,
      unknown: delivered - this.#both,
    };
  }

  #entry(ids: Uint8Array, index: number, tenant: number): Entry {
    const key = Buffer.from(ids.buffer, ids.byteOffset + index * 16, 16).toString('latin1');
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { tenant, acceptedAt: NEVER, publishedAt: NEVER, receivedAt: NEVER };
      this.#entries.set(key, entry);
    }
    return entry;
  }
}
