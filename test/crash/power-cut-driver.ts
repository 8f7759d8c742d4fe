/**
 * A shard and the entities under load until killed, for the power-cut test, under the shim.
 *
 * argv: folder, build folder, milliseconds, seed. What leaves the process is marked in FOLDER/marks
 * at the moment it does, so that the shim's log has it in the order of the writes around it:
 *   p FRAME KIND …         publish handed to the shard; a word for each message: plain, keyed,
 *                          scheduled or brief (a validity that is over when the store is looked at)
 *   a FRAME FIRST-ID       its answer
 *   d KEY ATTEMPT FLAGS    delivery; KEY is frame:index
 *   s KEY, r KEY           settlement for good, or retry, handed to the shard
 *   k KEY …                answer to the former
 *   n KEY …                cancel handed to the shard
 *   o KEY …                answer to it: those that are cancelled
 *   e NAME VALUE           the main environment answered a put
 */
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { INPUT_OP } from '../../src/protocol/exchange.ts';
import {
  decodeDaemonFrame,
  encodeCancel,
  encodeCredit,
  encodePublish,
  encodeSettle,
  encodeSubscribe,
  type PublishOptions,
  readCancelOk,
  readPublishOk,
  type SettleOutcome,
} from '../../src/protocol/frames.ts';
import { OUTCOME } from '../../src/protocol/kinds.ts';
import { messageIdAt, messageIdToText } from '../../src/protocol/message-id.ts';
import type { ShardSink } from '../../src/shard/shard-sink.ts';
import {
  configuration,
  DATA_ID,
  DESTINATION,
  HASH_KEY,
  KEYED_TENANT,
  PLATFORM,
} from './power-cut-shard.ts';
import { below, keyOf, payloadOf, randomFrom } from './traffic.ts';

const [folder = '', build = '', runMs = '1500', seed = '1'] = process.argv.slice(2);
const random = randomFrom(Number(seed));
const marks = openSync(join(folder, 'marks'), 'a');
const mark = (lines: readonly string[]): void => {
  if (lines.length > 0) writeSync(marks, `${lines.join('\n')}\n`);
};

const load = async <T>(path: string): Promise<T> => (await import(join(build, path))) as T;
type ShardPoolModule = typeof import('../../src/shard/shard-pool.ts');
type EntityStoreModule = typeof import('../../src/store/entity-store.ts');
type ClockModule = typeof import('../../src/base/clock.ts');
const { ShardPool } = await load<ShardPoolModule>('shard/shard-pool.js');
const { EntityStore } = await load<EntityStoreModule>('store/entity-store.js');
const { ProcessClock } = await load<ClockModule>('base/clock.js');

const PUBLISHER = 11;
const GATEWAY = 12;
const CREDIT = 400;
const UNANSWERED_MAX = 5;
const FRAME_MESSAGES_MAX = 20;
const CHECKPOINT_MS = 60;
const SCHEDULED_MS_MAX = 1_000;
const BRIEF_MS = 20;
const CANCEL_SHARE = 0.3;
const FIRST_PUBLISH = 1_000_000;
const FIRST_CANCEL = 2_000_000;

type MessageKind = 'plain' | 'keyed' | 'scheduled' | 'brief';

let unanswered = 0;
let lastFrame = 0;
let lastSettle = 0;
let lastCancel = FIRST_CANCEL;
/** Kinds of the messages of unanswered frames. */
const publishing = new Map<number, MessageKind[]>();
const cancelling = new Map<number, string[]>();
let toCancel: { key: string; id: Uint8Array }[] = [];
const settling = new Map<number, string[]>();
let due: { key: string; outcome: number | SettleOutcome }[] = [];
const isRetry = ({ outcome }: (typeof due)[number]): boolean => typeof outcome !== 'number';

/** Called at the release of effects: what is marked here has left. */
const sink: ShardSink = {
  sendFrames(_connection, buffer, spans, count) {
    const lines: string[] = [];
    for (let at = 0; at < count; at += 1) {
      const start = spans[2 * at] as number;
      take(buffer.slice(start, start + (spans[2 * at + 1] as number)), lines);
    }
    mark(lines);
  },
  closeConnection: () => {},
  windowReleased: () => {},
  statusEvents: () => {},
  usage: () => {},
};

function take(bytes: Uint8Array, lines: string[]): void {
  const frame = decodeDaemonFrame(bytes);
  if (frame.kind === 'error') throw new Error(frame.message);
  if (frame.kind === 'deliver') {
    for (const { delivery, payload, attempt, flags } of frame.deliveries) {
      const key = keyOf(payload);
      if (key === undefined) throw new Error('a payload is damaged');
      lines.push(`d ${key.frame}:${key.index} ${attempt} ${flags}`);
      decide(delivery, `${key.frame}:${key.index}`);
    }
  } else if (frame.kind === 'ok' && settling.has(frame.id)) {
    lines.push(`k ${settling.get(frame.id)?.join(' ')}`);
    settling.delete(frame.id);
  } else if (frame.kind === 'ok' && cancelling.has(frame.id)) {
    const refused = new Set(readCancelOk(frame).refused.map(({ index }) => index));
    const keys = cancelling.get(frame.id)?.filter((_, index) => !refused.has(index)) ?? [];
    if (keys.length > 0) lines.push(`o ${keys.join(' ')}`);
    cancelling.delete(frame.id);
  } else if (frame.kind === 'ok' && publishing.has(frame.id)) {
    const firstId = readPublishOk(frame).firstId as Uint8Array;
    unanswered -= 1;
    lines.push(`a ${frame.id} ${messageIdToText(firstId)}`);
    publishing.get(frame.id)?.forEach((kind, index) => {
      if (kind !== 'scheduled' || random() > CANCEL_SHARE) return;
      toCancel.push({ key: `${frame.id}:${index}`, id: messageIdAt(firstId, index) });
    });
    publishing.delete(frame.id);
  }
}

