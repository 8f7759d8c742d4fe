// list, get, replay and purge of dead letters.
import { ApiClient } from './api-client.ts';
import { messageFields, timeline } from './message-text.ts';
import {
  find,
  idsAlone,
  type ListOptions,
  nothingNamed,
  type OneOptions,
  printPage,
} from './messages.ts';
import { printJson, printLine } from './output.ts';

export interface SettleOptions extends OneOptions {
  readonly destination?: string;
}

export async function listDeadLetters(options: ListOptions): Promise<void> {
  const { destination, tenant, limit, cursor } = options;
  await printPage(options, 'dead-letters', { destination, tenant, limit, cursor });
}

export async function getDeadLetter(id: string, options: OneOptions): Promise<void> {
  const answer = await find(id, options, 'dead-letters', true);
  if (options.json) printJson(answer);
  else printLine(`${messageFields(answer)}\n\n${timeline(answer)}`);
}

/** Ids, or all that the names let through. */
export async function settleDeadLetters(
  verb: 'replay' | 'purge',
  ids: readonly string[],
  options: SettleOptions,
): Promise<void> {
  const { destination, tenant } = options;
  if (ids.length === 0 && (destination ?? tenant) === undefined) throw nothingNamed('');
  if (ids.length > 0 && destination !== undefined) throw idsAlone();
  const body = { ids: ids.length === 0 ? undefined : ids, destination, tenant };
  const path = ['v1', 'dead-letters', verb];
  const answer = await new ApiClient(options).request({ method: 'POST', path, body });
  if (options.json) {
    printJson(answer);
    return;
  }
  const done = verb === 'replay' ? `${answer.replayed} replayed` : `${answer.purged} purged`;
  const unknown = Number(answer.unknown);
  printLine(unknown === 0 ? done : `${done}, ${unknown} are no dead letters`);
}
