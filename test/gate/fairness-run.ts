/**
 * One tenant has thousands of waiters before a resource; another tenant comes with one. A slot that
 * comes free is the newcomer's: it waits no longer than one of those that hold needs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/client/index.ts';
import { GateDaemon } from './gate-daemon.ts';

export interface FairnessOptions {
  readonly waiters: number;
  readonly probes: number;
  readonly slots: number;
  readonly serviceMs: number;
  readonly build?: string | undefined;
}

export interface FairnessResult {
  readonly waiters: number;
  readonly slots: number;
  readonly serviceMs: number;
  /** The waiters that there were at least while a newcomer waited. */
  readonly waitersMin: number;
  readonly probes: number;
  /** How long newcomers waited, ms. */
  readonly waitMsP50: number;
  readonly waitMsMax: number;
  /** Newcomers that saw more of the crowd begin while they waited than there are slots: each slot
   *  may serve one before it is theirs. Counted, not timed: a busy host is late with everything. */
  readonly late: number;
  readonly served: number;
  readonly permitsLeft: number;
  readonly waitingLeft: number;
  readonly seconds: number;
  readonly passed: boolean;
}

const WAIT_MS = 3_600_000;

export async function fairnessRun(options: FairnessOptions): Promise<FairnessResult> {
  const { waiters, probes, slots, serviceMs, build } = options;
  const gate = new GateDaemon([], build);
  try {
    const { url, token } = await gate.start();
    await gate.now.put('resources/calls', {
      ...{ limit: slots, mode: 'queue', waitersMax: 100_000, waitMs: WAIT_MS },
    });
    const flood = connect({ url, token });
    const quiet = connect({ url, token });
    const startMs = performance.now();
    const state = { served: 0, began: 0, late: 0 };
    const controller = new AbortController();
    const { signal } = controller;
    const work = async (): Promise<void> => {
      state.began += 1;
      await sleep(serviceMs);
      state.served += 1;
    };
    const crowd = Array.from({ length: waiters }, () =>
      flood
        .gate({ tenant: 'flood', signal, answerMs: 60_000 })
        .run('calls', work)
        .catch(() => {}),
    );
    while ((await gate.totals()).waiting < waiters - slots - state.served) await sleep(20);
    const waitsMs: number[] = [];
    let waitersMin = waiters;
    for (let probe = 0; probe < probes; probe += 1) {
      const askedMs = performance.now();
      let before = state.began;
      const onWait = (): void => {
        before = state.began;
      };
      await quiet.gate({ tenant: 'quiet', onWait }).run('calls', async () => {
        waitsMs.push(performance.now() - askedMs);
        if (state.began - before > slots) state.late += 1;
        await sleep(serviceMs);
      });
      waitersMin = Math.min(waitersMin, waiters - slots - state.served);
      await sleep(Math.random() * serviceMs);
    }
    controller.abort();
    await Promise.all(crowd);
    const { permits: permitsLeft, waiting: waitingLeft } = await gate.untilEmpty(5000);
    await Promise.all([flood.close(1000), quiet.close(1000)]);
    waitsMs.sort((a, b) => a - b);
    return {
      ...{ waiters, slots, serviceMs, waitersMin, probes, late: state.late },
      waitMsMax: Math.ceil(waitsMs.at(-1) ?? 0),
      waitMsP50: Math.ceil(waitsMs[Math.floor(waitsMs.length / 2)] ?? 0),
      ...{ served: state.served, permitsLeft, waitingLeft },
      seconds: Number(((performance.now() - startMs) / 1000).toFixed(1)),
      passed: state.late === 0 && waitersMin > 0 && permitsLeft + waitingLeft === 0,
    };
  } finally {
    await gate.end();
  }
}
