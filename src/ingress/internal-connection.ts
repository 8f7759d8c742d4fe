/**
 * A connection without a socket: the daemon itself as a client of its shards. It has a number of the
 * same space as the others, the scopes `consume` and `internal`, and takes frames by a function.
 *
 * It holds its owner's frames back in order while a shard's input is full, so that no settlement is
 * lost; the owner bounds them by what it has in flight. States: open → closed. Main thread only.
 */
import { SCOPE_BIT } from '../protocol/exchange.ts';
import { BOUNDS } from './bounds.ts';
import type { ShardPort } from './shard-port.ts';

/** Takes one frame of a shard; the bytes are valid during the call only. */
export type TakeFrame = (bytes: Uint8Array) => void;

export interface InternalConnectionOptions {
  /** u32, never used again in this process. */
  readonly number: number;
  readonly shards: readonly ShardPort[];
  readonly take: TakeFrame;
  /** Called once, at the end. */
  readonly closed: () => void;
}

interface HeldFrame {
  readonly shard: number;
  readonly bytes: Uint8Array;
}

export class InternalConnection {
  readonly number: number;
  readonly #options: InternalConnectionOptions;
  /** Shards that know this connection. */
  readonly #announced = new Set<number>();
  #held: HeldFrame[] = [];
  #retry: NodeJS.Timeout | undefined;
  #parked = false;
  #open = true;

  constructor(options: InternalConnectionOptions) {
    this.number = options.number;
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Frames that wait for room in a shard's input. */
  get held(): number {
    return this.#held.length;
  }

  /** Sends one client frame; the bytes are copied, or kept until there is room. */
  send(shard: number, bytes: Uint8Array): void {
    if (!this.#open) return;
    if (this.#held.length > 0 || !this.#port(shard).frame(this.number, bytes)) {
      this.#held.push({ shard, bytes });
      this.#retry ??= setTimeout(() => this.#sendHeld(), BOUNDS.heldFramesMs);
    }
  }

  /** No deliveries until unpark. */
  park(): void {
    if (this.#parked) return;
    this.#parked = true;
    for (const shard of this.#announced) this.#portOf(shard).park(this.number);
  }

  unpark(): void {
    if (!this.#parked) return;
    this.#parked = false;
    for (const shard of this.#announced) this.#portOf(shard).unpark(this.number);
  }

  /** What was handed out and not settled returns, in doubt. Frames that are held go first if they can. */
  close(): void {
    if (!this.#open) return;
    this.#sendHeld();
    this.#open = false;
    clearTimeout(this.#retry);
    this.#held = [];
    for (const shard of this.#announced) this.#portOf(shard).disconnect(this.number);
    this.#announced.clear();
    this.#options.closed();
  }

  /** One frame of a shard. */
  take(bytes: Uint8Array): void {
    if (this.#open) this.#options.take(bytes);
  }

  #sendHeld(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const held = this.#held;
    let sent = 0;
    for (const { shard, bytes } of held) {
      if (!this.#port(shard).frame(this.number, bytes)) break;
      sent += 1;
    }
    this.#held = held.slice(sent);
    if (this.#held.length > 0) {
      this.#retry = setTimeout(() => this.#sendHeld(), BOUNDS.heldFramesMs);
    }
  }

  /** The port, knowing this connection from here on. */
  #port(shard: number): ShardPort {
    const port = this.#portOf(shard);
    if (!this.#announced.has(shard)) {
      this.#announced.add(shard);
      port.connect(this.number, SCOPE_BIT.consume | SCOPE_BIT.internal, '');
      if (this.#parked) port.park(this.number);
    }
    return port;
  }

  #portOf(shard: number): ShardPort {
    const port = this.#options.shards[shard];
    if (port === undefined) throw new RangeError(`there is no shard ${shard}`);
    return port;
  }
}
