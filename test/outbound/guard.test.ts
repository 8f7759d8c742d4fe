// Nothing that a URL says leads the daemon to an address inside, and the operator's list does.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import { AddressGuard, parseAllowEntry } from '../../src/outbound/address-guard.ts';
import { OutboundClient } from '../../src/outbound/outbound-client.ts';
import { OutboundError } from '../../src/outbound/outbound-error.ts';
import { createResolver } from '../../src/outbound/resolver.ts';
import { httpPeer } from '../support/http-peer.ts';

const four = await httpPeer();
const six = await httpPeer(undefined, { host: '::1', port: four.port });
t.teardown(() => Promise.all([four.close(), six.close()]));
const { port } = four;
const hits = () => four.connections() + six.connections();

/** Why it failed, or that it did not. */
const kindOf = async (work: Promise<unknown> | (() => Promise<unknown>)): Promise<string> => {
  try {
    await (typeof work === 'function' ? work() : work);
    return 'answered';
  } catch (error) {
    return error instanceof OutboundError ? error.kind : String(error);
  }
};

const names: Record<string, readonly string[]> = {
  'inside.test': ['127.0.0.1'],
  'inside.test.': ['127.0.0.1'],
  'inside6.test': ['::1'],
  'mapped.test': ['::ffff:127.0.0.1'],
  'mapped-hex.test': ['::ffff:7f00:1'],
  'compatible.test': ['::127.0.0.1'],
  'nat64.test': ['64:ff9b::7f00:1'],
  'nat64-local.test': ['64:ff9b:1::7f00:1'],
  'sixtofour.test': ['2002:7f00:1::'],
  'teredo.test': ['2001:0:7f00:1::'],
  'zone.test': ['fe80::1%lo'],
  'zone-loopback.test': ['::1%lo'],
  'both.test': ['10.0.0.1', '127.0.0.1', '::1'],
  'odd.test': ['0x7f.1', '2130706433', '127.1', '0177.0.0.1', 'localhost'],
  'none.test': [],
  'xn--n3h.test': ['127.0.0.1'],
};

const corpus = [
  // Forms of 127.0.0.1 and of ::1, some with digits and dots of other scripts.
  `127.0.0.1:${port}`,
  `127.1:${port}`,
  `127.0.1:${port}`,
  `2130706433:${port}`,
  `0x7f000001:${port}`,
  `0x7f.0.0.1:${port}`,
  `0177.0.0.1:${port}`,
  `017700000001:${port}`,
  `127.0.0.1.:${port}`,
  `①②⑦.⓪.⓪.①:${port}`,
  `１２７.0.0.1:${port}`,
  `127。0。0。1:${port}`,
  `127.0.0.%31:${port}`,
  `0:${port}`,
  `0.0.0.0:${port}`,
  `[::1]:${port}`,
  `[0:0:0:0:0:0:0:1]:${port}`,
  `[::]:${port}`,
  `[::ffff:127.0.0.1]:${port}`,
  `[::ffff:7f00:1]:${port}`,
  `[::127.0.0.1]:${port}`,
  `[64:ff9b::127.0.0.1]:${port}`,
  `[64:ff9b:1::127.0.0.1]:${port}`,
  `[2002:7f00:1::]:${port}`,
  `[2001:0:7f00:1::]:${port}`,
  `[::ffff:0:127.0.0.1]:${port}`,
  // Names.
  `localhost:${port}`,
  `LOCALHOST:${port}`,
  `localhost.:${port}`,
  `a.localhost:${port}`,
  ...Object.keys(names).map((name) => `${name}:${port}`),
  // Other ranges that are not public.
  '10.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '192.0.0.1',
  '192.0.2.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '192.88.99.1',
  '[fe80::1]',
  '[fec0::1]',
  '[fc00::1]',
  '[fd00::1]',
  '[ff02::1]',
  '[2001:db8::1]',
  '[3fff::1]',
  '[100::1]',
  '[2001:2::1]',
  '[2001:20::1]',
  '[5f00::1]',
  '[4000::1]',
  '[fd00:ec2::254]',
];

const closed = () =>
  new OutboundClient({
    allow: [],
    allowHttp: true,
    connectTimeoutMs: 500,
    resolve: (host) => Promise.resolve(names[host] ?? []),
  });

