// The proxy with TLS on both sides: its own certificate, and a backend whose certificate it checks.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { proxyWorld } from './harness.ts';

t.test('TLS to the proxy and from it', async (t) => {
  const dir = t.testdir();
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const args =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost';
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyFile, '-out', certFile];
  try {
    execFileSync('openssl', [...args.split(' '), ...names], { stdio: 'ignore' });
  } catch {
    t.pass('skipped: no openssl on this host', { skip: 'no openssl on this host' });
    return;
  }
  const [cert, key] = [readFileSync(certFile), readFileSync(keyFile)];
  let proto: unknown;
  const server = createServer({ cert, key }, (incoming, response) => {
    proto = incoming.headers['x-forwarded-proto'];
    incoming.pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  t.teardown(() => server.closeAllConnections());
  const backend = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const listener = { 'tls.certFile': certFile, 'tls.keyFile': keyFile };
  const ask = async (more: Readonly<Record<string, unknown>>): Promise<[number, string]> => {
    const { port, bearer } = await proxyWorld(t, {
      routes: [{ backends: [backend] }],
      listener: { ...listener, ...more },
    });
    const authorization = await bearer();
    return new Promise((resolve, reject) => {
      const asked = request(
        {
          host: '127.0.0.1',
          port,
          ca: cert,
          method: 'POST',
          headers: { authorization },
          agent: false,
        },
        (answer) => {
          let body = '';
          answer.on('data', (chunk) => {
            body += chunk;
          });
          answer.on('end', () => resolve([answer.statusCode ?? 0, body]));
        },
      );
      asked.on('error', reject);
      asked.end('x'.repeat(200_000));
    });
  };
  t.strictSame(await ask({ caFile: certFile }), [200, 'x'.repeat(200_000)]);
  t.equal(proto, 'https');
  const [status, body] = await ask({});
  t.equal(status, 502, 'a certificate that nobody vouches for');
  t.match(JSON.parse(body), { code: 4011, details: { reason: 'tls', sentMaybe: false } });
});
