// A list of deltas of counters, as shards write it (docs/exchange.md): what the main thread itself
// has counted, encoded. Only the core reads such lists.

/** Categories by their numbers, which stand in what is stored. */
export const USAGE_CATEGORY = {
  'messages-accepted': 1,
  'messages-refused': 2,
  'messages-sent': 3,
  'messages-delivered': 4,
  'messages-undelivered': 5,
  'messages-failed': 6,
  'messages-expired': 7,
  'messages-cancelled': 8,
  'message-attempts': 9,
  'message-bytes': 10,
  segments: 11,
  messages: 12,
  'messages-inbound': 13,
  'api-requests': 20,
  'api-requests-refused': 21,
  permits: 22,
  'permit-seconds': 23,
  'permits-impeded': 24,
  webhooks: 25,
  totalprice: 26,
} as const;
export type UsageCategoryName = keyof typeof USAGE_CATEGORY;

/** What is added to one counter. */
export interface UsageDelta {
  readonly category: number;
  /** Days since 1970, UTC. */
  readonly day: number;
  readonly count: number;
  readonly usage: number;
}

const utf8 = new TextEncoder();
const VARINT_BITS = 7n;
const VARINT_MASK = 0x7fn;
const MORE = 0x80;

/** Bytes of a list: deltas by account, without tags and prices. */
export function encodeDeltas(groups: ReadonlyMap<string, readonly UsageDelta[]>): Uint8Array {
  const bytes: number[] = [];
  varint(bytes, BigInt(groups.size));
  for (const [account, deltas] of groups) {
    const name = utf8.encode(account);
    if (name.length > 255) throw new RangeError(`an account of ${name.length} bytes`);
    bytes.push(name.length, ...name);
    varint(bytes, BigInt(deltas.length));
    for (const { category, day, count, usage } of deltas) {
      bytes.push(category, 0);
      varint(bytes, BigInt(day));
      zigzag(bytes, count);
      zigzag(bytes, usage);
      zigzag(bytes, 0);
    }
  }
  return Uint8Array.from(bytes);
}

function zigzag(bytes: number[], value: number): void {
  const whole = BigInt(value);
  varint(bytes, whole < 0n ? -2n * whole - 1n : 2n * whole);
}

/** LEB128: seven bits a byte, the lowest first. */
function varint(bytes: number[], value: bigint): void {
  let left = value;
  while (left > VARINT_MASK) {
    bytes.push(Number(left & VARINT_MASK) | MORE);
    left >>= VARINT_BITS;
  }
  bytes.push(Number(left));
}
