/** Looks at the daemon while its gateway empties a destination: for bench/profile.ts. */
import type { Observer } from '../dispatch.ts';
import type { DaemonSide } from './daemon-side.ts';
import { BATCH, WINDOWS } from './rows.ts';
import { oneRound, roundServer, type Side } from './sides.ts';
import { withSmpp } from './smpp.ts';
import { withWebhook } from './webhook.ts';

type Observed = (messages: number, rounds: number, observer: Observer) => Promise<number>;

/** Rows that can be observed; each resolves with messages a second. */
export const OBSERVED_ROWS: ReadonlyMap<string, Observed> = new Map([
  ['gateways/webhook', webhook(1)],
  ['gateways/webhook/batch', webhook(BATCH)],
  ...WINDOWS.map((window): [string, Observed] => [`gateways/smpp/${window}`, smpp(window)]),
]);

function webhook(batchMax: number): Observed {
  return (messages, rounds, observer) =>
    withWebhook(batchMax, observer.nodeArgs, (side, server) =>
      observeRounds(roundServer(server), side, { messages, rounds, observer }),
    );
}

function smpp(window: number): Observed {
  return (messages, rounds, observer) =>
    withSmpp(window, observer.nodeArgs, (side, server) =>
      observeRounds(roundServer(server), side, { messages, rounds, observer }),
    );
}

interface Plan {
  readonly messages: number;
  readonly rounds: number;
  readonly observer: Observer;
}

/** The first rounds warm up; what is published before the last one is not looked at either. */
async function observeRounds(
  server: Parameters<typeof oneRound>[0],
  side: DaemonSide,
  { messages, rounds, observer }: Plan,
): Promise<number> {
  for (let round = 1; round < rounds; round += 1) await oneRound(server, side, messages);
  let stop: (() => Promise<void>) | undefined;
  const observed: Side = {
    pid: side.pid,
    prepare: async (count) => {
      await side.prepare(count);
      stop = await observer.start(side.daemon);
    },
    send: () => side.send(),
    finish: async () => {
      await stop?.();
      await side.finish();
    },
  };
  const result = await oneRound(server, observed, messages);
  return result.messages / result.seconds;
}
