import { SCOPE_BIT } from '../protocol/exchange.ts';

const { publish, consume, platform, gate, receive, usage } = SCOPE_BIT;

/** What a token may hold: the other bits are the daemon's own. */
export const SCOPES = { publish, consume, platform, gate, receive, usage } as const;

export type ScopeName = keyof typeof SCOPES;

/** Who speaks: what a verified token says. */
export interface Identity {
  /** Who, for the record; undefined when the token does not say. */
  readonly subject?: string | undefined;
  /** The tenant the token speaks for; undefined is the platform. */
  readonly tenant: string | undefined;
  /** Bits of SCOPES. */
  readonly scopes: number;
  readonly expiresAtMs: number;
}

/** Reads a space-separated scope claim; a word of a later version grants nothing. */
export function parseScopes(scope: string): number {
  let scopes = 0;
  for (const word of scope.split(' ')) {
    if (Object.hasOwn(SCOPES, word)) scopes |= SCOPES[word as ScopeName];
  }
  return scopes;
}

export function hasScope(identity: Identity, scope: ScopeName): boolean {
  return (identity.scopes & SCOPES[scope]) !== 0;
}
