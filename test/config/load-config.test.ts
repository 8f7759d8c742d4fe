// Where values come from, which one wins, and what a wrong one is told.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConfigError, loadConfig, readAuthKeys } from '../../src/config/index.ts';

const here = import.meta.dirname;
const good = (name: string): string => join(here, 'good', name);

const messageOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return 'no error';
};

t.test('an empty file gives the defaults', async (t) => {
  const { config, origins } = loadConfig({ file: good('empty.toml'), env: {}, settings: [] });
  t.match(config, {
    dataDir: '/var/lib/fairlead',
    durability: 'flushed',
    ingress: { host: '127.0.0.1', port: 7600, allowFallback: false, metricsScope: 'platform' },
    auth: { issuer: 'fairlead', audience: 'fairlead', keys: [] },
    dispatch: {
      autoCreateDestinations: false,
      retentionMs: 3_600_000,
      retentionBytes: 268_435_456,
      idempotencyKeysMax: 2_000_000,
      deadLettersMax: 100_000,
    },
    outbound: {
      allow: [],
      allowHttp: false,
      connectTimeoutMs: 5_000,
      timeoutMs: 15_000,
      concurrency: 8,
      jitter: 0.2,
      failedKeepMs: 604_800_000,
    },
    proxyListener: {
      host: '127.0.0.1',
      port: 7601,
      trust: [],
      requestsMax: 10_000,
      socketsPerBackend: 1_024,
      connectTimeoutMs: 3_000,
    },
    proxy: [],
    log: { level: 'info' },
    shutdown: { deadlineMs: 10_000 },
  });
  t.equal(config.shards, undefined);
  t.ok([...origins.values()].every((origin) => origin === 'default'));
});

t.test('every option can be set in the file', async (t) => {
  const file = good('full.toml');
  const { config, origins, warnings } = loadConfig({ file, env: {}, settings: [] });
  t.equal(config.shards, 4);
  t.equal(config.ingress.tls.keyFile, '/etc/fairlead/key.pem');
  t.equal(config.shutdown.deadlineMs, 2500);
  t.equal(config.dispatch.deadLettersMax, 500);
  t.strictSame(config.outbound.allow, ['10.20.0.0/16', 'hooks.internal:8080']);
  t.strictSame(config.outbound.retryMs, [0, 1_000]);
  t.match(config.proxy, [{ resource: 'calls.create', seats: 2, keyHeader: 'x-api-key' }]);
  t.equal(origins.get('ingress.port'), `${file}:7`);
  t.notOk([...origins.values()].includes('default'));
  t.strictSame(warnings, []);
});

t.test('paths of proxied routes', async (t) => {
  const load = (path: string) =>
    loadConfig({
      file: undefined,
      env: {},
      settings: [
        {
          key: 'proxy',
          value: [{ path, resource: 'r', backends: ['http://127.0.0.1:1'] }],
          from: '--set',
        },
      ],
    });
  for (const path of ['/', '/v1', '/v1/', '/v1/calls.create', '/a/b/c/']) {
    t.equal(load(path).config.proxy[0]?.path, path);
  }
  // The last of them once took longer than any start may.
  for (const path of ['', 'v1', '//', '/v1//x', '/v1/{id}', `/v1/${'a'.repeat(200)}/{id}`]) {
    t.throws(() => load(path), /proxy.*begins with a slash, plain characters only/s, path);
  }
});

t.test('the example for /etc is the defaults and one key', async (t) => {
  const file = join(here, '../../deploy/fairlead.toml');
  const given = loadConfig({ file, env: {}, settings: [] }).config;
  const { config } = loadConfig({ file: undefined, env: {}, settings: [] });
  t.equal(given.auth.keys.length, 1);
  t.strictSame({ ...given, auth: { ...given.auth, keys: [] } }, config);
});

