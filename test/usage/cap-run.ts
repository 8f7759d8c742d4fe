/**
 * Hard caps under a flood: several processes publish lists of messages of mixed costs, as fast as they are
 * answered, until the caps of four accounts are long crossed. What the answers say is accepted has to be what
 * the records say, never above a cap, and in the end not one message that would have fit may be missing: where
 * all cost the same, exactly ⌊cap ÷ cost⌋ are accepted; elsewhere what is left is filled up with the cheapest.
 * With `kill` the daemon ends by SIGKILL in the middle of it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../../bench/gateways/child.ts';
import { LifeClient } from '../../bench/life-client.ts';
import { nanoOf } from '../../src/base/nano.ts';
import { BuiltDaemon, freePort } from '../crash/daemon-process.ts';
import type { FloodQuestions, FloodResult } from './cap-flood.ts';
import {
  CAP_REACHED,
  type CapAccount,
  capAccounts,
  capEntities,
  DESTINATIONS,
  type FloodSum,
  UNIT_NANO,
} from './cap-plan.ts';

export interface CapOptions {
  readonly shards: number;
  /** Of all processes; at least some thousand, so that each cap is crossed. */
  readonly messages: number;
  readonly seed: number;
  /** SIGKILL when nearly half is answered: shortly before caps are reached. */
  readonly kill?: boolean;
  readonly processes?: number;
  readonly build?: string | undefined;
  /** The daemon's caps are a nano-unit, or a message, higher than the observer knows: then it has to fail. */
  readonly hiddenMore?: boolean;
}

export interface AccountEnd extends FloodSum {
  readonly tenant: string;
  readonly capNano: string | null;
  readonly capCount: number | null;
  readonly acceptedNano: string;
  /** After the flood, messages of the lowest cost that still fit. */
  readonly filledUp: number;
}

export interface CapResult {
  readonly shards: number;
  readonly messages: number;
  readonly killed: boolean;
  readonly accepted: number;
  readonly refused: number;
  /** By their keys, after the kill. */
  readonly repeated: number;
  /** Of all accounts with a cap of the price. */
  readonly capNano: string;
  readonly acceptedNano: string;
  readonly accounts: readonly AccountEnd[];
  /** How often the records were read during the flood. */
  readonly looks: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly passed: boolean;
  readonly faults: readonly string[];
}

interface Counted {
  readonly count: number;
  readonly usage: number;
  readonly nano: bigint;
}

const LOOK_MS = 100;
/** As shares of all: answered before the kill, and sent before it, so that it never comes too late. */
const KILL_AT = 0.45;
const SENT_BEFORE_KILL = 0.8;
const FOLDED_TIMEOUT_MS = 30_000;
const NOTHING: Counted = { count: 0, usage: 0, nano: 0n };

