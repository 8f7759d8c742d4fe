/** Where the effects of the shards go; all calls come on the main thread, in the order of exchanges of a shard. */
export interface FrameSink {
  /** All frames for one connection of one exchange, in order; spans holds offset,length pairs into buffer, valid only during the call. */
  sendFrames(connection: number, buffer: Uint8Array, spans: Uint32Array, count: number): void;
  closeConnection(connection: number, closeCode: number): void;
  /** Bytes of client frames of this connection that the shard has now taken and answered. */
  windowReleased(connection: number, bytes: number): void;
  /**
   * A record of status events, in ascending order of sequences; after a restart again from the first
   * that was not taken (`ShardPort.eventsTaken`). The bytes are valid only during the call.
   */
  statusEvents(shard: number, sequence: number, bytes: Uint8Array): void;
}
