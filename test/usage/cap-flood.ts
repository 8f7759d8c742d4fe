/**
 * A process of the flood: publishes its share in lists over several connections, as fast as they are answered.
 * When the daemon is gone it ends its turn, and in the next one sends again what was not answered; each message
 * has an idempotency key then, so that what the daemon had taken counts as accepted, and once.
 */
import { answerParent } from '../../bench/gateways/child.ts';
import { WebSocketClient, type WebSocketTarget } from '../../bench/load/web-socket-client.ts';
import { binaryFrame } from '../../bench/load/web-socket-frame.ts';
import { encodePublish } from '../../src/protocol/client-frames.ts';
import { decodeDaemonFrame, type OkFrame } from '../../src/protocol/daemon-frames.ts';
import { type PublishResult, readPublishOk } from '../../src/protocol/ok-results.ts';
import {
  CAP_REACHED,
  DESTINATIONS,
  type FloodPart,
  type FloodSum,
  floodMessages,
  PER_FRAME,
} from './cap-plan.ts';

const CONNECTIONS = 4;
/** Of one connection. */
const FRAMES_UNDER_WAY = 8;
const PAYLOAD = new Uint8Array(16).fill(0x2e);
const FAULTS_MAX = 10;

export interface FloodOptions extends FloodPart {
  readonly keyed: boolean;
}

export interface FloodResult {
  readonly sums: readonly FloodSum[];
  /** That were answered as known: the daemon had taken them before it was killed. */
  readonly repeated: number;
  readonly faults: readonly string[];
}

class Flood {
  readonly #options: FloodOptions;
  readonly #account: Uint8Array;
  readonly #cost: Uint8Array;
  readonly #frames: readonly Buffer[];
  readonly #isAnswered: Uint8Array;
  readonly #sums: FloodSum[];
  readonly #faults: string[] = [];
  #repeated = 0;
  answered = 0;
  #sockets: WebSocketClient[] = [];
  /** Numbers of frames that are still to be sent in this turn. */
  #left: number[] = [];
  #ended: ((isLost: boolean) => void) | undefined;

  constructor(options: FloodOptions) {
    this.#options = options;
    const { account, cost } = floodMessages(options);
    this.#account = account;
    this.#cost = cost;
    const frames = Math.ceil(options.messages / PER_FRAME);
    this.#frames = Array.from({ length: frames }, (_, frame) => this.#encode(frame));
    this.#isAnswered = new Uint8Array(frames);
    this.#sums = options.accounts.map(() => ({ accepted: 0, units: 0, refused: 0 }));
  }

  /**
   * Sends what is not answered.
   *
   * @param share of all frames that are sent in this turn: with less than 1 it ends with the daemon
   * @returns whether the daemon was lost before all was answered
   */
  async turn(target: WebSocketTarget, share: number): Promise<boolean> {
    const frames = this.#frames.slice(0, Math.ceil(this.#frames.length * share));
    this.#left = frames.flatMap((_, frame) => (this.#isAnswered[frame] ? [] : [frame]));
    this.#left.reverse();
    const lost = new Promise<boolean>((resolve) => {
      this.#ended = resolve;
    });
    this.#sockets = await Promise.all(
      Array.from({ length: CONNECTIONS }, () => this.#connect(target)),
    );
    for (let sent = 0; sent < FRAMES_UNDER_WAY; sent += 1) {
      for (const socket of this.#sockets) this.#send(socket);
    }
    if (this.answered === this.#frames.length) this.#ended?.(false);
    const isLost = await lost;
    for (const socket of this.#sockets) socket.close();
    return isLost;
  }

  result(): FloodResult {
    return { sums: this.#sums, repeated: this.#repeated, faults: this.#faults };
  }

  async #connect(target: WebSocketTarget): Promise<WebSocketClient> {
    const box: { socket?: WebSocketClient } = {};
    box.socket = await WebSocketClient.open(target, {
      frame: (bytes, _view, start, end) => {
        const frame = decodeDaemonFrame(Buffer.from(bytes.subarray(start, end)));
        if (frame.kind === 'hello') return;
        if (frame.kind === 'ok') this.#take(frame);
        else this.#fault(`the daemon answered ${JSON.stringify(frame)}`);
        if (box.socket !== undefined) this.#send(box.socket);
      },
      readEnd: () => undefined,
      failed: () => this.#ended?.(true),
    });
    return box.socket;
  }

  #send(socket: WebSocketClient): void {
    const frame = this.#left.pop();
    if (frame !== undefined) socket.write(this.#frames[frame] as Buffer);
  }

  #take(ok: OkFrame): void {
    const frame = ok.id - 1;
    if (this.#isAnswered[frame] === 1) this.#fault(`frame ${frame} was answered twice`);
    this.#isAnswered[frame] = 1;
    this.answered += 1;
    this.#count(frame, readPublishOk(ok));
    if (this.answered === this.#frames.length) this.#ended?.(false);
  }

  #count(frame: number, { refused, repeated }: PublishResult): void {
    const first = frame * PER_FRAME;
    const count = Math.min(PER_FRAME, this.#options.messages - first);
    const codes = new Map(refused.map(({ index, code }) => [index, code]));
    const known = new Set(repeated.map(({ index }) => index));
    this.#repeated += known.size;
    /** Accounts whose rest of this frame has to be refused. */
    const cut = new Set<number>();
    for (let index = 0; index < count; index += 1) {
      const account = this.#account[first + index] as number;
      const sum = this.#sums[account] as FloodSum;
      const code = codes.get(index);
      if (code === undefined) {
        if (cut.has(account) && !known.has(index))
          this.#fault(`frame ${frame} goes on at ${index}`);
        sum.accepted += 1;
        sum.units += this.#cost[first + index] as number;
      } else {
        if (code !== CAP_REACHED) this.#fault(`message ${index} of frame ${frame}: ${code}`);
        cut.add(account);
        sum.refused += 1;
      }
    }
  }

  #encode(frame: number): Buffer {
    const { accounts, messages, number, keyed } = this.#options;
    const first = frame * PER_FRAME;
    const list = Array.from({ length: Math.min(PER_FRAME, messages - first) }, (_, index) => {
      const at = first + index;
      const tenant = accounts[this.#account[at] as number]?.tenant;
      const c = this.#cost[at] as number;
      const options = keyed ? { c, k: `${number}-${at}` } : { c };
      return { tenant, payload: PAYLOAD, options };
    });
    const destination = DESTINATIONS[frame % DESTINATIONS.length] as string;
    return binaryFrame(encodePublish({ id: frame + 1, destination, messages: list }));
  }

  #fault(text: string): void {
    if (this.#faults.length < FAULTS_MAX) this.#faults.push(text);
  }
}

let flood: Flood | undefined;

function made(): Flood {
  if (flood === undefined) throw new Error('not prepared');
  return flood;
}

export const questions = {
  /** Encodes all that will be sent. */
  prepare(options: FloodOptions): void {
    flood = new Flood(options);
  },
  turn: (target: WebSocketTarget, share: number): Promise<boolean> => made().turn(target, share),
  /** Messages that were answered so far. */
  answered: (): number => made().answered * PER_FRAME,
  result: (): FloodResult => made().result(),
};

export type FloodQuestions = typeof questions;

answerParent(questions);
