/** What the account form needs of the others; joined in the daemon. */

export interface AccountRecord {
  /** `AC` and 32 hexadecimal digits. */
  readonly sid: string;
  readonly tenant: string;
  readonly friendlyName: string;
  readonly status: 'active' | 'suspended' | 'closed';
  /** Statuses that callbacks tell; null: the daemon's default. */
  readonly callbackStatuses: readonly string[] | null;
  readonly primaryToken: string;
  readonly secondaryToken: string;
  /** ms since the epoch. */
  readonly createdMs: number;
  readonly updatedMs: number;
}

export interface ServiceRecord {
  readonly tenant: string;
  readonly senders: readonly string[];
}

export interface AccountDirectory {
  account(sid: string): AccountRecord | undefined;
  service(sid: string): ServiceRecord | undefined;
  /** Destination of the route with exactly this prefix, or of `*`. */
  route(prefix: string): string | undefined;
  /** Tenant that a number belongs to; undefined: nobody's that is known. */
  ownerOf(number: string): string | undefined;
}

export interface OutgoingMessage {
  readonly destination: string;
  readonly tenant: string;
  readonly sender: string;
  readonly recipient: string;
  readonly body: string;
  /** Segments on the air. */
  readonly cost: number;
  /** Not before, ms since the epoch. */
  readonly sendAtMs?: number | undefined;
  readonly validityMs?: number | undefined;
  readonly callbackUrl?: string | undefined;
  readonly callbackStatuses?: readonly string[] | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly tag?: string | undefined;
}

/** A message as the core tells it. */
export interface StoredMessage {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly sender: string | null;
  readonly recipient: string | null;
  /** Base64. */
  readonly payload: string;
  readonly status: string;
  readonly code: number | null;
  readonly acceptedMs: number;
  readonly endedMs: number | null;
  readonly cost: number;
  readonly tag: string | null;
  readonly redacted: boolean;
}

/** What is left of a message that its shard has forgotten, of which a receipt came late. */
export interface ForgottenMessage {
  readonly id: string;
  readonly status: string;
  readonly code: number | null;
  readonly tag: string | null;
  /** Ms since the epoch. */
  readonly sentMs: number | null;
  readonly endedMs: number;
  readonly forgotten: true;
}

export interface ListQuery {
  readonly tenant: string;
  readonly sender?: string | undefined;
  readonly recipient?: string | undefined;
  /** Accepted from (inclusive) and up to (exclusive), ms since the epoch. */
  readonly fromMs: number;
  readonly toMs: number;
  /** What the page before gave. */
  readonly cursor?: string | undefined;
  readonly limit: number;
}

export interface ListPage {
  readonly items: readonly StoredMessage[];
  /** Null: this was the last. */
  readonly cursor: string | null;
}

/** Messages of one tenant; those of others are not found. All throw FairleadError. */
export interface AccountMessages {
  publish(message: OutgoingMessage): Promise<{ readonly id: string; readonly repeated: boolean }>;
  find(id: string, tenant: string): Promise<StoredMessage>;
  /** As `find`, also of a forgotten one. */
  findOrLate(id: string, tenant: string): Promise<StoredMessage | ForgottenMessage>;
  cancel(id: string, tenant: string): Promise<void>;
  redact(id: string, tenant: string): Promise<void>;
  forget(id: string, tenant: string): Promise<void>;
  /** The newest first; a page may be short although there is more. */
  list(query: ListQuery): Promise<ListPage>;
}

export interface AccountsOptions {
  readonly directory: AccountDirectory;
  readonly messages: AccountMessages;
  /** Keys the choice of senders, so that nobody outside can aim at one. */
  readonly hashKey: Uint8Array;
  /** Called for each message that no route leads anywhere, so that the operator hears of it. */
  readonly onUnroutable: (tenant: string, recipient: string) => void;
  /** Ms since the epoch. */
  readonly now?: () => number;
}
