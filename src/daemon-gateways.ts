/**
 * Joins gateways with shards, entities, outgoing requests and the store. The composition root's
 * part for them: no rule of theirs stands here.
 */
import type { Logger } from './base/logger.ts';
import type { Metric } from './base/metric.ts';
import type { Secrets } from './config/index.ts';
import type { EntityService, EntityServiceOptions } from './dispatch/entity-service.ts';
import { acceptedOrThrow, publishMessages } from './dispatch/message-publish.ts';
import { MessageShards } from './dispatch/message-shards.ts';
import type { ShardPorts } from './dispatch/ports.ts';
import { EventKeys } from './gateway/event-keys.ts';
import { gatewayMetrics } from './gateway/gateway-metrics.ts';
import { gatewayStateRoute } from './gateway/gateway-routes.ts';
import { GatewayService } from './gateway/gateway-service.ts';
import { Inbound, type InboundPorts } from './gateway/inbound.ts';
import { inboundFrames, inboundRoute, takeFromSmpp } from './gateway/inbound-ways.ts';
import type { GatewayShards } from './gateway/ports.ts';
import { ReceiptBook, type ReceiptBookOptions } from './gateway/receipt-book.ts';
import { ReceiptStore } from './gateway/receipt-store.ts';
import { ReceiptTeller } from './gateway/receipt-teller.ts';
import { receiptsRoute } from './gateway/receipts-route.ts';
import { SmppLink } from './gateway/smpp/link.ts';
import { SmppDriver } from './gateway/smpp-driver.ts';
import { checkSmppSecrets, smppSecretsOf } from './gateway/smpp-secrets.ts';
import type { Connections } from './ingress/connections.ts';
import type { InboundPort } from './ingress/frame-router.ts';
import type { Outbound } from './outbound/open-outbound.ts';
import { encodeGatewayUp, INPUT_OP } from './protocol/exchange.ts';
import type { RestRoute } from './rest/rest-route.ts';

