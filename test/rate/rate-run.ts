/**
 * F8 in real time: what a destination with a rate hands out, at dispatch and on arrival.
 *
 * The daemon is a copy of the build whose shard worker notes, of every exchange that hands out,
 * the time just before and just after its step and how many went to each destination. The step's
 * own time lies between the two, so a window over the notes is never shorter than the real one, and
 * what is above its bound is above it in truth. Times are those of the daemon's clock, which may
 * run by 500 µs a second faster or slower than the host's while it follows the wall clock. The
 * consumer counts too, as they arrive.
 */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  encodeCredit,
  encodePublish,
  encodeSettle,
  encodeSubscribe,
} from '../../src/protocol/frames.ts';
import { changedBuild } from '../crash/changed-build.ts';
import { BuiltDaemon, freePort } from '../crash/daemon-process.ts';
import { WireClient } from '../crash/wire-client.ts';

export interface RateOptions {
  readonly ratesPerSec: readonly number[];
  /** Measured time of each start. */
  readonly seconds: number;
  /** Starts; each but the last ends with kill -9. */
  readonly starts: number;
}

/** Of one destination in one start. */
export interface RateRow {
  readonly ratePerSec: number;
  readonly start: number;
  /** Handed out after the first, a second of the time since the first, as part of the rate. */
  readonly dispatchedShare: number;
  /**
   * Handed out as part of what a full bucket of the same depth would have let through at the same
   * moments: what late wake-ups and slow flushes of the host cost is not in it.
   */
  readonly possibleShare: number;
  /** Of the rate, as the consumer saw it. */
  readonly arrivedShare: number;
  readonly delivered: number;
  /** Most that any window had above rate · its length; the bound is `depth`. */
  readonly overMax: number;
  /** max(1, burst) + rate · 5 ms. */
  readonly depth: number;
  /** Longest time between two hand-outs, ms. */
  readonly gapMsMax: number;
  /** Time that hand-outs came later than the slack allows, ms in all. */
  readonly lateMs: number;
}

/** One exchange's hand-outs to one destination. */
interface Note {
  readonly beforeUs: number;
  readonly afterUs: number;
  readonly count: number;
}

const SLACK_MS = 5;
const CREDIT = 60_000;
const FRAME_MESSAGES = 500;
/** What waits is more than the rate hands out in the time. */
const BACKLOG_FACTOR = 1.3;
const SETTLE_MS = 4;
/** Hand-outs of the first moments are not measured: clients subscribe one after another. */
const WARM_MS = 300;
/** Last notes of a killed daemon may be missing. */
const PROBE_WRITE_MS = 100;

export async function rateRun(options: RateOptions): Promise<RateRow[]> {
  const build = changedBuild([]);
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-rate-'));
  const notes = join(folder, 'notes');
  renameSync(join(build.path, 'shard/worker.js'), join(build.path, 'shard/probed-worker.js'));
  writeFileSync(join(build.path, 'shard/worker.js'), PROBE);
  const run = new RateRun(options, { folder, notes, build: build.path });
  try {
    return await run.run();
  } finally {
    await run.end();
    rmSync(folder, { recursive: true, force: true });
    build.remove();
  }
}

class RateRun {
  readonly #options: RateOptions;
  readonly #place: { readonly folder: string; readonly notes: string; readonly build: string };
  #daemon: BuiltDaemon | undefined;
  #client: WireClient | undefined;
  /** Of this start, by destination: when each message arrived, µs. */
  #arrivals: number[][] = [];
  #unsettled: number[][] = [];

  constructor(options: RateOptions, place: { folder: string; notes: string; build: string }) {
    this.#options = options;
    this.#place = place;
  }

