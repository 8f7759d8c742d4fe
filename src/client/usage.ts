/**
 * Events of usage: counted by the daemon, in frames of as many as it takes, one after another.
 *
 * An error of one frame ends the call: those before it are counted. An event with a key counts once,
 * so a call of keyed events may be made again.
 */
import type { EventFrame } from '../protocol/frames.ts';
import {
  encodeUse,
  readUsageEvent,
  readUseOk,
  USAGE_TOPIC,
  type UsageNews,
  type UseResult,
} from '../protocol/usage-frames.ts';
import type { Connection } from './connection.ts';
import { FairleadClientError } from './error.ts';
import type { OpenConnection } from './message-requests.ts';

export interface UsageEvent {
  /** Left out with a tenant's own token; a platform token has to name it. */
  readonly tenant?: string;
  /** 1 to 64 characters of a-z 0-9 . _ - */
  readonly category: string;
  /** Whole, below 2⁵³. Negative: a correction, for which the token needs the scope platform. */
  readonly quantity: number;
  /** Default 1, of a correction 0. */
  readonly count?: number;
  /** The event counts once. */
  readonly key?: string;
  /** Default now; at most 35 days ago. A number is ms since the epoch. */
  readonly at?: Date | number;
  readonly tag?: string;
}

export interface Used {
  readonly counted: number;
  /** Events whose key was known. */
  readonly repeated: number;
  readonly refused: readonly { readonly index: number; readonly error: FairleadClientError }[];
}

/** Of a frame, beside its events. */
const FRAME_BYTES = 32;
/** Of an event, beside its texts, which are of at most four bytes a character. */
const EVENT_BYTES = 64;
const CHAR_BYTES = 4;

/** Tells the triggers of an event; false: it is about something else. @throws BadFrameError */
export function takeUsageNews(
  { topic, fields }: EventFrame,
  tell: (news: UsageNews) => void,
): boolean {
  if (topic !== USAGE_TOPIC) return false;
  for (const news of readUsageEvent(fields)) tell(news);
  return true;
}

/** @throws FairleadClientError */
export async function useEvents(
  open: OpenConnection,
  events: readonly UsageEvent[],
): Promise<Used> {
  let [counted, repeated] = [0, 0];
  const refused: { index: number; error: FairleadClientError }[] = [];
  for (let start = 0; start < events.length; ) {
    const connection = await open();
    const end = endOfFrame(connection, events, start);
    const result = await ask(connection, events.slice(start, end));
    counted += result.counted;
    repeated += result.repeated;
    for (const { index, code, retryAfterMs } of result.refused) {
      const error = FairleadClientError.fromCode(code, undefined, { retryAfterMs });
      refused.push({ index: start + index, error });
    }
    start = end;
  }
  return { counted, repeated, refused };
}

function ask(connection: Connection, events: readonly UsageEvent[]): Promise<UseResult> {
  const entries = events.map(({ at, ...event }) => ({
    ...event,
    at: at instanceof Date ? at.getTime() : at,
  }));
  return new Promise((resolve, reject) => {
    connection.request((id) => encodeUse({ id, events: entries }), {
      ok: (answer) => resolve(readUseOk(answer)),
      failed: reject,
    });
  });
}

/** At least one event: what is too large alone, the daemon refuses. */
function endOfFrame({ limits }: Connection, events: readonly UsageEvent[], start: number): number {
  let bytes = FRAME_BYTES;
  let end = start;
  while (end < events.length && end - start < limits.eventsPerFrame) {
    bytes += bytesOf(events[end] as UsageEvent);
    if (bytes > limits.frameBytes && end > start) break;
    end += 1;
  }
  return end;
}

function bytesOf({ tenant = '', category, key = '', tag = '' }: UsageEvent): number {
  return EVENT_BYTES + CHAR_BYTES * (tenant.length + category.length + key.length + tag.length);
}
