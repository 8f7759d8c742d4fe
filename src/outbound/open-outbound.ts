/**
 * Puts the parts of outgoing requests together: the client with its guard, the environment that
 * the outbox shares with the features, the outbox.
 */
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { type Config, ConfigError } from '../config/index.ts';
import { LIMITS } from '../limits.ts';
import type { RestRoute } from '../rest/rest-route.ts';
import { type Durability, Environment } from '../store/environment.ts';
import { parseAllowEntry } from './address-guard.ts';
import { OutboundClient, type OutboundNumbers } from './outbound-client.ts';
import { Outbox, type OutboxNumbers, type OutboxOptions } from './outbox.ts';
import type { AttemptParts, OutboxKeys } from './outbox-attempt.ts';
import { outboxRoutes } from './outbox-routes.ts';
import { outboxTime } from './outbox-time.ts';
import type { Resolve } from './resolver.ts';

type Options = Config['outbound'];

export interface OpenOutboundOptions {
  readonly options: Options;
  /** Folder of the environment, `DataDirectory.outboundPath`. */
  readonly path: string;
  readonly durability: Durability;
  readonly keys: OutboxKeys;
  readonly clock: Clock;
  readonly onDelivered?: OutboxOptions['onDelivered'];
  readonly logger: Logger;
  /** Called when a write failed: the process has to end. */
  readonly onFatal: (error: Error) => void;
  /** How names are resolved; tests pass their own. */
  readonly resolve?: Resolve;
}

export interface Outbound {
  readonly client: OutboundClient;
  /** Shared with the features: tables in store/outbound-tables.ts. */
  readonly environment: Environment;
  readonly outbox: Outbox;
  readonly routes: readonly RestRoute[];
  readonly numbers: { readonly client: OutboundNumbers; readonly outbox: OutboxNumbers };
  /**
   * Begins no more deliveries, waits up to `deadlineMs` for those under way, and closes everything.
   * The features must have ended their writes.
   */
  close(deadlineMs: number): Promise<void>;
}

/**
 * Opens everything and recovers the outbox; nothing is sent before `outbox.start()`.
 *
 * @throws ConfigError when the list or the certificates cannot be used, RecordError when a record is damaged
 */
export function openOutbound(given: OpenOutboundOptions): Outbound {
  const { options, path, durability, keys, clock, logger, onFatal, resolve } = given;
  checkOutbound(options);
  const { allow, allowHttp, connectTimeoutMs, timeoutMs, concurrency, failedKeepMs } = options;
  const ca = certificatesOf(options);
  const client = new OutboundClient({ allow, allowHttp, connectTimeoutMs, ca, resolve });
  const environment = Environment.open({ path, durability, mapBytes: LIMITS.outboundMapBytes });
  const time = outboxTime(clock);
  const parts: AttemptParts = { timeoutMs, keys, send: (request) => client.send(request) };
  const startMs = performance.now();
  const outbox = Outbox.open({
    environment,
    schedule: options,
    time,
    random: Math.random,
    concurrency,
    failedKeepMs,
    ...parts,
    onDelivered: given.onDelivered,
    onFatal,
  });
  const routes = outboxRoutes({ outbox, environment, nowMs: time.nowMs, ...parts });
  const { waiting, failed } = outbox.numbers;
  const ms = Math.round(performance.now() - startMs);
  if (waiting + failed > 0) logger.info({ waiting, failed, ms }, 'outbox is recovered');
  return {
    client,
    environment,
    outbox,
    routes,
    get numbers() {
      return { client: client.numbers, outbox: outbox.numbers };
    },
    close: async (deadlineMs) => {
      await outbox.stop(deadlineMs);
      await client.close();
      await environment.close();
    },
  };
}

/** @throws ConfigError naming what cannot be used */
export function checkOutbound(options: Options): void {
  const problems = options.allow.flatMap((entry, at) => {
    try {
      parseAllowEntry(entry);
      return [];
    } catch (error) {
      const why = (error as Error).message;
      return [{ key: `outbound.allow.${at}`, why, from: 'outbound.allow' }];
    }
  });
  if (problems.length > 0) throw new ConfigError(problems);
  certificatesOf(options);
}

function certificatesOf({ caFile }: Options): readonly string[] | undefined {
  if (caFile === undefined) return undefined;
  try {
    return [...rootCertificates, readFileSync(caFile, 'utf8')];
  } catch (error) {
    const why = `the file cannot be read: ${(error as Error).message}`;
    throw new ConfigError([{ key: 'outbound.caFile', why, received: caFile, from: caFile }]);
  }
}
