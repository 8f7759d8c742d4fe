/**
 * The composition root: builds the parts, joins them, and knows in which order they start and end.
 *
 * Start: data directory → entities → outbox, callbacks → usage, before any shard tells what it counted →
 * shards and gate with their recovery → ingress → gateways → ready.
 * Stop: not ready → no new connections → clients told to go → shards pick no more, the gate gives no more
 * permits, usage takes no more events → gateways give back what waits → wait for what is in flight, up to
 * the deadline → gateways and sockets closed → gate, then shards flushed and closed → usage, with what
 * shards told to the end → callbacks, outbox → entities → lock.
 */
import { availableParallelism } from 'node:os';
import { ProcessClock } from './base/clock.ts';
import type { Logger } from './base/logger.ts';
import { webhookSecret } from './base/webhook-secret.ts';
import { type Config, Secrets, shardsDefault } from './config/index.ts';
import { accountForm } from './daemon-accounts.ts';
import { authenticatorOf, urlOf } from './daemon-address.ts';
import { openEntityTable } from './daemon-entities.ts';
import { type GateParts, joinGate, turnstileOf } from './daemon-gate.ts';
import { type GatewayParts, type Gateways, gatewayCheck, joinGateways } from './daemon-gateways.ts';
import { gateMetricsOf, meterOf } from './daemon-meters.ts';
import { type JoinedOutbound, joinOutbound, type OutboundParts } from './daemon-outbound.ts';
import { type JoinedProxy, joinProxy } from './daemon-proxy.ts';
import { frameSinkOf, type OpenShardsParts, openShards } from './daemon-shards.ts';
import { daemonStatus } from './daemon-status.ts';
import { countedGate, countedTurnstile, type JoinedUsage, joinUsage } from './daemon-usage.ts';
import { EntityService } from './dispatch/entity-service.ts';
import type { EntityTable } from './dispatch/ports.ts';
import { restRoutes } from './dispatch/rest-routes.ts';
import { shardPortsOf } from './dispatch/shard-requests.ts';
import type { FrameSink } from './exchange/frame-sink.ts';
import { gateRoutes } from './gate/gate-routes.ts';
import type { GateService } from './gate/gate-service.ts';
import { Metrics } from './ingress/metrics.ts';
import { Ingress } from './ingress/server.ts';
import { native } from './native.ts';
import { encodeStats, INPUT_OP } from './protocol/exchange.ts';
import { withOpenApi } from './rest/openapi.ts';
import type { ShardPool } from './shard/shard-pool.ts';
import type { ShardPort } from './shard/shard-port.ts';
import { DataDirectory } from './store/data-directory.ts';
import { DiskSpace } from './store/disk-space.ts';

/** Exit code of every crash-only ending (EX_SOFTWARE). */
const CRASH_EXIT_CODE = 70;
/** How soon a client may look for us, or another daemon, after we said that we go. */
const RETRY_AFTER_MS = 1_000;
const IN_FLIGHT_POLL_MS = 20;
/** Sockets get at least this long for answers that are on their way. */
const CLOSE_MS_MIN = 500;

export interface DaemonOptions {
  readonly config: Config;
  /** Where `secretEnv` keys are looked up. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
  readonly version: string;
  /** Called when the process has to end at once; ends it with code 70 unless given. */
  readonly onFatal?: (error: Error) => void;
}

