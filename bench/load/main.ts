/**
 * The load generator as a process: does what its parent asks over the IPC channel, one request
 * after another.
 */
import type { ArrivalResult } from './arrivals.ts';
import { Generator, type GeneratorOptions, type RunOptions, type RunResult } from './generator.ts';
import type { SendTimes } from './option-field.ts';

export type Request =
  | { readonly method: 'open'; readonly options: GeneratorOptions }
  | { readonly method: 'check'; readonly frames: number }
  | { readonly method: 'publish'; readonly frames: number }
  | { readonly method: 'consume'; readonly messages: number; readonly sequenceSum: number }
  | { readonly method: 'run'; readonly options: RunOptions }
  | { readonly method: 'schedule'; readonly frames: number; readonly times: SendTimes }
  | { readonly method: 'arrive' }
  | { readonly method: 'firstIds' }
  | { readonly method: 'close' };

/** That of a run, of arrivals, or first message ids in base64. */
export type Result = RunResult | ArrivalResult | string | undefined;

export type Response = { readonly result?: Result } | { readonly error: string };

let generator: Generator | undefined;

process.on('message', (request: Request) => {
  answer(request).then(
    (result) => process.send?.({ result } satisfies Response),
    (error: Error) => process.send?.({ error: error.message } satisfies Response),
  );
});
process.on('disconnect', () => process.exit());

async function answer(request: Request): Promise<Result> {
  if (request.method === 'open') {
    generator = await Generator.open(request.options);
    return undefined;
  }
  if (generator === undefined) throw new Error(`${request.method} before open`);
  switch (request.method) {
    case 'check':
      await generator.check(request.frames);
      return undefined;
    case 'publish':
      await generator.publish(request.frames);
      return undefined;
    case 'consume':
      await generator.consume(request.messages, request.sequenceSum);
      return undefined;
    case 'run':
      return await generator.run(request.options);
    case 'schedule':
      await generator.schedule(request.frames, request.times);
      return undefined;
    case 'arrive':
      return await generator.arrive();
    case 'firstIds':
      return generator.firstIds();
    case 'close':
      generator.close();
      generator = undefined;
      return undefined;
  }
}
