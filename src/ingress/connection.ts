/**
 * One client connection, from the opened socket to the closed one: who speaks, which shards know
 * it, which shard has which subscription, and how much it has not read or been answered.
 *
 * States: open → closed, once, with `socket` as the mark; parked is a flag of open. After closed it
 * stands in no table and everything addressed to it is dropped.
 */
import type uWS from 'uWebSockets.js';
import type { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { encodeError } from '../protocol/frames.ts';
import { CLOSE } from '../protocol/kinds.ts';
import { type Identity, SCOPES } from './identity.ts';
import type { MainPort, MainPorts, ShardPort } from './shard-port.ts';
import type { WaitingFrames } from './waiting-frames.ts';

/** What hangs on a socket: the library copies these fields once, so they never change. */
export interface SocketData {
  readonly session: Session;
}

/** Filled at open; `refusal` is a socket that is closed as soon as it is open. */
export interface Session {
  readonly identity: Identity | undefined;
  readonly refusal: { readonly code: number; readonly reason: string } | undefined;
  connection: Connection | undefined;
}

export type Socket = uWS.WebSocket<SocketData>;

export interface ConnectionOptions {
  /** u32, ascending, never used again in this process. */
  readonly number: number;
  readonly identity: Identity;
  readonly socket: Socket;
  readonly shards: readonly ShardPort[];
  readonly ports: MainPorts;
}

export class Connection {
  readonly number: number;
  readonly identity: Identity;
  readonly scopes: number;
  readonly shards: readonly ShardPort[];
  /** Subscription number → shard. An entry stays until the connection ends: there is no unsubscribe. */
  readonly subscriptions = new Map<number, number>();
  /** Destinations that a tenant takes messages of: its own. Undefined nearly always. */
  received: Set<string> | undefined;
  socket: Socket | undefined;
  parked = false;
  /** Bytes of frames that are forwarded and not answered. */
  unansweredBytes = 0;
  /** Frames behind a destination that is being made; undefined nearly always. */
  waiting: WaitingFrames | undefined;
  expiry: NodeJS.Timeout | undefined;
  readonly #ports: MainPorts;
  /** Those of the ports that know this connection. */
  readonly #knowing = new Set<MainPort>();
  /** A byte a shard: 1 once the shard knows this connection. */
  readonly #announced: Uint8Array;

  constructor({ number, identity, socket, shards, ports }: ConnectionOptions) {
    this.number = number;
    this.identity = identity;
    this.scopes = identity.scopes;
    this.socket = socket;
    this.shards = shards;
    this.#ports = ports;
    this.#announced = new Uint8Array(shards.length);
  }

  /** The port, knowing this connection from here on. */
  port(shard: number): ShardPort {
    const port = this.shards[shard];
    if (port === undefined) throw new Error(`there is no shard ${shard}`);
    if (this.#announced[shard] === 0) {
      this.#announced[shard] = 1;
      port.connect(this.number, shardScopesOf(this.scopes), this.identity.tenant ?? '');
      if (this.parked) port.park(this.number);
    }
    return port;
  }

  /** The gate or usage, knowing this connection from here on; undefined where there is none. */
  mainPort(which: keyof MainPorts): MainPort | undefined {
    const port = this.#ports[which];
    if (port !== undefined && !this.#knowing.has(port)) {
      this.#knowing.add(port);
      port.connect(this.number, this.scopes, this.identity.tenant ?? '');
    }
    return port;
  }

  /** Tells every shard that knows it, the gate and usage: it is gone. */
  disconnect(): void {
    this.#eachAnnounced((port) => port.disconnect(this.number));
    this.#announced.fill(0);
    for (const port of this.#knowing) port.disconnect(this.number);
    this.#knowing.clear();
  }

  park(): void {
    if (this.parked) return;
    this.parked = true;
    this.#eachAnnounced((port) => port.park(this.number));
  }

  unpark(): void {
    if (!this.parked) return;
    this.parked = false;
    this.#eachAnnounced((port) => port.unpark(this.number));
  }

  /** Sends one frame of the ingress itself. A peer that reads none of them is closed. */
  send(frame: Uint8Array): void {
    const { socket } = this;
    if (socket === undefined) return;
    const dropped = socket.send(frame, true) === 2;
    if (dropped || socket.getBufferedAmount() >= LIMITS.closeAtBytes) {
      this.close(CLOSE.tooSlow, 'too much is unread');
    }
  }

  refuse(id: number, { code, message, details }: FairleadError): void {
    this.send(encodeError({ id, code, message, details }));
  }

  /** The close handler of the socket does the rest, before this returns. */
  close(code: number, reason: string): void {
    this.socket?.end(code, reason);
  }

  #eachAnnounced(visit: (port: ShardPort) => void): void {
    for (const [shard, port] of this.shards.entries()) {
      if (this.#announced[shard] === 1) visit(port);
    }
  }
}

/** A shard does not ask whose a destination is: that was asked before a frame gets there. */
function shardScopesOf(scopes: number): number {
  return (scopes & SCOPES.receive) === 0 ? scopes : (scopes & ~SCOPES.receive) | SCOPES.consume;
}
