// Every command against a daemon, its end by a signal, and nothing left afterwards.
import { existsSync } from 'node:fs';
import t from 'tap';
import { runCli, startDev } from './run-cli.ts';

t.test('commands against a daemon', async (t) => {
  const daemon = await startDev();
  t.teardown(() => daemon.child.kill('SIGKILL'));
  const env = { FAIRLEAD_URL: daemon.url, FAIRLEAD_TOKEN: daemon.token };
  const cli = (args: readonly string[], input?: string) =>
    runCli(args, { env, ...(input === undefined ? {} : { input }) });
  const json = async (args: readonly string[], input?: string): Promise<unknown> => {
    const { stdout, stderr } = await cli([...args, '--json'], input);
    return stdout === '' ? { stderr } : JSON.parse(stdout);
  };

  t.match(await json(['destination', 'put', 'sms-de', '--rate-per-sec', '1000', '--burst', '10']), {
    ratePerSec: 1000,
    burst: 10,
    leaseMs: 30_000,
  });
  t.match(await json(['destination', 'put', 'sms-de', '--keep', '--rate-per-sec', 'none']), {
    ratePerSec: null,
    burst: 10,
  });
  t.match(await json(['set', 'put', 'gold', '--json-body', '-'], '{"weight":900}'), {
    weight: 900,
  });
  t.match(await json(['tenant', 'put', 'acme', '--set', 'gold']), { set: 'gold' });
  t.match(await json(['set', 'ls']), { items: [{ name: 'default' }, { name: 'gold' }] });
  t.match(await cli(['set', 'rm', 'gold']), { code: 75, stderr: /Tenants belong to the set gold/ });
  t.match(await cli(['tenant', 'put', 'x', '--weight', 'much']), {
    code: 65,
    stderr: /weight: is a whole number from 1 to 10000, received "much"\. \(400, code 1015\)/,
  });
  t.match(await cli(['tenant', 'get', 'nobody']), { code: 65, stderr: /There is no tenant/ });

  const lines =
    '{"tenant":"acme","sender":"1","payload":"a"}\n{"tenant":"acme","payload":"b"}\nc\n';
  const published = await cli(['publish', 'sms-de', '--tenant', 'other', '--json'], lines);
  t.equal(published.code, 0);
  t.equal(published.stdout.trim().split('\n').length, 3);
  t.match(await cli(['publish', 'sms-de', 'x', '--tenant', 'acme', '--count', '100']), {
    code: 0,
    stderr: /^100 messages accepted/,
  });
  t.match(await json(['explain', 'sms-de']), { waiting: 103, cursor: null });
  t.match(await cli(['destination', 'rm', 'sms-de']), { code: 75 });
  t.match(await json(['status']), { shards: [{ shard: 0, waiting: 103 }], durability: 'flushed' });

  const consumed = await cli(['consume', 'sms-de', '--max', '103', '--json']);
  t.equal(consumed.code, 0);
  const texts = consumed.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).payload);
  t.strictSame([texts.length, new Set(texts)], [103, new Set(['a', 'b', 'c', 'x'])]);
  t.match(await json(['status']), { shards: [{ waiting: 0, inFlight: 0 }] });
  t.match(await cli(['destination', 'rm', 'sms-de']), { code: 0 });

  const bad = { ...env, FAIRLEAD_TOKEN: 'bad' };
  t.match(await runCli(['status'], { env: bad }), { code: 77, stderr: /code 2002/ });
  t.match(await runCli(['publish', 'd', 'x'], { env: bad }), { code: 77, stderr: /code 2002/ });

  t.ok(existsSync(daemon.dataDir));
  t.equal(await daemon.end('SIGTERM'), 0);
  t.notOk(existsSync(daemon.dataDir), 'throw-away data is thrown away');
});
