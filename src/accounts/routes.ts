/**
 * The account form of the REST interface, `/2010-04-01/Accounts/{sid}/…`: messages of one account,
 * sent, read, listed, cancelled, redacted and deleted as existing clients of that form do it.
 */
import type { FormRequest, FormRoute } from '../rest/form-route.ts';
import type { RestMethod, RestReply } from '../rest/rest-route.ts';
import { AccountError, notFound } from './account-error.ts';
import { type Asked, accountRoute } from './account-route.ts';
import { pageFields, readFilter, readPage } from './message-pages.ts';
import type { AccountRecord, AccountsOptions, StoredMessage } from './ports.ts';
import {
  accountPath,
  accountResource,
  forgottenResource,
  messageResource,
  newMessageResource,
} from './resources.ts';
import { readMessage } from './send-parameters.ts';

const JSON_SUFFIX = '.json';
const MESSAGE_SID = /^SM([0-9a-f]{32})$/;

export function accountRoutes(options: AccountsOptions): FormRoute[] {
  const make = (method: RestMethod, path: string, handle: MessageHandler): FormRoute =>
    accountRoute(options.directory, method, path, (request) => handle(request, options));
  return [
    make('GET', ':account', showAccount),
    make('POST', ':account/Messages.json', sendMessage),
    make('GET', ':account/Messages.json', listMessages),
    make('GET', ':account/Messages/:message', showMessage),
    make('POST', ':account/Messages/:message', changeMessage),
    make('DELETE', ':account/Messages/:message', deleteMessage),
    make('GET', ':account/Messages/:message/Media.json', listMedia),
  ];
}

type MessageHandler = (request: Asked, options: AccountsOptions) => Promise<RestReply>;

const showAccount: MessageHandler = async ({ account, params }) => {
  if (!(params.account ?? '').endsWith(JSON_SUFFIX)) throw notFound(accountPath(account.sid));
  return { status: 200, body: accountResource(account) };
};

const sendMessage: MessageHandler = async ({ account, body, headers }, options) => {
  const { directory, messages, hashKey, onUnroutable, now = Date.now } = options;
  const nowMs = now();
  const idempotencyKey =
    headers.get('i-twilio-idempotency-token') ?? headers.get('idempotency-key');
  const message = readMessage(body, {
    ...{ account, directory, hashKey, nowMs, onUnroutable },
    idempotencyKey,
  });
  const { id, repeated } = await messages.publish(message);
  const resource = repeated
    ? messageResource(account.sid, await messages.find(id, account.tenant))
    : newMessageResource(account.sid, id, message, nowMs);
  return { status: 201, body: resource };
};

const showMessage: MessageHandler = async ({ account, params }, { messages }) => {
  const found = await messages.findOrLate(idOf(account, params, JSON_SUFFIX), account.tenant);
  if (!('forgotten' in found)) return shown(account, found);
  return { status: 200, body: forgottenResource(account.sid, found) };
};

/** Cancels, or takes out what a message said; nothing else of a message changes. */
const changeMessage: MessageHandler = async ({ account, params, body }, { messages }) => {
  const id = idOf(account, params, JSON_SUFFIX);
  const status = body.get('Status');
  const text = body.get('Body');
  if (status === 'canceled' && text === null) await messages.cancel(id, account.tenant);
  else if (status === null && text === '') await messages.redact(id, account.tenant);
  else throw new AccountError(30400, 'Give Status=canceled, or an empty Body, and nothing else');
  return shown(account, await messages.find(id, account.tenant));
};

const deleteMessage: MessageHandler = async ({ account, params }, { messages }) => {
  await messages.forget(idOf(account, params, JSON_SUFFIX), account.tenant);
  return { status: 204 };
};

/** Messages have no media, but clients ask for them. */
const listMedia: MessageHandler = async ({ account, params, query }, { messages }) => {
  const id = idOf(account, params, '');
  await messages.find(id, account.tenant);
  const path = `${accountPath(account.sid)}/Messages/SM${id}/Media.json`;
  const page = pageFields(path, query, readPage(query), { count: 0, next: null });
  return { status: 200, body: { media_list: [], ...page } };
};

const listMessages: MessageHandler = async ({ account, query }, { messages }) => {
  const request = readPage(query);
  const { items, cursor } = await messages.list({
    ...readFilter(query),
    tenant: account.tenant,
    cursor: request.cursor,
    limit: request.pageSize,
  });
  const path = `${accountPath(account.sid)}/Messages.json`;
  const page = pageFields(path, query, request, { count: items.length, next: cursor });
  const resources = items.map((item) => messageResource(account.sid, item));
  return { status: 200, body: { messages: resources, ...page } };
};

function shown({ sid }: AccountRecord, message: StoredMessage): RestReply {
  return { status: 200, body: messageResource(sid, message) };
}

/** @throws AccountError 20404 for what is no sid of a message */
function idOf(account: AccountRecord, params: FormRequest['params'], suffix: string): string {
  const { message = '' } = params;
  const sid = message.slice(0, message.length - suffix.length);
  const [, id] = (message.endsWith(suffix) && MESSAGE_SID.exec(sid)) || [];
  if (id !== undefined) return id;
  throw notFound(`${accountPath(account.sid)}/Messages/${message}`);
}
