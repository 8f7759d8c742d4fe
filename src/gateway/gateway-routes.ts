/** The REST resources of gateways: how they are, receipts, and what comes in. */
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import type { GatewayService } from './gateway-service.ts';

const count = z.int().min(0);
const milliseconds = z.number().nullable();

const stateSchema = z.strictObject({
  name: z.string(),
  type: z.enum(['pull', 'webhook', 'smpp']),
  paused: z.boolean(),
  up: z.boolean().nullable().describe('null: its clients know, the daemon does not drive it'),
  inFlight: count.describe('of the type pull as its shard counts it'),
  sentPerSec: z.number().describe('mean of the last ten seconds'),
  outcomes: z.strictObject({
    sent: count,
    retry: count,
    failed: count,
    throttled: count,
    notAttempted: count,
    doubt: count.describe('may have been sent: no answer came'),
  }),
  refusedByHook: count,
  p50Ms: milliseconds.describe('of the last 1,024 attempts; null before the first'),
  p99Ms: milliseconds,
  lastError: z.strictObject({ at: z.string(), message: z.string() }).nullable(),
  driver: z
    .looseObject({})
    .nullable()
    .describe('of a webhook its breaker and requests, of SMPP its sessions'),
});

/** Messages that its shard has handed to a gateway and that have no outcome. */
export type InFlightOf = (gateway: string) => Promise<number>;

/** How a gateway is. */
export function gatewayStateRoute(
  service: Pick<GatewayService, 'state'>,
  inFlightOf: InFlightOf,
): RestRoute {
  return route({
    method: 'GET',
    path: '/v1/gateways/:name/state',
    scope: 'platform',
    doc: {
      tag: 'gateways',
      summary: 'Shows how a gateway is, and what became of its messages since the start.',
      params: { name: z.string() },
      query: NO_QUERY,
      body: null,
      responses: [{ status: 200, meaning: 'the state', schema: stateSchema }],
      errors: ['entityNotFound'],
      example: {
        before: [
          { method: 'PUT', path: '/v1/destinations/sms-de', body: {} },
          {
            method: 'PUT',
            path: '/v1/gateways/carrier-a',
            body: { type: 'pull', destinations: ['sms-de'] },
          },
        ],
        params: { name: 'carrier-a' },
        status: 200,
        response: {
          name: 'carrier-a',
          type: 'pull',
          paused: false,
          up: null,
          inFlight: 0,
          sentPerSec: 0,
          outcomes: { sent: 0, retry: 0, failed: 0, throttled: 0, notAttempted: 0, doubt: 0 },
          refusedByHook: 0,
          p50Ms: null,
          p99Ms: null,
          lastError: null,
          driver: null,
        },
      },
    },
    handler: async ({ params: { name = '' } }) => {
      const state = service.state(name);
      if (state === undefined) throw gatewayNotFound(name);
      const inFlight = state.inFlight ?? (await inFlightOf(name));
      return { status: 200, body: { ...state, inFlight } };
    },
  });
}

export function gatewayNotFound(name: string): FairleadError {
  return new FairleadError('entityNotFound', `There is no gateway ${JSON.stringify(name)}.`);
}
