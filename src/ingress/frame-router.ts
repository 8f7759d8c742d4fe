/**
 * What becomes of a client frame: reads its header only, checks the scope, finds the shard and
 * forwards the bytes; everything else is answered here with a coded error. The hot path in.
 *
 * Publish and subscribe go by destination, credit and settle by the connection's subscriptions,
 * receipt, cancel and status by the shard in their message ids; what is about permits goes to the gate,
 * events of usage to usage.
 *
 * A tenant takes messages (`receive`) of the destinations that it owns and knows of no other: a
 * foreign one is answered as one that does not exist. What it owns is closed to other tenants.
 */
import type { Logger } from '../base/logger.ts';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { FrameHeader, type HeaderFault, namesGateway } from '../protocol/frame-header.ts';
import { encodeInboundOk, type InboundResult } from '../protocol/inbound-frame.ts';
import { CLOSE, KIND } from '../protocol/kinds.ts';
import { BOUNDS } from './bounds.ts';
import type { Connection } from './connection.ts';
import { DestinationMaker } from './destination-maker.ts';
import type { Directory } from './directory.ts';
import { SCOPES, type ScopeName } from './identity.ts';
import {
  faulty,
  frameTooLarge,
  gatewayOfPlatform,
  inputFull,
  mainFull,
  scopeMissing,
  tooManySubscriptions,
  unknownDestination,
  unknownSubscription,
  waitingFull,
  windowFull,
} from './refusals.ts';
import type { MainPorts } from './shard-port.ts';
import { WaitingFrames } from './waiting-frames.ts';

/**
 * Takes the bytes of an inbound frame, valid during the call only; resolves when all of it that is
 * taken is durable. @throws FairleadError when the frame is not one
 */
export type InboundPort = (bytes: Uint8Array) => Promise<InboundResult>;

export interface FrameRouterOptions {
  readonly directory: Directory;
  readonly logger: Logger;
  /** Takes what gateways received. */
  readonly inbound: InboundPort;
  /** Undefined while new work is welcome; afterwards what to answer it. */
  readonly goingAway: () => FairleadError | undefined;
}

export class FrameRouter {
  readonly #options: FrameRouterOptions;
  /** Filled anew by each frame. */
  readonly #header = new FrameHeader();
  /** Refusals of the ingress itself by error code, for the metrics. */
  readonly refused = new Map<number, number>();
  readonly #maker: DestinationMaker;

  constructor(options: FrameRouterOptions) {
    this.#options = options;
    this.#maker = new DestinationMaker(options.directory, options.logger);
  }

  /** Takes one frame; `bytes` are valid during the call only. */
  take(connection: Connection, bytes: Uint8Array, isBinary: boolean): void {
    if (!isBinary) {
      this.#refuse(connection, 0, new FairleadError('notBinary'));
      return;
    }
    const header = this.#header;
    const fault = header.read(bytes);
    if (bytes.byteLength > LIMITS.frameBytes) {
      this.#refuse(connection, header.id, frameTooLarge(bytes.byteLength));
    } else if (fault !== undefined) {
      this.#faulty(connection, header, fault);
    } else {
      this.#route(connection, bytes, header);
    }
  }

