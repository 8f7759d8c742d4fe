// A signed test that is sent once, at once and beside the outbox. What the endpoint says is not shown,
// only its status: nobody reads a server's pages through it.
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type AttemptParts, attempt, signedHeaders } from './outbox-attempt.ts';
import type { NewItem } from './outbox-records.ts';

export const testResultSchema = z.strictObject({
  url: z.string(),
  isTaken: z.boolean().describe('it answered 2xx'),
  status: z.int().nullable().describe('null: there was no answer'),
  ms: z.number().nullable().describe('from the dial to the answer'),
  headers: z.record(z.string(), z.string()).describe('what the request was signed with'),
  error: z
    .strictObject({
      kind: z.string().describe('badUrl, blocked, dns, refused, tls, reset, timeout, tooLarge'),
      message: z.string(),
    })
    .nullable(),
});

export async function sendTest(
  { url, tenant }: { readonly url: string; readonly tenant: string },
  parts: AttemptParts,
  nowMs: number,
): Promise<z.output<typeof testResultSchema>> {
  const item: NewItem = {
    id: `test_${randomBytes(8).toString('hex')}`,
    stream: null,
    url,
    method: 'POST',
    contentType: 'application/json',
    body: Buffer.from(
      JSON.stringify({ type: 'ping', timestamp: new Date(nowMs).toISOString(), data: { tenant } }),
    ),
    signing: { kind: 'standard', tenant },
    createdMs: nowMs,
  };
  const headers = signedHeaders(item, parts.keys, nowMs);
  const result = await attempt(item, parts, nowMs);
  if (result.verdict === 'none') {
    const { kind, message } = result.error;
    return { url, isTaken: false, status: null, ms: null, headers, error: { kind, message } };
  }
  const { status, ms, verdict } = result;
  return { url, isTaken: verdict === 'taken', status, ms: Math.round(ms), headers, error: null };
}
