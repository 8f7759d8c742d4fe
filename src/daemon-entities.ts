// The table of entities as the daemon guards it: no write after it stops, no fault that goes unheard.
import type { EntityTable } from './dispatch/ports.ts';
import { FairleadError } from './errors.ts';
import { EntityStore } from './store/entity-store.ts';
import type { Durability } from './store/environment.ts';

export interface EntityTableOptions {
  /** Folder of the main thread's environment. */
  readonly path: string;
  readonly durability: Durability;
  readonly isStopping: () => boolean;
  readonly onFatal: (error: Error) => void;
}

/** A write that fails leaves memory and disk apart: only a restart brings them together. */
export function openEntityTable({ path, durability, isStopping, onFatal }: EntityTableOptions): {
  readonly table: EntityTable;
  readonly close: () => Promise<void>;
} {
  const store = EntityStore.open(path, durability);
  const guard = async <T>(write: () => Promise<T>): Promise<T> => {
    // A kept-alive connection may still bring a request while everything closes.
    if (isStopping()) throw new FairleadError('goingAway');
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof FairleadError)) onFatal(error as Error);
      throw error;
    }
  };
  const table: EntityTable = {
    list: (kind) => store.list(kind),
    put: (kind, name, value, record) => guard(() => store.put(kind, name, value, record)),
    remove: (kind, name, record) => guard(() => store.remove(kind, name, record)),
    changes: (below) => store.changes(below),
  };
  return { table, close: () => store.close() };
}