export interface StartedDaemon {
  /** `http://127.0.0.1:PORT`, with https under TLS. */
  readonly url: string;
  readonly port: number;
  /** Of the proxy's listener; undefined where no route is configured. */
  readonly proxyPort: number | undefined;
  readonly dataDir: string;
  /** Resolves when every shard has done an exchange. */
  checkShards(): Promise<void>;
  /** Drains and closes; the second call gets the first one's promise. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon in this process; several may run beside each other.
 *
 * @throws ConfigError, DataDirectoryError, RecordError, or what keeps the address from being taken;
 *   nothing is left open then.
 */
export async function startDaemon(options: DaemonOptions): Promise<StartedDaemon> {
  const daemon = new Daemon(options);
  try {
    await daemon.start();
  } catch (error) {
    await daemon.close();
    throw error;
  }
  return daemon;
}

class Daemon implements StartedDaemon {
  readonly #options: DaemonOptions;
  readonly #onFatal: (error: Error) => void;
  /** What was started, as what closes it; closed from the last to the first. */
  readonly #closers: (() => Promise<void> | void)[] = [];
  #pool: ShardPool | undefined;
  #ingress: Ingress | undefined;
  #gateways: Gateways | undefined;
  #gate: GateService | undefined;
  #usage: JoinedUsage | undefined;
  #proxy: JoinedProxy | undefined;
  #outgoing: JoinedOutbound | undefined;
  #stopped: Promise<void> | undefined;
  #checking: Promise<void> | undefined;
  #url = '';

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#onFatal =
      options.onFatal ??
      ((error) => {
        options.logger.fatal({ err: error }, 'a fault: the process ends');
        native.exitNow(CRASH_EXIT_CODE);
      });
  }

  get url(): string {
    return this.#url;
  }

  get port(): number {
    return this.#ingress?.port ?? 0;
  }

  get proxyPort(): number | undefined {
    return this.#proxy?.port;
  }

  get dataDir(): string {
    return this.#options.config.dataDir;
  }

