// The operations of an exchange that look at messages or change them, beside the frames of clients.
// Their answers are JSON text, save that of a call, which is one daemon frame.
import { pack } from './msgpack.ts';

const utf8 = new TextEncoder();
const TENANT_BYTES_MAX = 255;

/** A client frame on behalf of somebody who has no connection. */
export interface Call {
  /** Bits of SCOPE_BIT. */
  readonly scopes: number;
  /** Left out: the platform. */
  readonly tenant?: string | undefined;
  /** Of a kind that is answered, with an id above 0. */
  readonly frame: Uint8Array;
}

/** Bytes of `call`: u8 scopes · str8 tenant · the frame. @throws RangeError for a tenant too long */
export function encodeCall({ scopes, tenant = '', frame }: Call): Uint8Array {
  const name = utf8.encode(tenant);
  if (name.length > TENANT_BYTES_MAX) throw new RangeError(`a tenant of ${name.length} bytes`);
  const bytes = new Uint8Array(2 + name.length + frame.length);
  bytes[0] = scopes;
  bytes[1] = name.length;
  bytes.set(name, 2);
  bytes.set(frame, 2 + name.length);
  return bytes;
}

/** Bytes of `find`; a tenant finds only its own. `trace`: also what happened to the message so far. */
export function encodeFind(find: {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly tenant?: string | undefined;
  readonly trace?: boolean;
}): Uint8Array {
  return pack([find.id, find.tenant, find.trace ?? false]);
}

/** What of a shard's messages is asked for; left out: all. */
export interface MessageFilter {
  readonly destination?: string | undefined;
  readonly tenant?: string | undefined;
}

export interface MessagePage extends MessageFilter {
  /** What the page before gave; empty for the first. */
  readonly cursor: string;
  readonly limit: number;
}

export interface MessageList extends MessagePage {
  /** Bit n stands for the status with number n; 0: all. */
  readonly statuses: number;
  /** Accepted from (inclusive) and up to (exclusive), ms since the epoch. */
  readonly fromMs: number;
  readonly toMs: number;
  /** From the newest to the oldest. */
  readonly newestFirst?: boolean;
}

/** Bytes of `list`. */
export function encodeList(list: MessageList): Uint8Array {
  const { destination, tenant, statuses, fromMs, toMs, cursor, limit, newestFirst } = list;
  return pack([destination, tenant, statuses, fromMs, toMs, cursor, limit, newestFirst ?? false]);
}

/** Bytes of `cancelAll`. */
export function encodeCancelAll(
  filter: MessageFilter & { readonly sender?: string | undefined },
): Uint8Array {
  return pack([filter.destination, filter.tenant, filter.sender]);
}

/** Bytes of `deadLetters`. */
export function encodeDeadLetters({ destination, tenant, cursor, limit }: MessagePage): Uint8Array {
  return pack([destination, tenant, cursor, limit]);
}

/** Bytes of `replay` and of `purge`; without ids: every dead letter that the filter lets through. */
export function encodeReplay(
  filter: MessageFilter & { readonly ids?: readonly Uint8Array[] | undefined },
): Uint8Array {
  return pack([filter.destination, filter.tenant, filter.ids]);
}

/** Bytes of `redact` and of `forget`. */
export function encodeRedact(message: {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly tenant?: string | undefined;
}): Uint8Array {
  return pack([message.id, message.tenant]);
}

/** Bytes of `erase`: a tenant's messages, page by page until the answer has no cursor. */
export function encodeErase({ tenant, cursor }: { tenant: string; cursor: string }): Uint8Array {
  return pack([tenant, cursor]);
}
