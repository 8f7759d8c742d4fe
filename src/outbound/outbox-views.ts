// Endpoints and items of the outbox as REST shows them.
import { z } from 'zod';
import type { OutboxEndpoint } from './outbox-endpoint.ts';
import { endpointUrl } from './outbox-endpoints.ts';
import type { StoredItem } from './outbox-load.ts';

const count = z.int().min(0);
const time = z.int().nullable();

export const endpointSchema = z.strictObject({
  url: z.string().describe('without its query'),
  state: z
    .enum(['open', 'slow', 'failing', 'disabled'])
    .describe('slow: it gets less at once; failing: it is probed; disabled: it answered 410'),
  waiting: count.describe('those under way included'),
  failed: count.describe('for good, kept for a replay'),
  inFlight: count,
  concurrency: count.describe('deliveries at the same time that it gets now'),
  notBeforeMs: time.describe('nothing is sent before; null: it may be now'),
  disabledMs: time.describe('when it answered 410'),
  lastError: z.string().nullable().describe('of the last attempt; null: it was taken'),
  p50Ms: z.number().nullable().describe('time of its last 64 answers'),
  p99Ms: z.number().nullable(),
});

export function endpointView(endpoint: OutboxEndpoint, nowMs: number): object {
  const { url, state, waiting, failed, inFlight, concurrency, notBeforeMs } = endpoint;
  return {
    url,
    state,
    waiting,
    failed,
    inFlight,
    concurrency,
    notBeforeMs: notBeforeMs > nowMs ? Math.ceil(notBeforeMs) : null,
    disabledMs: endpoint.disabledMs === 0 ? null : endpoint.disabledMs,
    lastError: endpoint.lastError === '' ? null : endpoint.lastError,
    p50Ms: rounded(endpoint.timeAt(0.5)),
    p99Ms: rounded(endpoint.timeAt(0.99)),
  };
}

const rounded = (ms: number | null): number | null =>
  ms === null ? null : Math.round(ms * 10) / 10;

export const itemSchema = z.strictObject({
  id: z.string().describe('webhook-id'),
  endpoint: z.string(),
  url: z.string(),
  stream: z.string().nullable().describe('items of a stream are sent one after another'),
  state: z.enum(['waiting', 'failed']),
  attempts: count,
  createdMs: z.int().describe('ms since the epoch'),
  nextAttemptMs: time.describe('not before; null: it failed'),
  failedMs: time,
  lastError: z.string().nullable(),
  bytes: count.describe('as stored'),
});

export function itemView({ item, bytes, progress }: StoredItem): object {
  const { id, url, stream, createdMs } = item;
  const isFailed = progress?.isFailed === true;
  return {
    id,
    endpoint: endpointUrl(url),
    url,
    stream,
    state: isFailed ? 'failed' : 'waiting',
    attempts: progress?.attempts ?? 0,
    createdMs,
    nextAttemptMs: isFailed ? null : (progress?.dueMs ?? createdMs),
    failedMs: isFailed ? progress.dueMs : null,
    lastError: progress === undefined || progress.error === '' ? null : progress.error,
    bytes,
  };
}