  async start(): Promise<void> {
    const { config, env, version, logger } = this.#options;
    const auth = authenticatorOf(config, env);
    const directory = this.#openDirectory();
    const table = this.#openEntities(directory);
    const shards = shardPortsOf(directory.shards, (shard) => this.#ports[shard]);
    const { autoCreateDestinations } = config.dispatch;
    const secrets = new Secrets({ dir: config.secrets.dir ?? env.CREDENTIALS_DIRECTORY, env });
    const checkGateway = gatewayCheck(secrets);
    const resourceInUse = async (name: string) => (await this.#gate?.inUse(name)) ?? false;
    const loadCap: JoinedUsage['loadCap'] = async (row) => this.#usage?.loadCap(row);
    const checks = { checkGateway, resourceInUse, loadCap };
    const entities = EntityService.open({ table, shards, autoCreateDestinations, ...checks });
    this.#closers.push(() => entities.close());
    const secretOf = (tenant: string, version: number) =>
      webhookSecret(directory.hashKey, tenant, version);
    const clock = ProcessClock.start();
    this.#closers.push(() => clock.stop());
    const { outboundPath: path } = directory;
    const outgoing = this.#joinOutbound({ path, entities, secretOf, clock });
    this.#outgoing = outgoing;
    const usage = await this.#openUsage(directory, { entities, clock, outgoing });
    this.#usage = usage;
    const { callbacks } = outgoing;
    const { service } = usage;
    this.#pool = await this.#openShards({ directory, entities, clock, callbacks, usage: service });
    const counted = (deltas: Uint8Array): void => service.countDeltas(deltas);
    const gate = await this.#openGate({ directory, entities, clock, counted });
    this.#gate = gate;
    const status = () =>
      daemonStatus({ config, version, ports: this.#ports, ingress: this.#ingress, usage: service });
    const { hashKey } = directory;
    const gateways = this.#openGateways({ hashKey, entities, shards, outgoing, secrets });
    this.#gateways = gateways;
    const { callbacks: late } = outgoing;
    const rest = [
      ...restRoutes({ entities, table, shards, status, secretOf, late }),
      ...gateways.routes,
      ...outgoing.outbound.routes,
      ...gateRoutes(gate),
      ...usage.routes,
    ];
    const { ofAccounts } = usage;
    const form = accountForm({ entities, shards, hashKey, logger, late, usage: ofAccounts });
    this.#ingress = await this.#openIngress({
      auth,
      directory: entities,
      routes: [...withOpenApi(rest, version), ...form.routes],
      errorForms: [form.errorForm],
      inbound: gateways.inboundFrames,
      gate,
      usage: service,
      turnstile: countedTurnstile(turnstileOf(gate), service),
    });
    const passing = countedGate(gate, service);
    this.#proxy = await joinProxy({ config, gate: passing, tokens: auth, secrets, logger });
    this.#closers.push(() => this.#proxy?.close());
    // They use shards and connections to the end, so they are closed before them.
    this.#closers.push(() => gateways.close());
    await this.#watchDisk(this.#pool);
    // A first exchange, so that what was recovered shows in the counters.
    await this.checkShards();
    gateways.start();
    outgoing.outbound.outbox.start();
    usage.start();
    this.#url = urlOf(config, this.port);
    this.#ingress.setReady(true);
  }

  checkShards(): Promise<void> {
    // One question at a time: a shard that hangs is not asked again and again.
    this.#checking ??= this.#askShards().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async #askShards(): Promise<void> {
    await Promise.all(this.#ports.map((port) => port.request(INPUT_OP.stats, encodeStats(0))));
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#drain().then(() => this.close());
    return this.#stopped;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }

  get #ports(): readonly ShardPort[] {
    return this.#pool?.ports ?? [];
  }

  async #drain(): Promise<void> {
    const { config, logger } = this.#options;
    const endMs = performance.now() + config.shutdown.deadlineMs;
    this.#ingress?.stopAccepting();
    this.#ingress?.goAway('the daemon is stopping', RETRY_AFTER_MS);
    const drained = this.#ports.map((port) => port.request(INPUT_OP.drain, new Uint8Array()));
    const proxied = this.#proxy?.drain(endMs - performance.now());
    await Promise.all([...drained, this.#gate?.drain(), this.#usage?.service.drain()]);
    this.#gateways?.service.giveBack();
    const inFlight = (): number =>
      this.#ports.reduce((sum, { counters }) => sum + counters.inFlight, 0);
    while (inFlight() > 0 && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, IN_FLIGHT_POLL_MS));
    }
    if (inFlight() > 0) logger.warn({ inFlight: inFlight() }, 'stopping with work in flight');
    await proxied;
    await this.#ingress?.closeAll(Math.max(CLOSE_MS_MIN, endMs - performance.now()));
  }

  #openDirectory(): DataDirectory {
    const { config, logger } = this.#options;
    const directory = DataDirectory.open({
      path: config.dataDir,
      shards: config.shards,
      shardsDefault: shardsDefault(availableParallelism()),
      durability: config.durability,
    });
    this.#closers.push(() => directory.close());
    const threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
    const { path, shards } = directory;
    logger.info({ path, shards, durability: config.durability, threads }, 'data directory is open');
    return directory;
  }

  #openEntities({ mainPath }: DataDirectory): EntityTable {
    const { durability } = this.#options.config;
    const isStopping = () => this.#stopped !== undefined;
    const onFatal = this.#onFatal;
    const { table, close } = openEntityTable({ path: mainPath, durability, isStopping, onFatal });
    this.#closers.push(close);
    return table;
  }

