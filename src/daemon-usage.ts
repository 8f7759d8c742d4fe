/**
 * Joins usage with entities, shards, connections, outgoing requests and the store. The composition
 * root's part for it: no rule of its own stands here.
 */
import { randomInt } from 'node:crypto';
import { theirCategory } from './accounts/usage-categories.ts';
import type { AccountUsage } from './accounts/usage-ports.ts';
import type { Clock } from './base/clock.ts';
import type { Logger } from './base/logger.ts';
import type { Config } from './config/index.ts';
import { accountUsage } from './daemon-account-usage.ts';
import type { EntityService } from './dispatch/entity-service.ts';
import type { EntityChange, EntityRowOf } from './dispatch/ports.ts';
import { amountsOf } from './dispatch/shard-requests.ts';
import type { FrameSink } from './exchange/frame-sink.ts';
import type { Gate } from './gate/ports.ts';
import type { Connections } from './ingress/connections.ts';
import type { MetricFamily } from './ingress/metrics-text.ts';
import type { Turnstile } from './ingress/turnstile.ts';
import { LIMITS } from './limits.ts';
import { native } from './native.ts';
import type { Outbound } from './outbound/open-outbound.ts';
import { REFUSE_CODES } from './protocol/configure.ts';
import type { UsageChange } from './protocol/usage-exchange.ts';
import type { RestRoute } from './rest/rest-route.ts';
import { CountedGate } from './usage/counted-gate.ts';
import { eventRoute } from './usage/event-routes.ts';
import { Firings } from './usage/firings.ts';
import type { HeldField, HeldValue } from './usage/hold-record.ts';
import { HoldingTriggers } from './usage/holding-triggers.ts';
import { type HeldTrigger, Holds } from './usage/holds.ts';
import { Ledger } from './usage/ledger.ts';
import { ledgerRoute } from './usage/ledger-route.ts';
import type { Usage } from './usage/ports.ts';
import { recordRoute } from './usage/record-routes.ts';
import { triggerRoutes } from './usage/trigger-routes.ts';
import { usageMetrics } from './usage/usage-metrics.ts';
import { UsageService } from './usage/usage-service.ts';

