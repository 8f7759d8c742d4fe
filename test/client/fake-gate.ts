// What tests of permits ask of the fake daemon.
import type { Test } from 'tap';
import type { ConnectOptions } from '../../src/client/types.ts';
import { type ClientFrame, FakeDaemon } from './fake-daemon.ts';

export const LEASE_MS = 30_000;

/** A connected client of a fake daemon, and its gate. */
export async function gated(t: Test, options: Partial<ConnectOptions> = {}) {
  const daemon = await FakeDaemon.start(t);
  const client = daemon.client(t, options);
  await client.whenConnected();
  return { daemon, client, gate: client.gate() };
}

/** A permit whose last byte is `number`. */
export function permitOf(number: number): Buffer {
  const id = Buffer.alloc(16, 9);
  id[15] = number;
  return id;
}

/** Grants every entry of a frame, permits numbered from `first`. */
export function grantAll(frame: ClientFrame, first = 1, leaseMs = LEASE_MS): void {
  const entries = frame.fields[0] as unknown[];
  frame.link.ok(
    frame.id,
    entries.map((_, at) => [permitOf(first + at), leaseMs, at + 1, 10]),
  );
}

/** What a promise is rejected with. @throws Error when it is not */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  let result: unknown;
  try {
    result = await promise;
  } catch (cause) {
    return cause;
  }
  throw new Error(`it was granted: ${String(result)}`);
}
