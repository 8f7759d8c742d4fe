/**
 * Resources that the REST API changes (destinations, sets, tenants, …), in the main thread's environment.
 *
 * Owns their durable form and their versions; knows nothing of their fields. Every change takes the
 * next number of one counter for all kinds, so versions tell which of two changes came later. With
 * it goes, in the same transaction, a record of the change under that number; the newest
 * `changeRecords` of them are kept. Reads see what is flushed.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { type Durability, Environment, type Writes } from './environment.ts';
import { decodeRecord, encodeRecord, MAIN_RECORD_TYPE, type RecordKind } from './record.ts';

export interface Entity<T extends object = object> {
  name: string;
  /** Number of the change that wrote it. */
  version: number;
  value: T;
}

const ENTITY: RecordKind = { name: 'entity', type: MAIN_RECORD_TYPE.entity, version: 1 };
const VERSION: RecordKind = { name: 'version', type: MAIN_RECORD_TYPE.version, version: 1 };
const CHANGE: RecordKind = { name: 'change', type: MAIN_RECORD_TYPE.change, version: 1 };

/** Before every entity: its key begins with the kind, which is at least 1. */
const VERSION_KEY = Uint8Array.of(0, 1);
/** Then the number of the change, 48 bits, big-endian. */
const CHANGE_PREFIX = Uint8Array.of(0, 2);
const SEQUENCE_MAX = 2 ** 48 - 1;
const KIND_MAX = 254;

/** What was said of a change when it was made. */
export interface Change {
  /** Number of the change, and version of what it wrote. */
  sequence: number;
  value: object;
}

export interface EntityStoreOptions {
  entitiesPerKind?: number;
  changeRecords?: number;
  flushTimeoutMs?: number;
  mapBytes?: number;
}

/** A few gigabytes hold every kind at its bound; the map is sparse. */
const MAP_BYTES = 8 * 1024 ** 3;

export class EntityStore {
  readonly #environment: Environment;
  readonly #entitiesPerKind: number;
  readonly #changeRecords: number;
  /** Names of each kind, those of writes under way included. */
  readonly #names = new Map<number, Set<string>>();
  #version = 0;

  private constructor(environment: Environment, options: EntityStoreOptions) {
    this.#environment = environment;
    this.#entitiesPerKind = options.entitiesPerKind ?? LIMITS.entitiesPerKind;
    this.#changeRecords = options.changeRecords ?? LIMITS.changeRecords;
  }

  /** @throws RecordError when a record is damaged or newer than this daemon. */
  static open(path: string, durability: Durability, options: EntityStoreOptions = {}): EntityStore {
    const environment = Environment.open({
      path,
      durability,
      mapBytes: options.mapBytes ?? MAP_BYTES,
      ...(options.flushTimeoutMs === undefined ? {} : { flushTimeoutMs: options.flushTimeoutMs }),
    });
    const store = new EntityStore(environment, options);
    store.#load();
    return store;
  }

  /** Number of the newest change. */
  get version(): number {
    return this.#version;
  }

  get<T extends object>(kind: number, name: string): Entity<T> | undefined {
    const record = this.#environment.get(keyOf(kind, name));
    return record === undefined ? undefined : decodeEntity<T>(name, record);
  }

  /** All entities of a kind, in order of their names' bytes. */
  list<T extends object>(kind: number): Entity<T>[] {
    const found: Entity<T>[] = [];
    for (const { key, value } of this.#environment.range(Uint8Array.of(kind), endOf(kind))) {
      found.push(decodeEntity<T>(nameOf(key), value));
    }
    return found;
  }

  /** How many entities of a kind there are, writes under way included. */
  count(kind: number): number {
    return this.#names.get(kind)?.size ?? 0;
  }

