/**
 * What gateways receive from phones: routed by the number it was sent to, to the tenant's webhook
 * or into a destination; taken when that is durable, and once a day for one event key.
 *
 * A webhook is told through the outbox, in the form that the tenant's other callbacks have. Order
 * of one sender to one number is kept there by a stream of its own.
 */
import { randomBytes } from 'node:crypto';
import { ERRORS, type ErrorName, FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { segmentsOf } from '../protocol/sms-text.ts';
import type { EventKeys } from './event-keys.ts';
import { payloadJson } from './message-json.ts';

export interface InboundMessage {
  readonly from: string;
  readonly to: string;
  readonly payload: Uint8Array;
  readonly atMs: number;
  /** The same key within a day: the same message. */
  readonly eventKey: string | undefined;
}

/** Who takes what comes in for a number. */
export interface InboundNumber {
  /** As the number is known. */
  readonly name: string;
  readonly tenant: string;
  readonly webhookUrl: string | null;
  readonly destination: string | null;
}

/** A request for the outbox. */
export interface InboundItem {
  readonly id: string;
  readonly stream: string;
  readonly url: string;
  readonly method: 'POST';
  readonly contentType: string;
  readonly body: Uint8Array;
  readonly signing:
    | { readonly kind: 'standard'; readonly tenant: string }
    | { readonly kind: 'form'; readonly account: string };
  readonly createdMs: number;
}

export interface InboundPublish {
  readonly destination: string;
  readonly tenant: string;
  readonly sender: string;
  readonly recipient: string;
  readonly payload: Uint8Array;
  readonly idempotencyKey: string | undefined;
}

export interface InboundPorts {
  /** The number with this name; undefined: there is none. */
  number(name: string): InboundNumber | undefined;
  /** Whether its destination is another tenant's own. */
  isForeign(number: InboundNumber): boolean;
  /** The account of a tenant: its callbacks are forms. */
  accountOf(tenant: string): string | undefined;
  /** Resolves when it is durable, with why it was not taken. @throws FairleadError outboxFull */
  put(item: InboundItem): Promise<'endpointDisabled' | 'outboxFull' | undefined>;
  /** A message for a tenant was taken. */
  taken?(tenant: string): void;
  /** Resolves when it is durable. @throws FairleadError */
  publish(message: InboundPublish): Promise<void>;
}

export interface InboundCounts {
  taken: number;
  repeated: number;
  /** Nobody takes messages to that number. */
  unknown: number;
  refused: number;
}

const RETRY_AFTER_MS = 5_000;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Inbound {
  readonly #ports: InboundPorts;
  readonly #keys: EventKeys;
  /** Of events that are being taken, by their hash. */
  readonly #underWay = new Map<string, Promise<unknown>>();
  readonly counts: InboundCounts = { taken: 0, repeated: 0, unknown: 0, refused: 0 };

  constructor(ports: InboundPorts, keys: EventKeys) {
    this.#ports = ports;
    this.#keys = keys;
  }

  /**
   * Resolves when the message is durable, or was taken before.
   *
   * @throws FairleadError unknownNumber, endpointDisabled, outboxFull, and what a publish is refused with
   */
  async take(message: InboundMessage): Promise<void> {
    const number = this.#numberOf(message.to);
    if (number === undefined || this.#ports.isForeign(number)) {
      this.counts.unknown += 1;
      throw new FairleadError(
        'unknownNumber',
        `Nobody takes what comes in for ${JSON.stringify(message.to.slice(0, LIMITS.nameBytes))}.`,
      );
    }
    try {
      await this.#once(number, message);
    } catch (error) {
      this.counts.refused += 1;
      throw error;
    }
  }

  #numberOf(to: string): InboundNumber | undefined {
    return this.#ports.number(to) ?? (/^\d/.test(to) ? this.#ports.number(`+${to}`) : undefined);
  }

  async #once(number: InboundNumber, message: InboundMessage): Promise<void> {
    if (message.eventKey === undefined) {
      await this.#hand(number, message, randomBytes(16).toString('hex'));
      this.#taken(number);
      return;
    }
    const hash = this.#keys.hashOf(number.tenant, message.eventKey);
    const id = hash.toString('hex');
    // The second waits for the first, and counts as repeated only if that was taken.
    await this.#underWay.get(id)?.catch(() => {});
    if (this.#keys.has(hash)) {
      this.counts.repeated += 1;
      return;
    }
    // Its id follows from its key: one that is in the outbox already is not taken again either.
    const work = this.#hand(number, message, id).then(() => this.#keys.add(hash));
    this.#underWay.set(id, work);
    try {
      await work;
    } finally {
      if (this.#underWay.get(id) === work) this.#underWay.delete(id);
    }
    this.#taken(number);
  }

  #taken({ tenant }: InboundNumber): void {
    this.counts.taken += 1;
    this.#ports.taken?.(tenant);
  }

  async #hand(number: InboundNumber, message: InboundMessage, id: string): Promise<void> {
    const { tenant, destination, webhookUrl } = number;
    if (destination !== null) {
      await this.#ports.publish({
        destination,
        tenant,
        sender: asName(message.from),
        recipient: number.name,
        payload: message.payload,
        idempotencyKey: message.eventKey === undefined ? undefined : `inbound.${id}`,
      });
      return;
    }
    const account = this.#ports.accountOf(tenant);
    const refused = await this.#ports.put({
      id: `in_${id}`,
      stream: `in ${number.name} ${message.from}`,
      url: webhookUrl ?? '',
      method: 'POST',
      createdMs: Date.now(),
      ...(account === undefined
        ? standardForm(number, message, id)
        : accountForm(number, message, id, account)),
    });
    if (refused !== undefined) throw refusal(refused);
  }
}

