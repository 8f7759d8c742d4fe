// What usage reads of texts and writes as texts: sids, days, amounts, cursors, refusals of its machine.
import { isDay } from '../base/day.ts';
import { nanoOf } from '../base/nano.ts';
import { ERRORS, type ErrorName, FairleadError } from '../errors.ts';
import type { Measure, TriggerFields } from '../protocol/usage-exchange.ts';
import type { TriggerBody, UsagePage } from './ports.ts';

const SID_FORM = /^UT([0-9a-f]{32})$/;
const DAY_MS = 86_400_000;
const WHOLE_FORM = /^\d{1,38}$/;

/** @throws FairleadError triggerNotFound for what is no sid */
export function sidBytes(sid: string): Uint8Array {
  const [, hex] = SID_FORM.exec(sid) ?? [];
  if (hex !== undefined) return Buffer.from(hex, 'hex');
  throw new FairleadError('triggerNotFound', `There is no trigger ${JSON.stringify(sid)}.`);
}

export function sidText(sid: Uint8Array): string {
  return `UT${Buffer.from(sid).toString('hex')}`;
}

/** A day as days since 1970. @throws FairleadError invalidValue for what is no day */
export function dayOf(field: string, text: string): number {
  const ms = isDay(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  if (ms >= 0) return ms / DAY_MS;
  const message = `${field}: is a day such as 2026-11-22, received ${JSON.stringify(text)}.`;
  throw new FairleadError('invalidValue', message, { field });
}

/** A trigger with its values as whole numbers. @throws FairleadError invalidValue */
export function fieldsOf(body: TriggerBody): TriggerFields {
  const { by, tag, value, thresholds, step, rearmBelow } = body;
  const amount = (field: string, text: string) => amountOf(by, field, text);
  return {
    ...body,
    tag: tag ?? '',
    value: amount('value', value),
    thresholds: thresholds.map((text, at) => amount(`thresholds.${at}`, text)),
    step: step === null ? null : amount('step', step),
    rearmBelow: rearmBelow === null ? null : amount('rearmBelow', rearmBelow),
  };
}

function amountOf(by: Measure, field: string, text: string): bigint {
  const given = by === 'price' ? nanoOf(text) : WHOLE_FORM.test(text) ? BigInt(text) : undefined;
  if (given !== undefined && given >= 0n) return given;
  const wanted = by === 'price' ? 'a decimal with at most 9 places' : 'a whole number';
  const message = `${field}: is ${wanted}, received ${JSON.stringify(text)}.`;
  throw new FairleadError('invalidValue', message, { field });
}

/** The machine's cursor; it was given out as base64url. */
export function fromCursor(cursor: string | undefined): string {
  return cursor === undefined ? '' : Buffer.from(cursor, 'base64url').toString();
}

export function toCursor<T>({ items, cursor }: UsagePage<T>): UsagePage<T> {
  return { items, cursor: cursor === null ? null : Buffer.from(cursor).toString('base64url') };
}

/** What the machine answers in place of a result. */
export function refusal(answer: {
  readonly error: string;
  readonly details?: Readonly<Record<string, unknown>>;
}): FairleadError {
  const { error, details } = answer;
  const name: ErrorName = Object.hasOwn(ERRORS, error) ? (error as ErrorName) : 'internal';
  const { field, reason } = details ?? {};
  const isTold = typeof field === 'string' && typeof reason === 'string';
  return new FairleadError(name, isTold ? `${field}: ${reason}.` : undefined, details);
}
