/**
 * What publishers, peers and ledger of the gateway runs agree on: everything about a message follows
 * from its number, so that each of them knows what it has to look like and how it has to end.
 */
import { below, randomFrom } from './traffic.ts';

/** `…Once`: what is in doubt there is not sent again. Each pair is served by one gateway. */
export const GATEWAYS = {
  hook: ['hook', 'hookOnce'],
  batch: ['batch', 'batchOnce'],
  smpp: ['smpp', 'smppOnce'],
  pull: ['pull'],
} as const;
export type GatewayName = keyof typeof GATEWAYS;
export const DESTINATIONS = Object.values(GATEWAYS).flat();

/** The first two have accounts, so their callbacks have the form of accounts. */
export const TENANTS = ['acme', 'beta', 'gamma', 'delta'] as const;
export const ACCOUNTS = 2;
/** Ways in: two lines of a WebSocket each, REST in JSON, REST in the form of accounts. */
export const ORIGINS = ['stream', 'stream', 'json', 'form'] as const;

/**
 * How a message has to end: `kept` nothing is said after it was sent, `rejected` its gateway refuses
 * it for good, the others are what a receipt says.
 */
export type Fate = 'kept' | 'delivered' | 'undelivered' | 'rejected';

export interface Planned {
  readonly number: number;
  readonly origin: (typeof ORIGINS)[number];
  readonly gateway: GatewayName;
  readonly destination: string;
  readonly isOnce: boolean;
  readonly tenant: string;
  readonly hasAccount: boolean;
  readonly sender: string;
  readonly recipient: string;
  readonly text: string;
  readonly fate: Fate;
}

const DIGITS = 8;
const SENDERS = 3;
const LONG_SHARE = 0.15;
/** Longer than one segment, and than two. */
const LONG_MIN = 170;
const LONG_MAX = 400;
const SHORT_MAX = 100;

export function planned(number: number): Planned {
  const random = randomFrom(Math.imul(number + 1, 0x9e3779b1));
  for (let warm = 0; warm < 3; warm += 1) random();
  const origin = ORIGINS[number % ORIGINS.length] ?? 'stream';
  const at = below(random, DESTINATIONS.length);
  const destination = DESTINATIONS[at] ?? 'hook';
  const gateway = gatewayOf(destination);
  const tenantAt = below(random, origin === 'form' ? ACCOUNTS : TENANTS.length);
  const length =
    random() < LONG_SHARE
      ? LONG_MIN + below(random, LONG_MAX - LONG_MIN)
      : below(random, SHORT_MAX);
  const letter = String.fromCharCode(97 + below(random, 26));
  return {
    number,
    origin,
    gateway,
    destination,
    isOnce: destination.endsWith('Once'),
    tenant: TENANTS[tenantAt] ?? 'acme',
    hasAccount: tenantAt < ACCOUNTS,
    sender: `S${below(random, SENDERS)}`,
    recipient: `+${prefixOf(destination)}${String(number).padStart(DIGITS, '0')}`,
    text: `${number}:${letter.repeat(length)}`,
    fate: fateOf(gateway, random()),
  };
}

/** Digits that all recipients of a destination begin with. */
export function prefixOf(destination: string): string {
  return `4915${DESTINATIONS.indexOf(destination as (typeof DESTINATIONS)[number])}`;
}

/** Undefined: of no message here. */
export function numberOf(recipient: string | null): number | undefined {
  const digits = (recipient ?? '').replace(/^\+/, '');
  const number = Number(digits.slice(-DIGITS));
  const isOurs = /^\d{13}$/.test(digits) && planned(number).recipient === `+${digits}`;
  return isOurs ? number : undefined;
}

function gatewayOf(destination: string): GatewayName {
  const of = Object.entries(GATEWAYS).find(([, names]) => {
    return (names as readonly string[]).includes(destination);
  });
  return (of?.[0] ?? 'hook') as GatewayName;
}

function fateOf(gateway: GatewayName, dice: number): Fate {
  if (dice < 0.05) return 'rejected';
  if (dice < 0.4) return 'kept';
  // A consumer has no way to say undelivered with its settlement.
  return dice < 0.7 || gateway === 'pull' ? 'delivered' : 'undelivered';
}

/** The code with which a gateway rejects. */
export const REJECT_CODES: Readonly<Record<GatewayName, number>> = {
  hook: 404,
  batch: 77,
  smpp: 0x0b,
  pull: 5,
};

/**
 * What a peer said of one attempt: `taken`, `refused` for now, `rejected` for good; `open`: nothing,
 * or its answer may not have arrived.
 */
export type Said = 'taken' | 'refused' | 'rejected' | 'open';

/** One attempt of a message as its peer saw it. Times are ms since the epoch. */
export interface SeenAttempt {
  readonly number: number;
  readonly gateway: GatewayName;
  readonly atMs: number;
  /** As the daemon counts; 0 where it does not say. */
  readonly attempt: number;
  readonly id: string | undefined;
  /** Whether it was told to be a possible duplicate; undefined: the way has no word for it. */
  readonly flagged: boolean | undefined;
  said: Said;
  answeredMs: number;
  /** It said something, and then broke the connection on which it said so. */
  maybeLost: boolean;
}

/** One request of a callback. */
export interface SeenCallback {
  readonly atMs: number;
  readonly number: number;
  /** The tenant whose URL it came to. */
  readonly urlTenant: string;
  /** The id of the event, in the header. */
  readonly event: string;
  readonly messageId: string;
  readonly bodyHash: string;
  /** By our names; a status that does not exist is in the ledger's list of none. */
  readonly status: string;
  readonly code: number | null;
  readonly attempt: number | undefined;
  readonly isForm: boolean;
  /** The tenant, or the account, that the body names. */
  readonly bodyTenant: string;
  readonly isSigned: boolean;
  taken: boolean;
}

export interface PeersReport {
  readonly attempts: readonly SeenAttempt[];
  readonly webhookRequests: number;
  readonly submits: number;
  /** Receipts that the daemon answered, and of them those sent before the answer to their message. */
  readonly receipts: number;
  readonly receiptsEarly: number;
  /** Sent again because the daemon went, or did not take them. */
  readonly receiptsRepeated: number;
  readonly badSignatures: readonly string[];
  readonly strange: readonly string[];
}

export interface CallbacksReport {
  readonly callbacks: readonly SeenCallback[];
  readonly strange: readonly string[];
}

/** What the driver of a run says to the two peers' processes, and what it hears. */
export type ToPeer =
  | { readonly do: 'begin'; readonly url: string; readonly token: string; readonly keys: Keys }
  /** Say `hit` right after the next answer. */
  | { readonly do: 'arm' }
  /** From now on nothing goes wrong any more. */
  | { readonly do: 'drain' }
  /** Say how many things are still to be done, and how many requests there were. */
  | { readonly do: 'count' }
  | { readonly do: 'report' };
export type FromPeer =
  | { readonly is: 'ready'; readonly ports: Readonly<Record<string, number>> }
  | { readonly is: 'hit' }
  | { readonly is: 'count'; readonly pending: number; readonly requests: number }
  | { readonly is: 'report'; readonly report: unknown };

/** What callbacks are signed with, by tenant. */
export type Keys = Readonly<
  Record<string, { readonly secret: string } | { readonly account: string; readonly token: string }>
>;
