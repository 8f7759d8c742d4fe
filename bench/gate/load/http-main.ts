/**
 * An open loop of HTTP requests: they leave by the clock, whatever the server does, and a latency counts from
 * the time at which a request should have left. Each connection has one request under way; what finds none
 * free waits, and its wait counts.
 */
import { connect, type Socket } from 'node:net';
import { answerParent } from '../../gateways/child.ts';
import { encodeHistogram, newHistogram } from '../../load/latency.ts';
import { HttpResponses } from './http-responses.ts';

export interface HttpLoadOptions {
  readonly port: number;
  /** Bytes of one request. */
  readonly request: string;
  readonly bodyBytes: number;
  readonly connections: number;
  readonly ratePerSec: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface HttpLoadResult {
  readonly requests: number;
  readonly seconds: number;
  /** Histogram of µs. */
  readonly latency: string;
}

interface Connection {
  readonly socket: Socket;
  readonly responses: HttpResponses;
  dueMs: number;
}

const STALL_MS = 10_000;

export const questions = {
  async run(options: HttpLoadOptions): Promise<HttpLoadResult> {
    const load = await HttpLoad.open(options);
    try {
      return await load.run();
    } finally {
      load.close();
    }
  },
};

export type HttpLoadQuestions = typeof questions;

class HttpLoad {
  readonly #options: HttpLoadOptions;
  readonly #request: Buffer;
  readonly #latency = newHistogram();
  readonly #all: Connection[] = [];
  readonly #free: Connection[] = [];
  #startMs = 0;
  /** Requests that left or wait. */
  #sent = 0;
  #answered = 0;
  #failed: (error: Error) => void = () => undefined;
  #closing = false;

  static async open(options: HttpLoadOptions): Promise<HttpLoad> {
    const load = new HttpLoad(options);
    while (load.#all.length < options.connections) await load.#connect();
    return load;
  }

  private constructor(options: HttpLoadOptions) {
    this.#options = options;
    this.#request = Buffer.from(options.request);
  }

  async run(): Promise<HttpLoadResult> {
    const { warmUpMs, measureMs } = this.#options;
    const failure = new Promise<never>((_, reject) => {
      this.#failed = reject;
    });
    const pause = (ms: number): Promise<unknown> =>
      Promise.race([failure, new Promise((resolve) => setTimeout(resolve, ms))]);
    this.#startMs = performance.now();
    const timer = setInterval(() => this.#send(), 1);
    try {
      await pause(warmUpMs);
      this.#latency.reset();
      const [answered, atMs] = [this.#answered, performance.now()];
      await pause(measureMs);
      const requests = this.#answered - answered;
      const seconds = (performance.now() - atMs) / 1000;
      const latency = encodeHistogram(this.#latency);
      clearInterval(timer);
      const endMs = performance.now() + STALL_MS;
      while (this.#free.length < this.#all.length) {
        if (performance.now() > endMs) throw new Error('a request was not answered');
        await pause(1);
      }
      return { requests, seconds, latency };
    } finally {
      clearInterval(timer);
    }
  }

  close(): void {
    this.#closing = true;
    for (const { socket } of this.#all) socket.destroy();
  }

  #connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: this.#options.port, noDelay: true });
      const responses = new HttpResponses(this.#options.bodyBytes);
      const connection: Connection = { socket, responses, dueMs: 0 };
      socket.once('connect', () => {
        this.#all.push(connection);
        this.#free.push(connection);
        resolve();
      });
      socket.on('data', (chunk) => this.#read(connection, chunk));
      socket.on('error', (error) => {
        reject(error);
        this.#failed(error);
      });
      socket.on('close', () => {
        if (!this.#closing) this.#failed(new Error('a connection was closed'));
      });
    });
  }

  #send(): void {
    const nowMs = performance.now();
    const perMs = this.#options.ratePerSec / 1000;
    const due = Math.floor((nowMs - this.#startMs) * perMs);
    while (this.#sent < due) {
      const connection = this.#free.pop();
      if (connection === undefined) return;
      this.#sent += 1;
      connection.dueMs = this.#startMs + this.#sent / perMs;
      connection.socket.write(this.#request);
    }
  }

  #read(connection: Connection, chunk: Buffer): void {
    try {
      if (connection.responses.take(chunk) === 0) return;
      const us = (performance.now() - connection.dueMs) * 1000;
      this.#latency.recordValue(Math.max(1, Math.round(us)));
      this.#answered += 1;
      this.#free.push(connection);
    } catch (error) {
      this.#failed(error as Error);
    }
  }
}

answerParent(questions);
