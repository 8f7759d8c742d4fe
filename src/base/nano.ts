/** Exact amounts: whole nano-units (1e-9) as bigint, and the decimal text that people read and write. */

const DIGITS = 9;
const FORM = /^(-?)(\d{1,21})(?:\.(\d{1,9}))?$/;

/** `1.25` as 1,250,000,000; undefined for what is no decimal of at most 9 places. */
export function nanoOf(text: string): bigint | undefined {
  const [, sign, whole = '0', places = ''] = FORM.exec(text) ?? [];
  if (sign === undefined) return undefined;
  const nano = BigInt(whole + places.padEnd(DIGITS, '0'));
  return sign === '' ? nano : -nano;
}

/** 1,250,000,000 as `1.250000000`. */
export function nanoText(nano: bigint): string {
  const digits = (nano < 0n ? -nano : nano).toString().padStart(DIGITS + 1, '0');
  return `${nano < 0n ? '-' : ''}${digits.slice(0, -DIGITS)}.${digits.slice(-DIGITS)}`;
}