  async run(): Promise<RateRow[]> {
    const { starts, seconds } = this.#options;
    const port = await freePort();
    const rows: RateRow[] = [];
    for (let start = 1; start <= starts; start += 1) {
      const daemon = await this.#start(port);
      if (start === 1) await this.#fill(daemon);
      await this.#consume(daemon);
      await sleep(WARM_MS + seconds * 1_000);
      await sleep(2 * PROBE_WRITE_MS);
      await daemon.kill();
      rows.push(...this.#measure(start));
      rmSync(this.#place.notes, { force: true });
    }
    return rows;
  }

  async end(): Promise<void> {
    this.#client?.close();
    await this.#daemon?.end();
  }

  async #start(port: number): Promise<BuiltDaemon> {
    const { folder, notes, build } = this.#place;
    this.#daemon = await BuiltDaemon.start({
      dataDir: join(folder, 'data'),
      port,
      build,
      settings: ['durability=flushed', 'shards=1'],
      env: { RATE_PROBE_NOTES: notes },
    });
    return this.#daemon;
  }

  /** Makes the destinations, and a backlog that lasts for all starts. */
  async #fill(daemon: BuiltDaemon): Promise<void> {
    const { ratesPerSec, seconds, starts } = this.#options;
    let answered = (): void => {};
    const client = await WireClient.open(daemon.url, daemon.token, {
      ok: () => answered(),
      error: (frame) => {
        throw new Error(frame.message);
      },
      closed: () => {},
    });
    for (const ratePerSec of ratesPerSec) {
      const destination = nameOf(ratePerSec);
      await daemon.put(`destinations/${destination}`, {
        ratePerSec,
        burst: 1,
        // Otherwise a consumer that settles late holds back what is outstanding, and so the rate.
        inFlightMax: CREDIT,
      });
      let left = Math.ceil(BACKLOG_FACTOR * ratePerSec * starts * (seconds + 1));
      for (let id = 1; left > 0; id += 1) {
        const count = Math.min(left, FRAME_MESSAGES);
        left -= count;
        const messages = Array.from({ length: count }, (_, at) => ({
          tenant: `t${at % 5}`,
          sender: `s${at % 20}`,
          recipient: '+491511234567',
          payload: 'x'.repeat(120),
        }));
        const answer = new Promise<void>((resolve) => {
          answered = resolve;
        });
        client.send(encodePublish({ id, destination, messages }));
        await answer;
      }
    }
    client.close();
  }

  /** Subscribes to all and settles what comes. */
  async #consume(daemon: BuiltDaemon): Promise<void> {
    const { ratesPerSec } = this.#options;
    this.#arrivals = ratesPerSec.map(() => []);
    this.#unsettled = ratesPerSec.map(() => []);
    const client = await WireClient.open(daemon.url, daemon.token, {
      ok: () => {},
      error: (frame) => {
        throw new Error(frame.message);
      },
      deliver: (subscription, deliveries) => {
        const nowUs = hostUs();
        for (const { delivery } of deliveries) {
          this.#arrivals[subscription]?.push(nowUs);
          this.#unsettled[subscription]?.push(delivery);
        }
      },
      closed: () => clearInterval(timer),
    });
    const timer = setInterval(() => this.#settle(client), SETTLE_MS);
    this.#client = client;
    ratesPerSec.forEach((ratePerSec, subscription) => {
      const destination = nameOf(ratePerSec);
      client.send(encodeSubscribe({ id: 1, subscription, destination, credit: CREDIT }));
    });
  }

  #settle(client: WireClient): void {
    this.#unsettled.forEach((outcomes, subscription) => {
      if (outcomes.length === 0) return;
      this.#unsettled[subscription] = [];
      client.send(encodeSettle({ id: 0, subscription, outcomes }));
      client.send(encodeCredit({ id: 0, subscription, add: outcomes.length }));
    });
  }

  #measure(start: number): RateRow[] {
    const text = existsSync(this.#place.notes) ? readFileSync(this.#place.notes, 'utf8') : '';
    const lines = text.split('\n').filter((line) => line !== '');
    const all = lines.map(
      (line) => line.split(' ').map(Number) as [number, number, number, number],
    );
    return this.#options.ratesPerSec.map((ratePerSec, subscription) => {
      const notes = all
        .filter(([to]) => to === subscription)
        .map(([, beforeUs, afterUs, count]) => ({ beforeUs, afterUs, count }));
      const arrivals = this.#arrivals[subscription] ?? [];
      return { ratePerSec, start, ...figuresOf({ ratePerSec, notes, arrivals }) };
    });
  }
}

