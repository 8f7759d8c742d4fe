// Header rules that no request over the present network library reaches, and those that are easier seen alone.
import t from 'tap';
import { Fronts } from '../../src/proxy/forwarded.ts';
import { answerHeaders, requestLines } from '../../src/proxy/header-rules.ts';
import type { IncomingCall } from '../../src/proxy/ports.ts';
import { readHead } from '../../src/proxy/request-head.ts';

/** Headers as a backend gets them, without those that every request has. */
function passed(
  lines: readonly string[],
  { tenantHeader }: { tenantHeader?: string } = {},
): string[] {
  const call = {
    method: 'GET',
    path: '/',
    query: undefined,
    headers: ['host', 'a', ...lines],
    isMangled: false,
    isSecure: true,
  } as unknown as IncomingCall;
  const text = requestLines({
    call,
    head: readHead(call),
    peer: new Fronts([]).peer('10.0.0.1'),
    requestId: 'r',
    tenantHeader,
  });
  const headers = text.split('\r\n').flatMap((line) => line.split(': '));
  return headers.slice(0, headers.indexOf('forwarded'));
}

t.test('names that a server may take for another are dropped with it', async (t) => {
  t.strictSame(passed(['x_forwarded_for', '1.1.1.1', 'x-a', 'b', 'api_key', 'k']), [
    'x-a',
    'b',
    'api_key',
    'k',
  ]);
  t.strictSame(passed(['x_tenant', 'evil', 'x-tenant', 'acme'], { tenantHeader: 'x-tenant' }), [
    'x-tenant',
    'acme',
  ]);
  t.strictSame(
    passed(['x-forwarded', 'a', 'x-forwarded-prefix', '/x', 'x-real-ip', '1.1.1.1']),
    [],
  );
  t.strictSame(passed(['cookie', 'a=b', 'cookie', 'c=d']), ['cookie', 'a=b', 'cookie', 'c=d']);
});

t.test('a head that would become two is refused, whoever lets it in', async (t) => {
  for (const lines of [
    ['x-a', 'b\r\nx-c: d'],
    ['x-a', 'b\0'],
    ['x a', 'b'],
    ['x:a', 'b'],
    ['content-length', '1', 'content-length', '1'],
    ['content-length', '1', 'transfer-encoding', 'chunked'],
  ]) {
    t.throws(() => passed(lines), { code: 4014 }, JSON.stringify(lines));
  }
});

t.test('the head of an answer', async (t) => {
  t.strictSame(answerHeaders(['A', 'b', 'Content-Length', '3', 'Connection', 'close']), ['A', 'b']);
  t.strictSame(answerHeaders(['A', 'b', 'Connection', 'a, keep-alive', 'C', 'd']), ['C', 'd']);
  t.strictSame(
    answerHeaders(['Connection', 'x-a', 'X-A', '1', 'connection', 'X-B', 'x-b', '2']),
    [],
  );
  t.strictSame(answerHeaders(['Concurrent-Requests', '9', 'DATE', 'now', 'X-Request-Id', 'a']), []);
});

t.test('addresses: one of IPv4 in IPv6 is that of IPv4; what is none is not trusted', async (t) => {
  const fronts = new Fronts(['10.0.0.0/8', '2001:db8::/32']);
  const mapped = fronts.peer('0000:0000:0000:0000:0000:ffff:0a01:0203');
  t.strictSame(mapped, { address: '10.1.2.3', node: '10.1.2.3', isTrusted: true });
  const long = fronts.peer('2001:0db8:0000:0000:0000:0000:0000:0001');
  t.strictSame(long, { address: '2001:db8::1', node: '"[2001:db8::1]"', isTrusted: true });
  t.strictSame(fronts.peer('11.0.0.1').isTrusted, false);
  t.strictSame(fronts.peer('').isTrusted, false);
  for (const entry of ['10.0.0.0/33', 'host', '10.0.0.0/8/9', ''])
    t.throws(() => new Fronts([entry]));
});
