// The handshake: subprotocol, token, limits, and the first frame.
import { request } from 'node:http';
import { SignJWT, UnsecuredJWT } from 'jose';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { auth, secret, startIngress, TestClient, until } from './harness.ts';

/** Tries the handshake by hand and returns the status and JSON of a refusal. */
function refusal(
  origin: string,
  headers: Record<string, string>,
): Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: unknown }> {
  return new Promise((resolve, reject) => {
    const handshake = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    const url = `http://${origin}/v1/stream`;
    const asked = request(url, { headers: { ...handshake, ...headers }, agent: false });
    asked.on('response', async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      const body: unknown = JSON.parse(text);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
    });
    asked.on('upgrade', () => reject(new Error('upgraded')));
    asked.on('error', reject);
    asked.end();
  });
}

t.test('the subprotocol is echoed, may be absent, and others are refused', async (t) => {
  const { origin } = await startIngress(t);
  const token = await auth.issueToken({ scope: 'publish', ttlSec: 60 });
  const url = `ws://${origin}/v1/stream?access_token=${token}`;
  const offered = new TestClient(url, ['other', 'fairlead.v1']);
  await offered.next();
  t.equal(offered.socket.protocol, 'fairlead.v1');
  const absent = new TestClient(url);
  await absent.next();
  t.equal(absent.socket.protocol, '');
  const { status, body } = await refusal(origin, { 'sec-websocket-protocol': 'a, fairlead.v2' });
  t.equal(status, 400);
  t.match(body, { code: 1015, status: 400, details: { supported: ['fairlead.v1'] } });
});

t.test('hello is the first frame', async (t) => {
  const { origin } = await startIngress(t);
  const token = await auth.issueToken({ scope: 'publish', ttlSec: 60 });
  const client = new TestClient(`ws://${origin}/v1/stream?access_token=${token}`);
  const { publishWindowBytes, frameBytes, creditMax } = LIMITS;
  t.match(await client.next(), {
    kind: 'hello',
    protocol: 1,
    limits: { publishWindowBytes, frameBytes, creditMax },
    durability: 'flushed',
  });
});

t.test('a bad token is accepted and closed at once, with the reason', async (t) => {
  const { origin, ingress } = await startIngress(t);
  const exp = Math.floor(Date.now() / 1000) - 1;
  const claims = { iss: 'fairlead', aud: 'fairlead', exp, scope: 'publish' };
  const expired = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(secret);
  const cases: [string, string, number, RegExp][] = [
    ['none', '', 4401, /^tokenMissing: /],
    ['empty', '?access_token=', 4401, /^tokenInvalid: /],
    ['expired', `?access_token=${expired}`, 4401, /^tokenExpired: /],
    ['alg none', `?access_token=${new UnsecuredJWT(claims).encode()}`, 4401, /^tokenInvalid: /],
  ];
  for (const scope of ['platform', 'later', '']) {
    const token = await auth.issueToken({ scope, ttlSec: 60 });
    cases.push([`scope "${scope}"`, `?access_token=${token}`, 4403, /^scopeMissing: /]);
  }
  for (const [name, query, code, reason] of cases) {
    const closed = await new TestClient(`ws://${origin}/v1/stream${query}`).closed;
    t.equal(closed.code, code, name);
    t.match(closed.reason, reason, name);
  }
  t.equal(ingress.connections.size, 0);
});

t.test('a client that goes during the verification leaves nothing behind', async (t) => {
  const { origin, ingress, connect } = await startIngress(t);
  const token = await auth.issueToken({ scope: 'publish', ttlSec: 61 });
  for (let index = 0; index < 20; index += 1) {
    const client = new TestClient(`ws://${origin}/v1/stream?access_token=${token}`);
    setTimeout(() => client.socket.terminate(), index / 4);
    await client.closed;
  }
  await until(() => ingress.connections.size === 0);
  await connect('publish');
  t.equal(ingress.connections.size, 1);
});

t.test('the socket closes when its token ends', async (t) => {
  const { origin, ingress } = await startIngress(t);
  const exp = Math.floor(Date.now() / 1000) + 2;
  const claims = { iss: 'fairlead', aud: 'fairlead', exp, scope: 'publish' };
  const token = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(secret);
  const client = new TestClient(`ws://${origin}/v1/stream?access_token=${token}`);
  await client.next();
  t.equal(ingress.connections.size, 1);
  const closed = await client.closed;
  t.equal(closed.code, 4401);
  t.match(closed.reason, /^tokenExpired/);
  t.ok(Date.now() >= exp * 1000, 'not before');
});

t.test('no handshake before the daemon serves, nor past the bound of connections', async (t) => {
  const { origin, ingress, connect } = await startIngress(t, { connectionsMax: 1 });
  ingress.setReady(false, ['disk']);
  await connect('publish');
  t.equal(ingress.connections.size, 1, 'ready once is enough');
  const full = await refusal(origin, {});
  t.equal(full.status, 503);
  t.equal(full.headers['retry-after'], '1');
  t.match(full.body, { code: 1010 });
  const plain = await fetch(`http://${origin}/v1/stream`, { headers: { connection: 'close' } });
  t.equal(plain.status, 404, 'no handshake at all');
});
