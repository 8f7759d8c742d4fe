import type { EntityKind } from './entity-schemas.ts';
import type { EntityRow } from './ports.ts';

type RowOf<K extends EntityKind> = Extract<EntityRow, { kind: K }>;

/** All entities in memory: lookups, sorted pages, and which sets and pools are referred to. No I/O. */
export class EntityBook {
  readonly #rows = {
    set: new Map<string, EntityRow>(),
    pool: new Map<string, EntityRow>(),
    tenant: new Map<string, EntityRow>(),
    sender: new Map<string, EntityRow>(),
    destination: new Map<string, EntityRow>(),
  };
  /** Names in order; undefined after one came or went, until the next page is asked for. */
  readonly #sorted: Partial<Record<EntityKind, readonly string[]>> = {};
  /** Key of a set or pool → entities that name it, also those whose PUT is under way. */
  readonly #references = new Map<string, number>();

  get<K extends EntityKind>(kind: K, name: string): RowOf<K> | undefined {
    return this.#rows[kind].get(name) as RowOf<K> | undefined;
  }

  size(kind: EntityKind): number {
    return this.#rows[kind].size;
  }

  all<K extends EntityKind>(kind: K): IterableIterator<RowOf<K>> {
    return this.#rows[kind].values() as IterableIterator<RowOf<K>>;
  }

  put(row: EntityRow): void {
    const rows = this.#rows[row.kind];
    const before = rows.get(row.name);
    if (before === undefined) delete this.#sorted[row.kind];
    rows.set(row.name, row);
    this.refer(referenceOf(row.kind, row.fields));
    if (before !== undefined) this.unrefer(referenceOf(before.kind, before.fields));
  }

  remove(kind: EntityKind, name: string): void {
    const before = this.#rows[kind].get(name);
    if (before === undefined) return;
    this.#rows[kind].delete(name);
    delete this.#sorted[kind];
    this.unrefer(referenceOf(kind, before.fields));
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

  refer(reference: Reference | undefined): void {
    if (reference === undefined) return;
    const { kind, name } = reference;
    this.#references.set(keyOf(kind, name), this.references(kind, name) + 1);
  }

  unrefer(reference: Reference | undefined): void {
    if (reference === undefined) return;
    const { kind, name } = reference;
    const left = this.references(kind, name) - 1;
    if (left > 0) this.#references.set(keyOf(kind, name), left);
    else this.#references.delete(keyOf(kind, name));
  }

  /** How many entities name it. */
  references(kind: EntityKind, name: string): number {
    return this.#references.get(keyOf(kind, name)) ?? 0;
  }
}

/** What one entity names in a field. */
export interface Reference {
  readonly kind: 'set' | 'pool';
  readonly name: string;
}

/** What fields refer to: a tenant to its set, a sender to its pool. */
export function referenceOf(kind: EntityKind, fields: object): Reference | undefined {
  if (kind === 'tenant') return { kind: 'set', name: (fields as { set: string }).set };
  if (kind !== 'sender') return undefined;
  const { pool } = fields as { pool: string | null };
  return pool === null ? undefined : { kind: 'pool', name: pool };
}

/** One text for an entity of any kind. */
export const keyOf = (kind: EntityKind, name: string): string => `${kind}/${name}`;
