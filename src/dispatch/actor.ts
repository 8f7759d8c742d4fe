import type { ChangeRecord } from './ports.ts';

/** Who asks for a change, and from where. */
export interface Actor {
  /** Subject of the token, `platform` for a token without one, `daemon` for the daemon itself. */
  readonly subject: string;
  readonly address: string | null;
}

/** The daemon, which makes destinations at their first message. */
export const DAEMON: Actor = { subject: 'daemon', address: null };

/** The record of one change, made now. */
export function changeRecord(
  { subject, address }: Actor,
  change: Pick<ChangeRecord, 'kind' | 'name' | 'before' | 'after'>,
): ChangeRecord {
  return { atMs: Date.now(), actor: subject, address, ...change };
}
