// A worker without a shard: answers exchanges as the text in the configuration tells it to.
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { native } from '../../src/native.ts';
import { EFFECT_OP, EFFECTS_HEADER_BYTES, EFFECTS_MAGIC } from '../../src/protocol/exchange.ts';
import type { ExchangeTask, OpenTask, ShardTask } from '../../src/shard/tasks.ts';

/**
 * - `instance`: claims another copy of the native library
 * - `reverse`: answers every second exchange first
 * - `never`: answers nothing
 * - `boot`: answers with another boot id
 * - `exit`: ends its thread at the first exchange
 * - `throw`: rejects the task
 * - `frame`: answers with a frame where the others answer with JSON text
 * - `large`: effects of 1 MiB, in a new buffer when they do not fit
 */
let behaviour = '';
let bootId = 0;
let held: (() => void) | undefined;

async function work(task: ShardTask): Promise<unknown> {
  if (task.kind === 'open') return open(task);
  if (task.kind === 'close') return undefined;
  if (behaviour === 'never') return new Promise(() => {});
  if (behaviour === 'exit') process.exit(3);
  if (behaviour === 'throw') throw new Error('the worker failed');
  if (behaviour === 'reverse') await turn(task.exchange);
  return answer(task);
}

function open(task: OpenTask): unknown {
  behaviour = new TextDecoder().decode(task.configuration);
  bootId = task.bootId;
  const instanceId = behaviour === 'instance' ? 1 : native.instanceId();
  return { instanceId, recovered: { records: 0, messages: 0, bytes: 0, ms: 0 } };
}

/** Odd exchanges wait for the even one after them. */
function turn(exchange: number): Promise<void> | undefined {
  if (exchange % 2 === 1) {
    return new Promise((resolve) => {
      held = resolve;
      setTimeout(resolve, 200);
    });
  }
  setTimeout(() => held?.(), 5);
  return undefined;
}

function answer({ exchange, input, output }: ExchangeTask): unknown {
  const text = new TextEncoder().encode(`{"exchange":${exchange}}`);
  const room = behaviour === 'large' ? 1024 * 1024 : 0;
  const outputBytes = EFFECTS_HEADER_BYTES + 12 + text.length + room;
  const target = output.byteLength >= outputBytes ? output : new ArrayBuffer(outputBytes);
  const view = new DataView(target);
  view.setUint32(0, EFFECTS_MAGIC, true);
  view.setUint32(4, 1, true);
  view.setBigUint64(8, BigInt(exchange), true);
  view.setUint32(16, bootId, true);
  view.setUint32(20, 60_000, true);
  view.setBigUint64(24, BigInt(exchange), true);
  const at = EFFECTS_HEADER_BYTES;
  view.setUint32(at, behaviour === 'frame' ? EFFECT_OP.replyFrame : EFFECT_OP.reply, true);
  view.setUint32(at + 4, exchange, true);
  view.setUint32(at + 8, text.length + room, true);
  const bytes = new Uint8Array(target);
  bytes.fill(0x20, at + 12, outputBytes);
  bytes.set(text, at + 12);
  const boot = behaviour === 'boot' ? bootId + 1 : bootId;
  const result = { exchange, bootId: boot, input, output: target, outputBytes, flushMs: 1 };
  return move({ [transferableSymbol]: [input, target], [valueSymbol]: result } as never);
}

export default work;
