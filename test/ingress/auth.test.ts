import { type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import t from 'tap';
import { FairleadError } from '../../src/errors.ts';
import { Authenticator } from '../../src/ingress/auth.ts';
import { SCOPES } from '../../src/ingress/identity.ts';

const secretOf = (text: string): Uint8Array => new TextEncoder().encode(text.padEnd(32, '.'));
const options = { issuer: 'fairlead', audience: 'fairlead' };
const auth = new Authenticator({ ...options, keys: [{ id: 'k1', secret: secretOf('one') }] });
const nowSec = Math.floor(Date.now() / 1000);
const good: JWTPayload = { iss: 'fairlead', aud: 'fairlead', exp: nowSec + 60, scope: 'publish' };

function sign(claims: JWTPayload, { alg = 'HS256', secret = secretOf('one'), kid = 'k1' } = {}) {
  const header = kid === '' ? { alg } : { alg, kid };
  return new SignJWT(claims).setProtectedHeader(header).sign(secret);
}

async function refusal(token: string, by = auth): Promise<string> {
  try {
    await by.verify(token);
    return 'accepted';
  } catch (error) {
    return error instanceof FairleadError ? error.error : `${error}`;
  }
}

t.test('a good token says who speaks', async (t) => {
  t.strictSame(await auth.verify(await sign({ ...good, tenant: 'acme' })), {
    tenant: 'acme',
    scopes: SCOPES.publish,
    expiresAtMs: (nowSec + 60) * 1000,
  });
  const named = { ...good, sub: 'x'.repeat(200) };
  t.equal((await auth.verify(await sign(named))).subject, 'x'.repeat(128));
  const platform = await auth.verify(await sign({ ...good, scope: 'consume later platform' }));
  t.strictSame(platform.tenant, undefined);
  t.equal(platform.scopes, SCOPES.consume | SCOPES.platform, 'unknown scopes grant nothing');
  const { scope, ...scopeless } = good;
  t.equal((await auth.verify(await sign(scopeless))).scopes, 0, `without ${scope}`);
});

t.test('bad tokens are refused', async (t) => {
  const cases: [string, string | Promise<string>, string][] = [
    ['no token at all', '', 'tokenInvalid'],
    ['no token but text', 'a.b.c', 'tokenInvalid'],
    ['too long', 'x'.repeat(5000), 'tokenInvalid'],
    ['expired', sign({ ...good, exp: nowSec - 1 }), 'tokenExpired'],
    ['other audience', sign({ ...good, aud: 'elsewhere' }), 'tokenInvalid'],
    ['other issuer', sign({ ...good, iss: 'elsewhere' }), 'tokenInvalid'],
    ['alg none', new UnsecuredJWT(good).encode(), 'tokenInvalid'],
    [
      'other algorithm',
      sign(good, { alg: 'HS512', secret: secretOf('one'.repeat(30)) }),
      'tokenInvalid',
    ],
    ['other secret', sign(good, { secret: secretOf('two') }), 'tokenInvalid'],
    ['other secret, no kid', sign(good, { secret: secretOf('two'), kid: '' }), 'tokenInvalid'],
    ['unknown kid', sign(good, { kid: 'k9' }), 'tokenInvalid'],
    ['not yet valid', sign({ ...good, nbf: nowSec + 60 }), 'tokenInvalid'],
    ['tenant with consume', sign({ ...good, tenant: 'a', scope: 'consume' }), 'tokenInvalid'],
    ['tenant with platform', sign({ ...good, tenant: 'a', scope: 'platform' }), 'tokenInvalid'],
    ['tenant of bad characters', sign({ ...good, tenant: 'a b' }), 'tokenInvalid'],
    ['tenant empty', sign({ ...good, tenant: '' }), 'tokenInvalid'],
    ['tenant too long', sign({ ...good, tenant: 'a'.repeat(129) }), 'tokenInvalid'],
    ['tenant null', sign({ ...good, tenant: null }), 'tokenInvalid'],
    ['scope no text', sign({ ...good, scope: ['publish'] }), 'tokenInvalid'],
    ['no expiry', sign({ iss: 'fairlead', aud: 'fairlead', scope: 'publish' }), 'tokenInvalid'],
  ];
  for (const [name, token, error] of cases) t.equal(await refusal(await token), error, name);
  const token = await sign(good);
  t.equal(await refusal(`${token.slice(0, -4)}AAAA`), 'tokenInvalid', 'signature changed');
});

t.test('keys rotate: all verify, the newest signs', async (t) => {
  const both = new Authenticator({
    ...options,
    keys: [
      { id: 'k2', secret: secretOf('two') },
      { id: 'k1', secret: secretOf('one') },
    ],
  });
  const old = await auth.issueToken({ scope: 'publish', ttlSec: 60 });
  const young = await both.issueToken({ scope: 'publish', ttlSec: 60 });
  t.equal(await refusal(old, both), 'accepted');
  t.equal(await refusal(young, both), 'accepted');
  t.equal(await refusal(await sign(good, { kid: '' }), both), 'accepted', 'any key without kid');
  t.equal(await refusal(young, auth), 'tokenInvalid');
});

t.test('a token is remembered until it expires', async (t) => {
  let nowMs = Date.now();
  const clocked = new Authenticator({
    ...options,
    keys: [{ id: 'k1', secret: secretOf('one') }],
    nowMs: () => nowMs,
  });
  const token = await clocked.issueToken({ tenant: 'acme', scope: 'publish', ttlSec: 60 });
  const first = await clocked.verify(token);
  t.equal(await clocked.verify(token), first, 'the same object: verified once');
  nowMs += 61_000;
  t.equal(await refusal(token, clocked), 'tokenExpired');
  t.equal(await refusal(token, clocked), 'tokenExpired', 'and forgotten');
});

t.test('only a bounded number is remembered', async (t) => {
  const first = await sign(good);
  const identity = await auth.verify(first);
  for (let index = 0; index < 1024; index += 1) {
    await auth.verify(await sign({ ...good, jti: `${index}` }));
  }
  t.not(await auth.verify(first), identity);
});

t.test('what would be refused is not issued', async (t) => {
  const bad = [
    { tenant: 'acme', scope: 'consume', ttlSec: 60 },
    { tenant: 'a b', scope: 'publish', ttlSec: 60 },
    { scope: 'publish', ttlSec: 0 },
    { scope: 'publish', ttlSec: Number.NaN },
  ];
  for (const request of bad) {
    await t.rejects(auth.issueToken(request), { error: 'invalidValue' } as FairleadError);
  }
});

t.test('keys are required, and long enough', async (t) => {
  t.throws(() => new Authenticator({ ...options, keys: [] }), /at least one key/);
  const keys = [{ id: 'short', secret: new Uint8Array(31) }];
  t.throws(() => new Authenticator({ ...options, keys }), /short has 31 bytes/);
});
