/** Where effects go; all calls come on the main thread, those of one shard in the order of its exchanges. */
export interface FrameSink {
  /** All frames for one connection of one exchange, in order; spans holds offset,length pairs into buffer, valid only during the call. */
  sendFrames(connection: number, buffer: Uint8Array, spans: Uint32Array, count: number): void;
  closeConnection(connection: number, closeCode: number): void;
  /** Bytes of client frames of this connection that are now taken and answered. */
  windowReleased(connection: number, bytes: number): void;
}
