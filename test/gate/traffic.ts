/** What the processes of a gate run agree on: keys, operations, words between parent and holders. */

export const TENANTS = 6;
export const RESOURCES = ['calls', 'sms', 'mail', 'video'] as const;
/** One of each way to be impeded, and one more that waits. */
export const MODES = { calls: 'reject', sms: 'queue', mail: 'queue', video: 'delay' } as const;

export interface KeyName {
  readonly resource: string;
  readonly tenant: string;
}

export function keyName(key: number): KeyName {
  return {
    resource: RESOURCES[key % RESOURCES.length] as string,
    tenant: `t${Math.floor(key / RESOURCES.length)}`,
  };
}
export const KEYS = TENANTS * RESOURCES.length;

/** The caps that count a key, as the observer names them. */
export function capsOf(key: number): string[] {
  const { resource, tenant } = keyName(key);
  return [`${resource}/${tenant}`, `tenant ${tenant}`, `resource ${resource}`];
}

/** What holders of one process do. Shares are of operations. */
export interface Plan {
  readonly clients: number;
  /** Operations of a client that are under way at once. */
  readonly lanes: number;
  /** Permits that this process is to get and give back; 0: until it is told to stop. */
  readonly operations: number;
  readonly keys: number;
  readonly leaseMs: number;
  /** Longest hold of most; 0: until the next turn. */
  readonly holdMsMax: number;
  /** Holds longer than its lease. */
  readonly longShare: number;
  readonly longMs: number;
  /** Gives up, while it waits or holds. */
  readonly abortShare: number;
  /** Stops, and never gives its permit back. */
  readonly forgetShare: number;
  /** Ms between two faults of connections in this process; 0: none. */
  readonly faultEveryMs: number;
  /** Pause after a refusal, ms at most. */
  readonly pauseMsMax: number;
  /** Holders that do not stop when they are told to: what the observer has to see. */
  readonly goOn: boolean;
  /** Holders that stop after they gave their permit back. */
  readonly releaseFirst: boolean;
}

export interface Totals {
  granted: number;
  refused: number;
  /** Given up by their own signal. */
  aborted: number;
  /** Errors that are no answer of the gate. */
  failed: number;
  forgotten: number;
  /** Told to stop because the lease was not prolonged, or the permit was gone. */
  leaseOver: number;
  permitGone: number;
  /** Of those that are gone, on a connection that was not cut: nothing but a frozen one explains it. */
  lost: number;
  drops: number;
  freezes: number;
  /** Longest time from ask to answer, ms. */
  askMsMax: number;
}

export type ToHolders =
  | { readonly do: 'connect'; readonly url: string; readonly token: string }
  | { readonly do: 'start' }
  /** No connection of these clients comes back before it is told so. */
  | { readonly do: 'cut'; readonly share: number }
  | { readonly do: 'mend' }
  | { readonly do: 'stop' }
  | { readonly do: 'figures' };
export type FromHolders =
  | { readonly is: 'connected' }
  | { readonly is: 'done'; readonly totals: Totals }
  | { readonly is: 'figures'; readonly totals: Totals; readonly held: number };
