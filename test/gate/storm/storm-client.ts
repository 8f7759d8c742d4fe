/**
 * One client of the storm: a raw connection that is kept as long as answers leave it whole, one request after
 * the other on it, each with a body of its own; it leaves some at any moment. Every byte that comes is held
 * against what has to come.
 */
import { connect, type Socket } from 'node:net';
import { below, type Random } from '../../crash/traffic.ts';
import {
  type Act,
  actOf,
  bodyOf,
  FAILS,
  ID_HEADER,
  type Outcomes,
  PATHS,
  STORM_TENANTS,
  STUCK,
  TENANT_HEADER,
  WHOLE,
} from './storm-plan.ts';

/** Past it a request hangs. */
const END_MS = 120_000;
const LEAVE_SHARE = 0.2;
const LEAVE_MS_MAX = 40;
const SIZES = [0, 1, 300, 1000, 1000, 4000, 20_000, 150_000];
const HEAD_END = '\r\n\r\n';
const IMPEDED = 429;
const FAILED: ReadonlySet<number> = new Set([502, 504]);

interface Sent {
  readonly id: number;
  readonly act: Act;
  readonly bytes: number;
}

/** How an answer ended; undefined: it was cut off. */
interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly id: string | undefined;
  readonly isLast: boolean;
}

export interface StormParts {
  readonly port: number;
  readonly random: Random;
  readonly outcomes: Outcomes;
  readonly fault: (text: string) => void;
}

export class StormClient {
  readonly #of: StormParts;
  #socket: Socket | undefined;
  #rest: Buffer[] = [];
  /** When this request was begun, and when a byte of its answer came last. */
  #sentMs = 0;
  #heardMs = 0;
  #heard: () => void = () => {};
  #isClosed = false;

  constructor(of: StormParts) {
    this.#of = of;
  }

  async request(id: number): Promise<void> {
    const { random, outcomes, fault } = this.#of;
    const act = actOf(below(random, 1000));
    const [sentBytes, bytes] = [random() < 0.5 ? 0 : this.#size(), this.#size()];
    const sent = { id, act, bytes };
    const socket = await this.#connected();
    const raw = this.#raw(sent, sentBytes);
    this.#sentMs = performance.now();
    if (random() < LEAVE_SHARE) {
      outcomes.left += 1;
      await this.#leave(socket, raw);
      return;
    }
    await this.#send(socket, raw);
    const answer = await this.#answer(sent);
    // What was answered before all of its body had come may have the rest of it on its way.
    if (answer === undefined || answer.isLast || act === 'early') this.close();
    // Another answer behind this one would belong to nobody.
    else if (this.#rest.length > 0) fault(`bytes after the answer of ${id}`);
    this.#judge(sent, answer);
  }

  #times(): string {
    const nowMs = performance.now();
    const heard =
      this.#heardMs > this.#sentMs ? `${Math.round(nowMs - this.#heardMs)} ms` : 'never';
    return `${Math.round(nowMs - this.#sentMs)} ms after it was sent; heard: ${heard}`;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #judge({ id, act, bytes }: Sent, answer: Answer | undefined): void {
    const { outcomes, fault } = this.#of;
    if (answer === undefined) {
      outcomes.broken += 1;
      if (WHOLE.has(act) || FAILS.has(act)) fault(`${id} (${act}) was cut off ${this.#times()}`);
      return;
    }
    const { status, body } = answer;
    if (status === 200) {
      outcomes.whole += 1;
      if (!WHOLE.has(act)) fault(`${id} (${act}) looks complete`);
      if (!body.equals(bodyOf(id, bytes))) fault(`the body of the answer to ${id} is not its own`);
      if (answer.id !== `${id}`) fault(`the head of the answer to ${id} is that of ${answer.id}`);
    } else if (status === IMPEDED) {
      outcomes.impeded += 1;
    } else if (FAILED.has(status)) {
      outcomes.failed += 1;
      if (WHOLE.has(act)) fault(`${id} (${act}) was answered ${status}: ${body}`);
    } else if (status === 500 && act === 'status500') {
      outcomes.passedOn += 1;
    } else {
      fault(`${id} (${act}) was answered ${status}: ${body.toString('latin1', 0, 200)}`);
    }
  }

  #size(): number {
    const { random } = this.#of;
    return SIZES[Math.floor(random() * random() * SIZES.length)] as number;
  }

