/**
 * Usage of a daemon: its state machine, its store, and the ways in. Main thread.
 *
 * It opens with the entities that are, recovers counters and triggers, and is told each change of a
 * tenant, a price or a cap from then on. What shards have counted is told by `shardDeltas`; when the
 * machine's own log of it is flushed, `taken` lets the shard forget it. States are those of its port
 * (exchange/main-port.ts).
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from '../base/logger.ts';
import { errorName, FairleadError } from '../errors.ts';
import type { FrameSink } from '../exchange/frame-sink.ts';
import { Journal } from '../exchange/journal.ts';
import { JournalChunk } from '../exchange/journal-chunk.ts';
import { MainPort } from '../exchange/main-port.ts';
import { WantingMachine } from '../exchange/wanting-machine.ts';
import { LIMITS } from '../limits.ts';
import { EFFECT_OP, INPUT_OP, InputBuffer } from '../protocol/exchange.ts';
import { decodeDaemonFrame } from '../protocol/frames.ts';
import { encodeCall } from '../protocol/message-ops.ts';
import type { UsageCategoryName } from '../protocol/usage-deltas.ts';
import {
  encodeFiringTold,
  encodeRecords,
  encodeTriggerList,
  encodeTriggerName,
  encodeTriggerPut,
  encodeUsageConfigure,
  encodeUsageDeltas,
  USAGE_OP,
  type UsageChange,
  type UsageOp,
} from '../protocol/usage-exchange.ts';
import { encodeUse, readUseOk, type UseEntry, type UseResult } from '../protocol/usage-frames.ts';
import type { Durability, Environment } from '../store/environment.ts';
import { openUsageEnvironment, usageRecords } from '../store/usage-tables.ts';
import type { UsageMachine } from './machine.ts';
import { OwnCounts } from './own-counts.ts';
import type {
  RecordsQuery,
  TriggerBody,
  TriggerQuery,
  TriggerView,
  Usage,
  UsagePage,
  UsageRecord,
  UseCaller,
} from './ports.ts';
import { dayOf, fieldsOf, fromCursor, refusal, sidBytes, toCursor } from './texts.ts';

const JOURNAL_ROOM_BYTES = 64 * 1024;
/** Request id of the one frame of a call. */
const CALL_ID = 1;

export interface UsageServiceOptions {
  /** DIR/usage. */
  readonly path: string;
  readonly dataId: string;
  readonly durability: Durability;
  readonly safeRestore?: boolean;
  readonly machine: UsageMachine;
  /** µs since 1970. */
  readonly nowUs: () => number;
  /** Tenants, prices and caps at the start. */
  readonly changes: Iterable<UsageChange>;
  readonly sink: FrameSink;
  /** A trigger fired, and that is flushed; the bytes are valid during the call only. */
  readonly fired: (bytes: Uint8Array) => void;
  /** Everything that a shard told up to this sequence is flushed here. */
  readonly taken: (shard: number, sequence: number) => void;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

/** What one shard has counted. */
export interface ShardDeltas {
  readonly again: boolean;
  readonly sequence: number;
  /** Valid during the call only. */
  readonly deltas: Uint8Array;
}

export class UsageService implements Usage {
  readonly port: MainPort<never>;
  readonly #environment: Environment;
  readonly #own: OwnCounts;
  readonly #taken: UsageServiceOptions['taken'];

