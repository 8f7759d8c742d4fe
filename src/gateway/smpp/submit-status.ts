// What a command_status of submit_sm_resp means for the message (SMPP 3.4 §5.1.3).
import { LIMITS } from '../../limits.ts';

export type StatusMeaning =
  | { readonly outcome: 'sent' | 'retry' | 'failed' }
  | { readonly outcome: 'throttled'; readonly retryAfterMs: number };

/** Statuses that name a fault of the message or of what this account may do: sent again, they come again. */
const failed: ReadonlySet<number> = new Set([
  0x01, // message length
  0x02, // command length
  0x06, // priority flag
  0x07, // registered delivery flag
  0x0a, // source address
  0x0b, // destination address
  0x0c, // message id
  0x15, // service type
  0x33, // number of destinations
  0x34, // distribution list name
  0x40, // destination flag
  0x42, // submit with replace
  0x43, // esm_class
  0x44, // cannot submit to distribution list
  0x48, // source TON
  0x49, // source NPI
  0x50, // destination TON
  0x51, // destination NPI
  0x53, // system type
  0x54, // replace_if_present flag
  0x55, // number of messages
  0x61, // scheduled delivery time
  0x62, // validity period
  0x63, // predefined message
  0x65, // permanent error
  0x66, // message rejected
  0xc0, // option stream
  0xc1, // option not allowed
  0xc2, // option length
  0xc3, // option missing
  0xc4, // option value
  0x100, // service type not authorised
  0x101, // prohibited
  0x103, // service type denied
  0x104, // data coding
  0x105, // source subunit
  0x106, // destination subunit
]);

/** Message length is invalid; also given by the link to a text of more parts than can be counted. */
export const INVALID_LENGTH = 0x01;
/** The peer does not hold this session for bound as it is. */
export const INVALID_BIND_STATUS = 0x04;
/** Source, destination address is invalid; also given by the link to addresses that cannot be written. */
export const INVALID_SOURCE = 0x0a;
export const INVALID_DESTINATION = 0x0b;
const QUEUE_FULL = 0x14;
const THROTTLED = 0x58;

/**
 * Errors of the peer's system (0x08, 0x45, 0x64, 0xff …), vendors' own (0x400…0x4ff) and reserved
 * ones are worth another attempt; the destination bounds how many.
 */
export function meaningOf(status: number): StatusMeaning {
  if (status === 0) return { outcome: 'sent' };
  if (status === THROTTLED) return { outcome: 'throttled', retryAfterMs: LIMITS.smppThrottledMs };
  if (status === QUEUE_FULL) return { outcome: 'throttled', retryAfterMs: LIMITS.smppQueueFullMs };
  return { outcome: failed.has(status) ? 'failed' : 'retry' };
}
