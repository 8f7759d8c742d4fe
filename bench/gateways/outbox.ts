/**
 * `outbox/deliver`: items the outbox takes, flushes, delivers and deletes a second, beside undici alone.
 * `outbox/waiting`: what a million waiting items take of memory, and how soon a restart has them.
 */
import { makeDataDirectory, removeDataDirectory } from '../daemon.ts';
import { bytesEach } from '../life-daemon.ts';
import { significant } from '../statistics.ts';
import { type BesideBare, besideBare, type Pace } from './beside-bare.ts';
import { Child } from './child.ts';
import type { BareHttpQuestions } from './load/bare-http.ts';
import type { HttpServerQuestions } from './load/http-server.ts';
import type { OutboxQuestions } from './load/outbox-main.ts';
import { alternate, oneRound, roundServer, type Side } from './sides.ts';
import { bareSide } from './webhook.ts';

const PER_PUT = 100;
/** With the deliveries that one endpoint may have at a time, as many requests as the bare side. */
const ENDPOINTS = 8;
const REQUESTS_IN_FLIGHT = 64;
const WAITING_MAX = 10_000;
/** Of the signature, which the bare side does without. */
const SIGNATURE_HEADERS = ['webhook-signature'];
const POLL_MS = 5;
const EMPTY_TIMEOUT_MS = 30_000;

export interface DeliverResult extends BesideBare {
  readonly scope: 'gateways';
  readonly name: 'outbox/deliver';
  readonly endpoints: number;
  readonly itemsPerPut: number;
}

export interface WaitingResult {
  readonly scope: 'gateways';
  readonly name: 'outbox/waiting';
  readonly items: number;
  readonly endpoints: number;
  readonly anonBytesPerItem: number;
  readonly anonBeforeMiB: number;
  readonly anonAfterMiB: number;
  /** Until a new process has read all of them; and what they take there, against an empty outbox. */
  readonly openSec: number;
  readonly anonRestartedBytesPerItem: number;
  readonly anonFreshMiB: number;
  readonly anonRestartedMiB: number;
  /** Put and flushed. */
  readonly putPerSec: number;
}

export async function measureDeliver(pace: Pace): Promise<DeliverResult> {
  const path = makeDataDirectory();
  const child = new Child<HttpServerQuestions>('http-server.ts');
  const outbox = new Child<OutboxQuestions>('outbox-main.ts');
  const bare = new Child<BareHttpQuestions>('bare-http.ts');
  try {
    const server = roundServer(child);
    const origin = `http://127.0.0.1:${await child.ask('listen')}`;
    await outbox.ask('open', path);
    const side = outboxSide(outbox, origin);
    // The first rounds warm up; the outbox's shows what a request looks like.
    await child.ask('look');
    await oneRound(server, side, pace.messages);
    const request = await child.ask('seen');
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
      name: 'outbox/deliver',
      endpoints: ENDPOINTS,
      itemsPerPut: PER_PUT,
      ...besideBare(results, pace),
    };
  } finally {
    for (const process of [outbox, bare, child]) await process.stop();
    removeDataDirectory(path);
  }
}

function outboxSide(outbox: Child<OutboxQuestions>, origin: string): Side {
  const urls = urlsOf(origin, ENDPOINTS);
  return {
    pid: outbox.pid,
    send: async (end) => {
      const load = { from: 0, end, perPut: PER_PUT, waitingMax: WAITING_MAX, urls };
      await outbox.ask('put', load);
    },
    finish: async () => {
      const endMs = performance.now() + EMPTY_TIMEOUT_MS;
      for (;;) {
        const items = await outbox.ask('items');
        if (items === 0) return;
        if (performance.now() > endMs) throw new Error(`${items} items are left`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
  };
}

/** Nothing of it is sent while it is measured, and nobody would take it. */
const UNUSED_ORIGIN = 'http://127.0.0.1:9';
const WAITING_ENDPOINTS = 1_000;
const FIRST_WAIT_MS = 6 * 3_600_000;
const GC = ['--expose-gc'];

export async function measureWaiting(items: number): Promise<WaitingResult> {
  const [path, emptyPath] = [makeDataDirectory(), makeDataDirectory()];
  const urls = urlsOf(UNUSED_ORIGIN, WAITING_ENDPOINTS);
  const started: Child<OutboxQuestions>[] = [];
  const start = async (directory: string): Promise<[Child<OutboxQuestions>, openMs: number]> => {
    const outbox = new Child<OutboxQuestions>('outbox-main.ts', GC);
    started.push(outbox);
    return [outbox, await outbox.ask('open', directory, FIRST_WAIT_MS)];
  };
  try {
    const [first] = await start(path);
    // Some are there before, so that buffers and code are.
    const warmUp = Math.ceil(items / 20);
    const load = { perPut: PER_PUT, waitingMax: Number.POSITIVE_INFINITY, urls };
    await first.ask('put', { ...load, from: 0, end: warmUp });
    const anonBeforeMiB = await first.ask('restedAnonMiB');
    const startMs = performance.now();
    await first.ask('put', { ...load, from: 0, end: items });
    const putPerSec = Math.round((items * 1000) / (performance.now() - startMs));
    const anonAfterMiB = await first.ask('restedAnonMiB');
    await expectItems(first, warmUp + items);
    await first.stop();

    const [fresh] = await start(emptyPath);
    const anonFreshMiB = await fresh.ask('restedAnonMiB');
    const [restarted, openMs] = await start(path);
    await expectItems(restarted, warmUp + items);
    const anonRestartedMiB = await restarted.ask('restedAnonMiB');
    const restartedMiB = anonRestartedMiB - anonFreshMiB;
    return {
      scope: 'gateways',
      name: 'outbox/waiting',
      items,
      endpoints: WAITING_ENDPOINTS,
      anonBytesPerItem: bytesEach(anonAfterMiB - anonBeforeMiB, items),
      anonBeforeMiB: Math.round(anonBeforeMiB),
      anonAfterMiB: Math.round(anonAfterMiB),
      openSec: significant(openMs / 1000),
      anonRestartedBytesPerItem: bytesEach(restartedMiB, warmUp + items),
      anonFreshMiB: Math.round(anonFreshMiB),
      anonRestartedMiB: Math.round(anonRestartedMiB),
      putPerSec,
    };
  } finally {
    for (const outbox of started) await outbox.stop();
    for (const directory of [path, emptyPath]) removeDataDirectory(directory);
  }
}

async function expectItems(outbox: Child<OutboxQuestions>, wanted: number): Promise<void> {
  const items = await outbox.ask('items');
  if (items !== wanted) throw new Error(`${wanted} items should wait, ${items} do`);
}

function urlsOf(origin: string, endpoints: number): string[] {
  return Array.from({ length: endpoints }, (_, endpoint) => `${origin}/callbacks/${endpoint}`);
}
