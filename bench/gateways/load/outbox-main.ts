/**
 * The outbox in a process of its own, put together as the daemon does it: its environment is flushed on
 * disk, its options are the defaults. Does what its parent asks.
 */
import { readFileSync } from 'node:fs';
import { ProcessClock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { loadConfig } from '../../../src/config/index.ts';
import { openOutbound } from '../../../src/outbound/open-outbound.ts';
import type { Outbox } from '../../../src/outbound/outbox.ts';
import type { NewItem } from '../../../src/outbound/outbox-records.ts';
import { keyText } from '../../../src/outbound/signatures.ts';
import { parseProcessMemory } from '../../process-times.ts';
import { answerParent } from '../child.ts';
import { endpointHost, endpointOfItem, itemBody, sharedNowUs } from './endpoint-hosts.ts';
import { markedText } from './marker.ts';

const REST_MS = 1_000;
const CONTENT_TYPE = 'application/json';
const KEY = keyText(Buffer.alloc(32, 7));
const TEXT_BYTES = 160;

export interface PutOptions {
  /** Items `from` to before `end`. */
  readonly from: number;
  readonly end: number;
  readonly perPut: number;
  /** Items in the outbox beyond which no put begins. */
  readonly waitingMax: number;
  /** Item n goes to url n modulo their number. */
  readonly urls: readonly string[];
}

export interface OfferOptions {
  readonly items: number;
  readonly ratePerSec: number;
  readonly endpoints: number;
  readonly port: number;
}

let outbox: Outbox | undefined;
let idsFrom = 0;

export const questions = {
  /**
   * Opens what is in the directory and starts to send.
   *
   * @param firstWaitMs wait before the first attempt of an item; undefined: none, and later ones as usual
   * @returns ms until it was open
   */
  async open(path: string, firstWaitMs?: number): Promise<number> {
    const settings = [
      { key: 'outbound.allow', value: ['127.0.0.0/8'], from: 'the bench' },
      ...(firstWaitMs === undefined
        ? []
        : [{ key: 'outbound.retryMs', value: [firstWaitMs], from: 'the bench' }]),
    ];
    const { config } = loadConfig({ file: undefined, env: {}, settings });
    const startMs = performance.now();
    const opened = openOutbound({
      options: config.outbound,
      path,
      durability: 'flushed',
      keys: { standardKeys: () => [KEY], formToken: () => undefined },
      clock: ProcessClock.start(),
      logger: silentLogger,
      onFatal: (error) => {
        throw error;
      },
    });
    outbox = opened.outbox;
    outbox.start();
    return performance.now() - startMs;
  },
  put,
  offer,
  /** Items that are in the outbox. */
  items: (): number => opened().numbers.waiting,
  /** Anonymous memory at rest, after a collection. */
  async restedAnonMiB(): Promise<number> {
    const { gc } = globalThis;
    if (gc === undefined) throw new Error('this needs --expose-gc');
    await pause(REST_MS);
    gc();
    await pause(REST_MS);
    return parseProcessMemory(readFileSync('/proc/self/status', 'latin1')).rssAnonMiB;
  },
};

export type OutboxQuestions = typeof questions;

/** Puts as fast as they are flushed, several puts at a time. */
async function put({ from, end, perPut, waitingMax, urls }: PutOptions): Promise<void> {
  const box = opened();
  let next = from;
  const putter = async (): Promise<void> => {
    while (next < end) {
      if (box.numbers.waiting >= waitingMax) {
        await pause(1);
        continue;
      }
      const first = next;
      next = Math.min(end, first + perPut);
      const items = Array.from({ length: next - first }, (_, at) => markedItem(first + at, urls));
      refuseNone(await box.put(items));
    }
  };
  await Promise.all(Array.from({ length: PUTS_UNDER_WAY }, putter));
  // Ids of another round are others.
  idsFrom += end;
}

const PUTS_UNDER_WAY = 8;

/** Puts by the clock, whatever the outbox does; resolves when the last put is flushed. */
async function offer({ items, ratePerSec, endpoints, port }: OfferOptions): Promise<void> {
  const box = opened();
  const startUs = sharedNowUs() + 100_000;
  const usPerItem = 1e6 / ratePerSec;
  const puts: Promise<void>[] = [];
  for (let next = 0; next < items; await pause(1)) {
    const due: NewItem[] = [];
    while (next < items && startUs + next * usPerItem <= sharedNowUs()) {
      const host = endpointHost(endpointOfItem(next, endpoints));
      const body = itemBody(next, startUs + next * usPerItem);
      due.push(itemOf(next, `http://${host}:${port}/callback`, body));
      next += 1;
    }
    if (due.length > 0) puts.push(box.put(due).then(refuseNone));
  }
  await Promise.all(puts);
}

function markedItem(sequence: number, urls: readonly string[]): NewItem {
  const text = markedText(sequence, TEXT_BYTES);
  const body = JSON.stringify({ type: 'message.status', data: { text } });
  return itemOf(sequence, urls[sequence % urls.length] as string, body);
}

function itemOf(sequence: number, url: string, body: string): NewItem {
  const message = (idsFrom + sequence).toString(16).padStart(32, '0');
  return {
    id: `msg_${message}_1`,
    stream: message,
    url,
    method: 'POST',
    contentType: CONTENT_TYPE,
    body: Buffer.from(body),
    signing: { kind: 'standard', tenant: 'bench' },
    createdMs: Date.now(),
  };
}

function refuseNone(refused: readonly { readonly reason: string }[]): void {
  if (refused.length > 0) throw new Error(`refused: ${refused[0]?.reason}`);
}

function opened(): Outbox {
  if (outbox === undefined) throw new Error('not open');
  return outbox;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

answerParent(questions);
