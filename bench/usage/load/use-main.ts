/** The load generator of rows `usage/use…` as a process. */
import { answerParent } from '../../gateways/child.ts';
import type { WebSocketTarget } from '../../load/web-socket-client.ts';
import type { UseShape } from './use-frames.ts';
import { UseLoop, type UseRun, type UseRunOptions } from './use-loop.ts';

let loop: UseLoop | undefined;

function opened(): UseLoop {
  if (loop === undefined) throw new Error('not open');
  return loop;
}

export const questions = {
  async open(target: WebSocketTarget, shape: UseShape): Promise<void> {
    loop = await UseLoop.open(target, shape);
  },
  fill: (frames: number): Promise<void> => opened().fill(frames),
  repeat: (numbers: readonly number[]): Promise<void> => opened().repeat(numbers),
  run: (options: UseRunOptions): Promise<UseRun> => opened().run(options),
  counted: (): number => opened().counted,
};

export type UseQuestions = typeof questions;

answerParent(questions);
