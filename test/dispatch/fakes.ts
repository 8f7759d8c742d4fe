// A table and shards in memory, with what was asked of them kept in order.
import type { EntityKind } from '../../src/dispatch/entity-schemas.ts';
import type {
  EntityTable,
  ExplainPage,
  ShardChange,
  ShardPorts,
} from '../../src/dispatch/ports.ts';

export class FakeTable implements EntityTable {
  readonly #rows = new Map<string, { name: string; version: number; value: object }>();
  readonly calls: string[];
  /** Awaited by every write. */
  flush: Promise<void> = Promise.resolve();
  #version = 0;

  constructor(calls: string[] = []) {
    this.calls = calls;
  }

  list(kind: number): { name: string; version: number; value: object }[] {
    return [...this.#rows].filter(([key]) => key.startsWith(`${kind}/`)).map(([, row]) => row);
  }

  async put(kind: number, name: string, value: object): Promise<number> {
    this.#version += 1;
    const version = this.#version;
    await this.flush;
    this.#rows.set(`${kind}/${name}`, { name, version, value });
    this.calls.push(`put ${kind} ${name}`);
    return version;
  }

  async remove(kind: number, name: string): Promise<void> {
    await this.flush;
    this.#rows.delete(`${kind}/${name}`);
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
