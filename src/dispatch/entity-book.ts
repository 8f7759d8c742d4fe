import type { EntityKind } from './entity-schemas.ts';
import type { EntityRow } from './ports.ts';

type RowOf<K extends EntityKind> = Extract<EntityRow, { kind: K }>;

/** All entities in memory: lookups, sorted pages, and which set is referred to. No I/O. */
export class EntityBook {
  readonly #rows = {
    set: new Map<string, EntityRow>(),
    tenant: new Map<string, EntityRow>(),
    destination: new Map<string, EntityRow>(),
  };
  /** Names in order; undefined after one came or went, until the next page is asked for. */
  readonly #sorted: Partial<Record<EntityKind, readonly string[]>> = {};
  /** Set → tenants that name it, also those whose PUT is under way. */
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
    if (row.kind === 'tenant') this.refer(row.fields.set);
    if (before?.kind === 'tenant') this.unrefer(before.fields.set);
  }

  remove(kind: EntityKind, name: string): void {
    const before = this.#rows[kind].get(name);
    if (before === undefined) return;
    this.#rows[kind].delete(name);
    delete this.#sorted[kind];
    if (before.kind === 'tenant') this.unrefer(before.fields.set);
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

  refer(set: string): void {
    this.#references.set(set, this.references(set) + 1);
  }

  unrefer(set: string): void {
    const left = this.references(set) - 1;
    if (left > 0) this.#references.set(set, left);
    else this.#references.delete(set);
  }

  references(set: string): number {
    return this.#references.get(set) ?? 0;
  }
}
