/** Load generators as processes of their own, each with a destination of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { GeneratorOptions, RunOptions, RunResult } from './load/generator.ts';
import type { Request, Response } from './load/main.ts';

export class GeneratorProcess {
  readonly #child: ChildProcess;
  #pending:
    | { resolve: (result: RunResult | undefined) => void; reject: (error: Error) => void }
    | undefined;

  static async open(options: GeneratorOptions): Promise<GeneratorProcess> {
    const generator = new GeneratorProcess();
    try {
      await generator.#ask({ method: 'open', options });
      return generator;
    } catch (error) {
      await generator.stop();
      throw error;
    }
  }

  private constructor() {
    const hook = pathToFileURL(join(import.meta.dirname, '..', 'scripts', 'ts-hook.mjs')).href;
    const program = join(import.meta.dirname, 'load', 'main.ts');
    this.#child = spawn(process.execPath, ['--import', hook, program], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (response: Response) => {
      const pending = this.#pending;
      this.#pending = undefined;
      if ('error' in response) pending?.reject(new Error(`generator: ${response.error}`));
      else pending?.resolve(response.result);
    });
    this.#child.on('exit', (code, signal) => {
      this.#pending?.reject(new Error(`the generator ended with ${code ?? signal}`));
      this.#pending = undefined;
    });
  }

  async check(frames: number): Promise<void> {
    await this.#ask({ method: 'check', frames });
  }

  async publish(frames: number): Promise<void> {
    await this.#ask({ method: 'publish', frames });
  }

  async consume(messages: number, sequenceSum: number): Promise<void> {
    await this.#ask({ method: 'consume', messages, sequenceSum });
  }

  async run(options: RunOptions): Promise<RunResult> {
    const result = await this.#ask({ method: 'run', options });
    if (result === undefined) throw new Error('the generator measured nothing');
    return result;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }

  #ask(request: Request): Promise<RunResult | undefined> {
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#child.send(request);
    });
  }
}