type Content = Pick<InboundItem, 'contentType' | 'body' | 'signing'>;

function standardForm(
  { tenant, name }: InboundNumber,
  { from, payload, atMs }: InboundMessage,
  id: string,
): Content {
  const data = { id: `in_${id}`, tenant, from, to: name, ...payloadJson(payload) };
  const timestamp = new Date(atMs).toISOString();
  const body = Buffer.from(JSON.stringify({ type: 'message.inbound', timestamp, data }));
  return { contentType: 'application/json', body, signing: { kind: 'standard', tenant } };
}

/** What is no text is told in base64 beside an empty Body. */
function accountForm(
  { name }: InboundNumber,
  { from, payload }: InboundMessage,
  id: string,
  account: string,
): Content {
  const text = textOf(payload);
  const sid = `SM${id}`;
  const form = new URLSearchParams({
    MessageSid: sid,
    SmsSid: sid,
    SmsMessageSid: sid,
    AccountSid: account,
    From: from,
    To: name,
    Body: text ?? '',
    ...(text === undefined ? { BodyBase64: Buffer.from(payload).toString('base64') } : {}),
    NumMedia: '0',
    NumSegments: String(text === undefined ? 1 : Math.max(1, segmentsOf(text).segments)),
    SmsStatus: 'received',
    ApiVersion: '2010-04-01',
  });
  return {
    contentType: 'application/x-www-form-urlencoded',
    body: Buffer.from(form.toString()),
    signing: { kind: 'form', account },
  };
}

function textOf(payload: Uint8Array): string | undefined {
  try {
    return utf8.decode(payload);
  } catch {
    return undefined;
  }
}

/** A sender's address as a name: phones may show any letter there. */
function asName(from: string): string {
  const name = from.replace(/[^A-Za-z0-9._:+@-]/g, '_').slice(0, LIMITS.nameBytes);
  return name === '' ? '_' : name;
}

function refusal(error: ErrorName & ('endpointDisabled' | 'outboxFull')): FairleadError {
  const details = ERRORS[error].retryable ? { retryAfterMs: RETRY_AFTER_MS } : undefined;
  return new FairleadError(error, undefined, details);
}