  #raw({ id, act, bytes }: Sent, sentBytes: number): Buffer {
    const { random } = this.#of;
    const tenant = STORM_TENANTS[below(random, STORM_TENANTS.length)];
    const path = STUCK.has(act) ? PATHS.stuck : PATHS.patient;
    const isChunked = sentBytes > 0 && random() < 0.4;
    const framing = isChunked ? 'transfer-encoding: chunked' : `content-length: ${sentBytes}`;
    const head =
      `${sentBytes > 0 ? 'POST' : 'GET'} ${path}?id=${id}&act=${act}&bytes=${bytes}&sent=${sentBytes} HTTP/1.1\r\n` +
      `host: storm\r\n${TENANT_HEADER}: ${tenant}\r\n${ID_HEADER}: ${id}\r\n` +
      `${sentBytes > 0 ? `${framing}\r\n` : ''}\r\n`;
    const body = bodyOf(id, sentBytes);
    if (!isChunked) return Buffer.concat([Buffer.from(head), body]);
    const size = Buffer.from(`${sentBytes.toString(16)}\r\n`);
    return Buffer.concat([Buffer.from(head), size, body, Buffer.from('\r\n0\r\n\r\n')]);
  }

  /** In one piece or in several. */
  async #send(socket: Socket, raw: Buffer): Promise<void> {
    const { random } = this.#of;
    const cut = random() < 0.3 ? Math.floor(random() * raw.length) : raw.length;
    socket.write(raw.subarray(0, cut));
    if (cut === raw.length) return;
    await pause(random() * 5);
    if (!socket.destroyed) socket.write(raw.subarray(cut));
  }

  /** Before its head is there, in its body, while it waits or while it is answered. */
  async #leave(socket: Socket, raw: Buffer): Promise<void> {
    const { random } = this.#of;
    const cut = random() < 0.4 ? Math.floor(random() * raw.length) : raw.length;
    socket.write(raw.subarray(0, cut));
    if (random() < 0.3) await Promise.race([this.#news(), pause(LEAVE_MS_MAX)]);
    else await pause(random() * LEAVE_MS_MAX);
    if (random() < 0.5) socket.resetAndDestroy();
    this.close();
  }

  async #connected(): Promise<Socket> {
    if (this.#socket !== undefined && !this.#isClosed) return this.#socket;
    const socket = connect({ port: this.#of.port, host: '127.0.0.1', noDelay: true });
    this.#of.outcomes.connections += 1;
    this.#socket = socket;
    this.#rest = [];
    this.#isClosed = false;
    socket.on('data', (chunk) => {
      if (socket !== this.#socket) return;
      this.#rest.push(chunk);
      this.#heardMs = performance.now();
      this.#heard();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (socket !== this.#socket) return;
      this.#isClosed = true;
      this.#heard();
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('close', () => reject(new Error('the proxy takes no connection')));
    });
    return socket;
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#heard = resolve;
    });
  }

  async #answer({ id, act }: Sent): Promise<Answer | undefined> {
    const timer = setTimeout(() => {
      this.#of.fault(`${id} (${act}) did not end`);
      this.#socket?.destroy();
    }, END_MS);
    try {
      const reading = new AnswerReading();
      for (;;) {
        const answer = reading.take(this.#rest.splice(0), this.#isClosed);
        if (answer !== undefined) {
          if (reading.after.length > 0) this.#rest.push(reading.after);
          return answer;
        }
        if (this.#isClosed) return undefined;
        await this.#news();
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Reads one answer, by its length, its chunks or the end of its connection. */
class AnswerReading {
  /** What came behind it. */
  after: Buffer = Buffer.alloc(0);
  #bytes: Buffer = Buffer.alloc(0);
  #head: { status: number; text: string; bodyAt: number } | undefined;

  take(parts: Buffer[], isClosed: boolean): Answer | undefined {
    if (parts.length > 0) this.#bytes = Buffer.concat([this.#bytes, ...parts]);
    this.#head ??= this.#readHead();
    if (this.#head === undefined) return undefined;
    const { status, text, bodyAt } = this.#head;
    const body = this.#readBody(text, bodyAt, isClosed);
    if (body === undefined) return undefined;
    const id = new RegExp(`\r\n${ID_HEADER}: *(\\d+)`, 'i').exec(text)?.[1];
    return { status, body, id, isLast: isClosed || /\r\nconnection: *close/i.test(text) };
  }

  #readHead() {
    const end = this.#bytes.indexOf(HEAD_END);
    if (end < 0) return undefined;
    const text = this.#bytes.toString('latin1', 0, end + 2);
    return { status: Number(text.slice(9, 12)), text, bodyAt: end + HEAD_END.length };
  }

  #readBody(text: string, bodyAt: number, isClosed: boolean): Buffer | undefined {
    const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
    if (length !== undefined) return this.#upTo(bodyAt, bodyAt + Number(length));
    if (/\r\ntransfer-encoding: *chunked/i.test(text)) return this.#readChunks(bodyAt);
    return isClosed ? this.#upTo(bodyAt, this.#bytes.length) : undefined;
  }

  #upTo(from: number, end: number): Buffer | undefined {
    if (this.#bytes.length < end) return undefined;
    this.after = this.#bytes.subarray(end);
    return this.#bytes.subarray(from, end);
  }

  #readChunks(bodyAt: number): Buffer | undefined {
    const parts: Buffer[] = [];
    for (let at = bodyAt; ; ) {
      const lineEnd = this.#bytes.indexOf('\r\n', at);
      if (lineEnd < 0) return undefined;
      const size = Number.parseInt(this.#bytes.toString('latin1', at, lineEnd), 16);
      const next = lineEnd + 2 + size + 2;
      if (this.#bytes.length < next) return undefined;
      if (size === 0) return this.#upTo(next, next) && Buffer.concat(parts);
      parts.push(this.#bytes.subarray(lineEnd + 2, next - 2));
      at = next;
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
