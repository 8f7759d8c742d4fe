/**
 * Whose request it is: the tenant of its token, of its API key, or the one that a trusted front names.
 * What a client says itself counts for nothing.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Peer } from './forwarded.ts';
import type { IncomingCall, TokenSays, Tokens } from './ports.ts';
import type { TenantSource } from './route.ts';

const BEARER = /^bearer +([^ ]+) *$/i;
const TENANT = new RegExp(`^[A-Za-z0-9._:+@-]{1,${LIMITS.nameBytes}}$`);

/**
 * The tenant, or its promise where a token was not seen before. The platform is ''.
 *
 * @throws FairleadError tokenMissing, tokenInvalid, tokenExpired, tenantForbidden, invalidName
 */
export function tenantOf(
  source: TenantSource,
  call: IncomingCall,
  { peer, tokens }: { readonly peer: Peer; readonly tokens: Tokens },
): string | Promise<string> {
  if (source.kind === 'jwt') return tenantOfToken(call, tokens);
  return source.kind === 'key' ? tenantOfKey(source, call) : tenantOfFront(source.name, call, peer);
}

function tenantOfToken(call: IncomingCall, tokens: Tokens): string | Promise<string> {
  const token = BEARER.exec(headerOf(call, 'authorization') ?? '')?.[1];
  if (token === undefined) throw new FairleadError('tokenMissing');
  const known = tokens.known(token);
  const tenant = ({ tenant: name = '' }: TokenSays): string => name;
  return known === undefined ? tokens.verify(token).then(tenant) : tenant(known);
}

function tenantOfKey(
  { header, keys }: Extract<TenantSource, { kind: 'key' }>,
  call: IncomingCall,
): string {
  const key = headerOf(call, header);
  if (key === undefined || key === '') {
    throw new FairleadError('tokenMissing', `An API key in the header ${header} is required.`);
  }
  const tenant = keys.tenantOf(key);
  if (tenant === undefined) throw new FairleadError('tokenInvalid', 'The API key is not valid.');
  return tenant;
}

function tenantOfFront(name: string, call: IncomingCall, peer: Peer): string {
  if (!peer.isTrusted) {
    throw new FairleadError('tenantForbidden', 'This path takes requests of trusted fronts only.');
  }
  const tenant = headerOf(call, name);
  if (tenant === undefined) {
    throw new FairleadError('tokenMissing', `The front names no tenant in the header ${name}.`);
  }
  if (!TENANT.test(tenant)) throw new FairleadError('invalidName');
  return tenant;
}

/** Of a header that says who somebody is: twice is never. */
function headerOf({ headers }: IncomingCall, name: string): string | undefined {
  let value: string | undefined;
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] !== name) continue;
    if (value !== undefined) {
      throw new FairleadError('badProxyRequest', `The header ${name} comes more than once.`);
    }
    value = headers[index + 1];
  }
  return value;
}
