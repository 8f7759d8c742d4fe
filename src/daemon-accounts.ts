// Joins the account form with dispatch: its accounts, services and routes are entities, its messages
// those of the shards.
import { accountErrorForm } from './accounts/account-error.ts';
import type { AccountDirectory, AccountMessages, ListPage } from './accounts/ports.ts';
import { accountRoutes } from './accounts/routes.ts';
import type { AccountUsage } from './accounts/usage-ports.ts';
import { usageFormRoutes } from './accounts/usage-routes.ts';
import type { Logger } from './base/logger.ts';
import type { EntityService } from './dispatch/entity-service.ts';
import type { ShardPage } from './dispatch/message-list.ts';
import { newestOfShards } from './dispatch/message-newest.ts';
import { acceptedOrThrow, publishMessages } from './dispatch/message-publish.ts';
import { type FoundMessage, MessageShards } from './dispatch/message-shards.ts';
import type { LateMessages, ShardPorts } from './dispatch/ports.ts';
import { ERRORS, FairleadError } from './errors.ts';
import { INPUT_OP } from './protocol/exchange.ts';
import { encodeList } from './protocol/message-ops.ts';
import { type EventStatusName, statusMask } from './protocol/status-events.ts';
import type { ErrorForm, FormRoute } from './rest/form-route.ts';

export interface AccountParts {
  readonly entities: EntityService;
  readonly shards: ShardPorts;
  readonly hashKey: Uint8Array;
  readonly logger: Logger;
  readonly late: LateMessages;
  readonly usage: AccountUsage;
}

/** The routes of the account form, and how errors below its path are answered. */
export function accountForm({ entities, shards, hashKey, logger, late, usage }: AccountParts): {
  readonly routes: FormRoute[];
  readonly errorForm: ErrorForm;
} {
  const messages = accountMessages(new MessageShards(entities, shards, late), (destination) =>
    entities.ownerOf(destination),
  );
  const directory = accountDirectory(entities);
  const onUnroutable = unroutableLog(logger);
  return {
    routes: [
      ...accountRoutes({ directory, messages, hashKey, onUnroutable }),
      ...usageFormRoutes({ directory, usage }),
    ],
    errorForm: accountErrorForm,
  };
}

const LOG_EVERY_MS = 1_000;
/** Digits of a recipient that say where a route is missing, and not who it is. */
const PREFIX_LENGTH = 6;

/** At most one line a second: an application that asks for what has no route asks often. */
function unroutableLog(logger: Logger): (tenant: string, recipient: string) => void {
  let [count, nextMs] = [0, 0];
  return (tenant, recipient) => {
    count += 1;
    const nowMs = performance.now();
    if (nowMs < nextMs) return;
    const prefix = recipient.slice(0, PREFIX_LENGTH);
    logger.warn({ code: ERRORS.unroutable.code, tenant, prefix, count }, 'no route');
    [count, nextMs] = [0, nowMs + LOG_EVERY_MS];
  };
}

function accountDirectory(entities: EntityService): AccountDirectory {
  return {
    account: (sid) => {
      const row = entities.find('account', sid);
      return row === undefined ? undefined : { sid, ...row.fields };
    },
    service: (sid) => entities.find('service', sid)?.fields,
    route: (prefix) => entities.find('route', prefix)?.fields.destination,
    ownerOf: (number) => entities.find('number', number)?.fields.tenant,
  };
}

/** A shard that looks for a sender or a recipient gives at least so many messages to look through. */
const FILTERED_PART = 500;

function accountMessages(
  shards: MessageShards,
  ownerOf: (destination: string) => string | null | undefined,
): AccountMessages {
  return {
    publish: async (message) => {
      const { destination, tenant, sender, recipient, body, cost } = message;
      const { sendAtMs, validityMs, callbackUrl, callbackStatuses, idempotencyKey, tag } = message;
      if ((ownerOf(destination) ?? tenant) !== tenant) throw new FairleadError('unroutable');
      const options = {
        c: cost,
        ...(sendAtMs !== undefined && { at: sendAtMs }),
        ...(validityMs !== undefined && { ttl: validityMs }),
        ...(callbackUrl !== undefined && { cb: callbackUrl }),
        ...(callbackUrl !== undefined &&
          callbackStatuses !== undefined && {
            ce: statusMask(callbackStatuses as readonly EventStatusName[]),
          }),
        ...(idempotencyKey !== undefined && { k: idempotencyKey }),
        ...(tag !== undefined && { g: tag }),
      };
      const outgoing = { tenant, sender, recipient, payload: body, options };
      const [published] = await publishMessages(shards, { destination, messages: [outgoing] });
      const accepted = acceptedOrThrow(published);
      if (!('id' in accepted)) throw new TypeError('an accepted message has no id');
      return accepted;
    },
    find: (id, tenant) => shards.find(id, { tenant }),
    findOrLate: (id, tenant) => shards.findOrLate(id, { tenant }),
    cancel: (id, tenant) => shards.cancel(id, tenant),
    redact: (id, tenant) => shards.redact(id, tenant),
    forget: (id, tenant) => shards.forget(id, tenant),
    list: async ({ tenant, sender, recipient, fromMs, toMs, cursor, limit }): Promise<ListPage> => {
      const filter = { destination: undefined, tenant, statuses: 0, fromMs, toMs };
      const isFiltered = sender !== undefined || recipient !== undefined;
      const fits = (message: FoundMessage): boolean =>
        (sender === undefined || message.sender === sender) &&
        (recipient === undefined || message.recipient === recipient);
      const ask = async (shard: number, at: string, part: number): Promise<ShardPage> => {
        const size = isFiltered ? Math.max(part, FILTERED_PART) : part;
        const list = { ...filter, newestFirst: true, cursor: at, limit: size };
        const page = await shards.ask<ShardPage>(shard, INPUT_OP.list, encodeList(list));
        return { ...page, items: page.items.filter(fits) };
      };
      return await newestOfShards({ shards: shards.shardsOf(undefined), cursor, limit, ask });
    },
  };
}
