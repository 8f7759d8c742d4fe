// send, get, trace, list, cancel and redact of messages.
import { readFileSync } from 'node:fs';
import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import { type MessageFlags, messageOptionsOf } from './message-flags.ts';
import { messageFields, messageTable, timeline } from './message-text.ts';
import { printJson, printLine, printNote } from './output.ts';

export interface SendOptions extends RemoteOptions, MessageFlags {
  readonly tenant: string;
  readonly sender?: string;
  readonly recipient?: string;
}

export interface OneOptions extends RemoteOptions {
  readonly tenant?: string;
}

export interface ListOptions extends OneOptions {
  readonly destination?: string;
  readonly status?: string;
  readonly from?: Date;
  readonly to?: Date;
  readonly limit?: string;
  readonly cursor?: string;
}

export interface CancelOptions extends OneOptions {
  readonly destination?: string;
  readonly sender?: string;
}

/** Prints the id. */
export async function sendMessage(
  destination: string,
  payload: string,
  options: SendOptions,
): Promise<void> {
  const { tenant, sender, recipient } = options;
  const body = {
    destination,
    tenant,
    sender,
    recipient,
    ...(payload === '-' ? payloadOf(readFileSync(0)) : { payload }),
    ...messageOptionsOf(options),
  };
  const path = ['v1', 'messages'];
  const answer = await new ApiClient(options).request({ method: 'POST', path, body });
  if (options.json) printJson(answer);
  else printLine(String(answer.id));
  if (!options.json && answer.repeated === true) printNote('the key was known: it was sent before');
}

export async function getMessage(id: string, options: OneOptions): Promise<void> {
  const answer = await find(id, options, 'messages', false);
  if (options.json) printJson(answer);
  else printLine(messageFields(answer));
}

export async function traceMessage(id: string, options: OneOptions): Promise<void> {
  const answer = await find(id, options, 'messages', true);
  if (options.json) printJson(answer);
  else printLine(`${titleOf(answer)}\n\n${timeline(answer)}`);
}

export async function listMessages(options: ListOptions): Promise<void> {
  const { destination, tenant, status, from, to, limit, cursor } = options;
  const times = { from: from?.toISOString(), to: to?.toISOString() };
  await printPage(options, 'messages', { destination, tenant, status, ...times, limit, cursor });
}

/** Fails when any id was not cancelled; the others are all the same. */
export async function cancelMessages(
  ids: readonly string[],
  options: CancelOptions,
): Promise<void> {
  const { destination, tenant, sender } = options;
  const api = new ApiClient(options);
  if (ids.length === 0) {
    if ((destination ?? tenant ?? sender) === undefined) throw nothingNamed('--sender');
    const body = { destination, tenant, sender };
    const path = ['v1', 'messages', 'cancel'];
    const answer = await api.request({ method: 'POST', path, body });
    if (options.json) printJson(answer);
    else printLine(`${answer.cancelled} cancelled`);
    return;
  }
  if ((destination ?? sender) !== undefined) throw idsAlone();
  await eachId(ids, async (id) => {
    const path = ['v1', 'messages', id, 'cancel'];
    const answer = await api.request({ method: 'POST', path, query: { tenant } });
    if (options.json) printJson(answer);
    else printLine(`${answer.id} cancelled`);
  });
}

export async function redactMessage(id: string, options: OneOptions): Promise<void> {
  const { tenant } = options;
  const path = ['v1', 'messages', id, 'redact'];
  const api = new ApiClient(options);
  const answer = await api.request({ method: 'POST', path, query: { tenant } });
  if (options.json) printJson(answer);
  else printLine(`${answer.id} redacted`);
}

/** One message of `/v1/messages` or `/v1/dead-letters`. */
export async function find(
  id: string,
  options: OneOptions,
  where: 'messages' | 'dead-letters',
  trace: boolean,
): Promise<JsonObject> {
  const query = { tenant: options.tenant, trace: trace ? 'true' : undefined };
  return await new ApiClient(options).request({ path: ['v1', where, id], query });
}

/** A page of messages as a table. */
export async function printPage(
  options: RemoteOptions,
  where: 'messages' | 'dead-letters',
  query: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const answer = await new ApiClient(options).request({ path: ['v1', where], query });
  if (options.json) {
    printJson(answer);
    return;
  }
  const items = answer.items as readonly JsonObject[];
  const none = where === 'messages' ? 'There is no such message.' : 'There is no dead letter.';
  const hasMore = typeof answer.cursor === 'string';
  if (items.length > 0) printLine(messageTable(items));
  else if (!hasMore) printLine(none);
  if (hasMore) printNote(`more: --cursor ${answer.cursor}`);
}

/** What it is and where it stands. */
export function titleOf(message: JsonObject): string {
  const { id, destination, tenant, sender, orderKey, level, status } = message;
  const key = orderKey === null ? '' : `, order key ${orderKey}`;
  const from = sender === null ? tenant : `${tenant}/${sender}`;
  return `${id}: ${status}\n${from} to ${destination}${key}, level ${level}`;
}

/** One after another, to the end; the first failure is that of the command. */
export async function eachId(
  ids: readonly string[],
  act: (id: string) => Promise<void>,
): Promise<void> {
  const failures: CliError[] = [];
  for (const id of ids) {
    try {
      await act(id);
    } catch (error) {
      if (!(error instanceof CliError) || error.exitCode === EXIT.unavailable) throw error;
      if (failures.length > 0) printNote(error.message);
      failures.push(error);
    }
  }
  const [first] = failures;
  if (first !== undefined) throw first;
}

export function nothingNamed(last: string): CliError {
  return new CliError(EXIT.usage, 'Nothing was named.', {
    hint: `Give ids, or --destination, --tenant${last === '' ? '' : ` or ${last}`}.`,
  });
}

export function idsAlone(): CliError {
  return new CliError(EXIT.usage, 'Give either ids or names.', {
    hint: 'With ids only --tenant is taken: they are left alone if they are of another one.',
  });
}

function payloadOf(bytes: Buffer): object {
  const text = bytes.toString();
  // Bytes that are no text are lost on the way there and back.
  return Buffer.from(text).equals(bytes)
    ? { payload: text }
    : { payloadBase64: bytes.toString('base64') };
}
