/**
 * Joins the gate with entities, connections and the store. The composition root's part for it: no
 * rule of its own stands here.
 */
import { randomInt } from 'node:crypto';
import type { Clock } from './base/clock.ts';
import type { Logger } from './base/logger.ts';
import type { Config } from './config/index.ts';
import type { EntityService } from './dispatch/entity-service.ts';
import type { EntityChange } from './dispatch/ports.ts';
import { API_RESOURCE, PLATFORM_TENANT } from './dispatch/resource-schemas.ts';
import type { FrameSink } from './exchange/frame-sink.ts';
import { GateService } from './gate/gate-service.ts';
import type { Turnstile } from './ingress/turnstile.ts';
import { native } from './native.ts';
import type { GateChange } from './protocol/gate-exchange.ts';
import type { DataDirectory } from './store/data-directory.ts';

export interface GateParts {
  readonly config: Config;
  readonly directory: Pick<DataDirectory, 'gatePath' | 'hashKey' | 'dataId'>;
  readonly entities: EntityService;
  readonly clock: Clock;
  readonly sink: FrameSink;
  /** Takes what tenants are counted for, a list of deltas. */
  readonly counted: (deltas: Uint8Array) => void;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

/** Recovers it, and tells it changes of entities from then on. @throws Error when its store cannot be used */
export async function joinGate(parts: GateParts): Promise<GateService> {
  const { config, directory, entities, clock, sink, counted, logger, onFatal } = parts;
  const { durability, graceMs, permitsMax, keysMax, autoCreateResources } = config.gate;
  const { gatePath: path, hashKey, dataId } = directory;
  const nowUs = () => clock.nowUs();
  const strict = durability === 'strict';
  const bootId = randomInt(1, 2 ** 32);
  const memory = { graceMs, permitsMax, keysMax };
  const gate = await GateService.open({
    ...{ path, dataId, durability: config.durability, strict, nowUs, sink, counted, logger },
    machine: new native.Gate({ bootId, hashKey, nowUs: nowUs(), relaxed: !strict, ...memory }),
    changes: changesOf(entities),
    resources: autoCreateResources
      ? {
          has: (name) => entities.find('resource', name) !== undefined,
          create: (name) => entities.create(name, 'resource'),
        }
      : undefined,
    onFatal: (error) => {
      logger.fatal({ err: error }, 'gate failed');
      onFatal(error);
    },
  });
  entities.onChange((change) => {
    const told = changeOf(change);
    if (told !== undefined) gate.configure(told);
  });
  return gate;
}

/** Counts requests of the REST interface as users of the resource `fairlead.api`. */
export function turnstileOf(gate: GateService): Turnstile {
  return { enter: (tenant, waited) => gate.enter({ resource: API_RESOURCE, tenant }, waited) };
}

function* changesOf(entities: EntityService): Generator<GateChange> {
  for (const kind of ['tenant', 'resource', 'policy'] as const) {
    for (const row of entities.all(kind)) {
      const change = changeOf(row as EntityChange);
      if (change !== undefined) yield change;
    }
  }
}

function changeOf(change: EntityChange): GateChange | undefined {
  const { kind } = change;
  if (kind !== 'tenant' && kind !== 'resource' && kind !== 'policy') return undefined;
  const told = change as GateChange;
  return kind === 'resource' ? told : { ...told, name: tenantNamed(told.name) };
}

/** The gate knows the platform by the empty name, which no entity has. */
function tenantNamed(name: string): string {
  const slash = name.indexOf('/') + 1;
  return name.slice(slash) === PLATFORM_TENANT ? name.slice(0, slash) : name;
}
