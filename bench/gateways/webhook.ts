/**
 * `gateways/webhook`: requests a webhook gateway of the daemon sends a second, beside undici alone
 * with as many under way; `…/batch`: the same with up to 100 messages a request.
 */
import { type BesideBare, besideBare, type Pace } from './beside-bare.ts';
import { Child } from './child.ts';
import { DaemonSide } from './daemon-side.ts';
import type { BareHttpQuestions, BareWay } from './load/bare-http.ts';
import type { HttpServerQuestions, SeenRequest } from './load/http-server.ts';
import { markersOf } from './load/marker.ts';
import { alternate, oneRound, roundServer, type Side } from './sides.ts';

const REQUESTS_IN_FLIGHT = 64;
/** The bench's own gateway's: it signs, as gateways do. */
const SECRET = { name: 'bench', value: `whsec_${Buffer.alloc(32, 7).toString('base64')}` };
/** What signing adds, which the bare side does without. */
const SIGNATURE_HEADERS = ['webhook-signature'];

export interface WebhookResult extends BesideBare {
  readonly scope: 'gateways';
  readonly name: 'gateways/webhook' | 'gateways/webhook/batch';
  readonly requestsInFlight: number;
  readonly batchMax: number;
  readonly bodyBytes: number;
}

export async function measureWebhook(batchMax: number, pace: Pace): Promise<WebhookResult> {
  const bare = new Child<BareHttpQuestions>('bare-http.ts');
  try {
    return await withWebhook(batchMax, [], async (side, child, origin) => {
      const server = roundServer(child);
      // The first rounds warm up; the daemon's shows what a request looks like.
      await child.ask('look');
      await oneRound(server, side, pace.messages);
      const request = await child.ask('seen');
      checkRequest(request, batchMax);
      await bare.ask('open', origin, REQUESTS_IN_FLIGHT, request, SIGNATURE_HEADERS);
      const sides = {
        daemon: side,
        bare: bareSide(bare, 'request'),
        bareOther: bareSide(bare, 'dispatch'),
      };
      await oneRound(server, sides.bare, pace.messages);
      const results = await alternate(server, sides, pace);
      return {
        scope: 'gateways',
        name: batchMax === 1 ? 'gateways/webhook' : 'gateways/webhook/batch',
        requestsInFlight: REQUESTS_IN_FLIGHT,
        batchMax,
        bodyBytes: request.body.length,
        ...besideBare(results, pace),
      };
    });
  } finally {
    await bare.stop();
  }
}

/** A server, and a daemon whose gateway sends to it. */
export async function withWebhook<T>(
  batchMax: number,
  nodeArgs: readonly string[],
  use: (side: DaemonSide, server: Child<HttpServerQuestions>, origin: string) => Promise<T>,
): Promise<T> {
  const server = new Child<HttpServerQuestions>('http-server.ts');
  let side: DaemonSide | undefined;
  try {
    const origin = `http://127.0.0.1:${await server.ask('listen')}`;
    process.env.FAIRLEAD_SECRET_BENCH = SECRET.value;
    const webhook = { url: `${origin}/messages`, batchMax, secret: SECRET.name };
    const inFlightMax = REQUESTS_IN_FLIGHT * batchMax;
    side = await DaemonSide.start({ type: 'webhook', inFlightMax, webhook }, nodeArgs);
    return await use(side, server, origin);
  } finally {
    await side?.end();
    await server.stop();
  }
}

export function bareSide(bare: Child<BareHttpQuestions>, way: BareWay): Side {
  return { pid: bare.pid, send: async (messages) => await bare.ask('send', messages, way) };
}

/** @throws Error unless it is signed and has as many messages as it may */
function checkRequest({ headers, body }: SeenRequest, batchMax: number): void {
  const names = new Set(headers.map(([name]) => name));
  for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature', 'content-type']) {
    if (!names.has(name)) throw new Error(`a request without ${name}`);
  }
  const count = markersOf(Buffer.from(body)).length;
  if (count !== batchMax) throw new Error(`${count} messages in the largest request`);
  JSON.parse(Buffer.from(body).toString());
}
