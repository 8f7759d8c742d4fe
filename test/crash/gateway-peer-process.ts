/** A process that outlives the daemon, told what to do by messages; and its own side of them. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { tsHook } from '../support/ts-hook.ts';
import type { FromPeer, ToPeer } from './gateway-traffic.ts';

const ANSWER_TIMEOUT_MS = 30_000;

export class PeerProcess {
  readonly #child: ChildProcess;
  readonly #waiting: { is: FromPeer['is']; resolve: (message: FromPeer) => void }[] = [];
  /** Called at each `hit`. */
  onHit: () => void = () => {};
  ports: Readonly<Record<string, number>> = {};

  private constructor(file: string, args: readonly string[]) {
    this.#child = fork(join(import.meta.dirname, file), args, {
      execArgv: ['--import', tsHook],
    });
    this.#child.on('message', (message) => this.#heard(message as FromPeer));
  }

  static async start(file: string, args: readonly string[]): Promise<PeerProcess> {
    const peer = new PeerProcess(file, args);
    const ready = await peer.#hears('ready');
    if (ready.is === 'ready') peer.ports = ready.ports;
    return peer;
  }

  tell(message: ToPeer): void {
    this.#child.send(message);
  }

  async count(): Promise<{ readonly pending: number; readonly requests: number }> {
    this.tell({ do: 'count' });
    const answer = await this.#hears('count');
    return answer.is === 'count' ? answer : { pending: 0, requests: 0 };
  }

  async report<T>(): Promise<T> {
    this.tell({ do: 'report' });
    const answer = await this.#hears('report');
    return (answer.is === 'report' ? answer.report : undefined) as T;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #heard(message: FromPeer): void {
    if (message.is === 'hit') this.onHit();
    const at = this.#waiting.findIndex(({ is }) => is === message.is);
    if (at >= 0) this.#waiting.splice(at, 1)[0]?.resolve(message);
  }

  #hears(is: FromPeer['is']): Promise<FromPeer> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new Error(`a peer did not say ${is}`));
      const timer = setTimeout(late, ANSWER_TIMEOUT_MS);
      const end = (message: FromPeer): void => {
        clearTimeout(timer);
        resolve(message);
      };
      this.#waiting.push({ is, resolve: end });
    });
  }
}

export interface PeerWork {
  readonly ports: Readonly<Record<string, number>>;
  begin(message: Extract<ToPeer, { do: 'begin' }>): void;
  drain(): void;
  /** What is still to be done, and how many requests came. */
  count(): { readonly pending: number; readonly requests: number };
  report(): unknown;
}

/** Obeys the driver, in the peer's own process. @returns what is to be called after each answer */
export function obeyDriver(work: PeerWork): () => void {
  const say = (message: FromPeer): void => void process.send?.(message);
  let isArmed = false;
  process.on('message', (raw) => {
    const message = raw as ToPeer;
    if (message.do === 'begin') work.begin(message);
    else if (message.do === 'arm') isArmed = true;
    else if (message.do === 'drain') work.drain();
    else if (message.do === 'count') say({ is: 'count', ...work.count() });
    else say({ is: 'report', report: work.report() });
  });
  process.on('disconnect', () => process.exit());
  say({ is: 'ready', ports: work.ports });
  return () => {
    if (!isArmed) return;
    isArmed = false;
    say({ is: 'hit' });
  };
}