/** Most are sent, some come back, some are never settled: they pin their records. */
function decide(delivery: number, key: string): void {
  const dice = random();
  if (dice < 0.02) return;
  const retry = { delivery, outcome: OUTCOME.retry, retryAfterMs: 1 + below(random, 5) };
  if (dice < 0.06) due.push({ key, outcome: retry });
  else due.push({ key, outcome: delivery });
}

const pool = await ShardPool.open({
  directory: folder,
  shards: 1,
  durability: 'flushed',
  hashKey: HASH_KEY,
  dataId: DATA_ID,
  configuration,
  clock: ProcessClock.start(),
  logger: { info() {}, warn() {}, error() {}, fatal: console.error, debug() {} } as never,
  sink,
  onFatal: (error) => {
    throw error;
  },
});
const [port] = pool.ports;
if (port === undefined) throw new Error('there is a shard');
port.connect(PUBLISHER, PLATFORM, '');
port.connect(GATEWAY, PLATFORM, '');
port.frame(
  GATEWAY,
  encodeSubscribe({ id: 1, subscription: 1, destination: DESTINATION, credit: CREDIT }),
);
const store = EntityStore.open(join(folder, 'main'), 'flushed', { mapBytes: 2 ** 30 });

const endMs = performance.now() + Number(runMs);
void putEntities();
void checkpoints();
while (performance.now() < endMs) {
  publish();
  cancel();
  settle();
  await turn();
}
process.kill(process.pid, 'SIGKILL');

function publish(): void {
  if (unanswered >= UNANSWERED_MAX || random() < 0.5) return;
  lastFrame += 1;
  unanswered += 1;
  const id = FIRST_PUBLISH + lastFrame;
  const kinds = Array.from({ length: 1 + below(random, FRAME_MESSAGES_MAX) }, kindOf);
  const messages = kinds.map((kind, index) => ({
    tenant: kind === 'keyed' ? KEYED_TENANT : `t${below(random, 5)}`,
    sender: `s${below(random, 3)}`,
    payload: payloadOf({ frame: id, index }),
    options: optionsOf(kind, `${id}:${index}`),
  }));
  publishing.set(id, kinds);
  mark([`p ${id} ${kinds.join(' ')}`]);
  port?.frame(PUBLISHER, encodePublish({ id, destination: DESTINATION, messages }));
}

function kindOf(): MessageKind {
  const dice = random();
  if (dice < 0.15) return 'keyed';
  if (dice < 0.25) return 'scheduled';
  return dice < 0.35 ? 'brief' : 'plain';
}

function optionsOf(kind: MessageKind, key: string): PublishOptions | undefined {
  if (kind === 'keyed') return { k: key };
  if (kind === 'scheduled') return { at: Date.now() + 1 + below(random, SCHEDULED_MS_MAX) };
  return kind === 'brief' ? { ttl: BRIEF_MS } : undefined;
}

function cancel(): void {
  if (toCancel.length === 0) return;
  const now = toCancel;
  toCancel = [];
  lastCancel += 1;
  const keys = now.map(({ key }) => key);
  cancelling.set(lastCancel, keys);
  mark([`n ${keys.join(' ')}`]);
  const messageIds = now.map(({ id }) => id);
  port?.frame(PUBLISHER, encodeCancel({ id: lastCancel, messageIds }));
}

function settle(): void {
  if (due.length === 0) return;
  const [now, add] = [due, due.length];
  due = [];
  lastSettle += 1;
  const id = 1 + lastSettle;
  const final = now.filter((each) => !isRetry(each));
  settling.set(
    id,
    final.map(({ key }) => key),
  );
  mark(now.map((each) => `${isRetry(each) ? 'r' : 's'} ${each.key}`));
  const outcomes = now.map(({ outcome }) => outcome);
  port?.frame(GATEWAY, encodeSettle({ id, subscription: 1, outcomes }));
  port?.frame(GATEWAY, encodeCredit({ id: 0, subscription: 1, add }));
}

async function putEntities(): Promise<void> {
  for (let value = 1; ; value += 1) {
    const name = `entity-${value % 7}`;
    const filling = 'x'.repeat(below(random, 2_000));
    await store.put(1, name, { value, filling }, { value });
    mark([`e ${name} ${value}`]);
  }
}

async function checkpoints(): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, CHECKPOINT_MS));
    await port?.request(INPUT_OP.checkpoint, new Uint8Array());
  }
}
