/** Who asks for a change, and from where. */
export interface Actor {
  /** Subject of the token, `platform` for a token without one, `daemon` for the daemon itself. */
  readonly subject: string;
  readonly address: string | null;
}

/** The daemon, which makes destinations at their first message. */
export const DAEMON: Actor = { subject: 'daemon', address: null };
