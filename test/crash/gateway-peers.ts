/** The process of the gateways' far ends: SMSC and webhook servers. argv: seed, secret of the webhooks. */
import { CrashHook } from './gateway-hooks.ts';
import { obeyDriver } from './gateway-peer-process.ts';
import { CrashSmsc } from './gateway-smsc.ts';
import type { PeersReport } from './gateway-traffic.ts';
import { randomFrom } from './traffic.ts';

const [seed = '1', secret = ''] = process.argv.slice(2);
const random = randomFrom(Number(seed));
let hit = (): void => {};
const answered = (): void => hit();
const smsc = await CrashSmsc.start(random, answered);
const hook = await CrashHook.start({ gateway: 'hook', secret, random, answered });
const batch = await CrashHook.start({ gateway: 'batch', secret, random, answered });
const all = [smsc, hook, batch];
const sum = (of: (each: CrashSmsc | CrashHook) => number): number =>
  all.reduce((total, each) => total + of(each), 0);

hit = obeyDriver({
  ports: { smpp: smsc.port, hook: hook.port, batch: batch.port },
  begin: (daemon) => {
    hook.daemon = daemon;
    batch.daemon = daemon;
  },
  drain: () => {
    for (const each of all) each.isDraining = true;
  },
  count: () => ({
    pending: sum(({ owed }) => owed.pending),
    requests: smsc.submits + hook.requests + batch.requests,
  }),
  report: (): PeersReport => ({
    attempts: all.flatMap(({ attempts }) => attempts),
    webhookRequests: hook.requests + batch.requests,
    submits: smsc.submits,
    receipts: sum(({ owed }) => owed.taken),
    receiptsEarly: sum(({ owed }) => owed.early),
    receiptsRepeated: sum(({ owed }) => owed.repeated),
    badSignatures: [...hook.badSignatures, ...batch.badSignatures],
    strange: all.flatMap(({ strange }) => strange),
  }),
});
