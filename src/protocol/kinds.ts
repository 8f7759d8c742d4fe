// The numbers of the client protocol, version 1; docs/protocol.md explains them.

/** WebSocket subprotocol. */
export const SUBPROTOCOL = 'fairlead.v1';
export const PROTOCOL_VERSION = 1;

/** Frame kinds: below 64 to the daemon, from 64 on to the client. */
export const KIND = {
  publish: 1,
  subscribe: 2,
  credit: 3,
  settle: 4,
  receipt: 5,
  cancel: 6,
  status: 7,
  inbound: 8,
  acquire: 10,
  release: 11,
  renew: 12,
  use: 20,
  ok: 64,
  error: 65,
  deliver: 66,
  event: 67,
  goAway: 68,
  hello: 69,
} as const;

/** What became of a delivery. */
export const OUTCOME = {
  sent: 0,
  delivered: 1,
  /** Comes again with attempt + 1, after retryAfterMs. */
  retry: 2,
  /** Failed for good. */
  failed: 3,
  /** The scope rests for retryAfterMs; the charge is given back. */
  throttled: 4,
  /** Back to the head of its queue; the charge is given back. */
  notAttempted: 5,
} as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** Where a message is, as `status` tells it; from 5 on the ones a receipt or an end makes. */
export const MESSAGE_STATUS = {
  /** Waits for its time (`at`). */
  scheduled: 2,
  /** Waits for its turn, or for its next attempt. */
  queued: 3,
  /** Handed out and not settled. */
  sending: 4,
  sent: 5,
  delivered: 6,
  undelivered: 7,
  /** For good, or as a dead letter. */
  failed: 8,
  /** Its validity ended first. */
  expired: 9,
  cancelled: 10,
} as const;
export type StatusNumber = (typeof MESSAGE_STATUS)[keyof typeof MESSAGE_STATUS];
/** Statuses that a receipt may tell. */
export type ReceiptStatus = 6 | 7 | 8;

/** What rests after a throttled delivery. */
export const THROTTLE_SCOPE = { gateway: 0, tenant: 1, sender: 2 } as const;
export type ThrottleScope = (typeof THROTTLE_SCOPE)[keyof typeof THROTTLE_SCOPE];

/** Flags of a delivery. */
export const DELIVERY_FLAG = { maybeDelivered: 1 } as const;

/** WebSocket close codes. */
export const CLOSE = {
  /** Too many unsent bytes. */
  tooSlow: 1013,
  badFrame: 4400,
  badToken: 4401,
  forbidden: 4403,
  /** A destination that it takes messages of is its tenant's no more; come again. */
  ownerChanged: 4404,
} as const;

/** Whether the protocol defines this kind of client frame, supported yet or not. */
export function isClientKind(kind: number): boolean {
  return (
    (kind >= 1 && kind <= 8) ||
    (kind >= 10 && kind <= 12) ||
    kind === 20 ||
    (kind >= 30 && kind <= 49)
  );
}