  #route(connection: Connection, bytes: Uint8Array, header: FrameHeader): void {
    switch (header.kind) {
      case KIND.publish:
        if (this.#may(connection, header, 'publish')) this.#publish(connection, bytes, header);
        return;
      case KIND.subscribe:
        if (this.#mayTake(connection, header)) this.#subscribe(connection, bytes, header);
        return;
      case KIND.receipt:
        if (this.#may(connection, header, 'consume')) this.#byIds(connection, bytes, header);
        return;
      case KIND.inbound:
        if (this.#may(connection, header, 'consume')) this.#inbound(connection, bytes, header);
        return;
      case KIND.cancel:
      case KIND.status:
        if (this.#may(connection, header, 'publish')) this.#byIds(connection, bytes, header);
        return;
      case KIND.acquire:
      case KIND.release:
      case KIND.renew:
        if (this.#may(connection, header, 'gate')) this.#gate(connection, bytes, header);
        return;
      case KIND.use:
        if (this.#may(connection, header, 'usage')) this.#use(connection, bytes, header);
        return;
      default:
        if (this.#mayTake(connection, header)) this.#follow(connection, bytes, header);
        return;
    }
  }

  #may(connection: Connection, header: FrameHeader, scope: ScopeName): boolean {
    if ((connection.scopes & SCOPES[scope]) !== 0) return true;
    this.#refuse(connection, header.id, scopeMissing(header.kind, scope));
    return false;
  }

  /** A tenant may by a scope of its own; which destinations, its subscribe frames are asked. */
  #mayTake(connection: Connection, header: FrameHeader): boolean {
    if ((connection.scopes & SCOPES.receive) !== 0) return true;
    if (connection.identity.tenant === undefined) return this.#may(connection, header, 'consume');
    this.#refuse(connection, header.id, scopeMissing(header.kind, 'receive'));
    return false;
  }

  /** Whether a connection may take messages of the destination of its subscribe frame. */
  #isOwn(connection: Connection, bytes: Uint8Array, { id, destination }: FrameHeader): boolean {
    const { tenant } = connection.identity;
    if (tenant === undefined) return true;
    if (this.#options.directory.ownerOf(destination) !== tenant) {
      this.#refuse(connection, id, unknownDestination(destination));
    } else if (namesGateway(bytes)) {
      // Its rate and cap may be those of other destinations, too.
      this.#refuse(connection, id, gatewayOfPlatform());
    } else {
      return true;
    }
    return false;
  }

  /** Whether a destination is another tenant's own. */
  #isForeign({ identity: { tenant } }: Connection, { destination }: FrameHeader): boolean {
    if (tenant === undefined) return false;
    const owner = this.#options.directory.ownerOf(destination) ?? tenant;
    return owner !== tenant;
  }

  /** New work is refused while the daemon ends; what is under way is still settled. */
  #isLeaving(connection: Connection, header: FrameHeader): boolean {
    const leaving = this.#options.goingAway();
    if (leaving === undefined) return false;
    this.#refuse(connection, header.id, leaving);
    return true;
  }

  #publish(connection: Connection, bytes: Uint8Array, header: FrameHeader): void {
    if (this.#isLeaving(connection, header)) return;
    if (this.#isForeign(connection, header)) {
      this.#refuse(connection, header.id, unknownDestination(header.destination));
      return;
    }
    const shard = this.#shardOf(connection, bytes, header);
    if (shard === undefined || this.#isWindowFull(connection, bytes, header)) return;
    this.#forward(connection, bytes, header, shard);
  }

  #isWindowFull(connection: Connection, bytes: Uint8Array, header: FrameHeader): boolean {
    const unansweredBytes = connection.unansweredBytes + bytes.byteLength;
    if (unansweredBytes <= LIMITS.publishWindowBytes + BOUNDS.windowRoomBytes) return false;
    this.#refuse(connection, header.id, windowFull(connection.unansweredBytes));
    return true;
  }

  /** Who holds permits may give them back and renew them to the end. */
  #gate(connection: Connection, bytes: Uint8Array, header: FrameHeader): void {
    if (header.kind === KIND.acquire) {
      if (this.#isLeaving(connection, header)) return;
      if (this.#isWindowFull(connection, bytes, header)) return;
    }
    this.#toMain(connection, bytes, header, 'gate');
  }

  /** Events that are counted are new work, as messages are. */
  #use(connection: Connection, bytes: Uint8Array, header: FrameHeader): void {
    if (this.#isLeaving(connection, header) || this.#isWindowFull(connection, bytes, header))
      return;
    this.#toMain(connection, bytes, header, 'usage');
  }

  #toMain(
    connection: Connection,
    bytes: Uint8Array,
    header: FrameHeader,
    which: keyof MainPorts,
  ): void {
    const port = connection.mainPort(which);
    if (port === undefined) {
      this.#faulty(connection, header, 'notYetSupported');
    } else if (port.frame(connection.number, bytes)) {
      connection.unansweredBytes += bytes.byteLength;
    } else {
      this.#refuse(connection, header.id, mainFull(which));
    }
  }

  #subscribe(connection: Connection, bytes: Uint8Array, header: FrameHeader): void {
    if (this.#isLeaving(connection, header)) return;
    if (!this.#isOwn(connection, bytes, header)) return;
    const { subscription, destination } = header;
    const shard = this.#shardOf(connection, bytes, header);
    if (shard === undefined) return;
    const { subscriptions } = connection;
    const taken = subscriptions.get(subscription);
    if (taken !== undefined && taken !== shard) {
      this.#refuse(connection, header.id, new FairleadError('subscriptionInUse'));
    } else if (taken === undefined && subscriptions.size >= LIMITS.subscriptionsPerConnection) {
      this.#refuse(connection, header.id, tooManySubscriptions());
    } else if (this.#forward(connection, bytes, header, shard)) {
      subscriptions.set(subscription, shard);
      if (connection.identity.tenant !== undefined) {
        connection.received ??= new Set();
        connection.received.add(destination);
      }
    }
  }

  /** What a gateway received goes to no shard; the answer leaves when it is durable. */
  #inbound(connection: Connection, bytes: Uint8Array, header: FrameHeader): void {
    if (this.#isLeaving(connection, header)) return;
    if (this.#isWindowFull(connection, bytes, header)) return;
    const { id } = header;
    const { byteLength } = bytes;
    connection.unansweredBytes += byteLength;
    this.#options.inbound(bytes).then(
      (result) => {
        connection.unansweredBytes -= byteLength;
        if (id > 0) connection.send(encodeInboundOk({ id, ...result }));
      },
      (error: unknown) => {
        connection.unansweredBytes -= byteLength;
        const known = error instanceof FairleadError;
        if (!known) this.#options.logger.error({ err: error }, 'an inbound frame failed');
        this.#refuse(connection, id, known ? error : new FairleadError('internal'));
      },
    );
  }

  /** Credit and settle: where their subscription is, or behind its subscribe frame. */
  #follow(connection: Connection, bytes: Uint8Array, header: FrameHeader): void {
    const shard = connection.subscriptions.get(header.subscription);
    if (shard !== undefined) {
      this.#forward(connection, bytes, header, shard);
      return;
    }
    const destination = connection.waiting?.destinationOf(header.subscription);
    if (destination !== undefined) {
      this.#wait(connection, bytes, destination, header);
      return;
    }
    this.#refuse(connection, header.id, unknownSubscription(header.subscription));
  }

  /** Ids of a shard that does not exist go to the first one, which knows none of them either. */
  #byIds(connection: Connection, bytes: Uint8Array, header: FrameHeader): void {
    const shard = header.idsShard < connection.shards.length ? header.idsShard : 0;
    this.#forward(connection, bytes, header, shard);
  }

  #forward(connection: Connection, bytes: Uint8Array, header: FrameHeader, shard: number): boolean {
    if (!connection.port(shard).frame(connection.number, bytes)) {
      this.#refuse(connection, header.id, inputFull());
      return false;
    }
    connection.unansweredBytes += bytes.byteLength;
    return true;
  }

