// How the ingress comes to listen: addresses, TLS, and which build of the network library.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import t from 'tap';
import { loadLibrary } from '../../src/ingress/library.ts';
import { auth, startIngress, TestClient } from './harness.ts';

t.test('a taken port is refused, not shared', async (t) => {
  const { ingress } = await startIngress(t);
  t.ok(ingress.port > 0);
  await t.rejects(startIngress(t, { port: ingress.port }), /cannot listen on 127\.0\.0\.1:/);
  await t.rejects(startIngress(t, { host: '192.0.2.1' }), /cannot listen/);
});

t.test('the imitation of the library is refused unless it is allowed', async (t) => {
  const imitation = {};
  t.throws(() => loadLibrary({ allowFallback: false, module: imitation }), /ingress.allowFallback/);
  t.equal(loadLibrary({ allowFallback: true, module: imitation }), imitation);
  t.ok('getParts' in loadLibrary({ allowFallback: false }));
});

t.test('TLS: WebSocket and HTTP with a certificate', async (t) => {
  const dir = t.testdir();
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  if (!makeCertificate(certFile, keyFile)) {
    t.pass('skipped: no openssl on this host', { skip: 'no openssl on this host' });
    return;
  }
  const { origin } = await startIngress(t, { tls: { certFile, keyFile } });
  const ca = readFileSync(certFile);
  const token = await auth.issueToken({ scope: 'publish', ttlSec: 60 });
  const client = new TestClient(`wss://${origin}/v1/stream?access_token=${token}`, [], { ca });
  t.match(await client.next(), { kind: 'hello' });
  const status = await new Promise((resolve, reject) => {
    get(`https://${origin}/livez`, { ca, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
  t.equal(status, 200);
  client.socket.terminate();
});

t.test('TLS: files that cannot be used are named', async (t) => {
  const dir = t.testdir({ 'bad.pem': 'nothing' });
  const bad = join(dir, 'bad.pem');
  const none = join(dir, 'none.pem');
  await t.rejects(startIngress(t, { tls: { certFile: none, keyFile: none } }), /none\.pem/);
  await t.rejects(startIngress(t, { tls: { certFile: bad, keyFile: bad } }), /bad\.pem/);
});

function makeCertificate(certFile: string, keyFile: string): boolean {
  const args =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=127.0.0.1';
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyFile, '-out', certFile];
  try {
    execFileSync('openssl', [...args.split(' '), ...names], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
