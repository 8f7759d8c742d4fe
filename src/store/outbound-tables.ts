/**
 * Keys of the environment of outgoing requests (DIR/outbound), which several features share: the
 * first byte is the table, so that none reads or writes another's.
 *
 *   1 outbox items: [1, 0, number 48 bits] what is sent, [1, 1, number] how far its sending is
 *   2 outbox endpoints: [2, SHA-256 of the URL] what an endpoint said for good
 *   3 callback records         4 callbacks taken
 *   5 receipts by id           6 receipts by time         7 late statuses
 *   8 keys of inbound messages [8, hash]                  9 the same by time [9, ms 64 bits, hash]
 *   10 holds of triggers on tenants: [10, sid]
 *   11 lines of the ledger: [11, 0, tenant, 0, ms, which] and by time [11, 1, ms, which]
 *
 * Writes of several tables that are queued in one turn of the event loop are one transaction.
 */
import { createHash } from 'node:crypto';

export const OUTBOUND_TABLE = {
  outboxItems: 1,
  outboxEndpoints: 2,
  callbackRecords: 3,
  callbacksTaken: 4,
  receiptsById: 5,
  receiptsByTime: 6,
  lateStatuses: 7,
  inboundKeys: 8,
  inboundTimes: 9,
  usageHolds: 10,
  usageLedger: 11,
} as const;

const NUMBER_BYTES = 6;
const ITEM_PART = { item: 0, progress: 1 } as const;

export type ItemPart = keyof typeof ITEM_PART;

/** First key of a table, and the one behind its last. */
export function tableRange(table: number): { start: Uint8Array; end: Uint8Array } {
  return { start: Uint8Array.of(table), end: Uint8Array.of(table + 1) };
}

export function itemKey(part: ItemPart, number: number): Uint8Array {
  const key = Buffer.allocUnsafeSlow(2 + NUMBER_BYTES);
  key[0] = OUTBOUND_TABLE.outboxItems;
  key[1] = ITEM_PART[part];
  key.writeUIntBE(number, 2, NUMBER_BYTES);
  return key;
}

/** Keys of a part with numbers from `from` on. */
export function itemRange(part: ItemPart, from = 0): { start: Uint8Array; end: Uint8Array } {
  const end = Uint8Array.of(OUTBOUND_TABLE.outboxItems, ITEM_PART[part] + 1);
  return { start: itemKey(part, from), end };
}

export function itemNumberOf(key: Uint8Array): number {
  // Read as it stands: a view for each of a million keys costs more than this.
  let number = 0;
  for (let at = 2; at < 2 + NUMBER_BYTES; at += 1) number = number * 256 + (key[at] as number);
  return number;
}

export function endpointKey(url: string): Uint8Array {
  const hash = createHash('sha256').update(url).digest();
  return Buffer.concat([Uint8Array.of(OUTBOUND_TABLE.outboxEndpoints), hash]);
}
