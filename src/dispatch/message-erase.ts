/** Takes what a tenant's messages said out of the daemon. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageShards } from './message-shards.ts';

const POLL_MS = 200;

export interface Erased {
  readonly cancelled: number;
  readonly purged: number;
  readonly redacted: number;
  /** Messages in flight, or accepted meanwhile. */
  readonly left: number;
}

/**
 * Cancels what waits, purges dead letters, redacts what has ended; again and again until nothing is
 * left. Messages in flight end, or come back and are cancelled: they are waited for, up to `waitMs`.
 */
export async function eraseTenant(
  shards: MessageShards,
  tenant: string,
  waitMs: number,
): Promise<Erased> {
  const endMs = performance.now() + waitMs;
  let [cancelled, purged, redacted] = [0, 0, 0];
  for (;;) {
    cancelled += await shards.cancelAll({ tenant });
    purged += (await shards.settleDead('purge', { tenant })).done;
    const pass = await shards.redactAll(tenant);
    redacted += pass.redacted;
    const leftMs = endMs - performance.now();
    if (pass.left === 0 || leftMs <= 0) return { cancelled, purged, redacted, left: pass.left };
    await sleep(Math.min(POLL_MS, leftMs));
  }
}