export interface GatewayParts {
  readonly entities: EntityService;
  readonly shards: ShardPorts;
  /** Undefined before the ingress is open. */
  readonly connections: () => Connections | undefined;
  readonly outbound: Outbound;
  readonly secrets: Secrets;
  readonly hashKey: Uint8Array;
  readonly receiptWaitMs: number;
  /** Receipts of messages that their shards have forgotten. */
  readonly late: ReceiptBookOptions['late'];
  /** A message from a phone was taken for a tenant. */
  readonly inboundTaken: (tenant: string) => void;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

export interface Gateways {
  readonly service: GatewayService;
  readonly receipts: ReceiptBook;
  readonly inbound: Inbound;
  /** Frames of gateways with what they received. */
  readonly inboundFrames: InboundPort;
  readonly routes: readonly RestRoute[];
  metrics(): readonly Metric[];
  /** Takes messages from now on. */
  start(): void;
  close(): Promise<void>;
}

export function joinGateways(parts: GatewayParts): Gateways {
  const { entities, hashKey, logger, secrets, onFatal } = parts;
  const { environment, client } = parts.outbound;
  const shards = shardsOf(parts);
  const secretOf = (reference: string): string => secrets.get(reference);
  const gateways = {
    all: () => entities.all('gateway'),
    find: (name: string) => entities.find('gateway', name),
  };
  const receipts: ReceiptBook = new ReceiptBook({
    store: new ReceiptStore({ environment, onFatal }),
    teller: new ReceiptTeller(shards, parts.shards.count),
    hashKey,
    waitMs: parts.receiptWaitMs,
    landed: (gateway) => service.landed(gateway),
    late: parts.late,
    logger,
  });
  const keys = new EventKeys({ environment, hashKey, onFatal });
  const inbound = new Inbound(inboundPorts(parts), keys);
  const service: GatewayService = new GatewayService({
    gateways,
    shards,
    client,
    secretOf,
    receipts,
    logger,
    smppDriver: (gateway, host) =>
      new SmppDriver({
        gateway,
        host,
        logger,
        receipts: parts.receiptWaitMs > 0,
        secrets: () => smppSecretsOf(gateway.fields.smpp, secretOf),
        handlers: {
          onReceipt: async ({ ids, status, code }) => {
            const own = { gateway: gateway.name, candidates: ids, status };
            await receipts.take({ ...own, code: code ?? undefined });
          },
          onInbound: takeFromSmpp(inbound, { gateway: gateway.name, logger }),
        },
        link: (settings, handlers) =>
          new SmppLink({ settings, handlers, log: logger.child({ gateway: gateway.name }) }),
      }),
  });
  return {
    service,
    receipts,
    inbound,
    inboundFrames: inboundFrames(inbound),
    routes: [
      gatewayStateRoute(service, (name) => inFlightOf(parts, name)),
      receiptsRoute(receipts, { gateways, secretOf }),
      inboundRoute(inbound, { gateways, secretOf }),
    ],
    metrics: () => gatewayMetrics({ service, receipts, inbound }),
    start: () => {
      entities.onChange(({ kind, name }) => {
        if (kind === 'gateway') service.changed(name);
      });
      service.start();
    },
    close: async () => {
      await service.close();
      receipts.close();
    },
  };
}

/** What is looked at when a gateway is put. */
export function gatewayCheck(secrets: Secrets): NonNullable<EntityServiceOptions['checkGateway']> {
  return ({ smpp }) => checkSmppSecrets(smpp, (name) => secrets.get(name));
}

/** As the shard counts it: over all destinations, told by each that the gateway is subscribed to. */
async function inFlightOf({ entities, shards }: GatewayParts, gateway: string): Promise<number> {
  const { destinations = [] } = entities.find('gateway', gateway)?.fields ?? {};
  const counts = destinations.map(async (destination) => {
    const shard = entities.shardOf(destination);
    if (shard === undefined) return 0;
    const page = { destination, offset: 0, limit: 1 };
    const { gateways = [] } = (await shards.explain(shard, page)) as ExplainedGateways;
    return gateways.find(({ name }) => name === gateway)?.inFlight ?? 0;
  });
  return Math.max(0, ...(await Promise.all(counts)));
}

interface ExplainedGateways {
  readonly gateways?: readonly { readonly name: string | null; readonly inFlight: number }[];
}

function shardsOf({ entities, shards, connections }: GatewayParts): GatewayShards {
  return {
    connect: (take) => {
      const open = connections();
      if (open === undefined) throw new Error('a gateway begins before the ingress is open');
      return open.openInternal(take);
    },
    destination: (name) => {
      const shard = entities.shardOf(name);
      const fields = entities.find('destination', name)?.fields;
      if (shard === undefined || fields === undefined) return undefined;
      return { shard, leaseMs: fields.leaseMs, onDoubt: fields.onDoubt };
    },
    gatewayUp: async (shard, name, up) => {
      await shards.ask(shard, INPUT_OP.gatewayUp, encodeGatewayUp(name, up));
    },
    call: (shard, frame) => shards.call(shard, undefined, frame),
  };
}

function inboundPorts({
  entities,
  shards,
  outbound,
  inboundTaken: taken,
}: GatewayParts): InboundPorts {
  const messages = new MessageShards(entities, shards);
  return {
    taken,
    number: (name) => {
      const fields = entities.find('number', name)?.fields;
      return fields === undefined ? undefined : { name, ...fields };
    },
    isForeign: ({ destination, tenant }) => {
      return destination !== null && (entities.ownerOf(destination) ?? tenant) !== tenant;
    },
    accountOf: (tenant) => entities.accountOf(tenant)?.name,
    put: async (item) => (await outbound.outbox.put([item]))[0]?.reason,
    publish: async ({ destination, idempotencyKey: k, ...message }) => {
      const options = k === undefined ? {} : { options: { k } };
      const outgoing = { destination, messages: [{ ...message, ...options }] };
      const [published] = await publishMessages(messages, outgoing);
      acceptedOrThrow(published);
    },
  };
}
