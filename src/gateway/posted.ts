// What gateways post to the daemon: who may, and lists in bodies.
import type { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { verifyStandard } from '../outbound/signatures.ts';
import { parseObject, shown } from '../rest/parse-object.ts';
import type { RouteRequest } from '../rest/rest-route.ts';
import type { GatewayFields } from './gateway-fields.ts';
import type { GatewayTable, SecretOf } from './ports.ts';
import { keyOf } from './signed-post.ts';

type Posted = Pick<RouteRequest<z.ZodObject>, 'params' | 'identity' | 'headers' | 'bytes' | 'body'>;

export interface Poster {
  readonly name: string;
  readonly fields: GatewayFields;
}

/**
 * The gateway that a request is from: named by its path, and shown by a token, or by a signature
 * with the gateway's own secret.
 *
 * @throws FairleadError entityNotFound, tokenMissing, tokenInvalid, secretNotFound
 */
export function posterOf(
  { params, identity, headers, bytes }: Posted,
  gateways: Pick<GatewayTable, 'find'>,
  secretOf: SecretOf,
): Poster {
  const { name = '' } = params;
  const row = gateways.find(name);
  if (identity === undefined) {
    // One answer for a gateway that is not there and one without a secret.
    const secret = row?.fields.webhook?.secret ?? null;
    if (secret === null) throw new FairleadError('tokenMissing');
    const keys = [keyOf(secretOf(secret))];
    const body = bytes ?? new Uint8Array();
    const verdict = verifyStandard(keys, { headers, body, nowMs: Date.now() });
    if (verdict === 'missing') throw new FairleadError('tokenMissing');
    if (verdict !== 'good') {
      throw new FairleadError('tokenInvalid', `The signature of the request is ${verdict}.`);
    }
  }
  if (row === undefined) {
    throw new FairleadError('entityNotFound', `There is no gateway ${JSON.stringify(name)}.`);
  }
  return { name, fields: row.fields };
}

/**
 * The entries of a body that is a list.
 *
 * @throws FairleadError invalidValue, unknownField with the index in its details; tooManyMessages
 */
export function entriesOf<S extends z.ZodObject>(
  body: unknown,
  schema: S,
  { what, most }: { readonly what: string; readonly most: number },
): z.output<S>[] {
  if (!Array.isArray(body)) {
    throw new FairleadError('invalidValue', `The body is a list, received ${shown(body)}.`);
  }
  if (body.length > most) {
    throw new FairleadError('tooManyMessages', `A request has at most ${most} entries.`);
  }
  return body.map((entry: unknown, index) => {
    try {
      const isObject = typeof entry === 'object' && entry !== null && !Array.isArray(entry);
      if (isObject) return parseObject(what, schema, entry);
      throw new FairleadError('invalidValue', `${what} is an object, received ${shown(entry)}.`);
    } catch (error) {
      if (!(error instanceof FairleadError)) throw error;
      const { message, details } = error;
      throw new FairleadError(error.error, `Entry ${index}: ${message}`, { ...details, index });
    }
  });
}
