import type { Delivery } from '../../src/protocol/daemon-frames.ts';
import {
  type MessageShape,
  patternByte,
  queueOf,
  recipientName,
  SEQUENCE_BYTES,
  senderName,
  tenantName,
} from './message-shape.ts';

/**
 * Compares every field of a delivery with the message that was published.
 *
 * @param slots of the ring that published: with the sequence number they say which tenant it was
 * @returns its sequence number
 * @throws Error naming what differs
 */
export function checkDelivery(delivery: Delivery, shape: MessageShape, slots: number): number {
  const { payload } = delivery;
  if (payload.length !== shape.payloadBytes) {
    throw new Error(`a payload has ${payload.length} bytes, not ${shape.payloadBytes}`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const sequence = view.getUint32(0);
  const queue = queueOf(shape, slots, sequence);
  expect(sequence, 'tenant', delivery.tenant, tenantName(queue % shape.tenants));
  expect(sequence, 'sender', delivery.sender, senderName(queue));
  expect(sequence, 'recipient', delivery.recipient, recipientName(queue));
  expect(sequence, 'attempt', delivery.attempt, 1);
  expect(sequence, 'flags', delivery.flags, 0);
  for (let position = SEQUENCE_BYTES; position < payload.length; position += 1) {
    expect(sequence, `payload byte ${position}`, payload[position], patternByte(position));
  }
  return sequence;
}

function expect(sequence: number, what: string, found: unknown, wanted: unknown): void {
  if (found === wanted) return;
  throw new Error(`message ${sequence}: ${what} is ${found}, published as ${wanted}`);
}
