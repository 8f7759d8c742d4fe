/** Before a daemon's gate is timed: it has to give exactly as many permits as the limit, and take each back once. */
import { decodeDaemonFrame, type OkFrame } from '../../../src/protocol/daemon-frames.ts';
import {
  encodeAcquire,
  encodeRelease,
  readAcquireOk,
  readReleaseOk,
} from '../../../src/protocol/gate-frames.ts';
import { WebSocketClient, type WebSocketTarget } from '../../load/web-socket-client.ts';
import { binaryFrame } from '../../load/web-socket-frame.ts';
import type { PairShape } from './pair-loop.ts';

const TOO_MANY = 7;
const CONCURRENCY_LIMIT = 4002;
const PERMITS_PER_FRAME = 500;

/** @throws Error naming what is not as it has to be */
export async function checkPermits(target: WebSocketTarget, shape: PairShape): Promise<void> {
  const asker = await Asker.open(target);
  try {
    const { resource, tenants, limit, leaseMs } = shape;
    const entry = { resource, tenant: tenants[0], options: { leaseMs, waitMs: 0 } };
    const permits: Uint8Array[] = [];
    let impeded = 0;
    for (let left = limit + TOO_MANY; left > 0; left -= PERMITS_PER_FRAME) {
      const entries = Array.from({ length: Math.min(left, PERMITS_PER_FRAME) }, () => entry);
      for (const answer of readAcquireOk(await asker.ask((id) => encodeAcquire({ id, entries })))) {
        if (answer.kind === 'granted') permits.push(Uint8Array.from(answer.permit));
        else if (answer.kind === 'impeded' && answer.code === CONCURRENCY_LIMIT) impeded += 1;
        else throw new Error(`an answer of ${JSON.stringify(answer)}`);
      }
    }
    expect('granted', permits.length, limit);
    expect('impeded', impeded, TOO_MANY);
    expect('released', (await asker.release(permits)).released, limit);
    expect('gone', (await asker.release(permits)).gone, limit);
  } finally {
    asker.close();
  }
}

/** One question at a time. */
class Asker {
  #socket!: WebSocketClient;
  #answered: ((frame: OkFrame) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #id = 0;

  static async open(target: WebSocketTarget): Promise<Asker> {
    const asker = new Asker();
    asker.#socket = await WebSocketClient.open(target, {
      frame: (bytes, _, start, end) => {
        const frame = decodeDaemonFrame(Buffer.from(bytes.subarray(start, end)));
        if (frame.kind === 'ok') asker.#answered?.(frame);
        else if (frame.kind !== 'hello') asker.#failed?.(new Error(JSON.stringify(frame)));
      },
      readEnd: () => undefined,
      failed: (error) => asker.#failed?.(error),
    });
    return asker;
  }

  ask(encode: (id: number) => Uint8Array): Promise<OkFrame> {
    this.#id += 1;
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(binaryFrame(encode(this.#id)));
    });
  }

  async release(all: readonly Uint8Array[]): Promise<{ released: number; gone: number }> {
    const sum = { released: 0, gone: 0 };
    for (let at = 0; at < all.length; at += PERMITS_PER_FRAME) {
      const permits = all.slice(at, at + PERMITS_PER_FRAME);
      const answer = readReleaseOk(await this.ask((id) => encodeRelease({ id, permits })));
      sum.released += answer.released;
      sum.gone += answer.gone;
    }
    return sum;
  }

  close(): void {
    this.#socket.close();
  }
}

function expect(what: string, found: number, wanted: number): void {
  if (found !== wanted) throw new Error(`${found} permits are ${what}, not ${wanted}`);
}
