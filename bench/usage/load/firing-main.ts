/** The load of `usage/firing-latency` as a process: it sends what crosses and takes the callbacks. */
import { answerParent } from '../../gateways/child.ts';
import type { WebSocketTarget } from '../../load/web-socket-client.ts';
import { FiringLoop, type FiringRun, listen } from './firing-loop.ts';
import { BareSender, DaemonSender } from './firing-sender.ts';

let loop: FiringLoop | undefined;

function opened(): FiringLoop {
  if (loop === undefined) throw new Error('not open');
  return loop;
}

export const questions = {
  listen: (): Promise<number> => listen((text) => opened().take(text)),
  async openDaemon(target: WebSocketTarget, tenants: number): Promise<void> {
    loop = new FiringLoop(tenants, await DaemonSender.open(target));
  },
  openBare(port: number, tenants: number): void {
    loop = new FiringLoop(tenants, new BareSender(port));
  },
  oneByOne: (firings: number): Promise<FiringRun> => opened().oneByOne(firings),
  clocked: (firings: number, perSec: number): Promise<FiringRun> =>
    opened().clocked(firings, perSec),
};

export type FiringQuestions = typeof questions;

answerParent(questions);
