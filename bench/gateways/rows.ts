/** `--scope gateways`: what leaves the daemon: webhooks, SMPP, the outbox and status callbacks. */
import { type CallbacksResult, measureCallbacks } from './callbacks.ts';
import { type HangingResult, measureHanging } from './hanging.ts';
import {
  type DeliverResult,
  measureDeliver,
  measureWaiting,
  type WaitingResult,
} from './outbox.ts';
import { measureSmpp, type SmppResult } from './smpp.ts';
import { measureWebhook, type WebhookResult } from './webhook.ts';

export type BesideBareResult = WebhookResult | SmppResult | DeliverResult;
export type GatewayResult = BesideBareResult | WaitingResult | HangingResult | CallbacksResult;

export interface GatewaysOptions {
  readonly quick: boolean;
  readonly rounds: number;
  /** Items that wait in the outbox. */
  readonly messages: number;
  /** Part of a row's name; undefined: all rows. */
  readonly filter?: string | undefined;
}

/** Messages of a round, enough for some seconds; `--quick` has less of them. */
const ROUND = {
  webhook: 50_000,
  batch: 200_000,
  smpp: 100_000,
  outbox: 100_000,
  callbacks: 20_000,
};
const QUICK_ROUND = {
  webhook: 5_000,
  batch: 20_000,
  smpp: 10_000,
  outbox: 10_000,
  callbacks: 2_000,
};
export const BATCH = 100;
export const WINDOWS = [100, 10];
const HANGING = { endpoints: 10_000, hanging: 100, ratePerSec: 1_000 };
/** Sockets and code are warm, and what hangs is there, before it is measured. */
const HANGING_TIMES = { warmUpMs: 6_000, measureMs: 10_000 };
const QUICK_HANGING_TIMES = { warmUpMs: 1_000, measureMs: 2_000 };

/** Measures the rows one after another, each on processes of its own. */
export async function* measureGateways(
  options: GatewaysOptions,
): AsyncGenerator<GatewayResult, void> {
  const { quick, rounds, messages, filter = '' } = options;
  const round = quick ? QUICK_ROUND : ROUND;
  const times = quick ? QUICK_HANGING_TIMES : HANGING_TIMES;
  const rows: [name: string, measure: () => Promise<GatewayResult>][] = [
    ['gateways/webhook', () => measureWebhook(1, { messages: round.webhook, rounds })],
    ['gateways/webhook/batch', () => measureWebhook(BATCH, { messages: round.batch, rounds })],
    ...WINDOWS.map((window): (typeof rows)[number] => [
      `gateways/smpp/${window}`,
      () => measureSmpp(window, { messages: round.smpp, rounds }),
    ]),
    ['gateways/callbacks', () => measureCallbacks({ messages: round.callbacks, rounds })],
    ['outbox/deliver', () => measureDeliver({ messages: round.outbox, rounds })],
    ['outbox/waiting', () => measureWaiting(messages)],
    ['outbox/hanging', () => measureHanging({ ...HANGING, ...times, rounds })],
  ];
  for (const [name, measure] of rows) if (name.includes(filter)) yield await measure();
}
