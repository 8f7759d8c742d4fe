/** Posts JSON to a gateway or a hook, signed as Standard Webhooks says where there is a secret. */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { OutboundAnswer, OutboundClient } from '../outbound/outbound-client.ts';
import { type AnswerHead, OutboundError } from '../outbound/outbound-error.ts';
import { keyBytes, keyText, standardHeaders } from '../outbound/signatures.ts';
import type { SecretOf } from './ports.ts';

export interface Post {
  readonly url: string;
  /** Reference of the secret; null: unsigned. */
  readonly secret: string | null;
  /** Id of the request, for whoever takes it. */
  readonly id: string;
  readonly type: string;
  readonly data: object;
  readonly timeoutMs: number;
}

/** An answer, or why there is none. */
export type PostEnd =
  | { readonly answer: OutboundAnswer }
  | {
      readonly answer: undefined;
      readonly reason: string;
      /** Whether the peer may have got the request. */
      readonly sentMaybe: boolean;
      /** Of an answer whose body did not come. */
      readonly head?: AnswerHead | undefined;
    };

export type OutboundSender = Pick<OutboundClient, 'send'>;

export class SignedPost {
  readonly #client: OutboundSender;
  readonly #secretOf: SecretOf;

  constructor(client: OutboundSender, secretOf: SecretOf) {
    this.#client = client;
    this.#secretOf = secretOf;
  }

  /** Never rejects. */
  async send(post: Post): Promise<PostEnd> {
    const { id, type, data, url, timeoutMs } = post;
    try {
      const nowMs = Date.now();
      const body = JSON.stringify({ type, timestamp: new Date(nowMs).toISOString(), data });
      const atSec = Math.floor(nowMs / 1000);
      const signed = this.#headers(post.secret, { id, atSec, body });
      const answer = await this.#client.send({
        url,
        method: 'POST',
        headers: { 'content-type': 'application/json', ...signed },
        body,
        timeoutMs,
        answerBytesMax: LIMITS.gatewayAnswerBytes,
      });
      return { answer };
    } catch (error) {
      if (error instanceof OutboundError) {
        const { message: reason, sentMaybe, head } = error;
        return { answer: undefined, reason, sentMaybe, head };
      }
      if (error instanceof FairleadError) {
        return { answer: undefined, reason: error.message, sentMaybe: false };
      }
      throw error;
    }
  }

  #headers(
    secret: string | null,
    message: { readonly id: string; readonly atSec: number; readonly body: string },
  ): Record<string, string> {
    if (secret !== null) return standardHeaders([keyOf(this.#secretOf(secret))], message);
    return { 'webhook-id': message.id, 'webhook-timestamp': String(message.atSec) };
  }
}

/** The last secrets with their keys. */
const keys = new Map<string, string>();
const KEYS_MAX = 1_000;

/** A secret as a key: as it stands where it is `whsec_` and base64, else its bytes. */
export function keyOf(secret: string): string {
  let key = keys.get(secret);
  if (key === undefined) {
    key = keyOfNew(secret);
    if (keys.size >= KEYS_MAX) keys.clear();
    keys.set(secret, key);
  }
  return key;
}

function keyOfNew(secret: string): string {
  try {
    keyBytes(secret);
    return secret;
  } catch {
    return keyText(Buffer.from(secret));
  }
}
