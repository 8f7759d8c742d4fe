/**
 * Bounds that only the ingress needs, with unit, reason and what happens at them. Those of the
 * protocol and of sockets that others need too stand in limits.ts.
 */
const KIB = 1024;
const MIB = 1024 * KIB;

export const BOUNDS = {
  // HTTP.
  /** Requests under way, handlers included. Past it: 503 overloaded with Retry-After. */
  requestsMax: 1000,
  /** Body bytes held for all requests under way. Past it: 503 overloaded with Retry-After. */
  bodiesBytes: 64 * MIB,
  /** Retry-After of an answer that says overloaded. */
  retryAfterMs: 1000,
  /** Bytes of a request id taken over from the client; another one is replaced. */
  requestIdBytes: 64,

  // Tokens.
  /** Verified tokens remembered; the one used longest ago goes first. */
  tokensCached: 1024,
  /** Bytes of a token; the network library itself ends requests with more than 4 KiB of headers. */
  tokenBytes: 4 * KIB,
  /** Bytes of a signing secret: HS256 wants at least its hash's size (RFC 7518, 3.2). */
  secretBytesMin: 32,

  // Sockets.
  /** Seconds without a byte before a socket is closed; the library pings before. 0 or 8…960, else it aborts. */
  idleTimeoutSec: 60,
  /** Frames and their bytes that wait behind a destination being made, for one connection. Past it: overloaded. */
  waitingFrames: 1024,
  waitingBytes: 1 * MIB,
  /**
   * Room beside the publish window: a shard gives back the bytes of all frames without telling
   * their kinds, so settlements and credit count too. A full settle frame has about 400 KiB.
   */
  windowRoomBytes: 1 * MIB,
  /** How long the daemon's own frames wait before they try a shard with a full input again. */
  heldFramesMs: 20,
  /** Longest timer of the runtime; a later expiry is reached in several steps. */
  timerMsMax: 2_147_483_647,
  /** retryAfterMs of a publish beyond the window, and of one for a shard whose input is full. */
  windowRetryAfterMs: 100,
  inputRetryAfterMs: 200,

  // Metrics.
  /** Tenants with a line of their own; the others are summed as tenant="other". */
  tenantsShown: 20,
} as const;
