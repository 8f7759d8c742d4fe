// The demo's client processes, seen from the demo: started, told, listened to, ended.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FromChild, ToChild } from './messages.ts';

const START_TIMEOUT_MS = 60_000;
const FINISH_TIMEOUT_MS = 60_000;

export class ClientProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #said = new Set<FromChild['is']>();
  #watchers: (() => void)[] = [];
  #failure: Error | undefined;

  constructor(name: string, listen: (message: FromChild) => void) {
    this.name = name;
    const file = import.meta.url.endsWith('.ts') ? './child.ts' : './child.js';
    this.#child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (message) => {
      const said = message as FromChild;
      if (said.is === 'failed') this.#failure ??= new Error(`${name}: ${said.message}`);
      else listen(said);
      this.#said.add(said.is);
      this.#notify();
    });
    this.#child.on('exit', (code, signal) => {
      if (!this.#said.has('done')) {
        this.#failure ??= new Error(`${name} ended with ${signal ?? `code ${code}`}`);
      }
      this.#notify();
    });
  }

  async start(start: Omit<Extract<ToChild, { do: 'start' }>, 'do'>): Promise<void> {
    this.tell({ do: 'start', ...start });
    await this.#until('ready', START_TIMEOUT_MS);
  }

  tell(message: ToChild): void {
    if (this.#child.connected) this.#child.send(message);
  }

  /** Resolves when everything under way in it has ended and was reported. */
  async finish(): Promise<void> {
    this.tell({ do: 'finish' });
    await this.#until('done', FINISH_TIMEOUT_MS);
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      await once(this.#child, 'exit', { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
    }
  }

  /** Rejects when the process fails; never resolves. */
  async failed(): Promise<never> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#changed();
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #until(what: FromChild['is'], timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => {
      this.#failure ??= new Error(`${this.name} was not ${what} in ${timeoutMs} ms`);
      this.#notify();
    }, timeoutMs);
    try {
      while (!this.#said.has(what)) {
        if (this.#failure !== undefined) throw this.#failure;
        await this.#changed();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#watchers.push(resolve));
  }

  #notify(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}
