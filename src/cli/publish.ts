import { createInterface } from 'node:readline';
import type { Client } from '../client/index.ts';
import type { RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import { printJson, printLine, printNote } from './output.ts';
import { withClient } from './sdk.ts';

/** Publishes under way at one time: enough to fill frames, few enough to stop soon. */
const UNANSWERED_MAX = 4096;

export interface PublishOptions extends RemoteOptions {
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
}

/** Publishes and prints ids; fails when any message was refused. */
export async function publish(
  destination: string,
  payloads: readonly string[],
  options: PublishOptions,
): Promise<void> {
  const startMs = performance.now();
  const published = await withClient(options, (client) =>
    publishAll(client, destination, messagesOf(payloads, options), options),
  );
  if (options.json) return;
  const seconds = (performance.now() - startMs) / 1000;
  const noun = published === 1 ? 'message' : 'messages';
  printNote(`${published} ${noun} accepted in ${seconds.toFixed(2)} s`);
}

async function publishAll(
  client: Client,
  destination: string,
  messages: AsyncIterable<Message> | Iterable<Message>,
  { json }: PublishOptions,
): Promise<number> {
  const underway = new Set<Promise<void>>();
  let published = 0;
  const failures: unknown[] = [];
  for await (const message of messages) {
    if (failures.length > 0) break;
    const answer = client.publish(destination, message).then(
      ({ id }) => {
        published += 1;
        if (json) printJson({ id });
        else printLine(id);
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
  return published;
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

function messageOf(
  text: string,
  format: PublishOptions['format'],
  { tenant, sender, recipient }: PublishOptions,
): Message {
  const flags = {
    ...(tenant === undefined ? {} : { tenant }),
    ...(sender === undefined ? {} : { sender }),
    ...(recipient === undefined ? {} : { recipient }),
  };
  const isJson = format === 'json' || (format === 'auto' && text.startsWith('{'));
  return isJson ? { ...flags, ...parseMessage(text) } : { ...flags, payload: text };
}

function parseMessage(text: string): Message {
  const bad = (why: string): CliError =>
    new CliError(EXIT.data, `A line is no message: ${why}: ${text.slice(0, 80)}`, {
      hint: 'A line is {"tenant","sender","recipient","payload"}; --format plain takes it as it is.',
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad((error as Error).message);
  }
  if (typeof value !== 'object' || value === null) throw bad('it is no object');
  for (const [name, field] of Object.entries(value)) {
    if (!['tenant', 'sender', 'recipient', 'payload'].includes(name)) throw bad(`unknown ${name}`);
    if (typeof field !== 'string') throw bad(`${name} is no text`);
  }
  if (!('payload' in value)) throw bad('payload is missing');
  return value as Message;
}