  /** Closed after the shards: what they still tell is taken. */
  #joinOutbound(
    parts: Pick<OutboundParts, 'path' | 'entities' | 'secretOf' | 'clock'>,
  ): JoinedOutbound {
    const { config, logger } = this.#options;
    const joined = joinOutbound({
      ...parts,
      config,
      eventsTaken: (shard, sequence) => this.#ports[shard]?.eventsTaken(sequence),
      delivered: (tenant) => this.#usage?.service.count(tenant, 'webhooks'),
      logger,
      onFatal: this.#onFatal,
    });
    this.#closers.push(() => joined.close(CLOSE_MS_MIN));
    return joined;
  }

  #openGateways({
    outgoing: { outbound, callbacks },
    ...parts
  }: Pick<GatewayParts, 'hashKey' | 'entities' | 'shards' | 'secrets'> & {
    readonly outgoing: JoinedOutbound;
  }): Gateways {
    const { config, logger } = this.#options;
    return joinGateways({
      ...parts,
      connections: () => this.#ingress?.connections,
      outbound,
      receiptWaitMs: config.gateway.receiptWaitMs,
      inboundTaken: (tenant) => this.#usage?.service.count(tenant, 'messages-inbound'),
      late: ({ messageId, status, code }) => callbacks.lateReceipt(messageId, status, code),
      logger,
      onFatal: this.#onFatal,
    });
  }

  async #openGate(
    parts: Pick<GateParts, 'directory' | 'entities' | 'clock' | 'counted'>,
  ): Promise<GateService> {
    const { config, logger } = this.#options;
    const sink = this.#frameSink();
    const onFatal = this.#onFatal;
    const gate = await joinGate({ ...parts, config, sink, logger, onFatal });
    this.#closers.push(() => gate.close());
    return gate;
  }

  /** No frame comes before the ingress is there, so none is lost. */
  #frameSink(): FrameSink {
    return frameSinkOf(() => this.#ingress?.connections);
  }

  async #openUsage(
    { usagePath: path, dataId, hashKey }: DataDirectory,
    parts: { entities: EntityService; clock: ProcessClock; outgoing: JoinedOutbound },
  ): Promise<JoinedUsage> {
    const { entities, clock, outgoing } = parts;
    const { config, logger } = this.#options;
    const usage = await joinUsage({
      ...{ config, path, dataId, hashKey, entities, clock, logger },
      outbound: outgoing.outbound,
      sink: this.#frameSink(),
      connections: () => this.#ingress?.connections,
      taken: (shard, sequence) => this.#ports[shard]?.usageTaken(sequence),
      onFatal: this.#onFatal,
    });
    this.#closers.push(() => usage.close());
    return usage;
  }

  async #openShards(
    parts: Pick<OpenShardsParts, 'directory' | 'entities' | 'clock' | 'callbacks' | 'usage'>,
  ) {
    const { config, logger } = this.#options;
    const sink = this.#frameSink();
    const pool = await openShards({ ...parts, config, sink, logger, onFatal: this.#onFatal });
    this.#closers.push(() => pool.close());
    return pool;
  }

  async #openIngress(
    parts: Pick<
      Parameters<typeof Ingress.start>[0],
      'auth' | 'directory' | 'routes' | 'errorForms' | 'inbound' | 'gate' | 'usage' | 'turnstile'
    >,
  ): Promise<Ingress> {
    const { config, logger, version } = this.#options;
    const { host, port, allowFallback, metricsScope, tls } = config.ingress;
    const { certFile, keyFile } = tls;
    let metrics: Metrics | undefined;
    const ingress = await Ingress.start({
      ...parts,
      host,
      port,
      tls: certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile },
      allowFallback,
      metricsScope,
      shards: this.#ports,
      collect: async () => [
        ...((await metrics?.collect()) ?? []),
        ...(this.#gateways?.metrics() ?? []),
        ...(this.#gate === undefined ? [] : await gateMetricsOf(this.#gate)),
        ...((await this.#usage?.metrics()) ?? []),
        ...(this.#proxy?.metrics() ?? []),
        ...(this.#outgoing?.metrics() ?? []),
      ],
      logger,
      durability: config.durability,
      version,
    });
    metrics = new Metrics({ shards: this.#ports.map(meterOf), ingress, version, logger });
    this.#closers.push(async () => {
      metrics?.stop();
      await ingress.closeAll(0);
    });
    return ingress;
  }

  async #watchDisk(pool: ShardPool): Promise<void> {
    const disk = new DiskSpace({
      directory: this.dataDir,
      logger: this.#options.logger,
      onChange: (full) => pool.diskFull(full),
    });
    this.#closers.push(() => disk.stop());
    await disk.start();
  }
}
