// The three ways in which a message from a phone reaches the daemon: a frame, a request, SMPP.
import { z } from 'zod';
import type { Logger } from '../base/logger.ts';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { decodeInbound, type InboundEntry, type InboundResult } from '../protocol/inbound-frame.ts';
import { NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import type { Inbound } from './inbound.ts';
import { entriesOf, posterOf } from './posted.ts';
import type { PostedOptions } from './receipts-route.ts';
import type { SmppInboundMessage } from './smpp/types.ts';

type Taker = Pick<Inbound, 'take'>;

/** Takes each on its own; what is refused stands in the result. @throws what is no refusal */
async function takeAll(inbound: Taker, messages: readonly InboundEntry[]): Promise<InboundResult> {
  const ends = await Promise.all(
    messages.map(async (message, index) => {
      try {
        await inbound.take(message);
        return undefined;
      } catch (error) {
        if (!(error instanceof FairleadError)) throw error;
        const afterMs = error.details?.retryAfterMs;
        const retryAfterMs = typeof afterMs === 'number' ? afterMs : undefined;
        return { index, code: error.code, retryAfterMs };
      }
    }),
  );
  const refused = ends.filter((end) => end !== undefined);
  return { taken: messages.length - refused.length, refused };
}

/** For frames of the kind inbound; the bytes are read before it returns. */
export function inboundFrames(inbound: Taker): (bytes: Uint8Array) => Promise<InboundResult> {
  const bounds = {
    entries: LIMITS.inboundPerRequest,
    nameBytes: LIMITS.nameBytes,
    payloadBytes: LIMITS.payloadBytes,
    keyBytes: LIMITS.idempotencyKeyBytes,
  };
  return async (bytes) => {
    const messages = decodeInbound(bytes, bounds);
    if ('error' in messages) {
      throw new FairleadError(messages.error, `The inbound frame: ${messages.message}.`);
    }
    return await takeAll(inbound, messages);
  };
}

/**
 * For what an SMSC delivers. A rejection makes it try again; a message to a number that nobody has is
 * accepted, or it would come for ever.
 */
export function takeFromSmpp(
  inbound: Taker,
  { gateway, logger }: { readonly gateway: string; readonly logger: Logger },
): (message: SmppInboundMessage) => Promise<void> {
  return async ({ from, to, payload, text }) => {
    const content = text === null ? payload : Buffer.from(text);
    const atMs = Date.now();
    try {
      await inbound.take({ from, to, payload: content, atMs, eventKey: undefined });
    } catch (error) {
      if (!(error instanceof FairleadError) || error.error !== 'unknownNumber') throw error;
      logger.info({ gateway, to }, 'a message came in for a number that nobody has');
    }
  };
}

const CODES_EXAMPLE = 3038;

const address = z.string('is a text').min(1).max(LIMITS.nameBytes);

const inboundSchema = z.strictObject({
  from: address,
  to: address.describe('one of the numbers'),
  payload: z.string('is a text').optional().describe('text; this or the next'),
  payloadBase64: z.base64('is base64').optional(),
  at: z.int().min(0).optional().describe('ms since the epoch; default now'),
  eventKey: z
    .string('is a text')
    .min(1)
    .max(LIMITS.idempotencyKeyBytes)
    .optional()
    .describe('the same key within a day: the same message'),
});

const answerSchema = z.strictObject({
  taken: z.int().min(0).describe('those that were here before included'),
  refused: z.array(
    z.strictObject({
      index: z.int().min(0),
      code: z.int(),
      retryAfterMs: z.int().nullable(),
    }),
  ),
});

/** Messages that a gateway received and posts. */
export function inboundRoute(inbound: Taker, { gateways, secretOf }: PostedOptions): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/gateways/:name/inbound',
    scope: 'consume',
    signed: true,
    doc: {
      tag: 'gateways',
      summary: 'Hands over messages that a gateway received. Answered when they are on disk.',
      params: { name: z.string() },
      query: NO_QUERY,
      body: z.array(inboundSchema).max(LIMITS.inboundPerRequest),
      responses: [{ status: 200, meaning: 'how many were taken', schema: answerSchema }],
      errors: [
        ...(['entityNotFound', 'invalidValue', 'unknownField', 'tooManyMessages'] as const),
        ...(['payloadTooLarge', 'secretNotFound'] as const),
      ],
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
        body: [{ from: '+4915112345678', to: '+493012345', payload: 'STOP', eventKey: 'mo-17' }],
        status: 200,
        response: { taken: 0, refused: [{ index: 0, code: CODES_EXAMPLE, retryAfterMs: null }] },
      },
    },
    handler: async (request) => {
      posterOf(request, gateways, secretOf);
      const most = LIMITS.inboundPerRequest;
      const given = entriesOf(request.body, inboundSchema, { what: 'A message', most });
      const isSigned = request.identity === undefined;
      const requestId = isSigned ? request.headers.get('webhook-id') : undefined;
      const messages = given.map(({ payload, payloadBase64, at, ...each }, index) => {
        const bytes = Buffer.from(
          payloadBase64 ?? payload ?? '',
          payloadBase64 ? 'base64' : 'utf8',
        );
        if (bytes.length > LIMITS.payloadBytes) throw new FairleadError('payloadTooLarge');
        // A signed request that comes again within its five minutes is the same one.
        const again = requestId === undefined ? undefined : `${requestId}/${index}`;
        const eventKey = each.eventKey ?? again?.slice(-LIMITS.idempotencyKeyBytes);
        return { ...each, payload: bytes, atMs: at ?? Date.now(), eventKey };
      });
      const { taken, refused } = await takeAll(inbound, messages);
      const shown = refused.map((each) => ({ ...each, retryAfterMs: each.retryAfterMs ?? null }));
      return { status: 200, body: { taken, refused: shown } };
    },
  });
}