  /**
   * Writes an entity, new or in place of the old one, and the record of this change.
   *
   * @returns its version, once flushed; a rejection other than FairleadError must end the process
   * @throws FairleadError tooManyEntities when it is new and there are as many as there may be
   */
  async put(kind: number, name: string, value: object, record: object): Promise<number> {
    const names = this.#namesOf(kind);
    if (!names.has(name) && names.size >= this.#entitiesPerKind) {
      throw new FairleadError(
        'tooManyEntities',
        `There may be ${this.#entitiesPerKind} resources of this type, and there are as many.`,
      );
    }
    names.add(name);
    const version = this.#nextVersion();
    await this.#environment.commitQueued((writes) => {
      writes.put(keyOf(kind, name), encodeRecord(ENTITY, [version, value]));
      this.#writeChange(writes, version, record);
    });
    return version;
  }

  /** @returns the number of this change, once flushed; undefined when there was no such entity */
  async remove(kind: number, name: string, record: object): Promise<number | undefined> {
    if (!this.#namesOf(kind).delete(name)) return undefined;
    const version = this.#nextVersion();
    await this.#environment.commitQueued((writes) => {
      writes.remove(keyOf(kind, name));
      this.#writeChange(writes, version, record);
    });
    return version;
  }

  /** Records of changes with numbers below `below`, newest first; read while they are taken. */
  *changes(below = SEQUENCE_MAX): Generator<Change, void> {
    const start = changeKey(Math.min(below, SEQUENCE_MAX) - 1);
    for (const { key, value } of this.#environment.rangeDown(start, CHANGE_PREFIX)) {
      const sequence = Buffer.from(key).readUIntBE(CHANGE_PREFIX.length, 6);
      yield { sequence, value: decodeRecord(CHANGE, value) as object };
    }
  }

  /** Waits for writes under way and closes the environment. */
  close(): Promise<void> {
    return this.#environment.close();
  }

  #writeChange(writes: Writes, version: number, record: object): void {
    writes.put(VERSION_KEY, encodeRecord(VERSION, version));
    writes.put(changeKey(version), encodeRecord(CHANGE, record));
    // Every number was one change, so the bound is kept by letting one go for each that comes.
    const oldest = version - this.#changeRecords;
    if (oldest > 0) writes.remove(changeKey(oldest));
  }

  #load(): void {
    const version = this.#environment.get(VERSION_KEY);
    if (version !== undefined) this.#version = decodeRecord(VERSION, version) as number;
    for (const { key, value } of this.#environment.range(Uint8Array.of(1), endOf(KIND_MAX))) {
      const name = nameOf(key);
      decodeEntity(name, value);
      this.#namesOf(key[0] as number).add(name);
    }
  }

  #nextVersion(): number {
    this.#version += 1;
    return this.#version;
  }

  #namesOf(kind: number): Set<string> {
    const known = this.#names.get(kind);
    if (known !== undefined) return known;
    const names = new Set<string>();
    this.#names.set(kind, names);
    return names;
  }
}

function keyOf(kind: number, name: string): Uint8Array {
  if (!Number.isInteger(kind) || kind < 1 || kind > KIND_MAX) {
    throw new RangeError(`an entity kind is an integer from 1 to ${KIND_MAX}, received ${kind}`);
  }
  if (name === '') throw new RangeError('an entity has a name, received an empty one');
  return Buffer.concat([Uint8Array.of(kind), Buffer.from(name, 'utf8')]);
}

function changeKey(sequence: number): Uint8Array {
  const key = Buffer.alloc(CHANGE_PREFIX.length + 6);
  key.set(CHANGE_PREFIX);
  key.writeUIntBE(sequence, CHANGE_PREFIX.length, 6);
  return key;
}

function endOf(kind: number): Uint8Array {
  return Uint8Array.of(kind + 1);
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('utf8', 1);
}

function decodeEntity<T extends object>(name: string, record: Uint8Array): Entity<T> {
  const kind = { ...ENTITY, name: `entity (${name})` };
  const [version, value] = decodeRecord(kind, record) as [number, T];
  return { name, version, value };
}
