// What a link takes and tells: its settings, messages, results, what comes in, and its state.

export interface SmppSettings {
  readonly host: string;
  readonly port: number;
  /** ESME account at the peer. */
  readonly systemId: string;
  /** The password itself, not its reference. */
  readonly password: string;
  readonly systemType: string;
  /** One connection for both directions, or a transmitter and a receiver. */
  readonly bind: 'transceiver' | 'separate';
  /** Sessions (pairs of them where they are separate), 1…8. */
  readonly sessions: number;
  /** Messages under way on one session. */
  readonly window: number;
  readonly tls: boolean;
  /** Certificates in PEM that are trusted in place of the system's. */
  readonly ca?: string | undefined;
  /** Silence after which the peer is asked whether it is there. */
  readonly enquireMs: number;
  /** How long a PDU may stay unanswered; also the time to connect and to bind. */
  readonly pduTimeoutMs: number;
  /** data_coding of text in the GSM 7-bit alphabet: 0, the peer's default, unless it wants another. */
  readonly defaultDataCoding: number;
}

/** One message to send. */
export interface SmppMessage {
  /** `+` and digits, a short code, an alphanumeric sender of 1…11 characters, or '' (the peer's choice). */
  readonly from: string;
  /** `+` and digits, or digits as the peer takes them. */
  readonly to: string;
  /** Text, or octets sent as they are (data_coding 4). */
  readonly content: string | Uint8Array;
  /** Whether a delivery receipt is asked for. */
  readonly receipt: boolean;
  /** How long the peer may try; null: as long as it likes. */
  readonly validityMs: number | null;
  /** priority_flag, 0…3. */
  readonly priority: 0 | 1 | 2 | 3;
  /** Ties the parts of a long message, 0…255; the same for each attempt. Absent: the link counts. */
  readonly reference?: number | undefined;
}

/**
 * What became of a message. `ids` are the peer's, one a part, in order; where the outcome is not `sent`
 * they are those of the parts that went before the one that stopped the message (mostly none).
 * `code` is a command_status, null where the link itself found the fault.
 */
export type SubmitResult = { readonly ids: readonly string[] } & (
  | { readonly outcome: 'sent' }
  /** The peer wants less. */
  | { readonly outcome: 'throttled'; readonly retryAfterMs: number; readonly code: number }
  /** Refused for now, or (code null) a later part found no session. */
  | { readonly outcome: 'retry'; readonly code: number | null }
  /** Refused for good. */
  | { readonly outcome: 'failed'; readonly code: number }
  /** No session had a place: nothing was written. */
  | { readonly outcome: 'notAttempted' }
  /** Written, and never answered: the peer may have it. */
  | { readonly outcome: 'doubt' }
);

export type SubmitOutcome = SubmitResult['outcome'];

/** A final delivery receipt. */
export interface SmppReceipt {
  /** Forms of the peer's id to look for, the one as given first, then hexadecimal and decimal ones. */
  readonly ids: readonly string[];
  readonly status: 'delivered' | 'undelivered';
  /** network_error_code, else `err:` of the text; null where there is none or it is no number. */
  readonly code: number | null;
}

/** A message from a phone. */
export interface SmppInboundMessage {
  readonly from: string;
  readonly to: string;
  /** Octets of all parts, without their headers. */
  readonly payload: Uint8Array;
  readonly dataCoding: number;
  /** The payload as text; null where its coding is not text that is known here. */
  readonly text: string | null;
  /** Header elements other than concatenation, of the first part; null where there are none. */
  readonly header: Uint8Array | null;
  readonly parts: number;
  /** False: some parts never came, and these are all there are. */
  readonly complete: boolean;
}

export interface SmppHandlers {
  /** The peer gets its answer when the promise settles; after a rejection it is to try again. */
  onReceipt(receipt: SmppReceipt): Promise<void>;
  /** As onReceipt. */
  onInbound(message: SmppInboundMessage): Promise<void>;
  /** The first session that can send is bound. */
  onUp(): void;
  /** No session is left that can send. */
  onDown(reason: string): void;
  /** There are places again after there were none. */
  onFree(): void;
}

/** Time and chance; tests pass their own. */
export interface SmppClock {
  /** Monotonic, ms. */
  nowMs(): number;
  /** Calls `fire` once after `ms`; the function returned prevents it. */
  after(ms: number, fire: () => void): () => void;
  /** 0 ≤ number < 1. */
  random(): number;
}

export type SmppRole = 'transceiver' | 'transmitter' | 'receiver';

export interface SmppSessionState {
  readonly role: SmppRole;
  readonly state: 'connecting' | 'bound' | 'backoff';
  /** How long it has been in this state. */
  readonly sinceMs: number;
  /** Messages under way. */
  readonly windowUsed: number;
  /** True: a PDU went unanswered and nothing came since; no new message goes here. */
  readonly silent: boolean;
  /** Why the session before this one ended, or could not begin. */
  readonly lastError: string | null;
}

export interface SmppCounts {
  /** Messages by outcome. */
  sent: number;
  throttled: number;
  retry: number;
  failed: number;
  notAttempted: number;
  doubt: number;
  /** submit_sm written. */
  submitted: number;
  receipts: number;
  inbound: number;
  /** Incoming that was refused for now: handlers failed, took too long, or were too many. */
  refused: number;
  /** Incoming that nobody takes: intermediate notifications, receipts without an id. */
  ignored: number;
  /** Answers to nothing that was asked, or too late. */
  strayAnswers: number;
  /** PDUs whose body could not be read. */
  malformed: number;
}

export interface SmppLinkState {
  readonly up: boolean;
  /** Messages that `submit` would take now. */
  readonly free: number;
  readonly sessions: readonly SmppSessionState[];
  readonly counts: Readonly<SmppCounts>;
}