t.test('no form of an inside address is dialled', async (t) => {
  const client = closed();
  t.teardown(() => client.close());
  for (const host of corpus) {
    for (const scheme of ['http', 'https']) {
      const work = client.send({ url: `${scheme}://${host}/`, method: 'POST', timeoutMs: 1_000 });
      const expected = host.startsWith('none.') ? 'dns' : 'blocked';
      t.equal(await kindOf(work), expected, `${scheme}://${host}/`);
    }
  }
  t.equal(hits(), 0);
  t.equal(client.numbers.sockets, 0);
  t.ok(client.numbers.blocked >= 2 * (corpus.length - 2));
});

t.test('a URL that is none of ours', async (t) => {
  const client = closed();
  t.teardown(() => client.close());
  for (const url of [
    '',
    '/path',
    'example.com',
    `ftp://127.0.0.1:${port}/`,
    `file:///etc/passwd`,
    `gopher://127.0.0.1:${port}/_x`,
    `http://user@127.0.0.1:${port}/`,
    `http://user:pass@inside.test:${port}/`,
    `http://example.com@127.0.0.1:${port}/`,
    'http://example.com:0/',
    'http://example.com:65536/',
    'http://example.com:-1/',
    'http://[fe80::1%25lo]/',
    'http://[::1%lo]/',
    'http:///',
    'http://exa mple.com/',
    `https://example.com/${'x'.repeat(2_048)}`,
  ]) {
    t.equal(await kindOf(client.send({ url, method: 'GET', timeoutMs: 500 })), 'badUrl', url);
  }
  t.equal(hits(), 0);
});

t.test('a name that changes its address between two questions', async (t) => {
  const dialled: string[] = [];
  let asked = 0;
  // Documentation addresses stand for a public one: on the list here, and nobody answers there.
  const client = new OutboundClient({
    allow: ['127.0.0.2'],
    allowHttp: true,
    connectTimeoutMs: 300,
    resolve: (host) => {
      dialled.push(host);
      asked += 1;
      return Promise.resolve(asked === 1 ? ['127.0.0.2'] : ['127.0.0.1', '::1']);
    },
  });
  t.teardown(() => client.close());
  const outside = await httpPeer((response) => response.end(), { host: '127.0.0.2', port });
  t.teardown(() => outside.close());
  const send = () =>
    kindOf(client.send({ url: `http://rebind.test:${port}/`, method: 'GET', timeoutMs: 1_000 }));
  t.equal(await send(), 'answered');
  t.equal(outside.connections(), 1, 'what was checked was dialled, without a second question');
  t.strictSame(dialled, ['rebind.test']);
  t.equal(await send(), 'answered', 'a kept socket goes where it went');
  await outside.close();
  // Each new socket is a new question and a new check.
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(await send(), 'blocked');
  t.equal(hits(), 0);
});

t.test('a redirect is an answer, not a way in', async (t) => {
  const outside = await httpPeer(
    (response) => {
      response.writeHead(302, { location: `http://127.0.0.1:${port}/inside` });
      response.end();
    },
    { host: '127.0.0.2' },
  );
  t.teardown(() => outside.close());
  const client = new OutboundClient({
    allow: ['127.0.0.2'],
    allowHttp: false,
    connectTimeoutMs: 300,
  });
  t.teardown(() => client.close());
  const { status } = await client.send({ url: outside.url, method: 'GET', timeoutMs: 1_000 });
  t.equal(status, 302);
  t.equal(hits(), 0);
});

