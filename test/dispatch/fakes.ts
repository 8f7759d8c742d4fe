// A table and shards in memory, with what was asked of them kept in order.

import type { EntityKind } from '../../src/dispatch/entity-kinds.ts';
import type {
  ChangeRecord,
  EntityTable,
  ExplainPage,
  ShardChange,
  ShardPorts,
} from '../../src/dispatch/ports.ts';
import { FairleadError } from '../../src/errors.ts';
import type { Actor } from '../../src/rest/actor.ts';

export const operator: Actor = { subject: 'operator', address: '10.0.0.1' };

export class FakeTable implements EntityTable {
  readonly #rows = new Map<string, { name: string; version: number; value: object }>();
  readonly calls: string[];
  /** Records of changes, oldest first. */
  readonly records: { sequence: number; value: ChangeRecord }[] = [];
  /** Awaited by every write. */
  flush: Promise<void> = Promise.resolve();
  #version = 0;

  constructor(calls: string[] = []) {
    this.calls = calls;
  }

  list(kind: number): { name: string; version: number; value: object }[] {
    return [...this.#rows].filter(([key]) => key.startsWith(`${kind}/`)).map(([, row]) => row);
  }

  async put(kind: number, name: string, value: object, record: ChangeRecord): Promise<number> {
    this.#version += 1;
    const version = this.#version;
    await this.flush;
    this.records.push({ sequence: version, value: record });
    this.#rows.set(`${kind}/${name}`, { name, version, value });
    this.calls.push(`put ${kind} ${name}`);
    return version;
  }

  async remove(kind: number, name: string, record: ChangeRecord): Promise<void> {
    this.#version += 1;
    const sequence = this.#version;
    await this.flush;
    this.records.push({ sequence, value: record });
    this.#rows.delete(`${kind}/${name}`);
    this.calls.push(`remove ${kind} ${name}`);
  }

  changes(below: number): { sequence: number; value: ChangeRecord }[] {
    return this.records.filter(({ sequence }) => sequence < below).reverse();
  }
}

export class FakeShards implements ShardPorts {
  readonly count: number;
  readonly calls: string[];
  readonly changes: { shard: number; change: ShardChange }[] = [];
  /** `kind/name` of what has work. */
  readonly busy = new Set<string>();
  /** `kind/name` of what no change is taken of. */
  readonly refusing = new Set<string>();
  /** Called at each question whether something is in use. */
  onInUse: () => void = () => {};
  queues: unknown[] = [];

  constructor(count: number, calls: string[] = []) {
    this.count = count;
    this.calls = calls;
  }

  async configure(shard: number, change: ShardChange): Promise<void> {
    await Promise.resolve();
    if (this.refusing.has(`${change.kind}/${change.name}`)) throw new FairleadError('inUse');
    this.changes.push({ shard, change });
    const verb = change.fields === null ? 'reset' : 'configure';
    this.calls.push(`${verb} ${shard} ${change.kind} ${change.name}`);
  }

  async inUse(_shard: number, kind: EntityKind, name: string): Promise<boolean> {
    await Promise.resolve();
    this.onInUse();
    return this.busy.has(`${kind}/${name}`);
  }

  ask(): Promise<unknown> {
    throw new Error('no test asks for more');
  }

  call(): Promise<Uint8Array> {
    throw new Error('no test sends frames');
  }

  async explain(shard: number, { destination, offset, limit }: ExplainPage): Promise<unknown> {
    return { destination, shard, queues: this.queues.slice(offset, offset + limit), picks: [] };
  }
}
