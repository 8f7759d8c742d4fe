/** Where destinations live, as the ingress sees it; the entities behind it are another feature's. */
export interface Directory {
  /** The shard's index; undefined when there is no such destination. Asked once a frame. */
  shardOf(destination: string): number | undefined;
  /** The tenant that a destination is for; null: it is for nobody alone; undefined: there is none of that name. */
  ownerOf(destination: string): string | null | undefined;
  /** Calls `listener` after each change of an entity; it may not throw. */
  onChange(listener: (change: { readonly kind: string; readonly name: string }) => void): void;
  /** Whether an unknown destination is made at its first message. */
  readonly autoCreate: boolean;
  /** Resolves once every shard knows it, also when it was there. Rejects with FairleadError. */
  create(destination: string): Promise<void>;
}
