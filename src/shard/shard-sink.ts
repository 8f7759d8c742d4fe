import type { FrameSink } from '../exchange/frame-sink.ts';

/** Where the effects of the shards go. */
export interface ShardSink extends FrameSink {
  /**
   * A record of status events, in ascending order of sequences; after a restart again from the first
   * that was not taken (`ShardPort.eventsTaken`). The bytes are valid only during the call.
   */
  statusEvents(shard: number, sequence: number, bytes: Uint8Array): void;

  /**
   * A record of what was counted, in ascending order of sequences; after a restart again from the first
   * that was not taken (`ShardPort.usageTaken`), and then `again` is true. The bytes are valid only
   * during the call.
   */
  usage(shard: number, told: { again: boolean; sequence: number; deltas: Uint8Array }): void;
}
