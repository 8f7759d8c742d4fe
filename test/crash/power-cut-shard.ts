/** The one shard of the power-cut test: how it is configured, and what is in a store of it. */
import { native } from '../../src/native.ts';
import {
  EFFECT_OP,
  EffectsReader,
  encodeConfigure,
  encodeConnect,
  INPUT_OP,
  InputBuffer,
  SCOPE_BIT,
} from '../../src/protocol/exchange.ts';
import {
  type DaemonFrame,
  type Delivery,
  decodeDaemonFrame,
  encodePublish,
  encodeStatus,
  encodeSubscribe,
  type OkFrame,
  readPublishOk,
  readStatusOk,
  type StatusEntry,
} from '../../src/protocol/frames.ts';
import { messageIdToText } from '../../src/protocol/message-id.ts';
import { recover } from '../../src/shard/recovery.ts';
import { Environment } from '../../src/store/environment.ts';
import { claimEnvironment } from '../../src/store/identity.ts';

export const DATA_ID = 'c'.repeat(32);
export const HASH_KEY = new Uint8Array(16).fill(9);
export const DESTINATION = 'carrier';
export const PLATFORM = SCOPE_BIT.publish | SCOPE_BIT.consume | SCOPE_BIT.platform;

/** Keyed messages are this tenant's. */
export const KEYED_TENANT = 't0';

const CONNECTION = 1;
const IDS_PER_FRAME = 4_096;
const CREDIT = 65_536;
const MAP_BYTES = 2 ** 30;
const OUTPUT_BYTES = 8 * 1024 * 1024;
const KEY_BYTES = 9;
const STEP_US = 20_000;
/** Retries of the driver are due within some ms. */
const STEPS_MAX = 200;

export function configuration(): Uint8Array {
  const input = new InputBuffer();
  const fields = {
    ratePerSec: null,
    burst: 1,
    inFlightMax: 100_000,
    leaseMs: 600_000,
    attemptsMax: 1_000,
    onDoubt: 'redeliver',
    fairBy: 'auto',
    paused: false,
  } as const;
  const change = { kind: 'destination', name: DESTINATION, fields } as const;
  input.append(INPUT_OP.configure, 0, encodeConfigure(change));
  const { buffer, bytes } = input.finish(1);
  return new Uint8Array(buffer, 0, bytes).slice();
}

/** What a start finds: what it delivers, and what it says of messages and of repeated keys. */
export interface Found {
  readonly deliveries: readonly Delivery[];
  /** In the order of the ids that were asked for. */
  readonly statuses: readonly (StatusEntry | undefined)[];
  /** The id that each key was answered with; undefined: the message was taken as new. */
  readonly repeats: readonly (string | undefined)[];
}

export interface Asked {
  readonly ids: readonly Uint8Array[];
  readonly keys: readonly string[];
}

/**
 * Opens a store as after a power cut, recovers it, has everything in it delivered, and asks.
 *
 * @throws what keeps a daemon from starting: a damaged record, another identity
 */
export async function findAll(path: string, { ids, keys }: Asked): Promise<Found> {
  const environment = Environment.open({
    path,
    durability: 'flushed',
    safeRestore: true,
    mapBytes: MAP_BYTES,
  });
  try {
    claimEnvironment(environment, { dataId: DATA_ID, shard: 0, shards: 1 });
    const nowUs = Date.now() * 1_000;
    const shard = new native.Shard({ shard: 0, bootId: 5, hashKey: HASH_KEY, nowUs });
    shard.configure(nowUs, configuration());
    recover(environment, (chunk) => shard.recover(nowUs, chunk));
    shard.recoverFinish(nowUs);
    const image = new Image(shard, environment, nowUs);
    const deliveries = image.deliverAll();
    return { deliveries, statuses: image.statuses(ids), repeats: image.repeats(keys) };
  } finally {
    await environment.close();
  }
}

type NativeShard = InstanceType<typeof native.Shard>;

