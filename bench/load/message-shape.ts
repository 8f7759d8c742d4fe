/**
 * The messages of one row. Every field has a fixed width, so that a frame is encoded once, only
 * its sequence numbers are patched later, and a delivery is found by its place alone.
 */

export interface MessageShape {
  readonly destination: string;
  /** Messages take the tenants in turn, one sender each. */
  readonly tenants: number;
  /** Senders of each tenant, a queue each; default 1. */
  readonly sendersPerTenant?: number;
  /** At least `SEQUENCE_BYTES`. */
  readonly payloadBytes: number;
  readonly messagesPerFrame: number;
  /** An option that each message carries: none, a time to be sent at, or an idempotency key. */
  readonly option?: 'at' | 'key';
}

/** Senders of all tenants: messages take them in turn. */
export function queuesOf({ tenants, sendersPerTenant = 1 }: MessageShape): number {
  return tenants * sendersPerTenant;
}

/**
 * The queue, and so tenant and sender, of a message.
 *
 * @param slots of the ring that publishes: names belong to a place in it, not to a number
 */
export function queueOf(shape: MessageShape, slots: number, sequence: number): number {
  const perFrame = shape.messagesPerFrame;
  const slot = Math.floor(sequence / perFrame) % slots;
  return (slot * perFrame + (sequence % perFrame)) % queuesOf(shape);
}

/** A payload begins with the message's sequence number, u32 big-endian; a pattern follows. */
export const SEQUENCE_BYTES = 4;

/** `t000` … the tenants that the rows publish for. */
export function tenantName(tenant: number): string {
  return `t${String(tenant).padStart(3, '0')}`;
}

export function senderName(queue: number): string {
  return `+1555${String(queue).padStart(7, '0')}`;
}

export function recipientName(queue: number): string {
  return `+49170${String(queue).padStart(7, '0')}`;
}

/** The byte of the pattern at `position` of a payload: no two neighbours are alike. */
export function patternByte(position: number): number {
  return (position * 31 + 7) & 0xff;
}

/** Where things lie in one message's body: tenant, sender, recipient and payload as msgpack. */
export interface BodyLayout {
  readonly bodyBytes: number;
  /** Place of the sequence number in the body. */
  readonly sequenceAt: number;
}

export function bodyLayout({ payloadBytes }: MessageShape): BodyLayout {
  const names = [tenantName(0), senderName(0), recipientName(0)];
  const namesBytes = names.reduce((sum, name) => sum + 1 + name.length, 0);
  const sequenceAt = namesBytes + binHeaderBytes(payloadBytes);
  return { bodyBytes: sequenceAt + payloadBytes, sequenceAt };
}

export function binHeaderBytes(length: number): number {
  return length < 0x100 ? 2 : 3;
}
