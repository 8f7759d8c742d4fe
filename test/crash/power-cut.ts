/**
 * Cuts the power of a store at random points and looks at what a start finds.
 *
 * A driver (power-cut-driver.ts) runs a real shard under the shim (shim.c), which logs what it writes
 * and syncs. From that log this builds what the disk may hold at a point (disk-model.ts), opens it in
 * safe-restore mode, recovers it, and compares with what had left the process before the point.
 *
 * LMDB writes through descriptors, not through its map (it is mapped for reading), so writes and
 * syncs are all there is; the shim would report a data file mapped for writing.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Environment } from '../../src/store/environment.ts';
import { decodeRecord, MAIN_RECORD_TYPE } from '../../src/store/record.ts';
import { tsHook } from '../support/ts-hook.ts';
import { BUILD } from './daemon-process.ts';
import { DiskFile, type Fate, LOG_KIND, type LogRecord, readLog } from './disk-model.ts';
import { CutLedger } from './power-cut-ledger.ts';
import { findAll } from './power-cut-shard.ts';
import { below, type Random, randomFrom } from './traffic.ts';

export interface PowerCutOptions {
  readonly images: number;
  readonly seed: number;
  readonly runMs?: number;
  /** What becomes of writes that were not synced; default any of these. */
  readonly fates?: readonly Fate[];
  /** Another build than this tree's. */
  readonly build?: string | undefined;
}

export interface PowerCutResult {
  readonly images: number;
  /** Messages acknowledged before each cut, added up over the images. */
  readonly acknowledged: number;
  readonly redelivered: number;
  readonly lost: number;
  /** Images that a daemon would not have started with, or with wrong content. */
  readonly damaged: number;
  /** Settled for good before the cut and delivered again, or delivered again without flag 1. */
  readonly wronglyRepeated: number;
  readonly partialFrames: number;
  /** Repeats of acknowledged idempotency keys, and those not answered with the first id. */
  readonly repeats: number;
  readonly repeatsWrong: number;
  /** Statuses found of acknowledged messages; those that came although it was so. */
  readonly expired: number;
  readonly late: number;
  readonly cancelled: number;
  readonly deliveredAfterCancel: number;
  /** Acknowledged messages that are unknown, or whose status does not follow from the marks. */
  readonly statusWrong: number;
  /** Answered changes of the main environment that were gone, over all images. */
  readonly entitiesLost: number;
  readonly entitiesAcknowledged: number;
  /** Cuts with writes that were not synced. */
  readonly torn: number;
  readonly seconds: number;
  readonly seed: number;
  readonly passed: boolean;
  readonly faults: readonly string[];
}

const RUN_MS = 1_500;
const FATES: readonly Fate[] = ['none', 'all', 'some', 'some'];
const MAIN_MAP_BYTES = 2 ** 30;

/** Why the test cannot run here; undefined if it can. */
export function whyNotHere(): string | undefined {
  if (process.platform !== 'linux') return 'LD_PRELOAD and the shim are for Linux';
  return spawnSync('cc', ['--version']).status === 0 ? undefined : 'there is no C compiler (cc)';
}

