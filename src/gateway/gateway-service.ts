/**
 * The gateways that the daemon drives: follows their entities, keeps a runner for each, replaces it
 * when what it rests on has changed. Weight, rate, burst and pause are the shard's business only.
 *
 * The old runner settles what is under way. A webhook gateway's new one begins at once, since the
 * shard counts what both have in flight; an SMPP gateway's waits, since an SMSC counts binds.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../base/logger.ts';
import { FairleadError } from '../errors.ts';
import { Doubts } from './doubts.ts';
import type { Driver, DriverHost } from './driver.ts';
import type { DrivenFields, GatewayFields, SmppFields } from './gateway-fields.ts';
import { GatewayNumbers } from './gateway-numbers.ts';
import { HookStage } from './hook-stage.ts';
import type { GatewayShards, GatewayTable, SecretOf } from './ports.ts';
import { GatewayRunner, type ReceiptKeeper } from './runner.ts';
import { type OutboundSender, SignedPost } from './signed-post.ts';
import { type SmppSecrets, smppSecretsOf } from './smpp-secrets.ts';
import { WebhookDriver } from './webhook-driver.ts';

export interface GatewayServiceOptions {
  readonly gateways: GatewayTable;
  readonly shards: GatewayShards;
  readonly client: OutboundSender;
  readonly secretOf: SecretOf;
  readonly receipts: ReceiptKeeper;
  readonly logger: Logger;
  /** Makes the driver of a gateway of the type smpp. */
  readonly smppDriver: (gateway: SmppGateway, host: DriverHost) => Driver;
}

export interface SmppGateway {
  readonly name: string;
  readonly fields: DrivenFields & { readonly smpp: SmppFields };
  readonly inFlightMax: number;
}

export interface GatewayState {
  readonly name: string;
  readonly type: GatewayFields['type'];
  readonly paused: boolean;
  /** Null: nobody but the shard knows, as of the type pull. */
  readonly up: boolean | null;
  /** Null: nobody but the shard knows, as of the type pull. */
  readonly inFlight: number | null;
  readonly sentPerSec: number;
  readonly outcomes: GatewayNumbers['counts'];
  readonly refusedByHook: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly lastError: { readonly at: string; readonly message: string } | null;
  /** What the driver says of itself. */
  readonly driver: object | null;
}

/** Messages in flight where the entity says none. */
const WEBHOOK_IN_FLIGHT = 64;
const SMPP_WINDOW = 10;

interface Place {
  runner: GatewayRunner | undefined;
  /** Those that the runner's SMPP link began with. */
  secrets: SmppSecrets | undefined;
  readonly numbers: GatewayNumbers;
  /** A change is being followed; `again`: there was another one meanwhile. */
  busy: boolean;
  again: boolean;
}

export class GatewayService {
  readonly #options: GatewayServiceOptions;
  readonly #post: SignedPost;
  readonly #doubts = new Doubts();
  readonly #places = new Map<string, Place>();
  /** Runners that were replaced and have work under way. */
  readonly #draining = new Set<GatewayRunner>();
  #stopping = false;

  constructor(options: GatewayServiceOptions) {
    this.#options = options;
    this.#post = new SignedPost(options.client, options.secretOf);
  }

  /** Begins with every gateway that there is. */
  start(): void {
    for (const { name } of this.#options.gateways.all()) this.changed(name);
  }

  /** A gateway was made, changed or deleted. */
  changed(name: string): void {
    const place = this.#places.get(name) ?? {
      runner: undefined,
      secrets: undefined,
      numbers: new GatewayNumbers(),
      busy: false,
      again: false,
    };
    this.#places.set(name, place);
    if (place.busy) place.again = true;
    else void this.#follow(name, place);
  }

  /** Resolves when all that a gateway has under way now has ended; undefined: nothing is. */
  landed(name: string): Promise<unknown> | undefined {
    const landings = this.#runnersOf(name).flatMap((runner) => runner.landed() ?? []);
    return landings.length === 0 ? undefined : Promise.all(landings);
  }

  /** Undefined: there is no such gateway. */
  state(name: string): GatewayState | undefined {
    const row = this.#options.gateways.find(name);
    if (row === undefined) return undefined;
    const place = this.#places.get(name);
    const runner = place?.runner;
    const numbers = place?.numbers ?? new GatewayNumbers();
    const { lastError } = numbers;
    return {
      name,
      type: row.fields.type,
      paused: row.fields.paused,
      up: runner?.up ?? null,
      inFlight: row.fields.type === 'pull' ? null : this.#inFlightOf(name),
      sentPerSec: numbers.sentPerSec,
      outcomes: numbers.counts,
      refusedByHook: numbers.refusedByHook,
      p50Ms: numbers.quantile(0.5),
      p99Ms: numbers.quantile(0.99),
      lastError:
        lastError === undefined
          ? null
          : { at: new Date(lastError.atMs).toISOString(), message: lastError.message },
      driver: runner?.driverState() ?? null,
    };
  }

  /** States of the gateways that the daemon drives. */
  *states(): Generator<GatewayState> {
    for (const [name, { runner }] of this.#places) {
      const state = runner === undefined ? undefined : this.state(name);
      if (state !== undefined) yield state;
    }
  }

