/** Processes of the bench that answer their parent's questions, one program each. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What a child can be asked: arguments and answers are copied between the processes. */
export type Questions = { readonly [name: string]: (...args: never[]) => unknown };

interface Question {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

interface Answer {
  readonly id: number;
  readonly error?: string;
  readonly value?: unknown;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class Child<Q extends Questions> {
  readonly #process: ChildProcess;
  readonly #program: string;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  /** @param program a file in bench/gateways/load, or an absolute path */
  constructor(program: string, nodeArgs: readonly string[] = []) {
    const hook = pathToFileURL(join(import.meta.dirname, '../../scripts/ts-hook.mjs')).href;
    const file = resolve(import.meta.dirname, 'load', program);
    this.#program = basename(program);
    this.#process = spawn(process.execPath, ['--import', hook, ...nodeArgs, file], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    this.#process.on('message', (answer: Answer) => this.#take(answer));
    this.#process.on('exit', (code, signal) => this.#ended(code ?? signal));
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  /** @throws Error what the child failed with, or that it ended */
  ask<N extends keyof Q & string>(
    name: N,
    ...args: Parameters<Q[N]>
  ): Promise<Awaited<ReturnType<Q[N]>>> {
    this.#lastId += 1;
    const question: Question = { id: this.#lastId, name, args };
    return new Promise((resolve, reject) => {
      this.#pending.set(question.id, { resolve: resolve as Pending['resolve'], reject });
      this.#process.send(question, (error) => {
        if (error !== null) this.#ended(error.message);
      });
    });
  }

  /** Ends it; it has no chance to write or say anything more. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }

  #take({ id, error, value }: Answer): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.resolve(value);
    else pending?.reject(new Error(`${this.#program}: ${error}`));
  }

  #ended(how: string | number | null): void {
    for (const { reject } of this.#pending.values()) {
      reject(new Error(`${this.#program} ended with ${how}`));
    }
    this.#pending.clear();
  }
}

/** In the child: answers the parent until it is gone. */
export function answerParent(questions: Questions): void {
  process.on('message', async ({ id, name, args }: Question) => {
    const answer = (rest: Omit<Answer, 'id'>): void => {
      process.send?.({ id, ...rest } satisfies Answer);
    };
    try {
      const ask = questions[name];
      if (ask === undefined) throw new Error(`there is no ${name}`);
      answer({ value: await ask(...(args as never[])) });
    } catch (error) {
      answer({ error: (error as Error).stack ?? String(error) });
    }
  });
  process.on('disconnect', () => process.exit());
}
