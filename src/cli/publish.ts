import { createInterface } from 'node:readline';
import type { Client, MessageOptions } from '../client/index.ts';
import type { RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import { type MessageFlags, messageOptionsOf, moment } from './message-flags.ts';
import { printJson, printLine, printNote } from './output.ts';
import { withClient } from './sdk.ts';

/** Publishes under way at one time: enough to fill frames, few enough to stop soon. */
const UNANSWERED_MAX = 4096;

export interface PublishOptions extends RemoteOptions, MessageFlags {
  readonly tenant?: string;
  readonly sender?: string;
  readonly recipient?: string;
  readonly count: number;
  readonly format: 'auto' | 'json' | 'plain';
}

interface Message {
  readonly tenant?: string;
  readonly sender?: string;
  readonly recipient?: string;
  readonly payload: string;
  readonly options?: MessageOptions;
}

/** Fields of a line that is a message; options have the names they have in the SDK. */
const MESSAGE_FIELDS = ['tenant', 'sender', 'recipient', 'payload', 'options'];
const OPTION_FIELDS = [
  'idempotencyKey',
  'level',
  'cost',
  'sendAt',
  'validityMs',
  'callbackUrl',
  'callbackEvents',
  'orderKey',
  'tag',
];

/** Publishes and prints ids; fails when any message was refused. */
export async function publish(
  destination: string,
  payloads: readonly string[],
  options: PublishOptions,
): Promise<void> {
  checkKeyIsForOne(payloads, options);
  const startMs = performance.now();
  const { published, repeated } = await withClient(options, (client) =>
    publishAll(client, destination, messagesOf(payloads, options), options),
  );
  if (options.json) return;
  const seconds = (performance.now() - startMs) / 1000;
  const noun = published === 1 ? 'message' : 'messages';
  const before = repeated === 0 ? '' : `, ${repeated} of them before`;
  printNote(`${published} ${noun} accepted in ${seconds.toFixed(2)} s${before}`);
}

/** One key for several messages would take the first of them and drop the others. */
function checkKeyIsForOne(
  payloads: readonly string[],
  { idempotencyKey, count }: PublishOptions,
): void {
  const isOne = payloads.length === 1 && payloads[0] !== '-' && count === 1;
  if (idempotencyKey === undefined || isOne) return;
  throw new CliError(EXIT.usage, '--idempotency-key is for one message.', {
    hint: 'Lines may name their own: {"payload":"…","options":{"idempotencyKey":"…"}}.',
  });
}

async function publishAll(
  client: Client,
  destination: string,
  messages: AsyncIterable<Message> | Iterable<Message>,
  { json }: PublishOptions,
): Promise<{ published: number; repeated: number }> {
  const underway = new Set<Promise<void>>();
  let published = 0;
  let repeated = 0;
  const failures: unknown[] = [];
  for await (const message of messages) {
    if (failures.length > 0) break;
    const answer = client.publish(destination, message).then(
      (answer) => {
        published += 1;
        if (answer.repeated) repeated += 1;
        if (json) printJson(answer);
        else printLine(answer.id);
      },
      (error: unknown) => {
        failures.push(error);
      },
    );
    underway.add(answer);
    void answer.then(() => underway.delete(answer));
    if (underway.size >= UNANSWERED_MAX) await Promise.race(underway);
  }
  await Promise.all(underway);
  if (failures.length > 0) {
    if (published > 0) printNote(`${published} were accepted before the first refusal`);
    throw failures[0];
  }
  return { published, repeated };
}

async function* messagesOf(
  payloads: readonly string[],
  options: PublishOptions,
): AsyncGenerator<Message> {
  const fromInput = payloads.length === 0 || (payloads.length === 1 && payloads[0] === '-');
  for await (const text of fromInput ? linesOfInput() : payloads) {
    const message = messageOf(text, fromInput ? options.format : 'plain', options);
    for (let index = 0; index < options.count; index += 1) yield message;
  }
}

async function* linesOfInput(): AsyncGenerator<string> {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line !== '') yield line;
  }
}

function messageOf(text: string, format: PublishOptions['format'], given: PublishOptions): Message {
  const { tenant, sender, recipient } = given;
  const options = messageOptionsOf(given);
  const flags = {
    ...(tenant === undefined ? {} : { tenant }),
    ...(sender === undefined ? {} : { sender }),
    ...(recipient === undefined ? {} : { recipient }),
    ...(options === undefined ? {} : { options }),
  };
  const isJson = format === 'json' || (format === 'auto' && text.startsWith('{'));
  if (!isJson) return { ...flags, payload: text };
  const message = { ...flags, ...parseMessage(text) };
  if (options === undefined || message.options === options) return message;
  return { ...message, options: { ...options, ...message.options } };
}

function parseMessage(text: string): Message {
  const bad = (why: string): CliError =>
    new CliError(EXIT.data, `A line is no message: ${why}: ${text.slice(0, 80)}`, {
      hint: 'A line is {"tenant","sender","recipient","payload","options":{…}}; --format plain takes it as it is.',
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad((error as Error).message);
  }
  if (typeof value !== 'object' || value === null) throw bad('it is no object');
  for (const [name, field] of Object.entries(value)) {
    if (!MESSAGE_FIELDS.includes(name)) throw bad(`unknown ${name}`);
    if (name !== 'options' && typeof field !== 'string') throw bad(`${name} is no text`);
  }
  if (!('payload' in value)) throw bad('payload is missing');
  if (!('options' in value)) return value as Message;
  return { ...(value as Message), options: parseOptions(value.options, bad) };
}

/** Names only: the SDK checks the values. A text as `sendAt` is a time. */
function parseOptions(value: unknown, bad: (why: string) => CliError): MessageOptions {
  if (typeof value !== 'object' || value === null) throw bad('options is no object');
  const unknown = Object.keys(value).find((name) => !OPTION_FIELDS.includes(name));
  if (unknown !== undefined) throw bad(`unknown option ${unknown}`);
  const { sendAt } = value as { sendAt?: unknown };
  if (typeof sendAt !== 'string') return value as MessageOptions;
  try {
    return { ...value, sendAt: moment(sendAt) };
  } catch (error) {
    throw bad(`sendAt: ${(error as Error).message}`);
  }
}
