/** Which destination a recipient's messages go to, and which sender of a service they come from. */
import { createHmac } from 'node:crypto';
import type { AccountDirectory } from './ports.ts';

/** The destination of the longest route that a number begins with, else that of `*`. */
export function destinationOf(
  directory: Pick<AccountDirectory, 'route'>,
  recipient: string,
): string | undefined {
  const digits = recipient.slice(1);
  for (let length = digits.length; length > 0; length -= 1) {
    const destination = directory.route(digits.slice(0, length));
    if (destination !== undefined) return destination;
  }
  return directory.route('*');
}

/**
 * The sender of a recipient: always the same one of a list, and of a list with one more at its end
 * the same for all but one part in n of the recipients (jump consistent hash).
 */
export function senderOf(
  hashKey: Uint8Array,
  service: string,
  senders: readonly string[],
  recipient: string,
): string {
  const digest = createHmac('sha256', hashKey).update(`sender\0${service}\0${recipient}`).digest();
  return senders[jump(digest.readBigUInt64BE(), senders.length)] ?? '';
}

const LOW_64 = (1n << 64n) - 1n;
const MULTIPLIER = 2_862_933_555_777_941_757n;
const TWO_31 = 2 ** 31;

/** Bucket of a hash, 0 to `buckets` − 1 (Lamping and Veach, 2014). */
function jump(hash: bigint, buckets: number): number {
  let key = hash;
  let [bucket, next] = [0, 0];
  while (next < buckets) {
    bucket = next;
    key = (key * MULTIPLIER + 1n) & LOW_64;
    next = Math.floor((bucket + 1) * (TWO_31 / (Number(key >> 33n) + 1)));
  }
  return bucket;
}
