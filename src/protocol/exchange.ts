// The boundary between ingress and a shard, TypeScript side: builds an exchange's input, reads its
// effects. The byte tables are in docs/exchange.md. Both sides are parts of one daemon, so damage
// is a programmer's error and throws.
import { ENTITY_KIND, type EntityKind } from './configure.ts';
import type { GateOp } from './gate-exchange.ts';
import { pack } from './msgpack.ts';
import type { UsageOp } from './usage-exchange.ts';

export {
  type Billable,
  type Configure,
  type DestinationFields,
  ENTITY_KIND,
  type EntityKind,
  encodeBillable,
  encodeConfigure,
  encodeGatewayUp,
  type GatewayFields,
  type PoolFields,
  type SenderFields,
  type SetFields,
  type TenantFields,
} from './configure.ts';

export const INPUT_MAGIC = 0x31584c46;
export const EFFECTS_MAGIC = 0x31464c46;
export const INPUT_HEADER_BYTES = 16;
export const EFFECTS_HEADER_BYTES = 248;
export const ENTRY_HEADER_BYTES = 12;

export const INPUT_OP = {
  frame: 1,
  connect: 2,
  disconnect: 3,
  park: 4,
  unpark: 5,
  configure: 6,
  explain: 7,
  stats: 8,
  checkpoint: 9,
  drain: 10,
  inUse: 11,
  diskFull: 12,
  call: 13,
  find: 14,
  list: 15,
  cancelAll: 16,
  deadLetters: 17,
  replay: 18,
  purge: 19,
  redact: 20,
  erase: 21,
  gatewayUp: 22,
  eventsTaken: 23,
  forget: 24,
  usageTaken: 25,
} as const;
export type InputOp = (typeof INPUT_OP)[keyof typeof INPUT_OP] | GateOp | UsageOp;

export const EFFECT_OP = {
  send: 1,
  reply: 2,
  close: 3,
  replyFrame: 4,
  statusEvents: 5,
  entered: 6,
  usage: 7,
  fired: 8,
} as const;

/**
 * Scopes of a connection, as bits. No token gives `internal`: it marks the daemon's own connections.
 * `receive` is that of a tenant who takes the messages of its own destinations; shards, who own no
 * such rule, know it as `consume`.
 */
export const SCOPE_BIT = {
  publish: 1,
  consume: 2,
  platform: 4,
  internal: 8,
  gate: 16,
  receive: 32,
  usage: 64,
} as const;

/** Counters of the effects header, in its order. */
export const COUNTER_NAMES = [
  'accepted',
  'refused',
  'delivered',
  'settledSent',
  'settledDelivered',
  'settledRetry',
  'settledFailed',
  'settledThrottled',
  'settledNotAttempted',
  'returned',
  'failedFinal',
  'waiting',
  'inFlight',
  'queues',
  'logBytes',
  'oldestAcceptedMs',
  'expired',
  'cancelled',
  'undelivered',
  'repeated',
  'scheduled',
  'deadLetters',
  'deadLettersDropped',
  'endedBytes',
  'idempotencyKeys',
  'acceptedThenExpired',
  'refusedByTime',
  'refusedWouldHaveMadeIt',
] as const;
export type Counters = Record<(typeof COUNTER_NAMES)[number], number>;

const noBytes = new Uint8Array(0);
const utf8 = new TextEncoder();

/** An input that is complete: the first `bytes` bytes of the buffer. */
export interface FinishedInput {
  readonly buffer: ArrayBuffer;
  readonly bytes: number;
}

/**
 * Collects the entries of one exchange. After `finish` it is empty and makes a new buffer when it
 * needs one; a buffer that came back from the shard may be given to `reuse`.
 */
export class InputBuffer {
  #bytes: Uint8Array<ArrayBuffer> = noBytes;
  #view = new DataView(noBytes.buffer);
  #used = INPUT_HEADER_BYTES;
  #entries = 0;
  readonly #firstBytes: number;

  constructor(firstBytes = 64 * 1024) {
    this.#firstBytes = Math.max(firstBytes, INPUT_HEADER_BYTES);
  }

  get entries(): number {
    return this.#entries;
  }

  /** Bytes so far, header included. */
  get bytes(): number {
    return this.#used;
  }

