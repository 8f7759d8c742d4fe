// ls, get, put and rm of entities; pause, resume and drain.
import { readFileSync } from 'node:fs';
import { ApiClient, type JsonObject, type RemoteOptions } from './api-client.ts';
import { CliError, EXIT } from './cli-error.ts';
import {
  type EntityWord,
  fieldsOf,
  PAIR_WORDS,
  PAUSABLE_WORDS,
  pathOf,
  pluralOf,
} from './entity-fields.ts';
import { formatFields, printJson, printLine, printNote, tableOf } from './output.ts';

export interface ListOptions extends RemoteOptions {
  readonly limit?: string;
  readonly cursor?: string;
}

export interface PutOptions extends RemoteOptions {
  readonly jsonBody?: string;
  readonly keep?: boolean;
  /** The flags of the fields, by field. */
  readonly [flag: string]: unknown;
}

export async function listEntities(word: EntityWord, options: ListOptions): Promise<void> {
  const { limit, cursor } = options;
  const api = new ApiClient(options);
  const answer = await api.request({ path: ['v1', pluralOf(word)], query: { limit, cursor } });
  if (options.json) {
    printJson(answer);
    return;
  }
  const items = answer.items as readonly JsonObject[];
  printLine(items.length === 0 ? `There is no ${word} yet.` : tableOf(items));
  if (typeof answer.cursor === 'string') printNote(`more: --cursor ${answer.cursor}`);
}

export async function getEntity(
  word: EntityWord,
  name: string,
  options: RemoteOptions,
): Promise<void> {
  const path = entityPath(word, name);
  show(await new ApiClient(options).request({ path }), options);
}

/** Replaces the resource with what the flags and the JSON body say, the flags winning. */
export async function putEntity(
  word: EntityWord,
  name: string,
  options: PutOptions,
): Promise<void> {
  const api = new ApiClient(options);
  const path = entityPath(word, name);
  const kept = options.keep ? await api.request({ path }) : {};
  const given = options.jsonBody === undefined ? {} : parseBody(options.jsonBody);
  const flags: Record<string, unknown> = {};
  for (const field of fieldsOf(word)) {
    const text = options[field.name];
    if (typeof text === 'string') flags[field.name] = field.parse(text);
  }
  show(await api.request({ method: 'PUT', path, body: { ...kept, ...given, ...flags } }), options);
}

export async function removeEntity(
  word: EntityWord,
  name: string,
  options: RemoteOptions,
): Promise<void> {
  const path = entityPath(word, name);
  await new ApiClient(options).request({ method: 'DELETE', path });
  if (options.json) printJson({ deleted: name });
  else printLine(`The ${word} ${name} is deleted.`);
}

export async function rotateTokens(name: string, options: RemoteOptions): Promise<void> {
  const path = [...entityPath('account', name), 'tokens'];
  show(await new ApiClient(options).request({ method: 'POST', path }), options);
}

/** pause, resume or drain of one resource. */
export async function changeState(
  verb: 'pause' | 'resume' | 'drain',
  kind: string,
  name: string,
  options: RemoteOptions,
): Promise<void> {
  const words = PAUSABLE_WORDS.filter((each) => verb !== 'drain' || each !== 'gateway');
  const word = words.find((each) => each === kind);
  if (word === undefined) {
    throw new CliError(EXIT.usage, `${verb} takes a ${words.join(', ')}, not a ${kind}.`, {
      hint: `For example fairlead ${verb} destination sms-de.`,
    });
  }
  const path = [...entityPath(word, name), verb];
  show(await new ApiClient(options).request({ method: 'POST', path }), options);
}

function entityPath(word: EntityWord, name: string): readonly string[] {
  const pair = PAIR_WORDS[word];
  if (pair !== undefined && !/^[^/]+\/[^/]+$/.test(name)) {
    const [form, example] = pair;
    throw new CliError(EXIT.usage, `A ${word} is named ${form}, received ${name}.`, {
      hint: `For example ${example}.`,
    });
  }
  return pathOf(word, name);
}

function show(answer: JsonObject, options: RemoteOptions): void {
  if (options.json) printJson(answer);
  else printLine(formatFields(answer));
}

function parseBody(text: string): JsonObject {
  const json = text === '-' ? readFileSync(0, 'utf8') : text;
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as JsonObject;
    }
  } catch (error) {
    throw new CliError(EXIT.usage, `The JSON body cannot be read: ${(error as Error).message}.`);
  }
  throw new CliError(EXIT.usage, 'The JSON body is not an object.');
}
