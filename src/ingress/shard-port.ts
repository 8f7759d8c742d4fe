/** What the ingress needs of a shard, of the gate and of usage; daemon.ts joins them. */

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

/** The end of the gate, or of usage, for connections. None of these waits, and none keeps the bytes it is given. */
export interface MainPort {
  /** Announces a connection; before its first frame. `tenant` is empty for the platform. */
  connect(connection: number, scopes: number, tenant: string): void;
  /** Ends it: permits may be claimed for a while, what waits is dropped. */
  disconnect(connection: number): void;
  /** Copies one client frame. False: too much waits, nothing was taken. */
  frame(connection: number, bytes: Uint8Array): boolean;
}

/** Where frames go that are for no shard; left out: nobody takes them. */
export interface MainPorts {
  readonly gate?: MainPort | undefined;
  readonly usage?: MainPort | undefined;
}
