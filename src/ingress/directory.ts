/** Where destinations live, as the ingress sees it; the entities behind it are another feature's. */
export interface Directory {
  /** The shard's index; undefined when there is no such destination. Asked once a frame. */
  shardOf(destination: string): number | undefined;
  /** Whether an unknown destination is made at its first message. */
  readonly autoCreate: boolean;
  /** Resolves once every shard knows it, also when it was there. Rejects with FairleadError. */
  create(destination: string): Promise<void>;
}
