/** The parent's side of a process of holders. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { BuiltDaemon } from '../crash/daemon-process.ts';
import { tsHook } from '../support/ts-hook.ts';
import type { FromHolders, Plan, ToHolders, Totals } from './traffic.ts';

const WORD_TIMEOUT_MS = 60_000;

export class HolderProcess {
  readonly log: string;
  readonly #child: ChildProcess;
  #heard: FromHolders[] = [];
  #notify = (): void => {};

  constructor(
    folder: string,
    { number, seed, plan }: { number: number; seed: number; plan: Plan },
  ) {
    this.log = join(folder, `holders-${number}.log`);
    const argv = [this.log, String(seed + number), JSON.stringify(plan)];
    this.#child = fork(join(import.meta.dirname, 'holders.ts'), argv, {
      execArgv: ['--import', tsHook],
    });
    this.#child.on('message', (message) => {
      this.#heard.push(message as FromHolders);
      this.#notify();
    });
    this.#child.on('exit', () => this.#notify());
  }

  tell(message: ToHolders): void {
    this.#child.send(message);
  }

  /** @throws Error when the process ended, or it takes too long */
  async hears<K extends FromHolders['is']>(
    what: K,
    timeoutMs = WORD_TIMEOUT_MS,
  ): Promise<Extract<FromHolders, { readonly is: K }>> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const found = this.#heard.find(({ is }) => is === what);
      if (found !== undefined) {
        this.#heard = this.#heard.filter((each) => each !== found);
        return found as Extract<FromHolders, { readonly is: K }>;
      }
      if (this.#child.exitCode !== null) throw new Error(`holders ended: ${what} did not come`);
      if (performance.now() > endMs) throw new Error(`${what} did not come in ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.#notify = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Several processes of holders of one daemon. */
export class Holders {
  readonly all: readonly HolderProcess[];

  constructor(
    folder: string,
    { processes, seed, plan }: { processes: number; seed: number; plan: Plan },
  ) {
    this.all = Array.from({ length: processes }, (_, number) => {
      return new HolderProcess(folder, { number, seed, plan });
    });
  }

  get logs(): string[] {
    return this.all.map(({ log }) => log);
  }

  async connect({ url, token }: BuiltDaemon): Promise<void> {
    this.tell({ do: 'connect', url: url.replace(/^http/, 'ws'), token });
    await Promise.all(this.all.map((each) => each.hears('connected')));
  }

  tell(message: ToHolders): void {
    for (const each of this.all) each.tell(message);
  }

  /** Totals of all, and what they hold. */
  async figures(): Promise<Totals & { readonly held: number }> {
    this.tell({ do: 'figures' });
    const said = await Promise.all(this.all.map((each) => each.hears('figures')));
    const held = said.reduce((sum, { held }) => sum + held, 0);
    return { ...sumOf(said.map(({ totals }) => totals)), held };
  }

  /** Resolves when all have ended by themselves. */
  async done(timeoutMs: number): Promise<Totals> {
    const said = await Promise.all(this.all.map((each) => each.hears('done', timeoutMs)));
    return sumOf(said.map(({ totals }) => totals));
  }

  kill(): void {
    for (const each of this.all) each.kill();
  }
}

function sumOf(all: readonly Totals[]): Totals {
  const [first, ...rest] = all;
  const sum = { ...(first as Totals) };
  for (const each of rest) {
    for (const name of Object.keys(sum) as (keyof Totals)[]) {
      sum[name] = name === 'askMsMax' ? Math.max(sum[name], each[name]) : sum[name] + each[name];
    }
  }
  return sum;
}
