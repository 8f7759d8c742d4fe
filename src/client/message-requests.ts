/**
 * Questions about messages that were accepted: cancel, status, receipt.
 *
 * Ids of one frame have to lie in one shard, so a call is cut by shard and by the daemon's limit;
 * its frames go out one after another, and an error of one ends the call: those before it hold.
 * Asking again does no harm.
 */
import {
  encodeCancel,
  encodeReceipt,
  encodeStatus,
  type OkFrame,
  readCancelOk,
  readSettleOk,
  readStatusOk,
  type StatusEntry,
} from '../protocol/frames.ts';
import { MESSAGE_STATUS } from '../protocol/kinds.ts';
import type { Connection } from './connection.ts';
import { FairleadClientError } from './error.ts';
import { idBytes } from './message-id.ts';
import type { Cancelled, MessageStatus, Receipt, Receipted, StatusName } from './types.ts';

/** Positions in a call, and the ids there: what goes into one frame. */
interface Part {
  readonly positions: number[];
  readonly messageIds: Uint8Array[];
}

/** Resolves to an open connection. @throws FairleadClientError when the client is closed */
export type OpenConnection = () => Promise<Connection>;

const statusNames = new Map(
  Object.entries(MESSAGE_STATUS).map(([name, number]) => [number as number, name as StatusName]),
);

/** @throws FairleadClientError */
export async function cancelMessages(
  open: OpenConnection,
  ids: readonly string[],
): Promise<Cancelled> {
  let cancelled = 0;
  const refused: { index: number; error: FairleadClientError }[] = [];
  await eachPart(open, ids, async (connection, { positions, messageIds }) => {
    const result = await ask(connection, (id) => encodeCancel({ id, messageIds }), readCancelOk);
    cancelled += result.cancelled;
    for (const { index, code } of result.refused) {
      refused.push({ index: positions[index] ?? 0, error: FairleadClientError.fromCode(code) });
    }
  });
  refused.sort((a, b) => a.index - b.index);
  return {
    cancelled,
    refused: refused.map(({ index, error }) => ({ id: ids[index] ?? '', error })),
  };
}

/** @throws FairleadClientError */
export async function statusOfMessages(
  open: OpenConnection,
  ids: readonly string[],
): Promise<(MessageStatus | undefined)[]> {
  const statuses = new Array<MessageStatus | undefined>(ids.length).fill(undefined);
  await eachPart(open, ids, async (connection, { positions, messageIds }) => {
    const entries = await ask(connection, (id) => encodeStatus({ id, messageIds }), readStatusOk);
    for (const [index, position] of positions.entries()) {
      statuses[position] = messageStatus(entries[index]);
    }
  });
  return statuses;
}

/** @throws FairleadClientError */
export async function tellReceipts(
  open: OpenConnection,
  receipts: readonly Receipt[],
): Promise<Receipted> {
  let applied = 0;
  let unknown = 0;
  const statuses = receipts.map(({ status }) => receiptStatus(status));
  const ids = receipts.map(({ id }) => id);
  await eachPart(open, ids, async (connection, { positions, messageIds }) => {
    const entries = positions.map((position, index) => ({
      messageId: messageIds[index] as Uint8Array,
      status: statuses[position] as 6 | 7 | 8,
      code: receipts[position]?.code,
    }));
    const encode = (id: number): Uint8Array => encodeReceipt({ id, receipts: entries });
    const result = await ask(connection, encode, readSettleOk);
    applied += result.applied;
    unknown += result.unknown;
  });
  return { applied, unknown };
}

async function eachPart(
  open: OpenConnection,
  ids: readonly string[],
  send: (connection: Connection, part: Part) => Promise<void>,
): Promise<void> {
  const shards = new Map<string, Part>();
  for (const [position, id] of ids.entries()) {
    const bytes = idBytes(id);
    const shard = id.slice(0, 4).toLowerCase();
    const part = shards.get(shard) ?? { positions: [], messageIds: [] };
    shards.set(shard, part);
    part.positions.push(position);
    part.messageIds.push(bytes);
  }
  for (const { positions, messageIds } of shards.values()) {
    for (let start = 0; start < positions.length; ) {
      const connection = await open();
      const end = start + connection.limits.idsPerFrame;
      await send(connection, {
        positions: positions.slice(start, end),
        messageIds: messageIds.slice(start, end),
      });
      start = end;
    }
  }
}

/** Asks and reads the answer. @throws FairleadClientError as refused, connectionLost or badFrame */
function ask<T>(
  connection: Connection,
  encode: (id: number) => Uint8Array,
  read: (ok: OkFrame) => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    connection.request(encode, { ok: (answer) => resolve(read(answer)), failed: reject });
  });
}

function messageStatus(entry: StatusEntry | undefined): MessageStatus | undefined {
  return entry && { ...entry, status: statusNames.get(entry.status) ?? 'unknown' };
}

function receiptStatus(status: unknown): 6 | 7 | 8 {
  if (status === 'delivered' || status === 'undelivered' || status === 'failed') {
    return MESSAGE_STATUS[status];
  }
  const message = `A receipt says delivered, undelivered or failed; it says ${JSON.stringify(status)}.`;
  throw new FairleadClientError('invalidValue', message);
}
