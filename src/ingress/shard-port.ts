/** What the ingress needs of a shard and of the gate; daemon.ts joins them. */

/** The main thread's end of one shard. None of these waits, and none keeps the bytes it is given. */
export interface ShardPort {
  /** Announces a connection; before its first frame. `tenant` is empty for the platform. */
  connect(connection: number, scopes: number, tenant: string): void;
  /** Ends it; what was handed out to it returns. */
  disconnect(connection: number): void;
  /** No deliveries to it until unpark. */
  park(connection: number): void;
  unpark(connection: number): void;
  /** Copies one client frame into the open input. False: the input is full, nothing was taken. */
  frame(connection: number, bytes: Uint8Array): boolean;
  /** One of the operations that are answered with JSON text. */
  request(op: number, body: Uint8Array): Promise<string>;
}

/** The gate's end for connections. None of these waits, and none keeps the bytes it is given. */
export interface GatePort {
  /** Announces a connection; before its first frame. `tenant` is empty for the platform. */
  connect(connection: number, scopes: number, tenant: string): void;
  /** Ends it: its permits may be claimed for a while, its waiters are dropped. */
  disconnect(connection: number): void;
  /** Copies one client frame. False: too much waits, nothing was taken. */
  frame(connection: number, bytes: Uint8Array): boolean;
}
