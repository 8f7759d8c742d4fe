/**
 * The receipts a peer owes: each is sent when it is due, and again until the daemon took it, over
 * every restart of the daemon.
 */
export interface OwedReceipt {
  readonly number: number;
  /** The id in the form in which the receipt has it. */
  readonly id: string;
  dueMs: number;
  isUnderWay: boolean;
  tries: number;
}

/** `unsent`: there was no way to the daemon. */
export type Outcome = 'taken' | 'refused' | 'unsent';
/** Resolves when the daemon answered, or went. */
export type SendReceipt = (receipt: OwedReceipt) => Promise<Outcome>;

const TICK_MS = 10;
const AGAIN_MS = 150;
const UNDER_WAY_MAX = 50;

export class OwedReceipts {
  readonly #send: SendReceipt;
  readonly #owed = new Set<OwedReceipt>();
  #underWay = 0;
  taken = 0;
  early = 0;
  repeated = 0;

  constructor(send: SendReceipt) {
    this.#send = send;
    setInterval(() => this.#tick(), TICK_MS);
  }

  get pending(): number {
    return this.#owed.size;
  }

  add(number: number, id: string, afterMs: number): void {
    const receipt = { number, id, dueMs: Date.now() + afterMs, isUnderWay: false, tries: 0 };
    this.#owed.add(receipt);
    if (afterMs > 0) return;
    this.early += 1;
    void this.#begin(receipt);
  }

  #tick(): void {
    const nowMs = Date.now();
    for (const receipt of this.#owed) {
      if (this.#underWay >= UNDER_WAY_MAX) return;
      if (!receipt.isUnderWay && receipt.dueMs <= nowMs) void this.#begin(receipt);
    }
  }

  async #begin(receipt: OwedReceipt): Promise<void> {
    receipt.isUnderWay = true;
    this.#underWay += 1;
    const outcome = await this.#send(receipt).catch((): Outcome => 'unsent');
    this.#underWay -= 1;
    receipt.isUnderWay = false;
    receipt.dueMs = Date.now() + AGAIN_MS;
    if (outcome !== 'unsent') receipt.tries += 1;
    if (outcome !== 'unsent' && receipt.tries > 1) this.repeated += 1;
    if (outcome !== 'taken') return;
    this.taken += 1;
    this.#owed.delete(receipt);
  }
}
