import {
  ENTITY_KINDS,
  type EntityKind,
  type Reference,
  referencesOf,
  resourceOf,
} from './entity-kinds.ts';
import type { EntityRow, EntityRowOf } from './ports.ts';
import { TenantTree } from './tenant-tree.ts';

/** All entities in memory: lookups, sorted pages, what is referred to, and whose account a tenant is. No I/O. */
export class EntityBook {
  readonly #rows = Object.fromEntries(
    ENTITY_KINDS.map((kind) => [kind, new Map<string, EntityRow>()]),
  ) as Readonly<Record<EntityKind, Map<string, EntityRow>>>;
  /** Names in order; undefined after one came or went, until the next page is asked for. */
  readonly #sorted: Partial<Record<EntityKind, readonly string[]>> = {};
  /** Key of what is named → fields that name it, also those whose PUT is under way. */
  readonly #references = new Map<string, number>();
  /** Resource → seats of the floors of its policies, also those whose PUT is under way. */
  readonly #floors = new Map<string, number>();
  readonly tenants = new TenantTree();
  /** Tenant → its account, also those whose PUT is under way. */
  readonly #accounts = new Map<string, string>();

  get<K extends EntityKind>(kind: K, name: string): EntityRowOf<K> | undefined {
    return this.#rows[kind].get(name) as EntityRowOf<K> | undefined;
  }

  size(kind: EntityKind): number {
    return this.#rows[kind].size;
  }

  all<K extends EntityKind>(kind: K): IterableIterator<EntityRowOf<K>> {
    return this.#rows[kind].values() as IterableIterator<EntityRowOf<K>>;
  }

  put(row: EntityRow): void {
    const rows = this.#rows[row.kind];
    const before = rows.get(row.name);
    if (before === undefined) delete this.#sorted[row.kind];
    rows.set(row.name, row);
    this.refer(referencesOf(row));
    if (before !== undefined) this.unrefer(referencesOf(before));
    this.#countFloor(before, -1);
    this.#countFloor(row, 1);
    if (before?.kind === 'account') this.#accounts.delete(before.fields.tenant);
    if (row.kind === 'account') this.#accounts.set(row.fields.tenant, row.name);
    if (row.kind === 'tenant') this.tenants.set(row.name, row.fields.parent);
  }

  remove(kind: EntityKind, name: string): void {
    const before = this.#rows[kind].get(name);
    if (before === undefined) return;
    this.#rows[kind].delete(name);
    delete this.#sorted[kind];
    this.unrefer(referencesOf(before));
    this.#countFloor(before, -1);
    if (before.kind === 'account') this.#accounts.delete(before.fields.tenant);
    if (before.kind === 'tenant') this.tenants.set(name, null);
  }

  /** Keeps a tenant below another while its PUT is under way. @throws FairleadError invalidValue */
  claimParent(tenant: string, parent: string | null): void {
    if (parent !== null) this.tenants.check(tenant, parent);
    this.tenants.set(tenant, parent);
  }

  /** Puts a tenant where it is stored, after all. */
  unclaimParent(tenant: string): void {
    this.tenants.set(tenant, this.get('tenant', tenant)?.fields.parent ?? null);
  }

  /** The account of a tenant. */
  accountOf(tenant: string): string | undefined {
    return this.#accounts.get(tenant);
  }

  /** Keeps a tenant for an account while its PUT is under way; false: another has it. */
  claimTenant(tenant: string, account: string): boolean {
    const holder = this.#accounts.get(tenant) ?? account;
    if (holder === account) this.#accounts.set(tenant, account);
    return holder === account;
  }

  /** Lets go of a tenant that is not the account's after all. */
  unclaimTenant(tenant: string, account: string): void {
    if (this.get('account', account)?.fields.tenant !== tenant) this.#accounts.delete(tenant);
  }

  /** Seats that the policies of a resource keep free. */
  floorsOf(resource: string): number {
    return this.#floors.get(resource) ?? 0;
  }

  addFloor(resource: string, seats: number): void {
    const sum = this.floorsOf(resource) + seats;
    if (sum > 0) this.#floors.set(resource, sum);
    else this.#floors.delete(resource);
  }

  #countFloor(row: EntityRow | undefined, sign: 1 | -1): void {
    if (row?.kind !== 'policy') return;
    this.addFloor(resourceOf(row.name), sign * row.fields.floor);
  }

  /** Up to `limit` names above `after`, in order of their characters. */
  names(kind: EntityKind, limit: number, after: string): readonly string[] {
    this.#sorted[kind] ??= [...this.#rows[kind].keys()].sort();
    const names = this.#sorted[kind];
    let low = 0;
    let high = names.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((names[middle] ?? '') > after) high = middle;
      else low = middle + 1;
    }
    return names.slice(low, low + limit);
  }

  refer(references: readonly Reference[]): void {
    for (const { kind, name } of references) {
      this.#references.set(keyOf(kind, name), this.references(kind, name) + 1);
    }
  }

  unrefer(references: readonly Reference[]): void {
    for (const { kind, name } of references) {
      const left = this.references(kind, name) - 1;
      if (left > 0) this.#references.set(keyOf(kind, name), left);
      else this.#references.delete(keyOf(kind, name));
    }
  }

  /** How many entities name it. */
  references(kind: EntityKind, name: string): number {
    return this.#references.get(keyOf(kind, name)) ?? 0;
  }
}

/** One text for an entity of any kind. */
export const keyOf = (kind: EntityKind, name: string): string => `${kind}/${name}`;