  /** Undefined: the frame waits for its destination to be made, or was refused. */
  #shardOf(connection: Connection, bytes: Uint8Array, header: FrameHeader): number | undefined {
    const { destination } = header;
    const { directory } = this.#options;
    if (connection.waiting?.has(destination)) {
      this.#wait(connection, bytes, destination, header);
      return undefined;
    }
    const shard = directory.shardOf(destination);
    if (shard !== undefined) return shard;
    if (!directory.autoCreate) {
      this.#refuse(connection, header.id, unknownDestination(destination));
    } else if (this.#wait(connection, bytes, destination, header)) {
      void this.#make(connection, destination);
    }
    return undefined;
  }

  #wait(
    connection: Connection,
    bytes: Uint8Array,
    destination: string,
    header: FrameHeader,
  ): boolean {
    connection.waiting ??= new WaitingFrames();
    const subscription = header.kind === KIND.subscribe ? header.subscription : undefined;
    if (connection.waiting.add(destination, bytes, subscription)) return true;
    this.#refuse(connection, header.id, waitingFull());
    return false;
  }

  /** Sends on its way what waits for a destination once it is made, or refuses it. */
  async #make(connection: Connection, destination: string): Promise<void> {
    const failure = await this.#maker.make(destination);
    const frames = connection.waiting?.take(destination) ?? [];
    if (connection.waiting?.empty) connection.waiting = undefined;
    for (const frame of frames) {
      if (connection.socket === undefined) return;
      if (failure === undefined) {
        this.take(connection, frame, true);
      } else {
        this.#header.read(frame);
        this.#refuse(connection, this.#header.id, failure);
      }
    }
  }

  #faulty(connection: Connection, { id, kind }: FrameHeader, fault: HeaderFault): void {
    this.#refuse(connection, id, faulty(fault, kind));
    if (fault === 'malformedFrame') connection.close(CLOSE.badFrame, 'malformedFrame: no frame');
  }

  #refuse(connection: Connection, id: number, error: FairleadError): void {
    this.refused.set(error.code, (this.refused.get(error.code) ?? 0) + 1);
    connection.refuse(id, error);
  }
}