t.test('flags win over the environment, the environment over the file', async (t) => {
  const { config, origins } = loadConfig({
    file: good('full.toml'),
    env: {
      FAIRLEAD_INGRESS_PORT: '8001',
      FAIRLEAD_SHARDS: '2',
      FAIRLEAD_DISPATCH_AUTO_CREATE_DESTINATIONS: 'false',
      FAIRLEAD_DATA_DIR: '123',
      FAIRLEAD_AUTH_KEYS: '[{ id = "new", secretEnv = "S" }]',
    },
    settings: [
      { key: 'ingress.port', value: '8002', from: '--set' },
      { key: 'ingress.port', value: 8003, from: '--port' },
    ],
  });
  t.strictSame([config.ingress.port, config.shards, config.dataDir], [8003, 2, '123']);
  t.equal(config.dispatch.autoCreateDestinations, false);
  t.strictSame(config.auth.keys, [{ id: 'new', secretEnv: 'S' }]);
  t.equal(origins.get('ingress.port'), '--port');
  t.equal(origins.get('shards'), 'FAIRLEAD_SHARDS');
});

t.test('wrong values beside the file name their place', async (t) => {
  const env = { FAIRLEAD_INGRESS_PORT: 'high', FAIRLEAD_INGRES_PORT: '1' };
  const settings = [{ key: 'ingress.prt', value: '1', from: '--set ingress.prt' }];
  t.equal(
    messageOf(() => loadConfig({ file: undefined, env, settings })),
    [
      '--set ingress.prt: ingress.prt: there is no such option; did you mean ingress.port?',
      'FAIRLEAD_INGRESS_PORT: ingress.port: Invalid input: expected number, received "high"',
    ].join('\n'),
  );
  const { warnings } = loadConfig({ file: undefined, env: { FAIRLEAD_SHARD: '1' }, settings: [] });
  t.strictSame(warnings, [
    'FAIRLEAD_SHARD: no option has this variable; did you mean FAIRLEAD_SHARDS?',
  ]);
});

t.test('a bad file is refused with key, reason, line and what was received', async (t) => {
  for (const name of readdirSync(join(here, 'bad'))) {
    const file = join(here, 'bad', name);
    const expected = [...readFileSync(file, 'utf8').matchAll(/^# expect: (.*)$/gm)].map(
      (match) => match[1]?.replace('FILE', file) ?? '',
    );
    t.equal(
      messageOf(() => loadConfig({ file, env: {}, settings: [] })),
      expected.join('\n'),
      name,
    );
  }
  t.match(
    messageOf(() => loadConfig({ file: '/nowhere.toml', env: {}, settings: [] })),
    /nowhere\.toml: the file cannot be read: ENOENT/,
  );
});

t.test('a secret never shows in a message', async (t) => {
  const secret = 'short';
  const file = undefined;
  for (const text of [`[{ id = "a", secret = "${secret}", x = 1 }]`, `[{ id = "a", ${secret}`]) {
    const message = messageOf(() =>
      loadConfig({ file, env: { FAIRLEAD_AUTH_KEYS: text }, settings: [] }),
    );
    t.notMatch(message, secret);
    t.match(message, /auth\.keys/);
  }
});

t.test('keys are fetched from where they are kept', async (t) => {
  const secret = '0123456789abcdef0123456789abcdef';
  const dir = t.testdir({ 'a.key': `${secret}\n` });
  const load = (keys: unknown[]) =>
    loadConfig({
      file: undefined,
      env: {},
      settings: [{ key: 'auth.keys', value: keys, from: 'test' }],
    }).config;
  const keys = readAuthKeys(
    load([
      { id: 'a', secretFile: join(dir, 'a.key') },
      { id: 'b', secretEnv: 'B' },
      { id: 'c', secret },
    ]),
    { B: secret },
  );
  t.strictSame(
    keys.map((key) => [key.id, new TextDecoder().decode(key.secret)]),
    [
      ['a', secret],
      ['b', secret],
      ['c', secret],
    ],
  );
  const bad = load([
    { id: 'a' },
    { id: 'b', secretEnv: 'B' },
    { id: 'c', secretFile: join(dir, 'c.key') },
    { id: 'd', secret: 'short' },
    { id: 'd', secret },
  ]);
  const message = messageOf(() => readAuthKeys(bad, {}));
  t.match(message, 'key a: auth.keys.0: needs exactly one of secret, secretFile, secretEnv');
  t.match(message, 'key b: auth.keys.1.secretEnv: the variable B is not set');
  t.match(message, /key c: auth\.keys\.2\.secretFile: the file cannot be read: ENOENT/);
  t.match(message, 'key d: auth.keys.3: the secret has 5 bytes and needs at least 32');
  t.match(message, 'key d: auth.keys.4.id: the id is used twice');
});