export async function capRun(options: CapOptions): Promise<CapResult> {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-cap-'));
  const run = new CapRun(options, dataDir);
  try {
    return await run.run();
  } finally {
    await run.end();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

class CapRun {
  readonly #options: CapOptions;
  readonly #dataDir: string;
  readonly #accounts: readonly CapAccount[];
  readonly #processes: readonly Child<FloodQuestions>[];
  readonly #faults: string[] = [];
  #daemon: BuiltDaemon | undefined;
  #port = 0;
  #looks = 0;

  constructor(options: CapOptions, dataDir: string) {
    this.#options = options;
    this.#dataDir = dataDir;
    this.#accounts = capAccounts(options.messages);
    const program = join(import.meta.dirname, 'cap-flood.ts');
    const { processes = 2 } = options;
    this.#processes = Array.from({ length: processes }, () => new Child<FloodQuestions>(program));
  }

  async run(): Promise<CapResult> {
    const { shards, messages, kill = false, hiddenMore = false } = this.#options;
    this.#port = await freePort();
    await this.#start();
    for (const [path, fields] of capEntities(this.#accounts, Number(hiddenMore))) {
      await this.#now.put(path, fields);
    }
    await this.#prepare();
    const startMs = performance.now();
    const downMs = await this.#flood(kill);
    const seconds = (performance.now() - startMs - downMs) / 1000;
    const results = await Promise.all(this.#processes.map((each) => each.ask('result')));
    this.#faults.push(...results.flatMap(({ faults }) => faults));
    const sums = this.#accounts.map((_, at) => sumOf(results, at));
    await this.#untilFolded(sums);
    const filledUp = await this.#fillUp(sums);
    await this.#untilFolded(sums);
    const accounts = this.#accounts.map((account, at) =>
      this.#endOf(account, sums[at] as FloodSum, filledUp[at] as number),
    );
    const priced = accounts.filter(({ capNano }) => capNano !== null);
    const total = (values: readonly (string | null)[]): string =>
      `${values.reduce((sum, value) => sum + BigInt(value ?? 0), 0n)}`;
    const repeated = results.reduce((sum, each) => sum + each.repeated, 0);
    return {
      ...{ shards, messages, killed: kill, repeated },
      accepted: sums.reduce((sum, { accepted }) => sum + accepted, 0),
      refused: sums.reduce((sum, { refused }) => sum + refused, 0),
      capNano: total(priced.map(({ capNano }) => capNano)),
      acceptedNano: total(priced.map(({ acceptedNano }) => acceptedNano)),
      ...{ accounts, looks: this.#looks, seconds: Number(seconds.toFixed(2)) },
      perSecond: Math.round(messages / seconds),
      passed: this.#faults.length === 0,
      faults: this.#faults,
    };
  }

  async end(): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.stop()));
    await this.#daemon?.end();
  }

  get #now(): BuiltDaemon {
    if (this.#daemon === undefined) throw new Error('no daemon');
    return this.#daemon;
  }

  async #start(): Promise<void> {
    const { shards, build } = this.#options;
    const settings = [`shards=${shards}`, 'usage.billable=accepted'];
    this.#daemon = await BuiltDaemon.start({
      ...{ dataDir: this.#dataDir, port: this.#port, settings, build },
    });
  }

  async #prepare(): Promise<void> {
    const { messages, seed, kill = false } = this.#options;
    const share = Math.floor(messages / this.#processes.length);
    await Promise.all(
      this.#processes.map((each, number) => {
        const isLast = number === this.#processes.length - 1;
        const own = isLast ? messages - number * share : share;
        const part = { seed, number, messages: own, accounts: this.#accounts };
        return each.ask('prepare', { ...part, keyed: kill });
      }),
    );
  }

  /** @returns how long the daemon was away, ms */
  async #flood(kill: boolean): Promise<number> {
    let downMs = 0;
    for (let isKilled = !kill; ; isKilled = true) {
      const { url, token } = this.#now;
      let isOver = false;
      const turns = Promise.all(
        this.#processes.map((each) =>
          each.ask('turn', { url, token }, isKilled ? 1 : SENT_BEFORE_KILL),
        ),
      );
      const ended = turns.finally(() => {
        isOver = true;
      });
      ended.catch(() => {});
      while (!isOver && (isKilled || (await this.#answered()) < KILL_AT)) {
        await this.#look();
        await sleep(LOOK_MS);
      }
      if (isKilled) {
        if ((await ended).some(Boolean)) throw new Error('the daemon was lost');
        return downMs;
      }
      const startMs = performance.now();
      await this.#now.kill();
      if (!(await ended).every(Boolean)) this.#faults.push('the kill came too late');
      await this.#start();
      downMs += performance.now() - startMs;
    }
  }

  /** As a share of all. */
  async #answered(): Promise<number> {
    const all = await Promise.all(this.#processes.map((each) => each.ask('answered')));
    return all.reduce((sum, each) => sum + each, 0) / this.#options.messages;
  }

  /** Compares what is counted now with the caps. */
  async #look(): Promise<void> {
    this.#looks += 1;
    for (const [at, counted] of (await this.#counted()).entries()) {
      this.#compare(this.#accounts[at] as CapAccount, counted, 'the records say');
    }
  }

  #compare({ tenant, nano, count }: CapAccount, counted: Counted, who: string): void {
    if (nano !== undefined && counted.nano > nano) {
      this.#faults.push(`${tenant}: ${who} ${counted.nano}, the cap is ${nano}`);
    }
    if (count !== undefined && counted.count > count) {
      this.#faults.push(`${tenant}: ${who} ${counted.count}, the cap is ${count}`);
    }
  }

  async #counted(): Promise<Counted[]> {
    const page = await this.#now.get('usage/records?category=messages&period=alltime');
    const rows = (page as { items: ({ account: string; price: string } & Counted)[] }).items;
    return this.#accounts.map(({ tenant }) => {
      const row = rows.find(({ account }) => account === tenant);
      if (row === undefined) return NOTHING;
      return { count: row.count, usage: row.usage, nano: nanoOf(row.price) ?? 0n };
    });
  }

  /** Until the records are what the answers say: what is accepted is told to them later. */
  async #untilFolded(sums: readonly FloodSum[]): Promise<void> {
    const endMs = performance.now() + FOLDED_TIMEOUT_MS;
    for (;;) {
      const counted = await this.#counted();
      const isSame = sums.every(({ accepted, units }, at) => {
        const { count, usage, nano } = counted[at] as Counted;
        return count === accepted && usage === units && nano === BigInt(units) * UNIT_NANO;
      });
      if (isSame) return;
      if (performance.now() > endMs) {
        const said = JSON.stringify(counted.map(({ count, usage }) => [count, usage]));
        this.#faults.push(`answers ${JSON.stringify(sums)}, records ${said}`);
        return;
      }
      await sleep(LOOK_MS);
    }
  }

  /** One message of the lowest cost after another, until one is refused. @returns how many of each account fit */
  async #fillUp(sums: readonly FloodSum[]): Promise<number[]> {
    const { url, token } = this.#now;
    const client = await LifeClient.open({ url, token });
    const filled: number[] = [];
    for (const [at, { tenant, cost = 1, nano, count }] of this.#accounts.entries()) {
      const sum = sums[at] as FloodSum;
      const before = sum.accepted;
      for (let fits = nano !== undefined || count !== undefined; fits; ) {
        const destination = DESTINATIONS[sum.accepted % DESTINATIONS.length] as string;
        const messages = [{ tenant, payload: 'more', options: { c: cost } }];
        const { refused } = await client.publish({ destination, messages });
        const [first] = refused;
        fits = first === undefined;
        if (first !== undefined && first.code !== CAP_REACHED) {
          this.#faults.push(`${tenant} is refused with ${first.code}`);
        }
        sum.accepted += Number(fits);
        sum.units += fits ? cost : 0;
      }
      filled.push(sum.accepted - before);
    }
    client.close();
    return filled;
  }

  #endOf(account: CapAccount, sum: FloodSum, filledUp: number): AccountEnd {
    const { tenant, cost, nano, count } = account;
    const { accepted, units, refused } = sum;
    const acceptedNano = BigInt(units) * UNIT_NANO;
    this.#compare(account, { count: accepted, usage: units, nano: acceptedNano }, 'answers say');
    const isCapped = nano !== undefined || count !== undefined;
    const lowest = BigInt(cost ?? 1) * UNIT_NANO;
    const isFullByPrice = nano !== undefined && acceptedNano + lowest > nano;
    const isFull = isFullByPrice || accepted === count;
    if (isCapped && !isFull) this.#faults.push(`${tenant}: ${accepted} accepted, more would fit`);
    if (isCapped && refused === 0) this.#faults.push(`${tenant}: its caps were never reached`);
    if (!isCapped && refused > 0) this.#faults.push(`${tenant}: ${refused} refused without a cap`);
    // One cap alone, and nothing else to refuse for: the flood itself has to fill it.
    const isEven = isCapped && (cost !== undefined || nano === undefined);
    if (isEven && filledUp > 0) this.#faults.push(`${tenant}: ${filledUp} were refused wrongly`);
    const caps = { capNano: nano === undefined ? null : `${nano}`, capCount: count ?? null };
    return { tenant, ...caps, acceptedNano: `${acceptedNano}`, ...sum, filledUp };
  }
}

function sumOf(results: readonly FloodResult[], at: number): FloodSum {
  const sum = { accepted: 0, units: 0, refused: 0 };
  for (const { sums } of results) {
    const { accepted, units, refused } = sums[at] as FloodSum;
    sum.accepted += accepted;
    sum.units += units;
    sum.refused += refused;
  }
  return sum;
}
