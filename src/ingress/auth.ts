/**
 * The only importer of jose: verifies and issues the tokens of the client protocol.
 *
 * Fixed on purpose: one algorithm, issuer and audience compared, exp required, no leeway. A tenant
 * comes from a verified token and from nowhere else.
 */
import { hash } from 'node:crypto';
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { BOUNDS } from './bounds.ts';
import { type Identity, parseScopes, SCOPES } from './identity.ts';

const ALGORITHM = 'HS256';
const tenantPattern = new RegExp(`^[A-Za-z0-9._:+@-]{1,${LIMITS.nameBytes}}$`);

export interface AuthKey {
  /** The `kid` of the header. */
  readonly id: string;
  readonly secret: Uint8Array;
}

export interface AuthOptions {
  /** Newest first: the first one signs, every one verifies. */
  readonly keys: readonly AuthKey[];
  readonly issuer: string;
  readonly audience: string;
  readonly nowMs?: () => number;
}

export interface TokenRequest {
  readonly tenant?: string | undefined;
  /** Who the token is for: the actor of the changes made with it. */
  readonly subject?: string | undefined;
  /** Space-separated. */
  readonly scope: string;
  readonly ttlSec: number;
}

export class Authenticator {
  readonly #options: AuthOptions;
  readonly #nowMs: () => number;
  /** SHA-256 of a token → what it says, least recently used first. Only good tokens are kept. */
  readonly #verified = new Map<string, Identity>();

  /** Throws when there is no key or a secret is too short to be one. */
  constructor(options: AuthOptions) {
    if (options.keys.length === 0) throw new Error('auth: at least one key is required');
    for (const { id, secret } of options.keys) {
      if (secret.byteLength >= BOUNDS.secretBytesMin) continue;
      throw new Error(
        `auth: the secret of key ${id} has ${secret.byteLength} bytes, at least ${BOUNDS.secretBytesMin} are required`,
      );
    }
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** Throws tokenInvalid or tokenExpired. A token seen before costs one hash. */
  async verify(token: string): Promise<Identity> {
    if (token.length > BOUNDS.tokenBytes) {
      throw new FairleadError('tokenInvalid', `A token has at most ${BOUNDS.tokenBytes} bytes.`);
    }
    const key = hashOf(token);
    const known = this.#verified.get(key);
    if (known !== undefined) {
      this.#verified.delete(key);
      if (known.expiresAtMs <= this.#nowMs()) throw new FairleadError('tokenExpired');
      this.#verified.set(key, known);
      return known;
    }
    const identity = identityOf(await this.#payloadOf(token));
    this.#verified.set(key, identity);
    if (this.#verified.size > BOUNDS.tokensCached) {
      const oldest = this.#verified.keys().next();
      if (!oldest.done) this.#verified.delete(oldest.value);
    }
    return identity;
  }

  /** What a token says that was verified before and is still good; of any other, undefined: `verify` knows why. */
  known(token: string): Identity | undefined {
    if (token.length > BOUNDS.tokenBytes) return undefined;
    const key = hashOf(token);
    const known = this.#verified.get(key);
    if (known === undefined || known.expiresAtMs <= this.#nowMs()) return undefined;
    this.#verified.delete(key);
    this.#verified.set(key, known);
    return known;
  }

  /** Signs with the newest key. Throws invalidValue for claims that `verify` would refuse. */
  async issueToken({ tenant, subject, scope, ttlSec }: TokenRequest): Promise<string> {
    const key = this.#options.keys[0];
    if (key === undefined) throw new Error('auth: at least one key is required');
    if (!Number.isFinite(ttlSec) || ttlSec <= 0) {
      throw new FairleadError('invalidValue', `ttlSec is a positive number, got ${ttlSec}.`);
    }
    const nowSec = Math.floor(this.#nowMs() / 1000);
    const claims: JWTPayload = {
      ...(tenant === undefined ? {} : { tenant }),
      ...(subject === undefined ? {} : { sub: subject }),
      scope,
      exp: nowSec + Math.ceil(ttlSec),
    };
    try {
      identityOf(claims);
    } catch (error) {
      throw new FairleadError('invalidValue', (error as Error).message);
    }
    return new SignJWT(claims)
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: key.id })
      .setIssuer(this.#options.issuer)
      .setAudience(this.#options.audience)
      .setIssuedAt(nowSec)
      .sign(key.secret);
  }

  /** The key is the one the header names; a token that names none may be signed by any of ours. */
  async #payloadOf(token: string): Promise<JWTPayload> {
    let failure: unknown = new errors.JWKSNoMatchingKey();
    for (const { id, secret } of this.#options.keys) {
      try {
        const { payload } = await jwtVerify(token, (header) => keyFor(header.kid, id, secret), {
          algorithms: [ALGORITHM],
          issuer: this.#options.issuer,
          audience: this.#options.audience,
          requiredClaims: ['exp'],
          currentDate: new Date(this.#nowMs()),
        });
        return payload;
      } catch (error) {
        failure = error;
        const otherKey =
          error instanceof errors.JWKSNoMatchingKey ||
          error instanceof errors.JWSSignatureVerificationFailed;
        if (!otherKey) break;
      }
    }
    throw refusalOf(failure);
  }
}

const hashOf = (token: string): string => hash('sha256', token, 'base64');

function keyFor(kid: unknown, id: string, secret: Uint8Array): Uint8Array {
  if (kid !== undefined && kid !== id) throw new errors.JWKSNoMatchingKey();
  return secret;
}

/** Turns jose's error into ours; its own sentence never quotes the token. */
function refusalOf(failure: unknown): FairleadError {
  if (failure instanceof errors.JWTExpired) return new FairleadError('tokenExpired');
  const reason = failure instanceof errors.JOSEError ? failure.message : 'it cannot be read';
  return new FairleadError('tokenInvalid', `The token is not valid: ${reason}.`);
}

function identityOf(payload: JWTPayload): Identity {
  const { tenant, scope, exp } = payload;
  if (typeof exp !== 'number' || !Number.isFinite(exp)) throw invalid('exp is required');
  if (scope !== undefined && typeof scope !== 'string') throw invalid('scope is text');
  const scopes = parseScopes(scope ?? '');
  const identity = { ...subjectOf(payload), scopes, expiresAtMs: exp * 1000 };
  if (tenant === undefined) {
    if ((scopes & SCOPES.receive) !== 0) throw invalid('receive is for a token with a tenant');
    return { ...identity, tenant: undefined };
  }
  if (typeof tenant !== 'string' || !tenantPattern.test(tenant)) {
    throw invalid(`tenant is ${LIMITS.nameBytes} bytes or fewer of [A-Za-z0-9._:+@-]`);
  }
  if ((scopes & (SCOPES.consume | SCOPES.platform)) !== 0) {
    throw invalid('a token with a tenant cannot hold consume or platform');
  }
  return { ...identity, tenant };
}

/** Only for the record, so a strange one is cut or left out instead of refused. */
function subjectOf({ sub }: JWTPayload): Pick<Identity, 'subject'> {
  if (typeof sub !== 'string' || sub === '') return {};
  return { subject: sub.slice(0, LIMITS.nameBytes) };
}

function invalid(reason: string): FairleadError {
  return new FairleadError('tokenInvalid', `The token is not valid: ${reason}.`);
}
