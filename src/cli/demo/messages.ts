// What the demo and its client processes say to each other, and the clock they share.
import type { AcceptedBlock, DeliveredBlock } from './ledger.ts';

export type ToChild =
  | {
      readonly do: 'start';
      readonly role: 'publish' | 'consume';
      readonly url: string;
      readonly token: string;
      readonly destination: string;
      /** Names by tenant index. */
      readonly tenants: readonly string[];
    }
  /** Publishes so many messages a second of each tenant from now on. */
  | { readonly do: 'publish'; readonly perSec: readonly number[] }
  /** Ends what is under way, then says `done`. */
  | { readonly do: 'finish' };

export type FromChild =
  | { readonly is: 'ready' }
  | { readonly is: 'accepted'; readonly block: AcceptedBlock }
  | { readonly is: 'refused'; readonly error: string; readonly count: number }
  | { readonly is: 'delivered'; readonly block: DeliveredBlock }
  | { readonly is: 'done' }
  | { readonly is: 'failed'; readonly message: string };

/** Milliseconds of the host's monotonic clock: the same for all processes of the machine. */
export function hostMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Where a payload carries the moment of its publish call, as a little-endian double. */
export const STAMP_BYTES = 8;
export const PAYLOAD_BYTES = 160;
