/**
 * One run: the built daemon under events and messages of many clients, killed again and again, then held
 * against a fold of all that was asked. Steps: world and triggers are made; lives, each ended by a kill (kills.ts);
 * what is open is asked until it is answered, messages until they have ended; counters and firings are compared,
 * then once more after one kill.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TriggerView } from '../../src/usage/ports.ts';
import { BuiltDaemon, type DaemonOptions, freePort } from '../crash/daemon-process.ts';
import { type Random, randomFrom } from '../crash/traffic.ts';
import { Callbacks } from './callbacks.ts';
import { Clients } from './clients.ts';
import { Consumer } from './consumer.ts';
import { Fold } from './fold.ts';
import { Aim, KILL_KINDS, type KillKind, type Life, pause, planLives } from './kills.ts';
import { type AskedEvent, Mix } from './mix.ts';
import { foldMessages, outcomes } from './outcomes.ts';
import { SWING, Swing } from './swing.ts';
import { bodyOf, madeOf, planTriggers, type TriggerPlan, Triggers } from './triggers.ts';
import { compareBounds, compareCells, compareFirings, compareTriggers } from './verdict.ts';
import { aheadMs, clockOption, makeWorld } from './world.ts';

export interface UsageRunOptions {
  /** Events and messages together. */
  readonly events: number;
  readonly kills: number;
  readonly clients: number;
  readonly shards: number;
  readonly seed: number;
  /** The day of the run as `2027-01-20`; default: in the January that comes. */
  readonly today?: string | undefined;
  readonly build?: string | undefined;
  readonly showsProgress?: boolean;
  /** How long the end of messages and callbacks is waited for. */
  readonly drainTimeoutMs?: number;
}

const DRAIN_TIMEOUT_MS = 180_000;
const FIRST_EVENTS = 300;
/** How long after all is right nothing more may come. */
const QUIET_MS = 1_500;
const TRIES_MAX = 10;
const CHECKPOINTS_EVERY_MS = 500;
const SETTINGS = [
  'outbound.allow=["127.0.0.0/8"]',
  'outbound.timeoutMs=700',
  'outbound.retryMs=[0,50,100,200,400,800,1600,1600,1600,1600,1600,1600,1600,1600,1600,1600,1600,1600,1600,1600]',
  'dispatch.retentionMs=86400000',
];

export class UsageRun {
  readonly #options: UsageRunOptions;
  readonly #random: Random;
  readonly #ahead: number;
  readonly #startMs: number;
  readonly #fold = new Fold();
  readonly #triggers: Triggers;
  readonly #mix: Mix;
  readonly #lives: Life[];
  readonly #clients: Clients;
  readonly #consumer: Consumer;
  readonly #callbacks: Callbacks;
  readonly #aim = new Aim();
  readonly #start: DaemonOptions;
  readonly #kills: Record<KillKind, number> = { random: 0, callback: 0, answer: 0, restart: 0 };
  readonly #startsMs: number[] = [];
  readonly #faults: string[] = [];
  #daemon: BuiltDaemon;
  #swing: Swing | undefined;
  /** Of messages, by what became of them. */
  #numbers: ReadonlyMap<string, number> = new Map();
  /** Of lives that are over, and of the one that is. */
  #checkpoints = { before: 0, now: 0 };

  private constructor(
    options: UsageRunOptions,
    parts: {
      ahead: number;
      triggers: Triggers;
      callbacks: Callbacks;
      start: DaemonOptions;
      daemon: BuiltDaemon;
    },
  ) {
    this.#options = options;
    this.#random = randomFrom(options.seed);
    this.#ahead = parts.ahead;
    this.#startMs = this.#nowMs();
    this.#triggers = parts.triggers;
    this.#callbacks = parts.callbacks;
    this.#start = parts.start;
    this.#daemon = parts.daemon;
    const { lives, ms } = planLives(this.#random, options.kills);
    this.#lives = lives;
    this.#mix = new Mix({
      ...{ random: this.#random, fold: this.#fold },
      ...{ startMs: this.#startMs, nowMs: () => this.#nowMs() },
      counted: (counted) => this.#triggers.counted(counted),
    });
    this.#clients = new Clients({
      ...{ random: this.#random, mix: this.#mix },
      ...{ connections: options.clients, perSec: (1000 * options.events) / ms },
      isOver: () => this.#share >= 1,
      onCrossed: () => this.#aim.hit('answer'),
    });
    this.#consumer = new Consumer(this.#random);
    this.#callbacks.onArrival = () => this.#aim.hit('callback');
  }

