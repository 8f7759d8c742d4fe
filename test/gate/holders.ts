/**
 * A process of holders. argv: log file, seed, plan as JSON.
 *
 * Each lane of each client asks, holds, and gives back; what the guarded service sees of it goes into
 * the log (sightings.ts). Holders stop when their signal aborts, in the same turn.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Client,
  connect,
  type Gate,
  ImpededError,
  type Permit,
} from '../../src/client/index.ts';
import { below, randomFrom } from '../crash/traffic.ts';
import { FlakyLine } from './flaky-socket.ts';
import { nowNs, SightingLog } from './sightings.ts';
import { type FromHolders, keyName, type Plan, type ToHolders, type Totals } from './traffic.ts';

const [path = '', seed = '1', planText = '{}'] = process.argv.slice(2);
const plan = JSON.parse(planText) as Plan;
const random = randomFrom(Number(seed));
const log = new SightingLog(path);
const say = (message: FromHolders): void => void process.send?.(message);

const totals: Totals = {
  ...{ granted: 0, refused: 0, aborted: 0, failed: 0, forgotten: 0 },
  ...{ leaseOver: 0, permitGone: 0, lost: 0, drops: 0, freezes: 0, askMsMax: 0 },
};
/** Longer than a connection may be cut, its daemon restart and its next attempt wait. */
const CONNECT_ANSWER_MS = 180_000;
const WAIT_MS_MAX = 400;
const ABORT_MS_MAX = 20;
const SEATS_MAX = 3;
/** Longer than a lease: the permit ends with it meanwhile. */
const FREEZE_LEASES = 1.5;

let stopping = false;
let token = '';
let lanes: { readonly client: Client; readonly line: FlakyLine }[] = [];

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function lane(gate: Gate, line: FlakyLine): Promise<void> {
  while (!stopping && (plan.operations === 0 || totals.granted < plan.operations)) {
    const key = below(random, plan.keys);
    const seats = random() < 0.9 ? 1 : 1 + below(random, SEATS_MAX);
    try {
      await operation(gate, line, { key, seats });
    } catch (cause) {
      if (cause instanceof ImpededError) totals.refused += 1;
      else if ((cause as Error).name === 'AbortError') totals.aborted += 1;
      else totals.failed += 1;
      if (plan.pauseMsMax > 0) await sleep(random() * plan.pauseMsMax);
    }
  }
}

async function operation(
  gate: Gate,
  line: FlakyLine,
  { key, seats }: { readonly key: number; readonly seats: number },
): Promise<void> {
  const dice = random();
  const aborts = dice < plan.abortShare;
  const forgets = !aborts && dice < plan.abortShare + plan.forgetShare;
  const isLong = random() < plan.longShare;
  const controller = aborts || forgets ? new AbortController() : undefined;
  if (aborts) setTimeout(() => controller?.abort(), random() * ABORT_MS_MAX);
  const askedNs = nowNs();
  const { resource, tenant } = keyName(key);
  const permit = await gate.acquire(resource, {
    ...{ tenant, weight: seats, answerMs: CONNECT_ANSWER_MS },
    leaseMs: forgets ? 1000 : plan.leaseMs,
    ...(random() < 0.5 && { waitMs: below(random, WAIT_MS_MAX) }),
    ...(controller !== undefined && { signal: controller.signal }),
  });
  totals.askMsMax = Math.max(totals.askMsMax, (nowNs() - askedNs) / 1e6);
  log.came(key, seats, askedNs);
  totals.granted += 1;
  const holdMs = isLong ? plan.longMs : random() * plan.holdMsMax;
  await hold(permit, holdMs, line);
  if (plan.releaseFirst) {
    await permit.release();
    await nextTurn();
  }
  log.left(key, seats);
  if (forgets) {
    totals.forgotten += 1;
    controller?.abort();
  } else if (!plan.releaseFirst) {
    const released = permit.release();
    // Whoever waits for the answer asks less often.
    if (random() < 0.5) await released;
  }
}

/** Resolves when the work is done, or in the turn in which the holder is told to stop. */
function hold(permit: Permit, holdMs: number, line: FlakyLine): Promise<void> {
  if (holdMs < 0.5 && !permit.signal.aborted) return nextTurn();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(end, holdMs);
    const told = (): void => {
      const { error } = permit.signal.reason as { error?: string };
      if (error === 'leaseOver') totals.leaseOver += 1;
      if (error === 'permitGone') totals.permitGone += 1;
      if (error === 'permitGone' && !line.isCut) totals.lost += 1;
      if (!plan.goOn) end();
    };
    permit.signal.addEventListener('abort', told, { once: true });
    if (permit.signal.aborted) told();
  });
}

function fault(): void {
  const one = lanes[below(random, lanes.length)];
  if (one === undefined) return;
  if (random() < 0.7) {
    totals.drops += 1;
    one.line.drop();
  } else {
    totals.freezes += 1;
    one.line.freeze(plan.leaseMs * FREEZE_LEASES, random() < 0.5);
  }
}

async function begin(): Promise<void> {
  const faults = plan.faultEveryMs > 0 ? setInterval(fault, plan.faultEveryMs) : undefined;
  const all = lanes.flatMap(({ client, line }) => {
    const gate = client.gate();
    return Array.from({ length: plan.lanes }, () => lane(gate, line));
  });
  await Promise.all(all);
  clearInterval(faults);
  await Promise.all(lanes.map(({ client }) => client.close(20_000)));
  log.flush();
  say({ is: 'done', totals });
}

async function obey(message: ToHolders): Promise<void> {
  switch (message.do) {
    case 'connect': {
      ({ token } = message);
      if (lanes.length > 0) return;
      lanes = Array.from({ length: plan.clients }, () => {
        const line = new FlakyLine();
        const { WebSocket } = line;
        return { line, client: connect({ url: message.url, token: () => token, WebSocket }) };
      });
      await Promise.all(lanes.map(({ client }) => client.whenConnected()));
      say({ is: 'connected' });
      break;
    }
    case 'start':
      await begin();
      break;
    case 'cut':
      for (const { line } of lanes) line.isCut = random() < message.share;
      break;
    case 'mend':
      for (const { line } of lanes) line.isCut = false;
      break;
    case 'stop':
      stopping = true;
      break;
    case 'figures': {
      const held = lanes.reduce((sum, { client }) => sum + client.gate().held, 0);
      say({ is: 'figures', totals, held });
    }
  }
}

process.on('message', (message) => void obey(message as ToHolders));
process.on('disconnect', () => process.exit());
