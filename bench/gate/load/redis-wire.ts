/**
 * The Redis sides of a gate row. `RedisWire` is as lean as the daemon's: commands encoded once, one write a
 * read. `ClientWire` is ioredis as applications use it, with its automatic pipelining.
 */
import { connect, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import type { ScriptHashes } from '../redis-scripts.ts';
import type { PairHandler, PairShape, PairWire } from './pair-loop.ts';
import { type Arguments, type PairCommands, RedisAnswers } from './redis-commands.ts';

export interface RedisTarget {
  readonly port: number;
  readonly scripts: ScriptHashes;
}

const HOST = '127.0.0.1';
const READ_BUFFER_BYTES = 2 * 1024 * 1024;
const READ_ROOM_BYTES = 512 * 1024;

/** @throws Error unless all of a request are granted, within the limit */
function checkGrant(smallest: number, largest: number, { limit }: PairShape): void {
  if (smallest >= 1 && largest <= limit) return;
  throw new Error(`Redis granted up to permit ${largest} of ${limit}, or refused (${smallest})`);
}

function checkRelease(released: number, { list }: PairShape): void {
  if (released !== list) throw new Error(`Redis released ${released} of ${list} permits`);
}

export class RedisWire implements PairWire {
  readonly #shape: PairShape;
  readonly #handler: PairHandler;
  readonly #acquires: readonly Buffer[];
  readonly #releases: readonly Buffer[];
  readonly #bytes = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  readonly #answers = new RedisAnswers();
  /** Slots in the order of their commands; those that give back as slots + slot. */
  readonly #asked: Int32Array;
  #first = 0;
  #next = 0;
  #filled = 0;
  #waiting: Buffer[] = [];
  #socket!: Socket;
  #closing = false;

  static async open(
    port: number,
    shape: PairShape,
    commands: PairCommands<Buffer>,
    handler: PairHandler,
  ): Promise<PairWire> {
    const wire = new RedisWire(shape, commands, handler);
    await wire.#connect(port);
    return wire;
  }

  private constructor(shape: PairShape, commands: PairCommands<Buffer>, handler: PairHandler) {
    this.#shape = shape;
    this.#handler = handler;
    this.#acquires = commands.acquires;
    this.#releases = commands.releases;
    this.#asked = new Int32Array(shape.slots + 1);
  }

  acquire(slot: number): void {
    this.#ask(slot, this.#acquires[slot] as Buffer);
  }

  release(slot: number): void {
    this.#ask(this.#shape.slots + slot, this.#releases[slot] as Buffer);
  }

  flush(): void {
    if (this.#waiting.length === 0) return;
    this.#socket.write(Buffer.concat(this.#waiting));
    this.#waiting.length = 0;
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #connect(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket = connect({
        host: HOST,
        port,
        noDelay: true,
        onread: {
          buffer: () => this.#bytes.subarray(this.#filled),
          callback: (count) => {
            this.#filled += count;
            this.#read();
            return true;
          },
        },
      });
      this.#socket.once('connect', resolve);
      this.#socket.on('error', reject);
      this.#socket.on('close', () => this.#fail(new Error('Redis closed the connection')));
    });
  }

  #ask(number: number, command: Buffer): void {
    this.#asked[this.#next] = number;
    this.#next = (this.#next + 1) % this.#asked.length;
    this.#waiting.push(command);
  }

  #read(): void {
    try {
      while (this.#answers.next(this.#bytes, this.#filled)) this.#answered();
      this.#makeRoom();
      this.flush();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #answered(): void {
    const number = this.#asked[this.#first] as number;
    this.#first = (this.#first + 1) % this.#asked.length;
    const { smallest, largest, count } = this.#answers;
    const { slots, list } = this.#shape;
    if (number < slots) {
      if (count !== list) throw new Error(`${count} answers for ${list}`);
      checkGrant(smallest, largest, this.#shape);
      this.#handler.acquired(number);
    } else {
      checkRelease(largest, this.#shape);
      this.#handler.released(number - slots);
    }
  }

  /** Moves what is left of an incomplete answer to the front. */
  #makeRoom(): void {
    const answers = this.#answers;
    if (answers.at === this.#filled) {
      answers.at = 0;
      this.#filled = 0;
    } else if (this.#bytes.length - this.#filled < READ_ROOM_BYTES) {
      this.#bytes.copyWithin(0, answers.at, this.#filled);
      this.#filled -= answers.at;
      answers.at = 0;
    }
  }

  #fail(error: Error): void {
    if (this.#closing) return;
    this.close();
    this.#handler.failed(error);
  }
}

export class ClientWire implements PairWire {
  readonly #shape: PairShape;
  readonly #handler: PairHandler;
  readonly #client: Redis;
  readonly #acquires: readonly Arguments[];
  readonly #releases: readonly Arguments[];

  static async open(
    port: number,
    shape: PairShape,
    commands: PairCommands<Arguments>,
    handler: PairHandler,
  ): Promise<PairWire> {
    const client = new Redis({ host: HOST, port, enableAutoPipelining: true });
    await client.ping();
    return new ClientWire(client, shape, commands, handler);
  }

  private constructor(
    client: Redis,
    shape: PairShape,
    commands: PairCommands<Arguments>,
    handler: PairHandler,
  ) {
    this.#client = client;
    this.#shape = shape;
    this.#handler = handler;
    this.#acquires = commands.acquires;
    this.#releases = commands.releases;
  }

  acquire(slot: number): void {
    const [, script, keys, ...rest] = this.#acquires[slot] as [string, string, number, string];
    this.#client.evalsha(script, keys, ...rest).then(
      (answer) => {
        const numbers = Array.isArray(answer) ? (answer as number[]) : [answer as number];
        const handler = this.#handler;
        try {
          checkGrant(Math.min(...numbers), Math.max(...numbers), this.#shape);
          handler.acquired(slot);
        } catch (error) {
          handler.failed(error as Error);
        }
      },
      (error: Error) => this.#handler.failed(error),
    );
  }

  release(slot: number): void {
    const args = this.#releases[slot] as [string, string, number, string];
    const answer =
      this.#shape.list === 1
        ? this.#client.zrem(...(args.slice(1) as [string, string]))
        : this.#client.evalsha(...(args.slice(1) as [string, number, ...string[]]));
    answer.then(
      (released) => {
        const handler = this.#handler;
        try {
          checkRelease(released as number, this.#shape);
          handler.released(slot);
        } catch (error) {
          handler.failed(error as Error);
        }
      },
      (error: Error) => this.#handler.failed(error),
    );
  }

  /** It writes by itself at the end of a turn. */
  flush(): void {}

  close(): void {
    this.#client.disconnect();
  }
}
