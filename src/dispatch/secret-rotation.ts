/** New tokens for accounts, new secrets for what signs a tenant's requests; the old ones go on for a while. */
import type { Actor } from '../rest/actor.ts';
import type { EntityService, PutResult } from './entity-service.ts';
import { newToken } from './parse-entity.ts';

/**
 * Gives an account a new primary token; the one that was is the secondary token now, and the one
 * that was secondary is good for nothing.
 *
 * @throws FairleadError entityNotFound
 */
export async function rotateTokens(
  entities: EntityService,
  account: string,
  actor: Actor,
): Promise<PutResult<'account'>> {
  const next = ({
    tokenVersion,
    primaryToken,
  }: {
    tokenVersion: number;
    primaryToken: string;
  }) => ({
    updatedMs: Date.now(),
    tokenVersion: tokenVersion + 1,
    primaryToken: newToken(),
    secondaryToken: primaryToken,
  });
  return await entities.amend('account', account, next, actor);
}

/** Signs a tenant's requests with a new secret; the one that was signs them too for `overlapMs`. */
export async function rotateSecret(
  entities: EntityService,
  tenant: string,
  overlapMs: number,
  actor: Actor,
): Promise<PutResult<'webhook'>> {
  const next = ({ secretVersion }: { secretVersion: number }) => ({
    secretVersion: secretVersion + 1,
    previousUntilMs: overlapMs === 0 ? null : Date.now() + overlapMs,
  });
  return await entities.amend('webhook', tenant, next, actor);
}
