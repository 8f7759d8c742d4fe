/**
 * A change of status as the request that tells it: in the form of accounts for a tenant that has one,
 * else as a Standard Webhooks message. Pure.
 */
import type { NewItem } from '../outbound/outbox-records.ts';
import { eventStatusName } from '../protocol/status-events.ts';
import { restErrorOf, restStatus } from '../rest/account-codes.ts';
import type { CallbackRecord } from './callback-record.ts';

const API_VERSION = '2010-04-01';
const utf8 = new TextEncoder();

/** One change of a message's status. */
export interface Change {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly status: number;
  readonly code: number | undefined;
  readonly atMs: number;
  readonly attempt: number;
  /** Which of the message's events it is, from 1. */
  readonly number: number;
}

/** `account`: the sid of the tenant's account, if it has one. */
export function callbackItem(
  record: CallbackRecord,
  change: Change,
  account: string | undefined,
): NewItem {
  const { id, number, atMs } = change;
  const common = {
    id: `msg_${id}_${number}`,
    stream: id,
    url: record.url,
    method: 'POST',
    createdMs: atMs,
  } as const;
  if (account === undefined) {
    return {
      ...common,
      contentType: 'application/json',
      body: utf8.encode(JSON.stringify(jsonOf(record, change))),
      signing: { kind: 'standard', tenant: record.tenant },
    };
  }
  return {
    ...common,
    contentType: 'application/x-www-form-urlencoded',
    body: utf8.encode(formOf(record, change, account).toString()),
    signing: { kind: 'form', account },
  };
}

function jsonOf(record: CallbackRecord, { id, status, code, atMs, attempt }: Change): object {
  const { tenant, destination, sender, recipient, tag } = record;
  return {
    type: 'message.status',
    timestamp: new Date(atMs).toISOString(),
    data: {
      id,
      tenant,
      destination,
      sender: sender ?? null,
      recipient: recipient ?? null,
      status: nameOf(status),
      code: code ?? null,
      attempt,
      tag: tag ?? null,
    },
  };
}

function formOf(
  { recipient, sender }: CallbackRecord,
  { id, status, code }: Change,
  account: string,
): URLSearchParams {
  const sid = `SM${id}`;
  const name = nameOf(status);
  const shown = restStatus(name);
  const error = restErrorOf(name, code ?? null);
  return new URLSearchParams({
    MessageSid: sid,
    SmsSid: sid,
    AccountSid: account,
    MessageStatus: shown,
    SmsStatus: shown,
    To: recipient ?? '',
    From: sender ?? '',
    ApiVersion: API_VERSION,
    ...(error !== null && { ErrorCode: String(error) }),
  });
}

/** A status of a newer core has its number for a name. */
function nameOf(status: number): string {
  return eventStatusName(status) ?? String(status);
}
