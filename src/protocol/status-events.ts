/**
 * Status events: what a shard tells of every message that has a callback, change by change. One record
 * of events has a sequence; it comes again, with the same one, until it is taken.
 */
import { MESSAGE_STATUS } from './kinds.ts';
import { unpack } from './msgpack.ts';
import { array, binary, optional, text, uint } from './read-fields.ts';

/** Statuses of events: those of messages, and the first of all. */
export const EVENT_STATUS = { accepted: 1, ...MESSAGE_STATUS } as const;
export type EventStatusName = keyof typeof EVENT_STATUS;
export type EventStatus = (typeof EVENT_STATUS)[EventStatusName];

export const EVENT_STATUS_NAMES = Object.keys(EVENT_STATUS) as EventStatusName[];

/** What is told where a message does not say: sent, and every end. Bit n stands for status n. */
export const CALLBACK_EVENTS_DEFAULT = 0x7e0;

/** What a callback needs to know of its message. */
export interface StatusEventInfo {
  readonly destination: string;
  readonly tenant: string;
  readonly sender: string | undefined;
  readonly recipient: string | undefined;
  readonly callback: string;
  /** The statuses that are asked for; undefined: nothing was said. */
  readonly mask: number | undefined;
  readonly tag: string | undefined;
  readonly cost: number;
}

export interface StatusEvent {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly status: number;
  /** The gateway's own code, or an error number. */
  readonly code: number | undefined;
  readonly atMs: number;
  /** Attempts so far, one under way included. */
  readonly attempt: number;
  /** With `accepted`, and only with it. */
  readonly info: StatusEventInfo | undefined;
}

/** Reads the events of one record, which own their bytes. @throws BadFrameError */
export function decodeStatusEvents(bytes: Uint8Array): StatusEvent[] {
  return array(unpack(bytes), 'events').map(eventOf);
}

/** A mask with the bits of these statuses. */
export function statusMask(names: Iterable<EventStatusName>): number {
  let mask = 0;
  for (const name of names) mask |= 1 << EVENT_STATUS[name];
  return mask;
}

/** The name of a status; undefined for one of a newer core. */
export function eventStatusName(status: number): EventStatusName | undefined {
  return EVENT_STATUS_NAMES.find((name) => EVENT_STATUS[name] === status);
}

function eventOf(value: unknown): StatusEvent {
  const [id, status, code, atMs, attempt, info] = array(value, 'an event');
  return {
    id: binary(id, 'id').slice(),
    status: uint(status, 'status'),
    code: optional(code, 'code', uint),
    atMs: uint(atMs, 'at'),
    attempt: uint(attempt, 'attempt'),
    info: optional(info, 'info', infoOf),
  };
}

function infoOf(value: unknown): StatusEventInfo {
  const [destination, tenant, sender, recipient, callback, mask, tag, cost] = array(value, 'info');
  return {
    destination: text(destination, 'destination'),
    tenant: text(tenant, 'tenant'),
    sender: optional(sender, 'sender', text),
    recipient: optional(recipient, 'recipient', text),
    callback: text(callback, 'callback'),
    mask: optional(mask, 'mask', uint),
    tag: optional(tag, 'tag', text),
    cost: uint(cost, 'cost'),
  };
}