  /** Adds an entry; the bytes are copied. `connection` is the request id where the table says so. */
  append(op: InputOp, connection: number, bytes: Uint8Array = noBytes): void {
    const start = this.#used;
    const end = start + ENTRY_HEADER_BYTES + bytes.length;
    if (end > this.#bytes.length) this.#grow(end);
    const view = this.#view;
    view.setUint32(start, op, true);
    view.setUint32(start + 4, connection, true);
    view.setUint32(start + 8, bytes.length, true);
    this.#bytes.set(bytes, start + ENTRY_HEADER_BYTES);
    this.#used = end;
    this.#entries += 1;
  }

  /** Writes the header and hands the buffer over. Exchanges count from 1. */
  finish(exchange: number): FinishedInput {
    if (this.#used > this.#bytes.length) this.#grow(this.#used);
    const view = this.#view;
    view.setUint32(0, INPUT_MAGIC, true);
    view.setUint32(4, this.#entries, true);
    view.setBigUint64(8, BigInt(exchange), true);
    const finished = { buffer: this.#bytes.buffer, bytes: this.#used };
    this.#take(noBytes.buffer);
    this.#used = INPUT_HEADER_BYTES;
    this.#entries = 0;
    return finished;
  }

  /** Takes a buffer for the next input; dropped if there is one as large already. */
  reuse(buffer: ArrayBuffer): void {
    if (this.#entries === 0 && buffer.byteLength > this.#bytes.length) this.#take(buffer);
  }

  #grow(atLeast: number): void {
    const old = this.#bytes;
    const buffer = new ArrayBuffer(Math.max(atLeast, 2 * old.length, this.#firstBytes));
    this.#take(buffer);
    this.#bytes.set(old);
  }

  #take(buffer: ArrayBuffer): void {
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }
}

/** Bytes of `connect`; a tenant left out is the platform. */
export function encodeConnect(scopes: number, tenant = ''): Uint8Array {
  const name = utf8.encode(tenant);
  if (name.length > 255) throw new RangeError(`a tenant of ${name.length} bytes`);
  const bytes = new Uint8Array(2 + name.length);
  bytes[0] = scopes;
  bytes[1] = name.length;
  bytes.set(name, 2);
  return bytes;
}

/** Bytes of `diskFull`. */
export function encodeDiskFull(refuse: boolean): Uint8Array {
  return Uint8Array.of(refuse ? 1 : 0);
}

/** Bytes of `eventsTaken` and `usageTaken`: the last record of status events, or of usage, that was taken. */
export function encodeTaken(sequence: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(sequence), true);
  return bytes;
}

/** Bytes of `explain`: a page of the queues of a destination. */
export function encodeExplain(page: {
  readonly destination: string;
  readonly offset: number;
  readonly limit: number;
}): Uint8Array {
  return pack([page.destination, page.offset, page.limit]);
}

/** Bytes of `stats`. */
export function encodeStats(topTenants: number): Uint8Array {
  return pack([topTenants]);
}

/** Bytes of `inUse`. */
export function encodeInUse(kind: EntityKind, name: string): Uint8Array {
  return pack([ENTITY_KIND[kind], name]);
}

/**
 * Reads the effects of one exchange: the header at once, then one entry a `next()`, which sets
 * `op`, `connection` and where the bytes lie. Allocates nothing an entry; `entry()` makes a view.
 *
 * @throws RangeError if the bytes are no effects, here or in `next`
 */
export class EffectsReader {
  readonly entries: number;
  readonly exchange: number;
  readonly bootId: number;
  readonly wakeAfterMs: number;
  op = 0;
  connection = 0;
  /** Place of the current entry's bytes. */
  start = EFFECTS_HEADER_BYTES;
  end = EFFECTS_HEADER_BYTES;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #left: number;

  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (bytes.length < EFFECTS_HEADER_BYTES || view.getUint32(0, true) !== EFFECTS_MAGIC) {
      throw new RangeError(`effects of ${bytes.length} bytes have no header`);
    }
    this.#bytes = bytes;
    this.#view = view;
    this.entries = view.getUint32(4, true);
    this.exchange = u64(view, 8);
    this.bootId = view.getUint32(16, true);
    this.wakeAfterMs = view.getUint32(20, true);
    this.#left = this.entries;
  }

  /** The counters of a shard's header, as a new object. */
  counters(): Counters {
    return this.countersOf(COUNTER_NAMES);
  }

  /** The counters of the header under these names, as a new object. */
  countersOf<N extends string>(names: readonly N[]): Record<N, number> {
    const counters = {} as Record<N, number>;
    names.forEach((name, at) => {
      counters[name] = u64(this.#view, 24 + 8 * at);
    });
    return counters;
  }

  /** Goes to the next entry; false after the last. */
  next(): boolean {
    const at = this.end;
    const size = this.#bytes.length;
    if (this.#left === 0) {
      if (at !== size) throw new RangeError(`effects have ${size - at} bytes after their entries`);
      return false;
    }
    const start = at + ENTRY_HEADER_BYTES;
    if (start > size) throw new RangeError(`effects end within an entry at byte ${at}`);
    const end = start + this.#view.getUint32(at + 8, true);
    if (end > size) throw new RangeError(`effects end within an entry at byte ${at}`);
    this.op = this.#bytes[at] as number;
    this.connection = this.#view.getUint32(at + 4, true);
    this.start = start;
    this.end = end;
    this.#left -= 1;
    return true;
  }

  /** The current entry's bytes, a view. */
  entry(): Uint8Array {
    return this.#bytes.subarray(this.start, this.end);
  }

  /** The sequence of the current entry, which is `statusEvents` or `usage`; what it tells follows. */
  toldSequence(): number {
    return u64(this.#view, this.start);
  }

  /** The close code of the current entry, which is a `close`. */
  closeCode(): number {
    return this.#view.getUint16(this.start, true);
  }
}

/** Exact below 2⁵³, as all of these numbers are. */
function u64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
}
