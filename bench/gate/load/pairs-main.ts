/** The load generator of the gate rows as a process: one side of a row, as its parent asks. */
import { answerParent } from '../../gateways/child.ts';
import type { WebSocketTarget } from '../../load/web-socket-client.ts';
import { PairLoop, type PairRun, type PairShape, type RunOptions } from './pair-loop.ts';
import { checkPermits } from './permit-check.ts';
import { PermitFrames } from './permit-frames.ts';
import { PermitWire } from './permit-wire.ts';
import { encodeCommands, pairCommands } from './redis-commands.ts';
import { ClientWire, type RedisTarget, RedisWire } from './redis-wire.ts';

let loop: PairLoop | undefined;

export const questions = {
  async openDaemon(target: WebSocketTarget, shape: PairShape): Promise<void> {
    const frames = new PermitFrames(shape);
    loop = await PairLoop.open(shape, (handler) => PermitWire.open(target, frames, handler));
  },
  async openRedis({ port, scripts }: RedisTarget, shape: PairShape): Promise<void> {
    const commands = encodeCommands(pairCommands(shape, scripts));
    loop = await PairLoop.open(shape, (handler) => RedisWire.open(port, shape, commands, handler));
  },
  async openClient({ port, scripts }: RedisTarget, shape: PairShape): Promise<void> {
    const commands = pairCommands(shape, scripts);
    loop = await PairLoop.open(shape, (handler) => ClientWire.open(port, shape, commands, handler));
  },
  checkDaemon: (target: WebSocketTarget, shape: PairShape): Promise<void> =>
    checkPermits(target, shape),
  async run(options: RunOptions): Promise<PairRun> {
    if (loop === undefined) throw new Error('not open');
    return await loop.run(options);
  },
};

export type PairQuestions = typeof questions;

answerParent(questions);