  static async run(options: UsageRunOptions) {
    const dataDir = mkdtempSync(join(tmpdir(), 'fairlead-usage-'));
    const ahead = aheadMs(options.today);
    const start: DaemonOptions = {
      ...{ dataDir, port: await freePort(), build: options.build },
      settings: [...SETTINGS, `shards=${options.shards}`],
      env: { NODE_OPTIONS: clockOption(ahead) },
    };
    const triggers = new Triggers();
    const callbacks = await Callbacks.start(randomFrom(options.seed + 1), triggers);
    const daemon = await BuiltDaemon.start(start);
    const run = new UsageRun(options, { ahead, triggers, callbacks, start, daemon });
    try {
      return await run.#all();
    } finally {
      await run.#end();
      rmSync(dataDir, { recursive: true, force: true });
    }
  }

  #nowMs(): number {
    return Date.now() + this.#ahead;
  }

  /** How much of all is asked. */
  get #share(): number {
    const { events, messages } = this.#mix.asked;
    return (events + messages) / this.#options.events;
  }

  async #all() {
    const timer = setInterval(() => void this.#lookAtCheckpoints(), CHECKPOINTS_EVERY_MS);
    try {
      await this.#prepare();
      this.#clients.begin();
      for (const [at, life] of this.#lives.entries()) {
        await this.#reach(life.until);
        await this.#kill(life.kind);
        this.#say(`life ${at + 1} of ${this.#lives.length}, ${life.kind}`);
      }
      await this.#reach(1);
      await this.#drain();
      return await this.#verdict();
    } finally {
      clearInterval(timer);
    }
  }

  /** @throws Error when the daemon ended by itself */
  async #reach(share: number): Promise<void> {
    while (this.#share < share) {
      this.#daemon.assertAlive();
      await pause(2);
    }
  }

  async #prepare(): Promise<void> {
    await makeWorld(this.#daemon, this.#startMs);
    await this.#connect();
    // So that relative triggers count from something.
    const first = Array.from({ length: FIRST_EVENTS }, (_, at) => {
      const tenant = at % 2 === 0 ? 't0' : 'coast';
      return this.#mix.own({ tenant, category: 'seats', quantity: 1, key: `first ${at}` });
    });
    this.#clients.ask(first);
    await this.#answered();
    for (const plan of planTriggers(this.#options.events)) await this.#make(plan);
    await this.#make(SWING);
    const trigger = this.#triggers.all.at(-1);
    if (trigger === undefined) throw new Error('the swing has no trigger');
    this.#swing = new Swing({
      ...{ trigger, fold: this.#fold, callbacks: this.#callbacks },
      ...{ daemon: () => this.#daemon, nowMs: () => this.#nowMs() },
    });
  }

  async #make(plan: TriggerPlan): Promise<void> {
    const number = this.#triggers.all.length;
    const response = await fetch(`${this.#daemon.url}/v1/triggers`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#daemon.token}` },
      body: JSON.stringify(bodyOf(plan, (place) => this.#callbacks.url(number, place))),
    });
    const view = (await response.json()) as TriggerView;
    if (!response.ok) throw new Error(JSON.stringify(view));
    this.#triggers.add(madeOf(plan, view.sid, view.base), this.#fold);
  }

  async #connect(): Promise<void> {
    const { url, token } = this.#daemon;
    await this.#clients.connect(url, token);
    await this.#consumer.connect(url, token);
  }

  async #kill(kind: KillKind): Promise<void> {
    const isRestart = kind === 'restart';
    const was = await this.#aim.take(kind, this.#random);
    await this.#daemon.kill();
    this.#kills[isRestart ? 'random' : was] += 1;
    if (isRestart) await this.#killStarting();
    await this.#restart();
  }

  /** Kills it somewhere in its start. */
  async #killStarting(): Promise<void> {
    const afterMs = this.#random() * 1.1 * (this.#startsMs.at(-1) ?? 1_000);
    const timers: NodeJS.Timeout[] = [];
    const onSpawn = (kill: () => void): void => void timers.push(setTimeout(kill, afterMs));
    const started = await BuiltDaemon.start({ ...this.#start, onSpawn }).catch((error: Error) => {
      // Only what ended it by a kill is what was meant.
      if (!error.message.includes('SIGKILL')) throw error;
      return undefined;
    });
    for (const timer of timers) clearTimeout(timer);
    await started?.end();
    this.#kills.restart += 1;
  }

  async #restart(): Promise<void> {
    this.#checkpoints = { before: this.#checkpoints.before + this.#checkpoints.now, now: 0 };
    this.#daemon = await BuiltDaemon.start(this.#start);
    this.#startsMs.push(this.#daemon.startMs);
    await this.#connect();
  }

  async #drain(): Promise<void> {
    this.#say('draining');
    await this.#swing?.stop();
    // One event more for each trigger that looks at every n-th only, or waits for the next one.
    this.#clients.ask(this.#triggers.all.flatMap((trigger, at) => this.#last(trigger, at)));
    await this.#answered();
    this.#consumer.isDraining = true;
    const { messages } = this.#mix;
    const timeoutMs = this.#options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS;
    const ended = await outcomes(this.#daemon, messages, timeoutMs);
    this.#numbers = foldMessages(this.#fold, messages, { ended, startMs: this.#startMs });
    this.#say('waiting for callbacks');
  }

  #last({ tenant, category, tag, everyN: count = 1 }: TriggerPlan, at: number): AskedEvent[] {
    if (/^(messages|totalprice)|level/.test(category)) return [];
    const entry = { tenant, category, quantity: 1, count, key: `last ${at}` };
    return [this.#mix.own({ ...entry, ...(tag !== undefined && { tag }) })];
  }

  async #answered(): Promise<void> {
    await this.#until(() => this.#clients.isDone, 'answers');
  }

  /** Waits, and goes on after a time: what is missing is found by what compares. */
  async #until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const endMs = performance.now() + (this.#options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS);
    while (!(await holds())) {
      this.#daemon.assertAlive();
      if (performance.now() > endMs) {
        this.#faults.push(`not all ${what} came in time`);
        return;
      }
      await pause(50);
    }
  }

  /** Of the daemon that is; a connection that it closed while it was idle is no answer. */
  async #get(path: string): Promise<unknown> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#daemon.get(path);
      } catch (error) {
        this.#daemon.assertAlive();
        if (!(error instanceof TypeError) || tries === TRIES_MAX) throw error;
        await pause(100);
      }
    }
  }

  async #verdict() {
    const [fold, callbacks] = [this.#fold, this.#callbacks];
    const pages = { get: (path: string) => this.#get(path) };
    const swung = this.#swing?.expected ?? [];
    const firings = () => compareFirings(this.#triggers, { fold, callbacks, swung });
    await this.#until(() => firings().missing === 0, 'callbacks');
    await this.#until(async () => (await compareCells(pages, fold)).wrong === 0, 'counts');
    await this.#daemon.kill();
    this.#kills.random += 1;
    await this.#restart();
    const cells = await compareCells(pages, fold);
    await pause(QUIET_MS);
    const told = firings();
    const ups = this.#swing?.ups ?? 0;
    const faults = [
      ...this.#faults,
      ...this.#clients.faults,
      ...this.#consumer.faults,
      ...(this.#swing?.faults ?? []),
      ...cells.faults,
      ...(await compareBounds(pages, this.#clients.counts)),
      ...told.faults,
      ...this.#callbacks.faults,
      ...(await compareTriggers(pages, this.#triggers, { fold, ups })),
    ];
    return { ...this.#figures(cells, told), faults, passed: faults.length === 0 };
  }

  #figures(
    cells: { readonly compared: number; readonly wrong: number },
    told: ReturnType<typeof compareFirings>,
  ) {
    const starts = this.#startsMs.toSorted((one, other) => one - other);
    const { expected, callbacksExpected, missing, unexpected } = told;
    const { counts } = this.#callbacks;
    return {
      ...this.#mix.asked,
      clients: this.#clients.counts,
      outcomes: Object.fromEntries(this.#numbers),
      kills: KILL_KINDS.reduce((sum, kind) => sum + this.#kills[kind], 0),
      killsOf: this.#kills,
      startMsMedian: Math.round(starts[starts.length >> 1] ?? 0),
      checkpoints: this.#checkpoints.before + this.#checkpoints.now,
      ...{ cellsCompared: cells.compared, cellsWrong: cells.wrong },
      triggers: this.#triggers.all.length,
      swings: this.#swing?.ups ?? 0,
      ...{ firingsExpected: expected, callbacksExpected, missing, unexpected },
      callbacks: counts,
    };
  }

  async #lookAtCheckpoints(): Promise<void> {
    try {
      const text = await this.#daemon.text('/metrics');
      const [, checkpoints = 0] = /^fairlead_usage_checkpoints_total (\d+)/m.exec(text) ?? [];
      this.#checkpoints.now = Math.max(this.#checkpoints.now, Number(checkpoints));
    } catch {
      // It is down.
    }
  }

  #say(text: string): void {
    if (this.#options.showsProgress !== true) return;
    const { events, messages } = this.#mix.asked;
    const told = this.#callbacks.told.size;
    console.error(`${text}: ${events} events, ${messages} messages, ${told} firings told`);
  }

  async #end(): Promise<void> {
    this.#clients.close();
    this.#consumer.close();
    await this.#daemon.end();
    await this.#callbacks.close();
  }
}
