// One connection that asks for permits with frames by hand.
import { WebSocket } from 'ws';
import {
  type AcquireAnswer,
  type AcquireEntry,
  type DaemonFrame,
  decodeDaemonFrame,
  encodeAcquire,
  encodeRelease,
  encodeRenew,
  type OkFrame,
  PERMIT_TOPIC,
  type PermitNews,
  readAcquireOk,
  readPermitEvent,
  readReleaseOk,
  readRenewOk,
} from '../../src/protocol/frames.ts';
import { SUBPROTOCOL } from '../../src/protocol/kinds.ts';

const PATIENCE_MS = 10_000;

/** The daemon answered with an error frame. */
export class RefusedFrame extends Error {
  readonly code: number;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: number, message: string, details?: Readonly<Record<string, unknown>>) {
    super(`${code} ${message}`);
    this.code = code;
    this.details = details;
  }
}

type Waiter = (frame: DaemonFrame) => void;

export class GateClient {
  readonly #socket: WebSocket;
  readonly #answers = new Map<number, Waiter>();
  /** News of waiters that nobody took yet, and who waits for some. */
  readonly #news: PermitNews[] = [];
  #newsWanted: (() => void) | undefined;
  #lastId = 0;
  readonly closed: Promise<void>;

  /** Resolves after hello. */
  static open(url: string, token: string): Promise<GateClient> {
    const target = `${url.replace(/^http/, 'ws')}/v1/stream`;
    const headers = { authorization: `Bearer ${token}` };
    const socket = new WebSocket(target, SUBPROTOCOL, { headers });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', (code) => reject(new Error(`closed with ${code} before hello`)));
      socket.once('message', () => resolve(new GateClient(socket)));
    });
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => this.#take(decodeDaemonFrame(data)));
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  /** @throws RefusedFrame */
  async acquire(...entries: readonly AcquireEntry[]): Promise<AcquireAnswer[]> {
    return readAcquireOk(await this.#ask((id) => encodeAcquire({ id, entries })));
  }

  /** One that has to be granted. */
  async take(resource: string, more: Omit<AcquireEntry, 'resource'> = {}): Promise<Uint8Array> {
    const [answer] = await this.acquire({ resource, ...more });
    if (answer?.kind === 'granted') return answer.permit;
    throw new Error(`not granted: ${JSON.stringify(answer)}`);
  }

  /** One that has to wait. */
  async queue(resource: string, more: Omit<AcquireEntry, 'resource'> = {}): Promise<number> {
    const [answer] = await this.acquire({ resource, ...more });
    if (answer?.kind === 'waiting') return answer.ticket;
    throw new Error(`not waiting: ${JSON.stringify(answer)}`);
  }

  async release(...permits: readonly (Uint8Array | number)[]) {
    return readReleaseOk(await this.#ask((id) => encodeRelease({ id, permits })));
  }

  async renew(permits: readonly Uint8Array[], leaseMs: number, flags = 0): Promise<number[]> {
    return readRenewOk(await this.#ask((id) => encodeRenew({ id, permits, leaseMs, flags })));
  }

  /** The next end of a wait. */
  async news(): Promise<PermitNews> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    for (;;) {
      const news = this.#news.shift();
      if (news !== undefined) return news;
      await new Promise<void>((resolve, reject) => {
        this.#newsWanted = resolve;
        late.addEventListener('abort', () => reject(new Error('no news of a waiter')));
      });
    }
  }

  /** News that came and nobody took. */
  get untaken(): number {
    return this.#news.length;
  }

  /** Drops the line without a word. */
  async drop(): Promise<void> {
    this.#socket.terminate();
    await this.closed;
  }

  #ask(encode: (id: number) => Uint8Array): Promise<OkFrame> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no answer')), PATIENCE_MS);
      this.#answers.set(id, (frame) => {
        clearTimeout(timer);
        if (frame.kind === 'ok') resolve(frame);
        else if (frame.kind === 'error') {
          reject(new RefusedFrame(frame.code, frame.message, frame.details));
        }
      });
      this.#socket.send(encode(id));
    });
  }

  #take(frame: DaemonFrame): void {
    if (frame.kind === 'ok' || frame.kind === 'error') {
      this.#answers.get(frame.id)?.(frame);
      this.#answers.delete(frame.id);
    } else if (frame.kind === 'event' && frame.topic === PERMIT_TOPIC) {
      this.#news.push(...readPermitEvent(frame));
      this.#newsWanted?.();
    }
  }
}
