// Texts as the daemon would judge them: names, and the bytes of any other.
import { FairleadClientError } from './error.ts';

const NAME = /^[A-Za-z0-9._:+@-]{1,128}$/;

/** @throws FairleadClientError invalidName */
export function checkName(field: string, name: unknown): string {
  if (typeof name === 'string' && NAME.test(name)) return name;
  throw new FairleadClientError(
    'invalidName',
    `${field} has to be 1 to 128 characters of [A-Za-z0-9._:+@-]; it is ${JSON.stringify(name)}.`,
  );
}

/** Bytes of a string in UTF-8; a lone surrogate counts 3, as it is encoded. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    // A surrogate pair is 2 units and 4 bytes: 2 a unit. A lone one is 3 bytes: bounded by +2 each.
    bytes += unit < 0x800 ? 1 : 2;
  }
  return bytes;
}
