// What is wrong with what entities refer to, and with the tenants of accounts, as errors.
import { FairleadError } from '../errors.ts';
import type { Reference } from './entity-kinds.ts';

const UNKNOWN = {
  set: 'unknownSet',
  pool: 'unknownPool',
  tenant: 'invalidValue',
  destination: 'unknownDestination',
  resource: 'unknownResource',
} as const;

/** Who may refer to what, in the words of messages and of details. */
const REFERRERS: Readonly<Record<Reference['kind'], readonly [sentence: string, detail: string]>> =
  {
    set: ['Tenants belong to', 'tenants'],
    pool: ['Senders share', 'senders'],
    tenant: ['Tenants are below', 'tenants'],
    destination: ['Gateways, numbers or routes name', 'references'],
    resource: ['Policies are of', 'policies'],
  };

/** A field names what is not there. */
export function unknownReference({ kind, name, field }: Reference): FairleadError {
  const message = `${field}: there is no ${kind} ${JSON.stringify(name)}.`;
  return new FairleadError(UNKNOWN[kind], message, { field });
}

/** What is to be deleted is named by `count` fields. */
export function referredError(kind: Reference['kind'], name: string, count: number): FairleadError {
  const [sentence, detail] = REFERRERS[kind];
  const message = `${sentence} the ${kind} ${name}: ${count} of them.`;
  return new FairleadError('inUse', message, { [detail]: count });
}

/** The gate counts users of the resource. */
export function busyError(resource: string): FairleadError {
  const message = `Permits of the resource ${resource} are out, or somebody waits for one.`;
  return new FairleadError('inUse', message);
}

/** Another account has the tenant. */
export function tenantTakenError(tenant: string): FairleadError {
  const message = `tenant: another account has the tenant ${JSON.stringify(tenant)}.`;
  return new FairleadError('tenantTaken', message, { field: 'tenant' });
}

/**
 * A gateway's share is counted in one shard, so its destinations have one shardKey.
 *
 * @throws FairleadError invalidValue, which names two that differ
 */
export function checkOneShard(
  destinations: readonly string[],
  find: (name: string) => { readonly shardKey: string } | undefined,
): void {
  const [first = '', ...others] = destinations;
  const key = find(first)?.shardKey;
  for (const other of others) {
    const otherKey = find(other)?.shardKey;
    if (otherKey === key) continue;
    const keys = `${first} has ${JSON.stringify(key)}, ${other} has ${JSON.stringify(otherKey)}`;
    const message = `destinations: those of one gateway have one shardKey, but ${keys}.`;
    throw new FairleadError('invalidValue', message, { field: 'destinations' });
  }
}