export interface UsageParts {
  readonly config: Config;
  /** DIR/usage. */
  readonly path: string;
  readonly dataId: string;
  readonly hashKey: Uint8Array;
  readonly entities: EntityService;
  readonly outbound: Outbound;
  readonly clock: Clock;
  readonly sink: FrameSink;
  /** Undefined before the ingress is open. */
  readonly connections: () => Connections | undefined;
  /** What a shard told up to this sequence is flushed. */
  readonly taken: (shard: number, sequence: number) => void;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

export interface JoinedUsage {
  readonly service: UsageService;
  /** As the account form sees it. */
  readonly ofAccounts: AccountUsage;
  readonly routes: readonly RestRoute[];
  metrics(): Promise<readonly MetricFamily[]>;
  /** Resolves when the place of a cap, which shards know, holds what its period has come to. */
  loadCap(row: EntityRowOf<'cap'>): Promise<void>;
  /** Tells what fired before the last end; when the outbox may be written. */
  start(): void;
  /** After the shards, before the outbox. */
  close(): Promise<void>;
}

/** Recovers it, and tells it changes of entities from then on. @throws Error when its store cannot be used */
export async function joinUsage(parts: UsageParts): Promise<JoinedUsage> {
  const { config, entities, outbound, clock, logger, connections } = parts;
  const onFatal = (error: Error): void => {
    logger.fatal({ err: error }, 'usage failed');
    parts.onFatal(error);
  };
  const { environment, outbox } = outbound;
  const service: UsageService = await openService(parts, onFatal, (bytes) => firings.take(bytes));
  const holds = new Holds({
    environment,
    tenants: heldTenants(entities),
    stateOf: (trigger) => stateOf(service, trigger),
    nowMs: () => clock.nowUs() / 1_000,
    logger,
    onFatal,
  });
  const ledger = new Ledger({ environment });
  const firings = new Firings({
    outbox,
    holds,
    ledger,
    formsOf: (tenant) => {
      return { account: entities.accountOf(tenant)?.name, categoryOf: theirCategory };
    },
    tellConnections: (tenant, frame) => connections()?.tell(tenant, 'usage', frame),
    told: (sequence) => service.firingTold(sequence),
    logger,
    onFatal,
  });
  entities.onChange((change) => {
    // A cap that is put was told before: `loadCap`.
    if (change.kind === 'cap' && change.fields !== null) return;
    const told = changeOf(entities, change);
    if (told !== undefined) service.configure(told);
  });
  await service.capsLoaded();
  const usage: Usage = new HoldingTriggers(service, holds);
  const resources = [eventRoute(usage), recordRoute(usage), ledgerRoute(ledger)];
  const routes = [...resources, ...triggerRoutes(usage)];
  return {
    service,
    ofAccounts: accountUsage(usage, config.usage.currency),
    routes: routes.map((each) => ({ ...each, control: true })),
    metrics: async () => {
      const stats = await service.stats();
      const flush = service.port.flushes.snapshot();
      const told = { firings: firings.numbers, holds: holds.size, ledgerLines: ledger.size };
      return usageMetrics({ stats, ...told, flush });
    },
    loadCap: async (row) => {
      const told = changeOf(entities, row);
      if (told !== undefined) await service.configured(told);
    },
    start: () => service.start(),
    close: async () => {
      await firings.close();
      await holds.close();
      await service.close();
    },
  };
}

/** Counts requests of the REST interface for the tenant that asks. */
export function countedTurnstile(turnstile: Turnstile, service: UsageService): Turnstile {
  return {
    enter: (tenant, waited) => {
      const count = ({ kind }: { readonly kind: 'passed' | 'impeded' }): void => {
        service.count(tenant, kind === 'passed' ? 'api-requests' : 'api-requests-refused');
      };
      const end = turnstile.enter(tenant, (later) => {
        count(later);
        waited(later);
      });
      if (end.kind !== 'waiting') count(end);
      return end;
    },
  };
}

/** Counts what passes the proxy. */
export function countedGate(gate: Gate, service: UsageService): Gate {
  return new CountedGate({
    gate,
    count: (tenant, category, usage) => service.count(tenant, category, usage),
    tenantsMax: LIMITS.usageOwnCounts,
  });
}

async function openService(
  parts: UsageParts,
  onFatal: (error: Error) => void,
  fired: (bytes: Uint8Array) => void,
): Promise<UsageService> {
  const { config, path, dataId, hashKey, entities, clock, sink, taken, logger } = parts;
  const { eventKeyHours, eventKeysMax, countersMax } = config.usage;
  const nowUs = () => clock.nowUs();
  const memory = { eventKeyHours, eventKeysMax, countersMax };
  return await UsageService.open({
    ...{ path, dataId, durability: config.durability, nowUs, sink, fired, taken, logger, onFatal },
    machine: new native.Usage({
      bootId: randomInt(1, 2 ** 32),
      hashKey,
      nowUs: nowUs(),
      ...memory,
    }),
    changes: changesOf(entities),
  });
}

function* changesOf(entities: EntityService): Generator<UsageChange> {
  for (const kind of ['tenant', 'price', 'cap'] as const) {
    for (const row of entities.all(kind)) {
      const change = changeOf(entities, row as EntityChange);
      if (change !== undefined) yield change;
    }
  }
}

function changeOf(entities: EntityService, change: EntityChange): UsageChange | undefined {
  const { kind, name } = change;
  if (kind === 'tenant') {
    return { kind, name, fields: change.fields && { parent: change.fields.parent } };
  }
  if (kind !== 'price' && kind !== 'cap') return undefined;
  if (change.fields === null) return { kind, name, fields: null };
  if (change.kind === 'price') return amountsOf(change);
  const slot = entities.capSlot(name, change.fields);
  return amountsOf({ ...change, fields: { ...change.fields, slot } });
}

/** What may end the hold of a trigger; undefined: it is gone. */
async function stateOf(service: UsageService, trigger: string): Promise<HeldTrigger | undefined> {
  try {
    return await service.trigger(trigger);
  } catch (error) {
    if ((error as { error?: string }).error === 'triggerNotFound') return undefined;
    throw error;
  }
}

function heldTenants(entities: EntityService) {
  const defaults = { paused: false, refuseNew: false, ratePerSec: null, concurrencyMax: null };
  return {
    get: (tenant: string, field: HeldField): HeldValue => {
      const { fields } = entities.find('tenant', tenant) ?? {};
      const value = fields?.[field] ?? defaults[field];
      return field === 'refuseNew' && value === true
        ? (fields?.refuseCode ?? REFUSE_CODES[0])
        : value;
    },
    set: async (tenant: string, field: HeldField, value: HeldValue, trigger: string) => {
      const actor = { subject: `trigger ${trigger}`, address: null };
      await entities.amend('tenant', tenant, heldFields(field, value), actor);
    },
  };
}

function heldFields(field: HeldField, value: HeldValue) {
  if (field !== 'refuseNew') return { [field]: value };
  const refuseCode = REFUSE_CODES.find((code) => code === value && code !== REFUSE_CODES[0]);
  return { refuseNew: value !== false, refuseCode: refuseCode ?? null };
}
