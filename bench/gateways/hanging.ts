/**
 * `outbox/hanging`: how long items take from when they were due to be put until they are at an
 * endpoint that answers, without and with other endpoints that take requests and never answer.
 */
import { makeDataDirectory, removeDataDirectory } from '../daemon.ts';
import { percentilesMs } from '../load/latency.ts';
import { median, significant } from '../statistics.ts';
import { Child } from './child.ts';
import { endpointOfItem, isHanging } from './load/endpoint-hosts.ts';
import type {
  EndpointResult,
  EndpointRound,
  EndpointServerQuestions,
} from './load/endpoint-server.ts';
import type { OutboxQuestions } from './load/outbox-main.ts';

export interface HangingPlan {
  readonly endpoints: number;
  readonly hanging: number;
  readonly ratePerSec: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly rounds: number;
}

export interface HangingResult {
  readonly scope: 'gateways';
  readonly name: 'outbox/hanging';
  readonly endpoints: number;
  readonly hanging: number;
  readonly ratePerSec: number;
  /** To endpoints that answer; medians of the rounds. */
  readonly withoutP50Ms: number;
  readonly withoutP99Ms: number;
  readonly withP50Ms: number;
  readonly withP99Ms: number;
  /** With ÷ without. */
  readonly p99Ratio: number;
  readonly withoutP99MsOfRounds: readonly number[];
  readonly withP99MsOfRounds: readonly number[];
  /** Requests at the endpoints that hang, most at one time. */
  readonly heldMax: number;
  readonly seconds: number;
  readonly rounds: number;
}

const POLL_MS = 20;
/** Items that were put have so long to arrive. */
const ARRIVE_TIMEOUT_MS = 20_000;

export async function measureHanging(plan: HangingPlan): Promise<HangingResult> {
  const server = new Child<EndpointServerQuestions>('endpoint-server.ts');
  try {
    const port = await server.ask('listen');
    const without: EndpointResult[] = [];
    const withHanging: EndpointResult[] = [];
    for (let round = 0; round < plan.rounds; round += 1) {
      without.push(await measureRound(server, port, plan, false));
      withHanging.push(await measureRound(server, port, plan, true));
    }
    return hangingResult(plan, without, withHanging);
  } finally {
    await server.stop();
  }
}

export function hangingResult(
  { endpoints, hanging, ratePerSec, measureMs, rounds }: HangingPlan,
  without: readonly EndpointResult[],
  withHanging: readonly EndpointResult[],
): HangingResult {
  const ofRounds = (results: readonly EndpointResult[], percent: number): number[] =>
    results.map(({ latency }) => percentilesMs([latency], [percent])[0] as number);
  const middle = (results: readonly EndpointResult[], percent: number): number =>
    median(ofRounds(results, percent));
  return {
    scope: 'gateways',
    name: 'outbox/hanging',
    endpoints,
    hanging,
    ratePerSec,
    withoutP50Ms: significant(middle(without, 50)),
    withoutP99Ms: significant(middle(without, 99)),
    withP50Ms: significant(middle(withHanging, 50)),
    withP99Ms: significant(middle(withHanging, 99)),
    p99Ratio: significant(middle(withHanging, 99) / middle(without, 99)),
    withoutP99MsOfRounds: ofRounds(without, 99).map((ms) => significant(ms)),
    withP99MsOfRounds: ofRounds(withHanging, 99).map((ms) => significant(ms)),
    heldMax: Math.max(...withHanging.map(({ heldMax }) => heldMax)),
    seconds: measureMs / 1000,
    rounds,
  };
}

/** With an outbox of its own: what hung in the round before has no part in it. */
async function measureRound(
  server: Child<EndpointServerQuestions>,
  port: number,
  plan: HangingPlan,
  doHang: boolean,
): Promise<EndpointResult> {
  const { endpoints, hanging, ratePerSec, warmUpMs, measureMs } = plan;
  const first = (warmUpMs * ratePerSec) / 1000;
  const end = first + (measureMs * ratePerSec) / 1000;
  const round: EndpointRound = { endpoints, hanging, doHang, first, end };
  const path = makeDataDirectory();
  const outbox = new Child<OutboxQuestions>('outbox-main.ts');
  try {
    await outbox.ask('open', path);
    await server.ask('expect', round);
    await outbox.ask('offer', { items: end, ratePerSec, endpoints, port });
    await arrival(server, measuredItems(round));
    return await server.ask('result');
  } finally {
    await outbox.stop();
    removeDataDirectory(path);
  }
}

function measuredItems({ first, end, endpoints, hanging }: EndpointRound): number {
  let items = 0;
  for (let item = first; item < end; item += 1) {
    if (!isHanging(endpointOfItem(item, endpoints), endpoints, hanging)) items += 1;
  }
  return items;
}

async function arrival(server: Child<EndpointServerQuestions>, wanted: number): Promise<void> {
  const endMs = performance.now() + ARRIVE_TIMEOUT_MS;
  for (;;) {
    const arrived = await server.ask('arrived');
    if (arrived >= wanted) return;
    if (performance.now() > endMs) throw new Error(`${arrived} of ${wanted} items arrived`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
