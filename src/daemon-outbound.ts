/**
 * Joins what goes out over HTTP with the entities and the shards: the outbox with its keys, and status
 * callbacks. The composition root's part for them: no rule of theirs stands here.
 */
import type { Clock } from './base/clock.ts';
import type { Logger } from './base/logger.ts';
import type { Metric } from './base/metric.ts';
import { callbackMetrics } from './callbacks/callback-metrics.ts';
import { Callbacks } from './callbacks/callbacks.ts';
import type { Config } from './config/index.ts';
import type { EntityService } from './dispatch/entity-service.ts';
import { signingSecrets } from './dispatch/secret-routes.ts';
import { type Outbound, openOutbound } from './outbound/open-outbound.ts';
import { outboundMetrics } from './outbound/outbound-metrics.ts';

export interface OutboundParts {
  readonly config: Config;
  /** DIR/outbound. */
  readonly path: string;
  readonly entities: EntityService;
  /** A tenant's webhook secret of a version. */
  readonly secretOf: (tenant: string, version: number) => string;
  readonly eventsTaken: (shard: number, sequence: number) => void;
  readonly clock: Clock;
  /** A request of a tenant was taken by its endpoint. */
  readonly delivered: (tenant: string) => void;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

export interface JoinedOutbound {
  readonly outbound: Outbound;
  readonly callbacks: Callbacks;
  metrics(): readonly Metric[];
  /** Ends the callbacks, then waits up to `deadlineMs` for deliveries under way. */
  close(deadlineMs: number): Promise<void>;
}

/** Recovers both; nothing is sent before `outbound.outbox.start()`. @throws ConfigError, RecordError */
export function joinOutbound(parts: OutboundParts): JoinedOutbound {
  const { config, entities, secretOf, clock, logger, onFatal } = parts;
  const outbound = openOutbound({
    options: config.outbound,
    path: parts.path,
    durability: config.durability,
    keys: {
      standardKeys: (tenant) => {
        return signingSecrets(entities, secretOf, tenant).map(({ secret }) => secret);
      },
      formToken: (account) => entities.find('account', account)?.fields.primaryToken,
    },
    clock,
    onDelivered: (signing) => {
      const isStandard = signing.kind === 'standard';
      const tenant = isStandard
        ? signing.tenant
        : entities.find('account', signing.account)?.fields.tenant;
      if (tenant !== undefined) parts.delivered(tenant);
    },
    logger,
    onFatal,
  });
  const { environment, outbox } = outbound;
  const callbacks = new Callbacks({
    environment,
    outbox,
    eventsTaken: parts.eventsTaken,
    accountOf: (tenant) => {
      const account = entities.accountOf(tenant);
      if (account === undefined) return undefined;
      return { sid: account.name, callbackStatuses: account.fields.callbackStatuses };
    },
    receiptWaitMs: config.gateway.receiptWaitMs,
    logger,
    onFatal,
  });
  return {
    outbound,
    callbacks,
    metrics: () => [...outboundMetrics(outbound.numbers), ...callbackMetrics(callbacks.numbers)],
    close: async (deadlineMs) => {
      await callbacks.close();
      await outbound.close(deadlineMs);
    },
  };
}