function figuresOf(seen: {
  ratePerSec: number;
  notes: readonly Note[];
  arrivals: readonly number[];
}): Omit<RateRow, 'ratePerSec' | 'start'> {
  const { ratePerSec, notes } = seen;
  const warmUs = (notes[0]?.beforeUs ?? 0) + WARM_MS * 1_000;
  const measured = notes.filter(({ beforeUs }) => beforeUs >= warmUs);
  const warmArrivalUs = (seen.arrivals[0] ?? 0) + WARM_MS * 1_000;
  const arrivals = seen.arrivals.filter((us) => us >= warmArrivalUs);
  const times = measured.flatMap(({ beforeUs, afterUs, count }) =>
    Array.from({ length: count }, () => (beforeUs + afterUs) / 2),
  );
  const gaps = measured.slice(1).map(({ beforeUs }, at) => {
    return (beforeUs - (measured[at]?.beforeUs ?? 0)) / 1_000;
  });
  const allowedMs = SLACK_MS + 1_000 / ratePerSec;
  return {
    dispatchedShare: round(shareOf(times, ratePerSec), 5),
    possibleShare: round(possibleShareOf(measured, ratePerSec), 5),
    arrivedShare: round(shareOf(arrivals, ratePerSec), 5),
    delivered: seen.arrivals.length,
    overMax: round(overMaxOf(notes, ratePerSec), 3),
    depth: round(1 + (ratePerSec * SLACK_MS) / 1_000, 3),
    gapMsMax: round(Math.max(0, ...gaps), 2),
    lateMs: round(
      gaps.reduce((sum, gap) => sum + Math.max(0, gap - allowedMs), 0),
      1,
    ),
  };
}

/** Messages after the first a second, as part of the rate. */
function shareOf(timesUs: readonly number[], ratePerSec: number): number {
  const spanUs = (timesUs.at(-1) ?? 0) - (timesUs[0] ?? 0);
  return spanUs === 0 ? 0 : ((timesUs.length - 1) * 1e6) / spanUs / ratePerSec;
}

function possibleShareOf(notes: readonly Note[], ratePerSec: number): number {
  // The core rounds a message's time up, so what is not whole in the depth never becomes so.
  const depth = 1 + (ratePerSec * SLACK_MS) / 1_000 - 0.001;
  let tokens = 0;
  let possible = 0;
  let handedOut = 0;
  let lastUs = notes[0]?.beforeUs ?? 0;
  for (const { beforeUs, count } of notes.slice(1)) {
    tokens = Math.min(depth, tokens + (ratePerSec * (beforeUs - lastUs)) / 1e6);
    lastUs = beforeUs;
    const now = Math.floor(tokens);
    tokens -= now;
    possible += now;
    handedOut += count;
  }
  return possible === 0 ? 0 : handedOut / possible;
}

/**
 * The largest count − rate · length of any window, in one pass: a window from note i to note j has
 * everything from i to j, so what counts is the least of (handed out before i − rate · time of i).
 */
function overMaxOf(notes: readonly Note[], ratePerSec: number): number {
  let handedOut = 0;
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  const firstUs = notes[0]?.beforeUs ?? 0;
  const worth = (us: number): number => (ratePerSec * (us - firstUs)) / 1e6;
  for (const { beforeUs, afterUs, count } of notes) {
    least = Math.min(least, handedOut - worth(beforeUs));
    handedOut += count;
    most = Math.max(most, handedOut - worth(afterUs) - least);
  }
  return notes.length === 0 ? 0 : most;
}

function nameOf(ratePerSec: number): string {
  return `rate-${ratePerSec}`;
}

function hostUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** The worker of the copy: the real one, with a note beside each exchange. */
const PROBE = `
import { appendFileSync } from 'node:fs';
import work from './probed-worker.js';
import { ProcessClock } from '../base/clock.js';
import { EFFECT_OP, EffectsReader } from '../protocol/exchange.js';
import { decodeDaemonFrame } from '../protocol/frames.js';
import { valueSymbol } from 'piscina';

let lines = [];
setInterval(() => {
  if (lines.length === 0) return;
  appendFileSync(process.env.RATE_PROBE_NOTES, lines.join('\\n') + '\\n');
  lines = [];
}, ${PROBE_WRITE_MS}).unref();
let clock;
const nowUs = () => clock.nowUs();

export default async function probed(task) {
  if (task.kind === 'open') clock = ProcessClock.attach(task.clock);
  if (task.kind !== 'exchange') return work(task);
  const before = nowUs();
  const working = work(task);
  const after = nowUs();
  const moved = await working;
  const { output, outputBytes } = moved[valueSymbol];
  const effects = new EffectsReader(new Uint8Array(output, 0, outputBytes));
  while (effects.next()) {
    if (effects.op !== EFFECT_OP.send) continue;
    const frame = decodeDaemonFrame(effects.entry().slice());
    if (frame.kind !== 'deliver') continue;
    lines.push([frame.subscription, before, after, frame.deliveries.length].join(' '));
  }
  return moved;
}
`;