  /** The daemon ends: what waits goes back to its queues, what is under way ends. */
  giveBack(): void {
    this.#stopping = true;
    for (const { runner } of this.#places.values()) runner?.giveBack();
    for (const runner of this.#draining) runner.giveBack();
  }

  /** Ends all connections; what has no outcome returns in doubt. */
  async close(): Promise<void> {
    this.#stopping = true;
    const runners = [...this.#places.values()].flatMap(({ runner }) => runner ?? []);
    await Promise.all([...runners, ...this.#draining].map((runner) => runner.close()));
    this.#places.clear();
  }

  #inFlightOf(name: string): number {
    return this.#runnersOf(name).reduce((sum, each) => sum + each.inFlight, 0);
  }

  /** Those of a gateway that work, the replaced ones too. */
  #runnersOf(name: string): GatewayRunner[] {
    const draining = [...this.#draining].filter((runner) => runner.name === name);
    return [...draining, ...[this.#places.get(name)?.runner ?? []].flat()];
  }

  async #follow(name: string, place: Place): Promise<void> {
    place.busy = true;
    do {
      place.again = false;
      await this.#replace(name, place);
    } while (place.again);
    place.busy = false;
    if (this.#options.gateways.find(name) === undefined) this.#places.delete(name);
  }

  async #replace(name: string, place: Place): Promise<void> {
    if (this.#stopping) return;
    const given = this.#options.gateways.find(name)?.fields;
    const fields = drivenOf(given);
    const { runner } = place;
    const secrets = this.#secretsOf(fields);
    const isSame = isDeepStrictEqual(secrets, place.secrets);
    if (isSameWork(fields, runner?.fields) && isSame) return;
    place.runner = undefined;
    place.secrets = secrets;
    if (runner !== undefined) {
      this.#draining.add(runner);
      const drained = runner.drain().finally(() => this.#draining.delete(runner));
      if (fields?.type === 'smpp') await drained;
    }
    if (this.#stopping) return;
    if (fields === undefined) {
      if (runner !== undefined && given !== undefined) this.#leaveToClients(name, given);
      return;
    }
    place.runner = this.#runnerOf(name, fields, place.numbers);
    place.runner.start();
  }

  /** What an SMPP gateway binds with now; undefined: it is none, or its secrets are missing or of no use. */
  #secretsOf(fields: DrivenFields | undefined): SmppSecrets | undefined {
    if (fields?.type !== 'smpp') return undefined;
    try {
      return smppSecretsOf(fields.smpp, this.#options.secretOf);
    } catch (error) {
      if (error instanceof FairleadError) return undefined;
      throw error;
    }
  }

  /** A gateway that was driven and may have been down: no client would ever tell its shard that it is up. */
  #leaveToClients(name: string, { destinations: [first = ''] }: GatewayFields): void {
    const { shards } = this.#options;
    const shard = shards.destination(first)?.shard;
    // It fails only when the shard ends, and with it what it was told.
    if (shard !== undefined) shards.gatewayUp(shard, name, true).catch(() => {});
  }

  #runnerOf(name: string, fields: DrivenFields, numbers: GatewayNumbers): GatewayRunner {
    const { shards, receipts, logger } = this.#options;
    const inFlightMax = inFlightMaxOf(fields);
    const { hook } = fields;
    return new GatewayRunner({
      name,
      fields,
      inFlightMax,
      shards,
      receipts,
      doubts: this.#doubts,
      numbers,
      logger,
      driver: (host) => this.#driverOf(name, fields, host),
      hook:
        hook === null
          ? undefined
          : (decided) => new HookStage({ gateway: name, fields: hook, post: this.#post, decided }),
    });
  }

  #driverOf(name: string, fields: DrivenFields, host: DriverHost): Driver {
    const inFlightMax = inFlightMaxOf(fields);
    if (fields.type === 'smpp') {
      return this.#options.smppDriver({ name, fields, inFlightMax }, host);
    }
    return new WebhookDriver({ fields: fields.webhook, inFlightMax, post: this.#post, host });
  }
}

function inFlightMaxOf(fields: DrivenFields): number {
  if (fields.inFlightMax !== null) return fields.inFlightMax;
  return fields.type === 'webhook' ? WEBHOOK_IN_FLIGHT : SMPP_WINDOW * fields.smpp.sessions;
}

/** Undefined: none that the daemon drives. */
function drivenOf(fields: GatewayFields | undefined): DrivenFields | undefined {
  const isDriven =
    (fields?.type === 'webhook' && fields.webhook !== null) ||
    (fields?.type === 'smpp' && fields.smpp !== null);
  return isDriven ? (fields as DrivenFields) : undefined;
}

/** Whether a change is none of the runner's business. */
function isSameWork(a: DrivenFields | undefined, b: DrivenFields | undefined): boolean {
  return isDeepStrictEqual(workOf(a), workOf(b));
}

function workOf(fields: DrivenFields | undefined): object | undefined {
  if (fields === undefined) return undefined;
  const { type, destinations, inFlightMax, webhook, smpp, hook } = fields;
  return { type, destinations, inFlightMax, webhook, smpp, hook };
}
