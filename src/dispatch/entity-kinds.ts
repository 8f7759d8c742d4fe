/** The kinds of resources: their order, numbers and words, what they refer to, and which shards are told of them. */

/** Kinds in the order in which they are made: what refers follows what is referred to. */
export const ENTITY_KINDS = [
  'set',
  'pool',
  'tenant',
  'sender',
  'destination',
  'gateway',
  'account',
  'number',
  'route',
  'service',
  'webhook',
  'resource',
  'policy',
  'price',
  'cap',
] as const;
export type EntityKind = (typeof ENTITY_KINDS)[number];

/** Kinds as stored and as shards know them; never given another meaning. */
export const KIND_NUMBERS = {
  destination: 1,
  set: 2,
  tenant: 3,
  sender: 4,
  pool: 5,
  gateway: 6,
  account: 7,
  number: 8,
  route: 9,
  service: 10,
  webhook: 11,
  resource: 12,
  policy: 13,
  price: 14,
  cap: 15,
} as const satisfies Record<EntityKind, number>;

/** The word for several, as in paths and files. */
export const PLURALS = {
  destination: 'destinations',
  set: 'sets',
  tenant: 'tenants',
  sender: 'senders',
  pool: 'pools',
  gateway: 'gateways',
  account: 'accounts',
  number: 'numbers',
  route: 'routes',
  service: 'services',
  webhook: 'webhooks',
  resource: 'resources',
  policy: 'policies',
  price: 'prices',
  cap: 'caps',
} as const satisfies Record<EntityKind, string>;

/**
 * Which shards are told of a kind: `all`, or the `own` one of the destination(s). Kinds that are not
 * here concern the main thread only.
 */
export const SHARD_KINDS = {
  set: 'all',
  pool: 'all',
  tenant: 'all',
  sender: 'all',
  destination: 'own',
  gateway: 'own',
  price: 'all',
  cap: 'all',
} as const;
export type ShardKind = keyof typeof SHARD_KINDS;

export function isShardKind(kind: EntityKind): kind is ShardKind {
  return Object.hasOwn(SHARD_KINDS, kind);
}

/** Kinds that are named by two names with a slash between, which are these segments of their paths. */
export const PAIR_KINDS: Readonly<Partial<Record<EntityKind, readonly [string, string]>>> = {
  sender: ['tenant', 'sender'],
  policy: ['resource', 'tenant'],
  price: ['category', 'tenant'],
  cap: ['tenant', 'cap'],
};

/** Of these, those whose second name may be left out, with its slash. */
export const HALF_PAIR_KINDS: readonly EntityKind[] = ['price'];

/** Kinds that are there without a PUT, with their defaults; a verb makes what was never PUT. */
export const IMPLICIT_KINDS: readonly EntityKind[] = ['tenant', 'sender', 'webhook'];

/** What one entity names in a field. */
export interface Reference {
  readonly kind: 'set' | 'pool' | 'tenant' | 'destination' | 'resource';
  readonly name: string;
  /** The field, for messages. */
  readonly field: string;
}

/** A row, or one that is not stored yet. */
export interface Referrer {
  readonly kind: EntityKind;
  readonly name: string;
  readonly fields: object;
}

/** What an entity refers to: a tenant its set and the tenant above it, a sender its pool, a policy its resource, the others destinations. */
export function referencesOf({ kind, name, fields }: Referrer): readonly Reference[] {
  const given = fields as Readonly<Record<string, string | null>>;
  const one = (to: Reference['kind']): readonly Reference[] => {
    const name = given[to];
    return typeof name === 'string' ? [{ kind: to, name, field: to }] : [];
  };
  switch (kind) {
    case 'tenant': {
      const { parent } = given;
      const above: readonly Reference[] =
        typeof parent === 'string' ? [{ kind: 'tenant', name: parent, field: 'parent' }] : [];
      return [...one('set'), ...above];
    }
    case 'sender':
      return one('pool');
    case 'number':
    case 'route':
      return one('destination');
    case 'gateway': {
      const { destinations } = fields as { destinations: readonly string[] };
      return destinations.map((name, index) => {
        return { kind: 'destination', name, field: `destinations.${index}` };
      });
    }
    case 'policy':
      return [{ kind: 'resource', name: resourceOf(name), field: 'resource' }];
    default:
      return [];
  }
}

/** A policy is named `resource/tenant`. */
export function resourceOf(policy: string): string {
  return policy.slice(0, policy.indexOf('/'));
}
