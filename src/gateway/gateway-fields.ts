// A gateway as an operator describes it, and the name that others know it by.

/** Where a webhook gateway takes messages. */
export interface WebhookFields {
  readonly url: string;
  readonly timeoutMs: number;
  /** Messages of one request at most. */
  readonly batchMax: number;
  /** Reference of the secret that signs; null: unsigned. */
  readonly secret: string | null;
}

/** Where an SMSC takes messages. */
export interface SmppFields {
  readonly host: string;
  readonly port: number;
  readonly systemId: string;
  /** Reference of the password; null: none. */
  readonly password: string | null;
  readonly systemType: string;
  readonly bind: 'transceiver' | 'separate';
  readonly sessions: number;
  readonly tls: boolean;
  /** Reference of certificates in PEM that are trusted in place of the usual ones; null: the usual. */
  readonly ca: string | null;
  readonly enquireMs: number;
  readonly pduTimeoutMs: number;
  readonly defaultDataCoding: number;
}

/** What is asked before each message is sent. */
export interface HookFields {
  readonly url: string;
  readonly timeoutMs: number;
  /** What becomes of a message when the hook gives no answer. */
  readonly onTimeout: 'allow' | 'refuse' | 'retry';
  /** Reference of the secret that signs; null: unsigned. */
  readonly secret: string | null;
}

export interface GatewayFields {
  readonly type: 'pull' | 'webhook' | 'smpp';
  readonly destinations: readonly string[];
  readonly weight: number;
  readonly ratePerSec: number | null;
  readonly burst: number | null;
  readonly inFlightMax: number | null;
  readonly paused: boolean;
  readonly webhook: WebhookFields | null;
  readonly smpp: SmppFields | null;
  readonly hook: HookFields | null;
}

/** A gateway that the daemon drives. */
export type DrivenFields =
  | (GatewayFields & { readonly type: 'webhook'; readonly webhook: WebhookFields })
  | (GatewayFields & { readonly type: 'smpp'; readonly smpp: SmppFields });
