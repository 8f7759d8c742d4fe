/**
 * Open loops of HTTP requests to several servers at the same time: they leave by the clock, whatever a server does,
 * and a latency counts from the time at which a request should have left. Each connection has one request under
 * way; what finds none free waits, and its wait counts.
 *
 * One thread paces them all, so what this process or the machine adds to one server's latencies it adds to the
 * other's too. Between its looks it sleeps a tenth of a millisecond, not the whole one that a timer takes: with
 * timers all requests of a millisecond left together, and the last waited for the others.
 */
import { answerParent } from '../../gateways/child.ts';
import { HttpLoop, type HttpLoopOptions } from './http-loop.ts';

export interface HttpLoadOptions {
  readonly loops: readonly HttpLoopOptions[];
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface HttpLoadResult {
  readonly requests: number;
  /** Histogram of µs. */
  readonly latency: string;
}

const SLEEP_MS = 0.1;
const STALL_MS = 10_000;
const cell = new Int32Array(new SharedArrayBuffer(4));

export const questions = {
  /** Results in the order of the loops. */
  async run({ loops: options, warmUpMs, measureMs }: HttpLoadOptions): Promise<HttpLoadResult[]> {
    const loops: HttpLoop[] = [];
    try {
      for (const each of options) loops.push(await HttpLoop.open(each));
      return await paced(loops, warmUpMs, measureMs);
    } finally {
      for (const loop of loops) loop.close();
    }
  },
};

export type HttpLoadQuestions = typeof questions;

async function paced(
  loops: readonly HttpLoop[],
  warmUpMs: number,
  measureMs: number,
): Promise<HttpLoadResult[]> {
  await send(loops, warmUpMs);
  // What warming up left behind is none of what is measured.
  await untilIdle(loops);
  for (const loop of loops) loop.reset();
  await send(loops, measureMs);
  const results = loops.map((loop) => loop.result());
  await untilIdle(loops);
  return results;
}

async function send(loops: readonly HttpLoop[], ms: number): Promise<void> {
  const startMs = performance.now();
  for (;;) {
    const nowMs = performance.now() - startMs;
    if (nowMs >= ms) return;
    for (const loop of loops) loop.send(startMs, nowMs);
    Atomics.wait(cell, 0, 0, SLEEP_MS);
    await new Promise((resolve) => setImmediate(resolve));
    for (const { fault } of loops) if (fault !== undefined) throw fault;
  }
}

async function untilIdle(loops: readonly HttpLoop[]): Promise<void> {
  const endMs = performance.now() + STALL_MS;
  while (loops.some(({ isIdle }) => !isIdle)) {
    if (performance.now() > endMs) throw new Error('a request was not answered');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

answerParent(questions);
