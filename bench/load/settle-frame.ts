/**
 * Builds settle and credit frames of one subscription in buffers of its own. A settle frame lists
 * runs of consecutive deliveries as sent; every number takes five bytes.
 */
import { KIND } from '../../src/protocol/kinds.ts';
import { clientHeaderBytes, writeClientHeader } from './web-socket-frame.ts';

const HEAD_BYTES = 1 + 1 + 1 + 1 + 5;
const NUMBER_BYTES = 5;
const CREDIT_BYTES = 1 + 1 + 1 + 1 + 5;

/** Its frames carry the id 0, so no ok comes back. The subscription is below 128. */
export function settleAndCreditFrames(
  subscription: number,
  runs: readonly (readonly [first: number, count: number])[],
): Buffer {
  let count = 0;
  for (const [, length] of runs) count += length;
  const settleBytes = HEAD_BYTES + count * NUMBER_BYTES;
  const total =
    clientHeaderBytes(settleBytes) + settleBytes + clientHeaderBytes(CREDIT_BYTES) + CREDIT_BYTES;
  const bytes = Buffer.allocUnsafe(total);
  let at = writeClientHeader(bytes, 0, settleBytes);
  at = writeHead(bytes, at, KIND.settle, subscription);
  bytes[at] = 0xdd;
  at = bytes.writeUInt32BE(count, at + 1);
  for (const [first, length] of runs) {
    const end = first + length;
    for (let number = first; number < end; number += 1) {
      bytes[at] = 0xce;
      bytes[at + 1] = number >>> 24;
      bytes[at + 2] = number >>> 16;
      bytes[at + 3] = number >>> 8;
      bytes[at + 4] = number;
      at += NUMBER_BYTES;
    }
  }
  at = writeClientHeader(bytes, at, CREDIT_BYTES);
  at = writeHead(bytes, at, KIND.credit, subscription);
  bytes[at] = 0xce;
  bytes.writeUInt32BE(count, at + 1);
  return bytes;
}

function writeHead(bytes: Buffer, at: number, kind: number, subscription: number): number {
  bytes[at] = 0x94;
  bytes[at + 1] = kind;
  bytes[at + 2] = 0;
  bytes[at + 3] = subscription;
  return at + 4;
}