/** A recovered shard. Nothing of its exchanges is stored: the store stays as the cut left it. */
class Image {
  readonly #shard: NativeShard;
  readonly #environment: Environment;
  readonly #output = new Uint8Array(OUTPUT_BYTES);
  #nowUs: number;
  #exchange = 0;
  #waiting = 0;

  constructor(shard: NativeShard, environment: Environment, nowUs: number) {
    this.#shard = shard;
    this.#environment = environment;
    this.#nowUs = nowUs;
    const input = new InputBuffer();
    input.append(INPUT_OP.connect, CONNECTION, encodeConnect(PLATFORM));
    this.#step(input);
  }

  /** @throws Error when something waits and does not come */
  deliverAll(): Delivery[] {
    const subscribe = { id: 1, subscription: 1, destination: DESTINATION, credit: CREDIT };
    const deliveries: Delivery[] = [];
    let frames = this.#ask(encodeSubscribe(subscribe));
    for (let step = 0; step < STEPS_MAX; step += 1) {
      for (const frame of frames) {
        if (frame.kind === 'deliver') deliveries.push(...frame.deliveries);
      }
      if (this.#waiting === 0) return deliveries;
      frames = this.#step(new InputBuffer());
    }
    throw new Error('messages wait and are not delivered');
  }

  statuses(ids: readonly Uint8Array[]): (StatusEntry | undefined)[] {
    const found: (StatusEntry | undefined)[] = [];
    for (let at = 0; at < ids.length; at += IDS_PER_FRAME) {
      const messageIds = ids.slice(at, at + IDS_PER_FRAME);
      found.push(...readStatusOk(this.#answerTo(encodeStatus({ id: 2, messageIds }))));
    }
    return found;
  }

  repeats(keys: readonly string[]): (string | undefined)[] {
    const found: (string | undefined)[] = [];
    for (let at = 0; at < keys.length; at += IDS_PER_FRAME) {
      const messages = keys.slice(at, at + IDS_PER_FRAME).map((k) => ({
        ...{ tenant: KEYED_TENANT, payload: 'again' },
        options: { k },
      }));
      const publish = encodePublish({ id: 3, destination: DESTINATION, messages });
      const { repeated } = readPublishOk(this.#answerTo(publish));
      const ids = new Map(repeated.map((each) => [each.index, messageIdToText(each.messageId)]));
      found.push(...messages.map((_, index) => ids.get(index)));
    }
    return found;
  }

  #answerTo(frame: Uint8Array): OkFrame {
    let frames = this.#ask(frame);
    for (let step = 0; step < STEPS_MAX; step += 1) {
      for (const each of frames) {
        if (each.kind === 'ok') return each;
        if (each.kind === 'error') throw new Error(each.message);
      }
      frames = this.#step(new InputBuffer());
    }
    throw new Error('no answer came');
  }

  #ask(frame: Uint8Array): DaemonFrame[] {
    const input = new InputBuffer();
    input.append(INPUT_OP.frame, CONNECTION, frame);
    return this.#step(input);
  }

  #step(input: InputBuffer): DaemonFrame[] {
    this.#exchange += 1;
    this.#nowUs += STEP_US;
    const { buffer, bytes } = input.finish(this.#exchange);
    const entries = new Uint8Array(buffer, 0, bytes);
    const { wants } = this.#shard.step(this.#nowUs, this.#exchange - 1, entries);
    for (let at = 0; at < wants.length; at += KEY_BYTES) {
      const record = this.#environment.get(wants.subarray(at, at + KEY_BYTES));
      if (record === undefined) throw new Error('a batch record is not in the store');
      this.#shard.provide(at / KEY_BYTES, record);
    }
    const written = this.#shard.emit(this.#output);
    if (written < 0) throw new Error(`effects need ${-written} bytes`);
    const effects = new EffectsReader(this.#output.subarray(0, written));
    const frames: DaemonFrame[] = [];
    while (effects.next()) {
      if (effects.op === EFFECT_OP.send) frames.push(decodeDaemonFrame(effects.entry().slice()));
    }
    this.#waiting = effects.counters().waiting;
    return frames;
  }
}
