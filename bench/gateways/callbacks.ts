/**
 * `gateways/callbacks`: messages a second through the daemon, from publishing to the last of three status
 * callbacks of each; a webhook gateway sends them.
 */
import { MESSAGE_STATUS } from '../../src/protocol/kinds.ts';
import { significant } from '../statistics.ts';
import { PAYLOAD_BYTES, type Pace } from './beside-bare.ts';
import type { Child } from './child.ts';
import type { DaemonSide } from './daemon-side.ts';
import type { HttpServerQuestions } from './load/http-server.ts';
import { alternate, oneRound, type RoundServer, type Side } from './sides.ts';
import { withWebhook } from './webhook.ts';

/** In the order in which a message has them. */
const STATUSES = ['queued', 'sending', 'sent'] as const;
const MASK = STATUSES.reduce((mask, status) => mask | (1 << MESSAGE_STATUS[status]), 0);
/** With the deliveries that each may have at a time, 64 callbacks are under way. */
const ENDPOINTS = 8;
const MESSAGES_PER_FRAME = 100;
/** Messages published whose callbacks have not all come. */
const OUTSTANDING = 2_000;
const POLL_MS = 2;

export interface CallbacksResult {
  readonly scope: 'gateways';
  readonly name: 'gateways/callbacks';
  /** Of a round. */
  readonly messages: number;
  readonly payloadBytes: number;
  readonly callbacksPerMessage: number;
  readonly endpoints: number;
  readonly outstanding: number;
  readonly messagesPerSec: number;
  readonly messagesPerSecMin: number;
  readonly messagesPerSecMax: number;
  readonly cpuUsPerMessage: number;
  /** Shares of one core. */
  readonly mainThreadPct: number;
  readonly otherThreadsPct: number;
  readonly serverPct: number;
  readonly rounds: number;
}

export async function measureCallbacks(pace: Pace): Promise<CallbacksResult> {
  const { messages, rounds } = pace;
  return await withWebhook(1, [], async (side, child, origin) => {
    const server: RoundServer = {
      expect: async (_, pid) => await child.ask('expectCallbacks', messages, [...STATUSES], pid),
      result: async () => await child.ask('result'),
    };
    const daemon = callbackSide(side, child, origin, messages);
    // Warms up.
    await oneRound(server, daemon, messages * STATUSES.length);
    const plan = { messages: messages * STATUSES.length, rounds };
    const result = (await alternate(server, { daemon }, plan)).daemon;
    const perMessage = (perSec: number): number => Math.round(perSec / STATUSES.length);
    return {
      scope: 'gateways',
      name: 'gateways/callbacks',
      messages,
      payloadBytes: PAYLOAD_BYTES,
      callbacksPerMessage: STATUSES.length,
      endpoints: ENDPOINTS,
      outstanding: OUTSTANDING,
      messagesPerSec: perMessage(result.perSec),
      messagesPerSecMin: perMessage(result.perSecMin),
      messagesPerSecMax: perMessage(result.perSecMax),
      cpuUsPerMessage: significant(result.cpuUsPerMessage * STATUSES.length),
      mainThreadPct: result.mainThreadPct,
      otherThreadsPct: result.otherThreadsPct,
      serverPct: result.serverPct,
      rounds,
    };
  });
}

function callbackSide(
  side: DaemonSide,
  server: Child<HttpServerQuestions>,
  origin: string,
  messages: number,
): Side {
  const options = (sequence: number) => ({
    cb: `${origin}/callbacks/${sequence % ENDPOINTS}?n=${sequence}`,
    ce: MASK,
  });
  return {
    pid: side.pid,
    send: async () => {
      side.begin();
      for (let published = 0; published < messages; published += MESSAGES_PER_FRAME) {
        while (published - (await server.ask('arrived')) / STATUSES.length > OUTSTANDING) {
          await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        }
        await side.publish(Math.min(MESSAGES_PER_FRAME, messages - published), options);
      }
    },
    finish: () => side.finish(),
  };
}
