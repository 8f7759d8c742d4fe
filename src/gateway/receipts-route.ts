import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import type { GatewayTable, SecretOf } from './ports.ts';
import { entriesOf, posterOf } from './posted.ts';
import type { ReceiptBook } from './receipt-book.ts';

const CODE_MAX = 0xffff_ffff;

const receiptSchema = z.strictObject({
  id: z
    .string('is a text')
    .min(1)
    .max(255)
    .describe('of the message, as the gateway gave it when it took it'),
  status: z.enum(['delivered', 'undelivered', 'failed'], 'is delivered, undelivered or failed'),
  code: z.int().min(1).max(CODE_MAX).nullable().optional().describe('the gateway’s own'),
});

const count = z.int().min(0);

const answerSchema = z.strictObject({
  applied: count.describe('messages that have the status now'),
  partly: count.describe('parts of messages whose other parts are still to come'),
  late: count.describe('messages that are no longer remembered; their callbacks were told'),
  unknown: count.describe('ids under which nothing was sent, or too long ago'),
});

export interface PostedOptions {
  readonly gateways: Pick<GatewayTable, 'find'>;
  readonly secretOf: SecretOf;
}

/** Receipts of a gateway that posts them. */
export function receiptsRoute(
  book: Pick<ReceiptBook, 'take'>,
  { gateways, secretOf }: PostedOptions,
): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/gateways/:name/receipts',
    scope: 'consume',
    signed: true,
    doc: {
      tag: 'gateways',
      summary: 'Tells what became of messages that a gateway took. Answered when it is on disk.',
      params: { name: z.string() },
      query: NO_QUERY,
      body: z.array(receiptSchema).max(LIMITS.receiptsPerRequest),
      responses: [{ status: 200, meaning: 'how many were what', schema: answerSchema }],
      errors: [
        'entityNotFound',
        'invalidValue',
        'unknownField',
        'tooManyMessages',
        'secretNotFound',
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
        body: [{ id: 'b7c1', status: 'delivered' }],
        status: 200,
        response: { applied: 0, partly: 0, late: 0, unknown: 1 },
      },
    },
    handler: async (request) => {
      const { name } = posterOf(request, gateways, secretOf);
      const most = LIMITS.receiptsPerRequest;
      const receipts = entriesOf(request.body, receiptSchema, { what: 'A receipt', most });
      const taken = await Promise.all(
        receipts.map(({ id, status, code }) =>
          book.take({ gateway: name, candidates: [id], status, code: code ?? undefined }),
        ),
      );
      const of = (what: string) => taken.filter((each) => each === what).length;
      const body = { applied: of('applied'), partly: of('partly'), late: of('late') };
      return { status: 200, body: { ...body, unknown: of('unknown') } };
    },
  });
}
