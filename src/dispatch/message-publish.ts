/** Messages of REST bodies: checked, made a frame, sent to their shard, each answered on its own. */
import { ERRORS, errorName, FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import {
  encodePublish,
  type PublishMessage,
  type PublishOptions,
  readPublishOk,
} from '../protocol/frames.ts';
import { messageIdAt, messageIdToText } from '../protocol/message-id.ts';
import { statusMask } from '../protocol/status-events.ts';
import { parseObject, shown } from '../rest/parse-object.ts';
import {
  batchFrameSchema,
  keySchema,
  type NewMessage,
  newMessageSchema,
  sendSchema,
  timeMs,
} from './message-schemas.ts';
import type { MessageShards } from './message-shards.ts';

/** What became of one message of a frame. */
export type Published =
  | { readonly id: string; readonly repeated: boolean }
  | { readonly code: number; readonly message: string; readonly retryAfterMs: number | null };

export interface Outgoing {
  readonly destination: string;
  readonly messages: readonly PublishMessage[];
}

/**
 * Reads the body of one message. `keyHeader`: the header Idempotency-Key, in place of the field.
 *
 * @throws FairleadError unknownField, invalidValue, payloadTooLarge
 */
export function readSend(body: unknown, keyHeader: string | undefined): Outgoing {
  const given = objectOf('The body', body);
  const key = keyHeader === undefined ? undefined : readKeyHeader(keyHeader);
  const { destination, ...message } = parseObject('A message', sendSchema, given);
  if (key !== undefined && message.idempotencyKey !== undefined && key !== message.idempotencyKey) {
    const why = 'the header Idempotency-Key says another key than the body';
    throw new FairleadError('invalidValue', `idempotencyKey: ${why}.`, { field: 'idempotencyKey' });
  }
  const idempotencyKey = key ?? message.idempotencyKey;
  return { destination, messages: [wireOf({ ...message, idempotencyKey })] };
}

/** @throws FairleadError as `readSend`; an error of a message says its index */
export function readBatch(body: unknown, keyHeader: string | undefined): Outgoing {
  if (keyHeader !== undefined) {
    const message =
      'The header Idempotency-Key is for one message; those of a batch have idempotencyKey each.';
    throw new FairleadError('invalidValue', message, { field: 'idempotencyKey' });
  }
  const { destination, messages } = parseObject(
    'A batch',
    batchFrameSchema,
    objectOf('The body', body),
  );
  return { destination, messages: messages.map((each, index) => readOne(each, index)) };
}

function readOne(given: unknown, index: number): PublishMessage {
  const what = `Message ${index}`;
  try {
    return wireOf(parseObject('a message', newMessageSchema, objectOf('it', given)));
  } catch (error) {
    if (!(error instanceof FairleadError)) throw error;
    throw new FairleadError(error.error, `${what}: ${error.message}`, { ...error.details, index });
  }
}

/** A structured header's string or its bare content. */
function readKeyHeader(header: string): string {
  const [, quoted] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header) ?? [];
  const key = quoted === undefined ? header : quoted.replace(/\\(.)/g, '$1');
  const { success } = keySchema.safeParse(key);
  if (success) return key;
  const message = `The header Idempotency-Key has 1 to ${LIMITS.idempotencyKeyBytes} bytes, received ${shown(header)}.`;
  throw new FairleadError('invalidValue', message, { field: 'idempotencyKey' });
}

function objectOf(what: string, given: unknown): object {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given;
  throw new FairleadError('invalidValue', `${what} is a JSON object, received ${shown(given)}.`);
}

function wireOf(message: NewMessage): PublishMessage {
  const { tenant, sender, recipient } = message;
  return { tenant, sender, recipient, payload: payloadOf(message), options: optionsOf(message) };
}

function payloadOf({ payload = '', payloadBase64 }: NewMessage): Uint8Array | string {
  const bytes = payloadBase64 === undefined ? payload : Buffer.from(payloadBase64, 'base64');
  const size = Buffer.byteLength(bytes);
  if (size <= LIMITS.payloadBytes) return bytes;
  const message = `A payload has at most ${LIMITS.payloadBytes} bytes, received ${size}.`;
  throw new FairleadError('payloadTooLarge', message, { field: 'payload' });
}

function optionsOf(message: NewMessage): PublishOptions | undefined {
  const { idempotencyKey, level, cost, sendAt, validityMs, orderKey, tag } = message;
  const { callbackUrl, callbackEvents } = message;
  const options: PublishOptions = {
    ...(idempotencyKey !== undefined && { k: idempotencyKey }),
    ...(level !== undefined && { l: level }),
    ...(cost !== undefined && { c: cost }),
    ...(sendAt !== undefined && { at: timeMs(sendAt) }),
    ...(validityMs !== undefined && { ttl: validityMs }),
    ...(callbackUrl !== undefined && { cb: callbackUrl }),
    ...(callbackEvents !== undefined && { ce: statusMask(callbackEvents) }),
    ...(orderKey !== undefined && { o: orderKey }),
    ...(tag !== undefined && { g: tag }),
  };
  return Object.keys(options).length === 0 ? undefined : options;
}

/**
 * Sends messages to the shard of their destination, which is made first where the daemon does so;
 * resolves, when they are on disk, with what became of each.
 *
 * @throws FairleadError unknownDestination, and what all of them are refused with: overloaded,
 *   refusingNew, diskFull
 */
export async function publishMessages(
  shards: MessageShards,
  { destination, messages }: Outgoing,
): Promise<Published[]> {
  const { destinations } = shards;
  if (destinations.shardOf(destination) === undefined && destinations.autoCreate) {
    await destinations.create(destination);
  }
  const shard = destinations.shardOf(destination);
  if (shard === undefined) {
    throw new FairleadError('unknownDestination', `There is no destination ${destination}.`);
  }
  const frame = encodePublish({ id: 1, destination, messages });
  const result = readPublishOk(await shards.call(shard, undefined, frame));
  const { firstId, refused, repeated } = result;
  const answers = new Map<number, Published>([
    ...refused.map(({ index, code, retryAfterMs }) => {
      const { sentence: message } = ERRORS[errorName(code)];
      return [index, { code, message, retryAfterMs: retryAfterMs ?? null }] as const;
    }),
    ...repeated.map(({ index, messageId }) => {
      return [index, { id: messageIdToText(messageId), repeated: true }] as const;
    }),
  ]);
  return messages.map((_, index) => {
    const answer = answers.get(index);
    if (answer !== undefined) return answer;
    if (firstId === undefined) throw new TypeError('the shard gave no id');
    return { id: messageIdToText(messageIdAt(firstId, index)), repeated: false };
  });
}

/** @throws FairleadError what a message was refused with, its details saying when to try again */
export function acceptedOrThrow(published: Published | undefined): Published {
  if (published === undefined) throw new TypeError('the shard answered no message');
  if ('id' in published) return published;
  const { code, retryAfterMs } = published;
  const details = retryAfterMs === null ? undefined : { retryAfterMs };
  throw new FairleadError(errorName(code), undefined, details);
}
