/**
 * A line of the ledger as it is stored in the environment of outgoing requests, and its two keys:
 *
 *   [11, 0, tenant, 0, ms since 1970 64 bits, which 20 bytes] the line
 *   [11, 1, ms 64 bits, which] the same by time: its tenant
 *
 * `which` follows from the firing, so one that is told again has the key that it had: the number of the
 * value 64 bits, so that what one event fired is in its order, and a hash of trigger, period and arming.
 */
import { createHash } from 'node:crypto';
import type { Firing, Measure } from '../protocol/usage-exchange.ts';
import { OUTBOUND_TABLE } from '../store/outbound-tables.ts';
import { decodeRecord, encodeRecord, type RecordKind } from '../store/record.ts';
import { sidText } from './texts.ts';

export interface LedgerLine {
  readonly tenant: string;
  /** When it fired, ms since the epoch. */
  readonly atMs: number;
  /** `UT` and 32 hexadecimal digits. */
  readonly trigger: string;
  readonly token: string;
  readonly category: string;
  readonly tag: string | null;
  readonly by: Measure;
  /** Decimal text. */
  readonly value: string;
  readonly currentValue: string;
  /** The action's number. */
  readonly amount: number | null;
  /** `2026-11-22`, `2026-11`, `2026` or `alltime`. */
  readonly period: string;
}

export const LEDGER_PART = { lines: 0, times: 1 } as const;

const LINE: RecordKind = { name: 'line of the ledger', type: 49, version: 1 };
const WIDE_BYTES = 8;
const HASH_BYTES = 12;
const WHICH_BYTES = WIDE_BYTES + HASH_BYTES;

export function lineOf(firing: Firing, token: string): LedgerLine {
  const { sid, account: tenant, firedMs: atMs, category, tag, by, value, currentValue } = firing;
  const { period, action } = firing;
  const amount = action?.number ?? null;
  const which = { tenant, atMs, trigger: sidText(sid), token, category, tag: tag || null, by };
  return { ...which, value, currentValue, amount, period };
}

export function encodeLine(line: LedgerLine): Uint8Array {
  const { trigger, token, category, tag, by, value, currentValue, amount, period } = line;
  const fields = [trigger, token, category, tag, by, value, currentValue, amount, period];
  return encodeRecord(LINE, fields);
}

/** @throws RecordError */
export function decodeLine(key: Uint8Array, record: Uint8Array): LedgerLine {
  type Fields = Omit<LedgerLine, 'tenant' | 'atMs'>;
  const [trigger, token, category, tag, by, value, currentValue, amount, period] = decodeRecord(
    LINE,
    record,
  ) as [
    Fields['trigger'],
    Fields['token'],
    Fields['category'],
    Fields['tag'],
    Fields['by'],
    Fields['value'],
    Fields['currentValue'],
    Fields['amount'],
    Fields['period'],
  ];
  const { tenant, atMs } = placeOf(key);
  const told = { trigger, token, category, tag, by, value, currentValue, amount, period };
  return { tenant, atMs, ...told };
}

/** What a firing's line is known by; another name of its account does not change it. */
export function whichOf({ sid, period, threshold, arming }: Firing): Uint8Array {
  const hash = createHash('sha256')
    .update(`${sidText(sid)} ${period} ${arming}`)
    .digest();
  return Buffer.concat([wideBytes(threshold), hash.subarray(0, HASH_BYTES)]);
}

export function lineKey(tenant: string, atMs: number, which: Uint8Array): Uint8Array {
  const { start } = linesFrom(tenant);
  return Buffer.concat([start, wideBytes(atMs), which]);
}

export function timeKey(atMs: number, which: Uint8Array): Uint8Array {
  return Buffer.concat([partKey(LEDGER_PART.times), wideBytes(atMs), which]);
}

/** Keys of a tenant's lines; with times those from `fromMs` on and before `toMs`. */
export function linesFrom(
  tenant: string,
  fromMs = 0,
  toMs?: number,
): { start: Uint8Array; end: Uint8Array } {
  const name = [partKey(LEDGER_PART.lines), Buffer.from(tenant)];
  const start = Buffer.concat([...name, Uint8Array.of(0), fromMs > 0 ? wideBytes(fromMs) : NONE]);
  const end =
    toMs === undefined
      ? Buffer.concat([...name, Uint8Array.of(1)])
      : Buffer.concat([...name, Uint8Array.of(0), wideBytes(toMs)]);
  return { start, end };
}

/** All keys of a part. */
export function partRange(part: keyof typeof LEDGER_PART): { start: Uint8Array; end: Uint8Array } {
  const number = LEDGER_PART[part];
  return { start: partKey(number), end: partKey(number + 1) };
}

/** Whose line a key is of, and of when; of a key by time only the latter. */
export function placeOf(key: Uint8Array): { tenant: string; atMs: number; which: Uint8Array } {
  const at = key.length - WHICH_BYTES - WIDE_BYTES;
  const bytes = Buffer.from(key);
  const tenant = bytes.subarray(2, Math.max(2, at - 1)).toString();
  return { tenant, atMs: Number(bytes.readBigUInt64BE(at)), which: bytes.subarray(-WHICH_BYTES) };
}

const NONE = new Uint8Array();
const partKey = (part: number): Uint8Array => Uint8Array.of(OUTBOUND_TABLE.usageLedger, part);

function wideBytes(value: number): Uint8Array {
  const bytes = Buffer.alloc(WIDE_BYTES);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
