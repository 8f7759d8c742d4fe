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
import { type Delivery, decodeDaemonFrame, encodeSubscribe } from '../../src/protocol/frames.ts';
import { recover } from '../../src/shard/recovery.ts';
import { Environment } from '../../src/store/environment.ts';
import { claimEnvironment } from '../../src/store/identity.ts';

export const DATA_ID = 'c'.repeat(32);
export const HASH_KEY = new Uint8Array(16).fill(9);
export const DESTINATION = 'carrier';
export const PLATFORM = SCOPE_BIT.publish | SCOPE_BIT.consume | SCOPE_BIT.platform;

const CONNECTION = 1;
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

/**
 * Opens a store as after a power cut, recovers it, and has everything in it delivered.
 *
 * @throws what keeps a daemon from starting: a damaged record, another identity
 */
export async function deliverAll(path: string): Promise<Delivery[]> {
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
    return drain(shard, environment, nowUs);
  } finally {
    await environment.close();
  }
}

/** Nothing of these exchanges is stored: the store stays as the cut left it. */
function drain(
  shard: InstanceType<typeof native.Shard>,
  environment: Environment,
  startUs: number,
): Delivery[] {
  const deliveries: Delivery[] = [];
  const output = new Uint8Array(OUTPUT_BYTES);
  for (let exchange = 1; exchange <= STEPS_MAX; exchange += 1) {
    const input = new InputBuffer();
    if (exchange === 1) {
      input.append(INPUT_OP.connect, CONNECTION, encodeConnect(PLATFORM));
      const subscribe = { id: 1, subscription: 1, destination: DESTINATION, credit: CREDIT };
      input.append(INPUT_OP.frame, CONNECTION, encodeSubscribe(subscribe));
    }
    const { buffer, bytes } = input.finish(exchange);
    const nowUs = startUs + exchange * STEP_US;
    const { wants } = shard.step(nowUs, exchange - 1, new Uint8Array(buffer, 0, bytes));
    for (let at = 0; at < wants.length; at += KEY_BYTES) {
      const record = environment.get(wants.subarray(at, at + KEY_BYTES));
      if (record === undefined) throw new Error('a batch record is not in the store');
      shard.provide(at / KEY_BYTES, record);
    }
    const written = shard.emit(output);
    if (written < 0) throw new Error(`effects need ${-written} bytes`);
    const effects = new EffectsReader(output.subarray(0, written));
    while (effects.next()) {
      if (effects.op !== EFFECT_OP.send) continue;
      const frame = decodeDaemonFrame(effects.entry().slice());
      if (frame.kind === 'deliver') deliveries.push(...frame.deliveries);
    }
    if (effects.counters().waiting === 0) return deliveries;
  }
  throw new Error('messages wait and are not delivered');
}
