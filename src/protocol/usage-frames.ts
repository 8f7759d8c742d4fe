// The frame of usage events, kind 20, and its answer. The native core decodes the frame.
import type { OkFrame } from './daemon-frames.ts';
import { KIND } from './kinds.ts';
import { pack } from './msgpack.ts';
import { array, optional, text, uint } from './read-fields.ts';
import { wideInt } from './usage-exchange.ts';

/** Topic of the event that tells a tenant's connections of a trigger that fired. */
export const USAGE_TOPIC = 'usage';

export interface UseEntry {
  /** Left out by a tenant's own token. */
  readonly tenant?: string | undefined;
  readonly category: string;
  /** Whole, below 2⁵³; negative: a correction. */
  readonly quantity: number;
  /** Counts once. */
  readonly key?: string | undefined;
  /** ms since the epoch; left out: now. */
  readonly at?: number | undefined;
  readonly tag?: string | undefined;
  /** Left out: 1, of a correction 0. */
  readonly count?: number | undefined;
}

export interface UseResult {
  readonly counted: number;
  /** Whose key was known. */
  readonly repeated: number;
  readonly refused: readonly {
    /** Position in the frame. */
    readonly index: number;
    readonly code: number;
    readonly retryAfterMs: number | undefined;
  }[];
}

/** At most 4,096 events. */
export function encodeUse({
  id,
  events,
}: {
  readonly id: number;
  readonly events: readonly UseEntry[];
}): Uint8Array<ArrayBuffer> {
  const entries = events.map(({ tenant, category, quantity, key, at, tag, count }) => {
    return [tenant, category, whole(quantity), key, at, tag, count];
  });
  return pack([KIND.use, id, entries]);
}

/** Beyond 32 bits a number would be a float: the core takes whole ones, but an integer says more. */
function whole(quantity: number): number | bigint | string {
  return Number.isSafeInteger(quantity) ? wideInt(BigInt(quantity)) : quantity;
}

/** Reads the result of a use. @throws BadFrameError */
export function readUseOk({ result }: OkFrame): UseResult {
  const [counted, repeated, refused] = result;
  return {
    counted: uint(counted, 'counted'),
    repeated: uint(repeated, 'repeated'),
    refused: (optional(refused, 'refused', array) ?? []).map((entry) => {
      const [index, code, retryAfterMs] = array(entry, 'refused event');
      return {
        index: uint(index, 'index'),
        code: uint(code, 'code'),
        retryAfterMs: optional(retryAfterMs, 'retryAfterMs', uint),
      };
    }),
  };
}

/** A trigger that fired, as the connections of its tenant are told. */
export interface UsageNews {
  /** `UT` and 32 hexadecimal digits. */
  readonly trigger: string;
  readonly category: string;
  readonly period: string;
  readonly value: string;
  readonly currentValue: string;
  readonly token: string;
}

/** Bytes of the event. */
export function encodeUsageEvent(news: UsageNews): Uint8Array<ArrayBuffer> {
  const { trigger, category, period, value, currentValue, token } = news;
  const entry = [trigger, category, period, value, currentValue, token];
  return pack([KIND.event, 0, USAGE_TOPIC, [entry]]);
}

/** Reads an event whose topic is `USAGE_TOPIC`. @throws BadFrameError */
export function readUsageEvent(fields: readonly unknown[]): UsageNews[] {
  return array(fields[0], 'entries').map((entry) => {
    const [trigger, category, period, value, currentValue, token] = array(entry, 'entry');
    return {
      trigger: text(trigger, 'trigger'),
      category: text(category, 'category'),
      period: text(period, 'period'),
      value: text(value, 'value'),
      currentValue: text(currentValue, 'currentValue'),
      token: text(token, 'token'),
    };
  });
}
