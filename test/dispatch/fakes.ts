// A table and shards in memory, with what was asked of them kept in order.
import type { EntityKind } from '../../src/dispatch/entity-schemas.ts';
import type {
  EntityRow,
  EntityTable,
  ExplainPage,
  ShardChange,
  ShardPorts,
} from '../../src/dispatch/ports.ts';

export class FakeTable implements EntityTable {
  readonly rows = new Map<string, EntityRow>();
  readonly calls: string[];
  /** Awaited by every write. */
  flush: Promise<void> = Promise.resolve();

  constructor(calls: string[] = []) {
    this.calls = calls;
  }

  load(): Iterable<EntityRow> {
    return [...this.rows.values()];
  }

  async put(row: EntityRow): Promise<void> {
    await this.flush;
    this.rows.set(`${row.kind}/${row.name}`, row);
    this.calls.push(`put ${row.kind} ${row.name}`);
  }

  async remove(kind: EntityKind, name: string): Promise<void> {
    await this.flush;
    this.rows.delete(`${kind}/${name}`);
    this.calls.push(`remove ${kind} ${name}`);
  }
}

export class FakeShards implements ShardPorts {
  readonly count: number;
  readonly calls: string[];
  readonly changes: { shard: number; change: ShardChange }[] = [];
  /** `kind/name` of what has work. */
  readonly busy = new Set<string>();
  /** Called at each question whether something is in use. */
  onInUse: () => void = () => {};
  queues: unknown[] = [];

  constructor(count: number, calls: string[] = []) {
    this.count = count;
    this.calls = calls;
  }

  async configure(shard: number, change: ShardChange): Promise<void> {
    await Promise.resolve();
    this.changes.push({ shard, change });
    const verb = change.fields === null ? 'reset' : 'configure';
    this.calls.push(`${verb} ${shard} ${change.kind} ${change.name}`);
  }

  async inUse(_shard: number, kind: EntityKind, name: string): Promise<boolean> {
    await Promise.resolve();
    this.onInUse();
    return this.busy.has(`${kind}/${name}`);
  }

  async explain(shard: number, { destination, offset, limit }: ExplainPage): Promise<unknown> {
    return { destination, shard, queues: this.queues.slice(offset, offset + limit), picks: [] };
  }
}
