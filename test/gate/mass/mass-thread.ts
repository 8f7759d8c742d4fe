/** A thread of the mass run: its share of the clients, and the clock that they act by. */
import { parentPort, workerData } from 'node:worker_threads';
import { below, randomFrom } from '../../crash/traffic.ts';
import { MassClient } from './mass-client.ts';
import { type FromThread, NO_TOTALS, type ThreadData } from './mass-plan.ts';
import { nowMs, SharedCounts } from './shared-counts.ts';

const { clients: count, seed, url, token, plan, state } = workerData as ThreadData;
const random = randomFrom(seed);
const counts = new SharedCounts(state);
const totals = { ...NO_TOTALS };
const faults: string[] = [];
const FAULTS_MAX = 20;
const PROGRESS_MS = 500;
const say = (message: FromThread): void => parentPort?.postMessage(message);

const clients = Array.from(
  { length: count },
  () =>
    new MassClient({
      ...{ plan, target: { url, token }, random, counts, totals },
      fault: (text) => {
        if (faults.length < FAULTS_MAX) faults.push(text);
      },
    }),
);
for (const client of clients) await client.connect();

const nextDropMs = (): number => nowMs() + plan.dropEveryMs * (0.5 + random());
let dropMs = nextDropMs();
let saidMs = 0;
await new Promise<void>((resolve) => {
  const timer = setInterval(() => {
    const atMs = nowMs();
    for (const client of clients) client.tick(atMs);
    if (atMs >= dropMs) {
      const client = clients[below(random, clients.length)];
      if (client?.isDone === false) client.cut(random() < 0.5);
      dropMs = nextDropMs();
    }
    if (atMs - saidMs >= PROGRESS_MS) {
      saidMs = atMs;
      say({ is: 'progress', granted: totals.granted });
    }
    if (faults.length < FAULTS_MAX && clients.some(({ isDone }) => !isDone)) return;
    clearInterval(timer);
    resolve();
  }, 1);
});
for (const client of clients) client.close();
say({ is: 'done', totals, faults });