  private constructor(options: UsageServiceOptions, environment: Environment) {
    const { machine, nowUs, sink, fired, onFatal } = options;
    this.#environment = environment;
    this.#taken = options.taken;
    const journal = new Journal(environment, {
      queued: true,
      roomStepBytes: JOURNAL_ROOM_BYTES,
      spareMax: LIMITS.usageStepsInFlight,
    });
    const committed = () => journal.committed;
    this.port = new MainPort({
      ...{ journal, nowUs, sink, onFatal },
      machine: new WantingMachine({ machine, environment, committed }),
      strict: true,
      counterNames: [],
      inputBytesMax: LIMITS.usageInputBytes,
      stepsInFlightMax: LIMITS.usageStepsInFlight,
      behindFlush: { [EFFECT_OP.fired]: (_, bytes) => fired(bytes) },
    });
    this.#own = new OwnCounts({
      nowMs: () => nowUs() / 1_000,
      tell: (deltas) => this.countDeltas(deltas),
      countsMax: LIMITS.usageOwnCounts,
      gatherMs: LIMITS.usageOwnGatherMs,
    });
  }

  /** Opens the store and recovers what it holds. @throws Error when it cannot be used */
  static async open(options: UsageServiceOptions): Promise<UsageService> {
    const { path, dataId, durability, safeRestore = false } = options;
    const environment = openUsageEnvironment({ path, dataId, durability, safeRestore });
    try {
      const startMs = performance.now();
      const records = recover(environment, options);
      const ms = Math.round(performance.now() - startMs);
      if (records > 0) options.logger.info({ records, ms }, 'usage is recovered');
      return new UsageService(options, environment);
    } catch (error) {
      await environment.close();
      throw error;
    }
  }

  /** Tells again what fired before the last end and was not told. */
  start(): void {
    this.port.stepSoon();
  }

  /** Announces a connection; before its first frame. */
  connect(connection: number, scopes: number, tenant: string): void {
    this.port.connect(connection, scopes, tenant);
  }

  disconnect(connection: number): void {
    this.port.disconnect(connection);
  }

  /** Copies one client frame; false: too much waits, nothing was taken. */
  frame(connection: number, bytes: Uint8Array): boolean {
    return this.port.frame(connection, bytes);
  }

  /** Takes what a shard has counted; the bytes are copied. */
  shardDeltas(shard: number, { again, sequence, deltas }: ShardDeltas): void {
    const told = encodeUsageDeltas({ again, sequence, deltas });
    this.port.tell(USAGE_OP.deltas, shard + 1, told, () => this.#taken(shard, sequence));
  }

  /** Counts one event of the main thread itself. */
  count(account: string, category: UsageCategoryName, usage?: number): void {
    this.#own.add(account, category, usage);
  }

  /** Counts a list of deltas of the main thread itself; the bytes are copied. */
  countDeltas(deltas: Uint8Array): void {
    const told = encodeUsageDeltas({ again: false, sequence: 0, deltas });
    this.port.tell(USAGE_OP.deltas, 0, told);
  }

  /** An entity as a change left it; it counts from the next step on. */
  configure(change: UsageChange): void {
    if (!this.port.isOpen) return;
    this.port.request(INPUT_OP.configure, encodeUsageConfigure(change)).catch(() => {
      // The port is closing: the next start reads the entities anew.
    });
  }

  /** As `configure`, of what has to be there before it goes on. @throws FairleadError goingAway */
  async configured(change: UsageChange): Promise<void> {
    await this.port.request(INPUT_OP.configure, encodeUsageConfigure(change));
  }

  /** Resolves when the place of each cap holds what its period has come to; before shards recover. */
  async capsLoaded(): Promise<void> {
    while (((await this.stats()).capsLoading ?? 0) > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The callbacks of a firing are in the outbox. */
  firingTold(sequence: number): void {
    this.port.tell(USAGE_OP.firingTold, 0, encodeFiringTold(sequence));
  }

  async use({ tenant, scopes }: UseCaller, events: readonly UseEntry[]): Promise<UseResult> {
    const frame = encodeUse({ id: CALL_ID, events });
    const answer = decodeDaemonFrame(await this.port.call(encodeCall({ scopes, tenant, frame })));
    if (answer.kind === 'ok') return readUseOk(answer);
    if (answer.kind !== 'error') throw new TypeError(`a use is answered by ${answer.kind}`);
    throw new FairleadError(errorName(answer.code), answer.message, answer.details);
  }

  async records(query: RecordsQuery): Promise<UsagePage<UsageRecord>> {
    const { from, to, cursor, ...rest } = query;
    const days = {
      fromDay: from === undefined ? undefined : dayOf('from', from),
      toDay: to === undefined ? undefined : dayOf('to', to),
    };
    const body = encodeRecords({ ...rest, ...days, cursor: fromCursor(cursor) });
    return toCursor(await this.#ask<UsagePage<UsageRecord>>(USAGE_OP.records, body));
  }

  async putTrigger(account: string, body: TriggerBody, sid?: string): Promise<TriggerView> {
    const bytes = sid === undefined ? randomBytes(16) : sidBytes(sid);
    // A trigger of that sid would be made, or taken from another account.
    if (sid !== undefined) await this.trigger(sid, account);
    return await this.#ask(USAGE_OP.triggerPut, encodeTriggerPut(bytes, account, fieldsOf(body)));
  }

  async trigger(sid: string, account?: string): Promise<TriggerView> {
    return await this.#ask(USAGE_OP.triggerShow, encodeTriggerName(sidBytes(sid), account));
  }

  async triggers({ cursor, ...query }: TriggerQuery): Promise<UsagePage<TriggerView>> {
    const body = encodeTriggerList({ ...query, cursor: fromCursor(cursor) });
    return toCursor(await this.#ask<UsagePage<TriggerView>>(USAGE_OP.triggerList, body));
  }

  async deleteTrigger(sid: string, account?: string): Promise<void> {
    await this.#ask(USAGE_OP.triggerDelete, encodeTriggerName(sidBytes(sid), account));
  }

  async rearmTrigger(sid: string, account?: string): Promise<TriggerView> {
    return await this.#ask(USAGE_OP.triggerRearm, encodeTriggerName(sidBytes(sid), account));
  }

  async stats(): Promise<Readonly<Record<string, number>>> {
    return await this.#ask(USAGE_OP.stats, new Uint8Array());
  }

  /** Events of clients are refused from now on; what shards tell is still taken. */
  async drain(): Promise<void> {
    this.#own.flush();
    await this.port.request(INPUT_OP.drain, new Uint8Array());
  }

  /** Waits for flushes under way and closes the store. */
  async close(): Promise<void> {
    this.#own.flush();
    await this.port.close();
    await this.#environment.close();
  }

  /** @throws FairleadError what the machine answers instead */
  async #ask<T extends object>(op: UsageOp, body: Uint8Array): Promise<T> {
    // Who asks sees what was counted before.
    this.#own.flush();
    const answer = JSON.parse(await this.port.request(op, body)) as T | { error: string };
    if ('error' in answer) throw refusal(answer);
    return answer;
  }
}

/** Configures the machine and hands it every record; returns how many there were. */
function recover(
  environment: Environment,
  { machine, nowUs, changes }: UsageServiceOptions,
): number {
  const input = new InputBuffer();
  for (const change of changes) input.append(INPUT_OP.configure, 0, encodeUsageConfigure(change));
  const { buffer, bytes } = input.finish(0);
  const atUs = nowUs();
  machine.configure(atUs, new Uint8Array(buffer, 0, bytes));
  const chunk = new JournalChunk((records) => machine.recover(atUs, records));
  let records = 0;
  for (const entry of usageRecords(environment)) {
    chunk.put(entry);
    records += 1;
  }
  chunk.flush();
  machine.recoverFinish(nowUs());
  return records;
}
