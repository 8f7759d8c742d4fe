/**
 * Ids of requests that bring none: random for each process, and a number of 32 bits that does not come again
 * before all have come; then the process has another random part. The numbers are counted and then mixed with two
 * secrets, one to one, so that a client does not read from its own how many requests others make.
 */
import { randomBytes, randomInt } from 'node:crypto';

const RANDOM_BYTES = 8;
const NUMBERS = 2 ** 32;
const HEX_DIGITS = 8;
/** Odd, so that multiplying is one to one. */
const FACTORS = [0x85ebca6b, 0xc2b2ae35] as const;

const secrets = [randomInt(2 ** 32), randomInt(2 ** 32)] as const;
let prefix = '';
let next = NUMBERS;

export function nextRequestId(): string {
  if (next === NUMBERS) {
    prefix = randomBytes(RANDOM_BYTES).toString('hex');
    next = 0;
  }
  const id = `${prefix}-${mixed(next).toString(16).padStart(HEX_DIGITS, '0')}`;
  next += 1;
  return id;
}

/** One to one on numbers of 32 bits. */
export function mixed(number: number): number {
  let bits = Math.imul(number ^ secrets[0], FACTORS[0]);
  bits ^= bits >>> 13;
  bits = Math.imul(bits ^ secrets[1], FACTORS[1]);
  return (bits ^ (bits >>> 16)) >>> 0;
}