export async function powerCutRun(options: PowerCutOptions): Promise<PowerCutResult> {
  const startMs = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-power-'));
  try {
    const records = await record(folder, options);
    const cuts = new Cuts(folder, records, options);
    return await cuts.run(startMs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the driver under the shim. */
async function record(folder: string, options: PowerCutOptions): Promise<LogRecord[]> {
  const shim = join(folder, 'shim.so');
  const source = join(import.meta.dirname, 'shim.c');
  const compiled = spawnSync('cc', ['-O2', '-shared', '-fPIC', '-o', shim, source, '-ldl'], {
    encoding: 'utf8',
  });
  if (compiled.status !== 0) throw new Error(`the shim does not compile: ${compiled.stderr}`);
  const data = join(folder, 'data');
  const log = join(folder, 'log');
  mkdirSync(data);
  const { runMs = RUN_MS, seed, build = BUILD } = options;
  const driver = join(import.meta.dirname, 'power-cut-driver.ts');
  const args = ['--import', tsHook, driver, data, build];
  const child = spawn(process.execPath, [...args, String(runMs), String(seed)], {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: {
      PATH: process.env.PATH ?? '',
      LD_PRELOAD: shim,
      FAIRLEAD_CUT_DIR: `${data}/`,
      FAIRLEAD_CUT_LOG: log,
    },
  });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words += text;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (signal !== 'SIGKILL') throw new Error(`the driver ended with ${signal ?? code}: ${words}`);
  if (statSync(log).size > 2 ** 30) throw new Error('the log is too large');
  return readLog(readFileSync(log));
}

class Cuts {
  readonly #folder: string;
  readonly #records: readonly LogRecord[];
  readonly #options: PowerCutOptions;
  readonly #random: Random;
  readonly #paths = new Map<number, string>();
  readonly #shard = new DiskFile();
  readonly #main = new DiskFile();
  readonly #ledger = new CutLedger();
  readonly #faults: string[] = [];
  #damaged = 0;
  #entitiesLost = 0;
  #entitiesAcknowledged = 0;
  #torn = 0;

  constructor(folder: string, records: readonly LogRecord[], options: PowerCutOptions) {
    this.#folder = folder;
    this.#records = records;
    this.#options = options;
    this.#random = randomFrom(options.seed);
  }

  async run(startMs: number): Promise<PowerCutResult> {
    const points = this.#points();
    let done = 0;
    for (const each of this.#records) {
      this.#take(each);
      while (points[done] === each.number) {
        await this.#cut(done);
        done += 1;
      }
    }
    const { acknowledged, redelivered, lost, wronglyRepeated, partialFrames } = this.#ledger;
    const { deliveredAfterCancel, late, repeatsWrong, statusWrong } = this.#ledger;
    const { repeats, cancelled, expired } = this.#ledger;
    const ofLife = deliveredAfterCancel + late + repeatsWrong + statusWrong;
    const ofStore = lost + wronglyRepeated + partialFrames + this.#damaged + this.#entitiesLost;
    const wrong = ofStore + ofLife;
    return {
      images: done,
      acknowledged,
      redelivered,
      lost,
      damaged: this.#damaged,
      wronglyRepeated,
      partialFrames,
      ...{ repeats, repeatsWrong, expired, late, cancelled, deliveredAfterCancel, statusWrong },
      entitiesLost: this.#entitiesLost,
      entitiesAcknowledged: this.#entitiesAcknowledged,
      torn: this.#torn,
      seconds: Number(((performance.now() - startMs) / 1000).toFixed(1)),
      seed: this.#options.seed,
      passed: wrong === 0 && acknowledged > 0,
      faults: [...this.#faults, ...this.#ledger.faults].slice(0, 20),
    };
  }

  /** Numbers of records to cut after, ascending: half of them anywhere, half right after a mark. */
  #points(): number[] {
    const { images } = this.#options;
    const marks = new Set<number>();
    const after: number[] = [];
    let first: number | undefined;
    for (const { kind, file, number, bytes } of this.#records) {
      if (kind === LOG_KIND.open && bytes.toString().endsWith('/marks')) marks.add(file);
      if (kind !== LOG_KIND.write || !marks.has(file)) continue;
      if (!/^[adko] /m.test(bytes.toString())) continue;
      first ??= number;
      after.push(number);
    }
    if (first === undefined) throw new Error('nothing was acknowledged');
    const from = first;
    const span = this.#records.length - from;
    const points = Array.from({ length: images }, (_, at) =>
      at % 2 === 0
        ? (after[below(this.#random, after.length)] as number)
        : from + below(this.#random, span),
    );
    return points.sort((a, b) => a - b);
  }

  #take(each: LogRecord): void {
    if (each.kind === LOG_KIND.open) this.#paths.set(each.file, each.bytes.toString());
    const path = this.#paths.get(each.file) ?? '';
    if (path.endsWith('/marks')) {
      if (each.kind === LOG_KIND.write) this.#ledger.read(each.bytes.toString());
    } else if (path.endsWith('/data.mdb') && each.kind !== LOG_KIND.open) {
      if (each.kind === LOG_KIND.mapped) throw new Error(`${path} is mapped for writing`);
      (path.includes('/shard-0/') ? this.#shard : this.#main).take(each);
    }
  }

  async #cut(number: number): Promise<void> {
    const { fates = FATES } = this.#options;
    const fate = fates[below(this.#random, fates.length)] as Fate;
    if (this.#shard.pendingSectors > 0) this.#torn += 1;
    const path = join(this.#folder, `image-${number}`);
    const shard = join(path, 'shard-0');
    const main = join(path, 'main');
    mkdirSync(shard, { recursive: true });
    mkdirSync(main);
    writeFileSync(join(shard, 'data.mdb'), this.#shard.image(fate, this.#random));
    writeFileSync(join(main, 'data.mdb'), this.#main.image(fate, this.#random));
    try {
      const name = `image ${number} (${fate})`;
      const asks = this.#ledger.asks();
      const found = await findAll(shard, asks);
      this.#ledger.compare(found.deliveries, name);
      this.#ledger.compareAnswers(found, asks, name);
      await this.#checkEntities(main);
    } catch (error) {
      this.#damaged += 1;
      this.#faults.push(`image ${number} (${fate}): ${String(error)}`);
    }
    rmSync(path, { recursive: true });
  }

  /** An answered change, or a later one of the same name, is there. */
  async #checkEntities(path: string): Promise<void> {
    const environment = Environment.open({
      path,
      durability: 'flushed',
      safeRestore: true,
      mapBytes: MAIN_MAP_BYTES,
    });
    const kind = { name: 'entity', type: MAIN_RECORD_TYPE.entity, version: 1 };
    const found = new Map<string, number>();
    for (const { key, value } of environment.range(Uint8Array.of(1), Uint8Array.of(2))) {
      const [, fields] = decodeRecord(kind, value) as [number, { value: number }];
      found.set(Buffer.from(key.subarray(1)).toString(), fields.value);
    }
    await environment.close();
    for (const [name, value] of this.#ledger.entities) {
      this.#entitiesAcknowledged += 1;
      if ((found.get(name) ?? 0) >= value) continue;
      this.#entitiesLost += 1;
      this.#faults.push(`${name} has ${found.get(name)}, ${value} was answered`);
    }
  }
}
