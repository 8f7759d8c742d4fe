/** What gateways need of the others; they are joined in daemon.ts. */
import type { GatewayFields } from './gateway-fields.ts';

/** The daemon's own connection to its shards. */
export interface GatewayConnection {
  /** Sends one client frame. */
  send(shard: number, frame: Uint8Array): void;
  park(): void;
  unpark(): void;
  /** What was not settled returns in doubt. */
  close(): void;
}

/** What a gateway has to know of a destination. */
export interface DestinationPolicy {
  readonly shard: number;
  readonly leaseMs: number;
  readonly onDoubt: 'redeliver' | 'fail';
}

export interface GatewayShards {
  /** The frames are valid during the call only. */
  connect(take: (frame: Uint8Array) => void): GatewayConnection;
  /** Undefined: there is none of this name. */
  destination(name: string): DestinationPolicy | undefined;
  /** Whether a gateway can send now; one that is not up gets nothing. */
  gatewayUp(shard: number, name: string, up: boolean): Promise<void>;
  /** A client frame of the platform with an id above 0; resolves with the daemon frame that answers it. */
  call(shard: number, frame: Uint8Array): Promise<Uint8Array>;
}

export interface GatewayRow {
  readonly name: string;
  readonly fields: GatewayFields;
}

/** The gateways that there are. */
export interface GatewayTable {
  all(): Iterable<GatewayRow>;
  find(name: string): GatewayRow | undefined;
}

/** A secret by its reference. @throws FairleadError secretNotFound */
export type SecretOf = (reference: string) => string;
