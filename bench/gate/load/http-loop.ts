/** The requests of an open loop to one server: its connections, what is due, and how long answers took. */
import { connect, type Socket } from 'node:net';
import { encodeHistogram, newHistogram } from '../../load/latency.ts';
import { HttpResponses } from './http-responses.ts';

export interface HttpLoopOptions {
  readonly port: number;
  /** Bytes of one request. */
  readonly request: string;
  readonly bodyBytes: number;
  readonly connections: number;
  readonly ratePerSec: number;
}

interface Connection {
  readonly socket: Socket;
  readonly responses: HttpResponses;
  dueMs: number;
}

const READ_BYTES = 64 * 1024;
const memory = Buffer.alloc(READ_BYTES);

export class HttpLoop {
  /** A connection was lost, or an answer was not the one that was expected. */
  fault: Error | undefined;
  readonly #options: HttpLoopOptions;
  readonly #latency = newHistogram();
  readonly #all: Connection[] = [];
  readonly #free: Connection[] = [];
  /** Requests that left. */
  #sent = 0;
  #answered = 0;
  #closing = false;

  static async open(options: HttpLoopOptions): Promise<HttpLoop> {
    const loop = new HttpLoop(options);
    while (loop.#all.length < options.connections) await loop.#connect();
    return loop;
  }

  private constructor(options: HttpLoopOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#free.length === this.#all.length;
  }

  /** Forgets what was measured and begins a new clock. */
  reset(): void {
    this.#sent = 0;
    this.#latency.reset();
    this.#answered = 0;
  }

  result(): { readonly requests: number; readonly latency: string } {
    return { requests: this.#answered, latency: encodeHistogram(this.#latency) };
  }

  /** What is due by now, in ms since the start, leaves. */
  send(startMs: number, nowMs: number): void {
    const { ratePerSec, request } = this.#options;
    const perMs = ratePerSec / 1000;
    const due = Math.floor(nowMs * perMs);
    while (this.#sent < due) {
      const connection = this.#free.pop();
      if (connection === undefined) return;
      this.#sent += 1;
      connection.dueMs = startMs + this.#sent / perMs;
      connection.socket.write(request, 'latin1');
    }
  }

  close(): void {
    this.#closing = true;
    for (const { socket } of this.#all) socket.destroy();
  }

  #connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const responses = new HttpResponses(this.#options.bodyBytes);
      const socket = connect({
        host: '127.0.0.1',
        port: this.#options.port,
        noDelay: true,
        onread: {
          buffer: memory,
          callback: (count) => {
            this.#read(connection, memory.subarray(0, count));
            return true;
          },
        },
      });
      const connection: Connection = { socket, responses, dueMs: 0 };
      socket.once('connect', () => {
        this.#all.push(connection);
        this.#free.push(connection);
        resolve();
      });
      socket.on('error', (error) => {
        reject(error);
        this.fault ??= error;
      });
      socket.on('close', () => {
        if (!this.#closing) this.fault ??= new Error('a connection was closed');
      });
    });
  }

  #read(connection: Connection, chunk: Buffer): void {
    try {
      if (connection.responses.take(chunk) === 0) return;
      const us = (performance.now() - connection.dueMs) * 1000;
      this.#latency.recordValue(Math.max(1, Math.round(us)));
      this.#answered += 1;
      this.#free.push(connection);
    } catch (error) {
      this.fault ??= error as Error;
    }
  }
}
