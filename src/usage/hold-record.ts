/** What a trigger holds a tenant at, as it is stored in the environment of outgoing requests. */
import { OUTBOUND_TABLE } from '../store/outbound-tables.ts';
import { decodeRecord, encodeRecord, type RecordKind } from '../store/record.ts';

/** Fields of a tenant that actions set; `refuseNew` as the code that it refuses with, or false. */
export type HeldField = 'paused' | 'refuseNew' | 'ratePerSec' | 'concurrencyMax';
export type HeldValue = boolean | number | null;

export interface Hold {
  /** `UT` and 32 hexadecimal digits. */
  readonly trigger: string;
  readonly tenant: string;
  readonly field: HeldField;
  /** What it is set to, and what it goes back to. */
  readonly value: HeldValue;
  readonly before: HeldValue;
  /** The period and the arming of the firing: it ends with either. */
  readonly period: string;
  readonly arming: number;
  /** Of the holds on one field the one with the highest was set last. */
  readonly order: number;
}

const HOLD: RecordKind = { name: 'hold of a trigger', type: 48, version: 1 };

export function encodeHold(hold: Hold): Uint8Array {
  const { trigger, tenant, field, value, before, period, arming, order } = hold;
  return encodeRecord(HOLD, [trigger, tenant, field, value, before, period, arming, order]);
}

/** @throws RecordError */
export function decodeHold(record: Uint8Array): Hold {
  const fields = decodeRecord(HOLD, record) as [
    trigger: string,
    tenant: string,
    field: HeldField,
    value: HeldValue,
    before: HeldValue,
    period: string,
    arming: number,
    order?: number,
  ];
  const [trigger, tenant, field, value, before, period, arming, order = 0] = fields;
  return { trigger, tenant, field, value, before, period, arming, order };
}

export function holdKey(trigger: string): Uint8Array {
  return Buffer.concat([Uint8Array.of(OUTBOUND_TABLE.usageHolds), Buffer.from(trigger)]);
}

/** Keys of all holds. */
export function allHolds(): { start: Uint8Array; end: Uint8Array } {
  const table = OUTBOUND_TABLE.usageHolds;
  return { start: Uint8Array.of(table), end: Uint8Array.of(table + 1) };
}
