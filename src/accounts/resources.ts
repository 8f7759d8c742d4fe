/** Accounts and messages as that form shows them. */
import { restErrorMessage, restErrorOf, restStatus } from '../rest/account-codes.ts';
import type { AccountRecord, ForgottenMessage, OutgoingMessage, StoredMessage } from './ports.ts';

export const API_VERSION = '2010-04-01';

export const accountPath = (sid: string): string => `/${API_VERSION}/Accounts/${sid}`;

const SERVICE_SID = /^MG[0-9a-f]{32}$/;
/** Statuses of a message that a gateway took. */
const SENT = new Set(['sent', 'delivered', 'undelivered']);
const utf8 = new TextDecoder();

/** An account; never its tokens. */
export function accountResource({
  sid,
  friendlyName,
  status,
  createdMs,
  updatedMs,
}: AccountRecord): object {
  const path = accountPath(sid);
  return {
    sid,
    friendly_name: friendlyName,
    status,
    type: 'Full',
    owner_account_sid: sid,
    date_created: rfc2822(createdMs),
    date_updated: rfc2822(updatedMs),
    uri: `${path}.json`,
    subresource_uris: { messages: `${path}/Messages.json` },
  };
}

/** A message as it is stored. */
export function messageResource(account: string, message: StoredMessage): object {
  const { id, sender, recipient, payload, status, code, cost, tag, redacted } = message;
  const { acceptedMs, endedMs } = message;
  const errorCode = restErrorOf(status, code);
  return resource(account, {
    id,
    sender,
    recipient,
    body: redacted ? '' : utf8.decode(Buffer.from(payload, 'base64')),
    status: restStatus(status),
    segments: cost,
    createdMs: acceptedMs,
    updatedMs: endedMs ?? acceptedMs,
    sentMs: SENT.has(status) ? endedMs : null,
    errorCode,
    service: tag !== null && SERVICE_SID.test(tag) ? tag : null,
  });
}

/** What a late receipt says of a message; what it said, to whom and when it was made is gone. */
export function forgottenResource(account: string, message: ForgottenMessage): object {
  const { id, status, code, tag, sentMs, endedMs } = message;
  return resource(account, {
    id,
    sender: null,
    recipient: null,
    body: '',
    status: restStatus(status),
    segments: 0,
    createdMs: null,
    updatedMs: endedMs,
    sentMs,
    errorCode: restErrorOf(status, code),
    service: tag !== null && SERVICE_SID.test(tag) ? tag : null,
  });
}

/** A message that was accepted just now. */
export function newMessageResource(
  account: string,
  id: string,
  { sender, recipient, body, cost, sendAtMs, tag }: OutgoingMessage,
  nowMs: number,
): object {
  const waiting = tag === undefined ? 'queued' : 'accepted';
  return resource(account, {
    id,
    sender,
    recipient,
    body,
    status: sendAtMs === undefined ? waiting : 'scheduled',
    segments: cost,
    createdMs: nowMs,
    updatedMs: nowMs,
    sentMs: null,
    errorCode: null,
    service: tag ?? null,
  });
}

interface Parts {
  readonly id: string;
  readonly sender: string | null;
  readonly recipient: string | null;
  readonly body: string;
  readonly status: string;
  readonly segments: number;
  readonly createdMs: number | null;
  readonly updatedMs: number;
  readonly sentMs: number | null;
  readonly errorCode: number | null;
  readonly service: string | null;
}

function resource(account: string, parts: Parts): object {
  const sid = `SM${parts.id}`;
  const path = `${accountPath(account)}/Messages/${sid}`;
  const { errorCode } = parts;
  return {
    account_sid: account,
    api_version: API_VERSION,
    body: parts.body,
    date_created: parts.createdMs === null ? null : rfc2822(parts.createdMs),
    date_sent: parts.sentMs === null ? null : rfc2822(parts.sentMs),
    date_updated: rfc2822(parts.updatedMs),
    direction: 'outbound-api',
    error_code: errorCode,
    error_message: errorCode === null ? null : restErrorMessage(errorCode),
    from: parts.sender,
    messaging_service_sid: parts.service,
    num_media: '0',
    num_segments: String(parts.segments),
    price: null,
    price_unit: null,
    sid,
    status: parts.status,
    subresource_uris: { media: `${path}/Media.json` },
    to: parts.recipient,
    uri: `${path}.json`,
  };
}

/** As in `Thu, 24 Dec 2026 18:00:00 +0000`. */
export function rfc2822(ms: number): string {
  return new Date(ms).toUTCString().replace('GMT', '+0000');
}
