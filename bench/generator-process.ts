/** Load generators as processes of their own, each with a destination of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MESSAGE_ID_BYTES } from '../src/protocol/message-id.ts';
import type { ArrivalResult } from './load/arrivals.ts';
import type { GeneratorOptions, RunOptions, RunResult } from './load/generator.ts';
import type { Request, Response, Result } from './load/main.ts';
import type { SendTimes } from './load/option-field.ts';

export class GeneratorProcess {
  readonly #child: ChildProcess;
  #pending: { resolve: (result: Result) => void; reject: (error: Error) => void } | undefined;

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
    return (await this.#ask({ method: 'run', options })) as RunResult;
  }

  /** Publishes for the given times and waits for the oks, not for deliveries. */
  async schedule(frames: number, times: SendTimes): Promise<void> {
    await this.#ask({ method: 'schedule', frames, times });
  }

  /** Waits until all that was scheduled is delivered. */
  async arrive(): Promise<ArrivalResult> {
    return (await this.#ask({ method: 'arrive' })) as ArrivalResult;
  }

  /** The id of the first message of each frame published so far, if they are kept. */
  async firstIds(): Promise<Uint8Array[]> {
    const bytes = Buffer.from((await this.#ask({ method: 'firstIds' })) as string, 'base64');
    const count = bytes.length / MESSAGE_ID_BYTES;
    return Array.from({ length: count }, (_, frame) =>
      Uint8Array.from(bytes.subarray(frame * MESSAGE_ID_BYTES, (frame + 1) * MESSAGE_ID_BYTES)),
    );
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }

  #ask(request: Request): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#child.send(request);
    });
  }
}
