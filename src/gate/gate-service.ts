/**
 * The gate of a daemon: its state machine, its store, and the ways in. Main thread.
 *
 * It opens with the entities that are, recovers the permits that are stored, and is told each change
 * of a tenant, a resource or a policy from then on. States are those of its port (gate-port.ts).
 */
import type { Logger } from '../base/logger.ts';
import type { FrameSink } from '../exchange/frame-sink.ts';
import { Journal } from '../exchange/journal.ts';
import { JournalChunk } from '../exchange/journal-chunk.ts';
import { LIMITS } from '../limits.ts';
import { INPUT_OP, InputBuffer } from '../protocol/exchange.ts';
import {
  encodeGateConfigure,
  encodeGateExplain,
  encodeGateInUse,
  encodeGateList,
  encodeGateTop,
  GATE_OP,
  type GateChange,
} from '../protocol/gate-exchange.ts';
import type { Durability, Environment } from '../store/environment.ts';
import { gateRecords, openGateEnvironment } from '../store/gate-tables.ts';
import { Callers } from './callers.ts';
import { GatePort } from './gate-port.ts';
import type { GateMachine } from './machine.ts';
import type { Ask, Gate, Impeded, Passed, Waiting } from './ports.ts';
import { ResourceMaker } from './resource-maker.ts';

const JOURNAL_ROOM_BYTES = 8 * 1024;

export interface GateServiceOptions {
  /** DIR/gate. */
  readonly path: string;
  readonly durability: Durability;
  /** Of the data directory, whose store it is. */
  readonly dataId: string;
  /** Permits are given when they are durable, or at once. */
  readonly strict: boolean;
  readonly safeRestore?: boolean;
  readonly machine: GateMachine;
  /** µs since 1970. */
  readonly nowUs: () => number;
  /** Tenants, resources and policies at the start, what refers after what it refers to. */
  readonly changes: Iterable<GateChange>;
  /** Makes resources at their first use; undefined: they have to be there. */
  readonly resources:
    | {
        readonly has: (resource: string) => boolean;
        readonly create: (resource: string) => Promise<void>;
      }
    | undefined;
  readonly sink: FrameSink;
  /** Takes what tenants are counted for, a list of deltas; the bytes are valid during the call only. */
  readonly counted: (deltas: Uint8Array) => void;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

export interface KeyPage {
  readonly resource: string | undefined;
  readonly tenant: string | undefined;
  readonly cursor: string;
  readonly limit: number;
}

export class GateService implements Gate {
  readonly port: GatePort;
  readonly #environment: Environment;
  readonly #callers: Callers;
  readonly #maker: ResourceMaker | undefined;

  private constructor(options: GateServiceOptions, environment: Environment) {
    const { machine, nowUs, strict, sink, counted, resources, logger, onFatal } = options;
    this.#environment = environment;
    const journal = new Journal(environment, {
      queued: true,
      roomStepBytes: JOURNAL_ROOM_BYTES,
      spareMax: LIMITS.gateStepsInFlight,
    });
    this.port = new GatePort({
      ...{ machine, journal, strict, nowUs, sink, counted, onFatal },
      entered: (ticket, bytes) => this.#callers.entered(ticket, bytes),
    });
    this.#maker =
      resources &&
      new ResourceMaker({
        ...resources,
        frame: (connection, bytes) => this.port.frame(connection, bytes),
        logger,
      });
    this.#callers = new Callers({
      machine,
      nowUs,
      stepSoon: () => this.port.stepSoon(),
      onFault: (error) => this.port.fail(error as Error),
      make: this.#maker && ((resource) => this.#make(resource)),
    });
  }

  /** Opens the store and recovers what it holds. @throws Error when it cannot be used */
  static async open(options: GateServiceOptions): Promise<GateService> {
    const { path, durability, dataId, safeRestore = false } = options;
    const environment = openGateEnvironment({ path, durability, dataId, safeRestore });
    try {
      const records = recover(environment, options);
      if (records > 0) options.logger.info({ records }, 'gate is recovered');
      return new GateService(options, environment);
    } catch (error) {
      await environment.close();
      throw error;
    }
  }

  enter(ask: Ask, waited: (end: Passed | Impeded) => void): Passed | Waiting | Impeded {
    return this.#callers.enter(ask, waited);
  }

  /** Announces a connection; before its first frame. */
  connect(connection: number, scopes: number, tenant: string): void {
    this.port.connect(connection, scopes, tenant);
  }

  disconnect(connection: number): void {
    this.#maker?.disconnect(connection);
    this.port.disconnect(connection);
  }

  /** Copies one client frame; false: too much waits, nothing was taken. */
  frame(connection: number, bytes: Uint8Array): boolean {
    return this.#maker?.frame(connection, bytes) ?? this.port.frame(connection, bytes);
  }

  /** An entity as a change left it; it counts from the next step on. */
  configure(change: GateChange): void {
    if (!this.port.isOpen) return;
    this.port.request(INPUT_OP.configure, encodeGateConfigure(change)).catch(() => {
      // The port is closing: the next start reads the entities anew.
    });
  }

  /** A page of the keys that are open, as JSON says it. */
  async keys(page: KeyPage): Promise<object> {
    return await this.#ask(GATE_OP.list, encodeGateList(page));
  }

  /** The keys with most of something. */
  async top(by: string, limit: number): Promise<object> {
    return await this.#ask(GATE_OP.top, encodeGateTop(by, limit));
  }

  /** Why a key is as it is; undefined: there is no such resource. */
  async explain(resource: string, tenant: string): Promise<object | undefined> {
    const answer = await this.#ask(GATE_OP.explain, encodeGateExplain(resource, tenant));
    return 'error' in answer ? undefined : answer;
  }

  /** Whether permits of a resource are out, or somebody waits for one. */
  async inUse(resource: string): Promise<boolean> {
    const answer = await this.#ask(INPUT_OP.inUse, encodeGateInUse(resource));
    return (answer as { inUse: boolean }).inUse;
  }

  /** Gives no more permits and marks the store as left in order; what is held goes on. */
  async drain(): Promise<void> {
    await this.#ask(INPUT_OP.drain, new Uint8Array());
  }

  /** Waits for flushes under way and closes the store. */
  async close(): Promise<void> {
    this.#maker?.close();
    await this.port.close();
    await this.#environment.close();
  }

  /** Resolves once the machine has it too, or it cannot be made. */
  async #make(resource: string): Promise<void> {
    await this.#maker?.make(resource);
    await this.port.counters();
  }

  async #ask(op: Parameters<GatePort['request']>[0], body: Uint8Array): Promise<object> {
    return JSON.parse(await this.port.request(op, body)) as object;
  }
}

/** Configures the machine and hands it every record; returns how many there were. */
function recover(
  environment: Environment,
  { machine, nowUs, changes }: GateServiceOptions,
): number {
  const input = new InputBuffer();
  for (const change of changes) input.append(INPUT_OP.configure, 0, encodeGateConfigure(change));
  const { buffer, bytes } = input.finish(0);
  const atUs = nowUs();
  machine.configure(atUs, new Uint8Array(buffer, 0, bytes));
  const chunk = new JournalChunk((records) => machine.recover(atUs, records));
  let records = 0;
  for (const entry of gateRecords(environment)) {
    chunk.put(entry);
    records += 1;
  }
  chunk.flush();
  machine.recoverFinish(nowUs());
  return records;
}
