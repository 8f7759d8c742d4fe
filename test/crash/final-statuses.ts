/** What the daemon says of messages, by id. */
import { encodeStatus, readStatusOk, type StatusEntry } from '../../src/protocol/frames.ts';
import { messageIdFromText } from '../../src/protocol/message-id.ts';
import { WireClient } from './wire-client.ts';

const IDS_PER_FRAME = 4_096;
const SHARD_DIGITS = 4;
const ANSWER_TIMEOUT_MS = 30_000;

export type Statuses = ReadonlyMap<string, StatusEntry | undefined>;

/** Asks for each of these ids; a frame is of one shard. @throws Error at an error or a timeout */
export async function finalStatuses(
  { url, token }: { readonly url: string; readonly token: string },
  ids: readonly string[],
): Promise<Statuses> {
  const statuses = new Map<string, StatusEntry | undefined>();
  let asked: readonly string[] = [];
  let request = 0;
  let answered = (): void => {};
  let failed = (_error: Error): void => {};
  const client = await WireClient.open(url, token, {
    ok: (frame) => {
      const entries = readStatusOk(frame);
      for (const [index, id] of asked.entries()) statuses.set(id, entries[index]);
      answered();
    },
    error: ({ message }) => failed(new Error(message)),
    closed: () => failed(new Error('closed')),
  });
  for (asked of frames(ids)) {
    request += 1;
    await new Promise<void>((resolve, reject) => {
      const late = (): void => reject(new Error('no answer to a status'));
      const timer = setTimeout(late, ANSWER_TIMEOUT_MS);
      answered = () => {
        clearTimeout(timer);
        resolve();
      };
      failed = reject;
      const messageIds = asked.map((id) => messageIdFromText(id) as Uint8Array);
      client.send(encodeStatus({ id: request, messageIds }));
    });
  }
  client.close();
  return statuses;
}

function frames(ids: readonly string[]): string[][] {
  const shards = new Map<string, string[]>();
  for (const id of ids) {
    const shard = id.slice(0, SHARD_DIGITS);
    const of = shards.get(shard) ?? [];
    of.push(id);
    shards.set(shard, of);
  }
  return [...shards.values()].flatMap((of) =>
    Array.from({ length: Math.ceil(of.length / IDS_PER_FRAME) }, (_, part) =>
      of.slice(part * IDS_PER_FRAME, (part + 1) * IDS_PER_FRAME),
    ),
  );
}
