/**
 * `usage/counters`: memory of a million counters and a hundred thousand triggers, and how soon a daemon that
 * was killed serves again with them.
 */
import { loadavg } from 'node:os';
import type { UseEntry } from '../../src/protocol/usage-frames.ts';
import { bytesEach, restedAnonMiB } from '../life-daemon.ts';
import { diskBytes, freePort } from '../restart.ts';
import { significant } from '../statistics.ts';
import { type NewTrigger, UsageDaemon } from './daemon-usage.ts';
import { UseClient } from './load/use-client.ts';
import { useCategory, useTenant } from './load/use-frames.ts';

export interface CountersResult {
  readonly scope: 'usage';
  readonly name: 'usage/counters';
  readonly kind: 'counters';
  readonly counters: number;
  readonly triggers: number;
  readonly tenants: number;
  /** At rest: before the first counter, with all counters, with all triggers, and after the restart. */
  readonly anonEmptyMiB: number;
  readonly anonCountersMiB: number;
  readonly anonTriggersMiB: number;
  readonly anonRestartedMiB: number;
  readonly bytesPerCounter: number;
  readonly bytesPerTrigger: number;
  readonly dataMiB: number;
  readonly countersPerSec: number;
  readonly triggersPerSec: number;
  /** What the killed daemon had counted and not yet merged into its counters. */
  readonly dirtyCellsAtKill: number;
  readonly readySec: number;
  /** Triggers crossed after the restart, each of which fired. */
  readonly fired: number;
  readonly loadBefore: number;
}

export interface CountersSize {
  readonly tenants: number;
  readonly countersPerTenant: number;
  /** At most as many as counters. */
  readonly triggersPerTenant: number;
  /** Before and after a collection, before memory is read; default 1 s. */
  readonly restMs?: number;
}

const EVENTS_PER_FRAME = 4000;
const FRAMES_UNDER_WAY = 4;
/** Not reached by the first event of a counter, and reached by the second. */
const VALUE = 10;
const SAMPLE = 100;
const MIB = 1024 * 1024;
const POLL_MS = 20;
const FIRED_TIMEOUT_MS = 30_000;

export async function measureCounters(size: CountersSize): Promise<CountersResult> {
  const loadBefore = Number((loadavg()[0] ?? 0).toFixed(2));
  const inspectorPort = await freePort();
  const daemon = await UsageDaemon.start([], [`--inspect=127.0.0.1:${inspectorPort}`]);
  const rested = async () => await restedAnonMiB(daemon.process, inspectorPort, size.restMs);
  try {
    const counters = size.tenants * size.countersPerTenant;
    const anonEmptyMiB = await rested();
    const countersPerSec = await perSec(counters, () => count(daemon, size));
    const anonCountersMiB = await rested();
    const triggers = triggersOf(size);
    let sids: readonly string[] = [];
    const triggersPerSec = await perSec(triggers.length, async () => {
      sids = await daemon.makeTriggers(triggers);
    });
    const anonTriggersMiB = await rested();
    const { dirtyCells: dirtyCellsAtKill = 0 } = await daemon.stats();
    const dataMiB = diskBytes(daemon.dataDir) / MIB;
    const readySec = await daemon.restart();
    const anonRestartedMiB = await rested();
    await checkSize(daemon, size);
    const fired = await crossSome(daemon, triggers, sids);
    return {
      ...{ scope: 'usage', name: 'usage/counters', kind: 'counters' },
      ...{ counters, triggers: triggers.length, tenants: size.tenants },
      anonEmptyMiB: Math.round(anonEmptyMiB),
      anonCountersMiB: Math.round(anonCountersMiB),
      anonTriggersMiB: Math.round(anonTriggersMiB),
      anonRestartedMiB: Math.round(anonRestartedMiB),
      bytesPerCounter: bytesEach(anonCountersMiB - anonEmptyMiB, counters),
      bytesPerTrigger: bytesEach(anonTriggersMiB - anonCountersMiB, triggers.length),
      dataMiB: Math.round(dataMiB),
      ...{ countersPerSec, triggersPerSec, dirtyCellsAtKill },
      readySec: significant(readySec),
      ...{ fired, loadBefore },
    };
  } finally {
    await daemon.end();
  }
}