t.test('the list lets through what it says and no more', async (t) => {
  const url4 = `http://127.0.0.1:${port}/`;
  const url6 = `http://[::1]:${port}/`;
  const tries: [string[], string, string][] = [
    [['127.0.0.0/8'], url4, 'answered'],
    [['127.0.0.0/8'], url6, 'blocked'],
    [['::1'], url6, 'answered'],
    [['::/0'], url6, 'answered'],
    [['::/0'], url4, 'blocked'],
    [[`127.0.0.1:${port}`], url4, 'answered'],
    [[`127.0.0.1:${port + 1}`], url4, 'blocked'],
    [[`[::1]:${port}`], url6, 'answered'],
    [['localhost'], `http://localhost:${port}/`, 'answered'],
    [['localhost'], `http://LocalHost.:${port}/`, 'answered'],
    [['localhost'], url4, 'blocked'],
    [[`inside.test:${port}`], `http://inside.test:${port}/`, 'answered'],
    [['inside.test:1'], `http://inside.test:${port}/`, 'blocked'],
    [['other.test'], `http://inside.test:${port}/`, 'blocked'],
    [['127.0.0.1'], `http://inside.test:${port}/`, 'answered'],
    [['127.0.0.1'], `http://mapped.test:${port}/`, 'blocked'],
    [['127.0.0.1'], `http://both.test:${port}/`, 'answered'],
  ];
  for (const [allow, url, expected] of tries) {
    const client = new OutboundClient({
      allow,
      allowHttp: false,
      connectTimeoutMs: 500,
      resolve: (host) =>
        Promise.resolve(/^localhost\.?$/.test(host) ? ['127.0.0.1'] : (names[host] ?? [])),
    });
    const before = hits();
    const work = client.send({ url, method: 'GET', timeoutMs: 1_000 });
    t.equal(await kindOf(work), expected, `${allow.join()} ${url}`);
    t.equal(hits() - before, expected === 'answered' ? 1 : 0);
    await client.close();
  }
});

t.test('clear text goes only where it is permitted', async (t) => {
  const strict = new AddressGuard({ allow: [], allowHttp: false });
  t.equal(await kindOf(async () => strict.checkUrl('http://example.com/')), 'blocked');
  t.equal(await kindOf(async () => strict.checkUrl('http://93.184.216.34/')), 'blocked');
  t.equal(strict.checkUrl('https://EXAMPLE.com/a?b#c').href, 'https://example.com/a?b');
  const lax = new AddressGuard({ allow: [], allowHttp: true });
  t.equal(lax.checkUrl('http://example.com').href, 'http://example.com/');
  const listed = new AddressGuard({ allow: ['10.0.0.0/8'], allowHttp: false });
  const dial = { host: 'a.test', port: 80, secure: false };
  t.equal(await kindOf(async () => listed.check({ ...dial, address: '93.184.216.34' })), 'blocked');
  listed.check({ ...dial, address: '10.1.2.3' });
  listed.check({ ...dial, address: '93.184.216.34', secure: true });
});

t.test('an entry of the list that is none', async (t) => {
  for (const entry of [
    '',
    '10.0.0.0/33',
    '::/129',
    '10.0/8',
    'a b',
    'host:0',
    'host:99999',
    '*',
    'http://x',
    '[::1',
    '1.2.3.4/x',
  ]) {
    t.throws(() => parseAllowEntry(entry), entry);
  }
});

t.test('names are asked of the name servers', async (t) => {
  const server = createSocket('udp4');
  server.on('message', (question, peer) => {
    // The question ends after its zero byte, type and class.
    const end = question.indexOf(0, 12) + 5;
    const isFour = question.readUInt16BE(end - 4) === 1;
    const name = question.subarray(12, end - 4).toString('latin1');
    const head = Buffer.from(question.subarray(0, end));
    if (name.includes('silent')) return;
    head.writeUInt16BE(name.includes('gone') ? 0x8183 : 0x8180, 2);
    head.writeUInt16BE(isFour && !name.includes('gone') ? 1 : 0, 6);
    head.writeUInt16BE(0, 10);
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    server.send(
      isFour && !name.includes('gone') ? Buffer.concat([head, record]) : head,
      peer.port,
      peer.address,
    );
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const resolve = createResolver({
    isNamed: () => false,
    servers: [`127.0.0.1:${server.address().port}`],
  });
  t.strictSame(await resolve('example.test'), ['127.0.0.1']);
  t.equal(await kindOf(resolve('gone.test')), 'dns');
  t.ok((await resolve('localhost')).length > 0, 'a name without a dot is the system’s');
  const client = new OutboundClient({ allow: [], allowHttp: true, connectTimeoutMs: 200, resolve });
  t.teardown(() => client.close());
  const before = hits();
  const get = (host: string) =>
    kindOf(client.send({ url: `http://${host}:${port}/`, method: 'GET', timeoutMs: 2_000 }));
  t.equal(await get('example.test'), 'blocked');
  t.equal(await get('silent.test'), 'dns');
  t.equal(hits(), before);
});
