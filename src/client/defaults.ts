// Waits, bounds and close codes of a client.
const MIB = 1024 * 1024;
export const QUEUE_BYTES_MAX = 32 * MIB;
export const OPEN_TIMEOUT_MS = 10_000;
export const HEARTBEAT_MS = 15_000;
/** A connection that lived this long was a good one: the next wait is a short one again. */
export const STABLE_MS = 5000;
/** Longest wait for what is under way when the daemon goes away or the client closes. */
export const FINISH_MS = 10_000;
export const FINISH_STEP_MS = 10;
export const CREDIT_DEFAULT = 256;
export const CONCURRENCY_DEFAULT = 64;
export const CLOSE_NORMAL = 1000;
export const CLOSE_BAD_TOKEN = 4401;
export const CLOSE_FORBIDDEN = 4403;