async function perSec(count: number, work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return Math.round((count * 1000) / (performance.now() - startMs));
}

/** One event of each counter. What finds no room before the next checkpoint is sent again. */
async function count(daemon: UsageDaemon, size: CountersSize): Promise<void> {
  const client = await UseClient.open(daemon.target);
  const all = size.tenants * size.countersPerTenant;
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < all) {
      const events: UseEntry[] = [];
      for (; events.length < EVENTS_PER_FRAME && next < all; next += 1) {
        const tenant = useTenant(Math.floor(next / size.countersPerTenant));
        events.push({ tenant, category: useCategory(next % size.countersPerTenant), quantity: 1 });
      }
      await untilCounted(client, events);
    }
  };
  await Promise.all(Array.from({ length: FRAMES_UNDER_WAY }, one));
  client.close();
}

async function untilCounted(client: UseClient, events: readonly UseEntry[]): Promise<void> {
  for (let left = events; left.length > 0; ) {
    const { refused } = await client.use(left);
    const final = refused.find(({ retryAfterMs }) => retryAfterMs === undefined);
    if (final !== undefined) throw new Error(`an event was refused: ${JSON.stringify(final)}`);
    left = refused.map(({ index }) => left[index] as UseEntry);
    const [first] = refused;
    if (first !== undefined) await pause(first.retryAfterMs ?? 0);
  }
}

function triggersOf({ tenants, triggersPerTenant }: CountersSize): NewTrigger[] {
  return Array.from({ length: tenants * triggersPerTenant }, (_, at) => ({
    tenant: useTenant(Math.floor(at / triggersPerTenant)),
    category: useCategory(at % triggersPerTenant),
    by: 'usage',
    value: VALUE,
  }));
}

/** @throws Error when something is missing after the restart */
async function checkSize(daemon: UsageDaemon, size: CountersSize): Promise<void> {
  const { tenants, countersPerTenant, triggersPerTenant } = size;
  const stats = await daemon.stats();
  if (stats.counters !== tenants * countersPerTenant) {
    throw new Error(`${stats.counters} counters are left`);
  }
  if (stats.triggers !== tenants * triggersPerTenant) {
    throw new Error(`${stats.triggers} triggers are left`);
  }
  for (const tenant of [0, tenants >> 1, tenants - 1]) {
    const rows = await daemon.records(`tenant=${useTenant(tenant)}`);
    const isRight = rows.every(({ count, usage }) => count === 1 && usage === 1);
    if (rows.length !== countersPerTenant || !isRight) {
      throw new Error(`${useTenant(tenant)} has ${rows.length} counters, or other sums`);
    }
  }
}

/** @returns how many were crossed: each of them fired, once */
async function crossSome(
  daemon: UsageDaemon,
  triggers: readonly NewTrigger[],
  sids: readonly string[],
): Promise<number> {
  const client = await UseClient.open(daemon.target);
  const step = Math.max(1, Math.floor(triggers.length / SAMPLE));
  const crossed = triggers.flatMap((trigger, at) => (at % step === 0 ? [{ trigger, at }] : []));
  const events = crossed.map(({ trigger: { tenant, category } }) => {
    return { tenant, category, quantity: VALUE };
  });
  await untilCounted(client, events);
  client.close();
  for (const { at } of crossed) {
    const sid = sids[at] as string;
    const endMs = performance.now() + FIRED_TIMEOUT_MS;
    for (let firings = 0; firings !== 1; firings = await daemon.firingsOf(sid)) {
      if (firings > 1 || performance.now() > endMs) {
        throw new Error(`trigger ${sid} was crossed once and fired ${firings} times`);
      }
      await pause(POLL_MS);
    }
  }
  return crossed.length;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
