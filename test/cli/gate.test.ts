// The commands of the gate against a daemon.
import t from 'tap';
import { type Screen, showTop } from '../../src/cli/gate.ts';
import { GateClient } from '../support/gate-client.ts';
import { hostCommands, startDev } from './run-cli.ts';

t.test('resources, policies, and who uses them', async (t) => {
  const daemon = await startDev();
  t.teardown(() => daemon.child.kill('SIGKILL'));
  const env = { FAIRLEAD_URL: daemon.url, FAIRLEAD_TOKEN: daemon.token };
  const hosted = await hostCommands(t, env);
  const cli = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await hosted(...args);
    return { code, out: stdout, err: stderr };
  };
  const put = await cli(
    ...['resource', 'put', 'calls', '--limit', '9', '--tenant-limit', '2', '--mode', 'queue'],
    ...['--adaptive', '3,9,0.5', '--json'],
  );
  t.match(JSON.parse(put.out), { limit: 9, adaptive: { min: 3, max: 9, tolerance: 0.5 } });
  // What waits and what is held outlasts this test on a slow machine.
  const patient = ['--mode', 'queue', '--wait-ms', '3600000', '--lease-ms', '3600000'];
  await cli('resource', 'put', 'calls', '--limit', '9', '--tenant-limit', '2', ...patient);
  t.match(await cli('policy', 'put', 'calls/beta', '--limit', '5', '--floor', '1'), { code: 0 });
  t.match(await cli('policy', 'ls'), { code: 0, out: /calls\/beta/ });
  for (const name of ['calls', 'calls/', '/beta', 'calls/a/b']) {
    t.match(await cli('policy', 'get', name), { code: 64, err: /named resource\/tenant/ }, name);
  }
  t.match(await cli('resource', 'rm', 'fairlead.api'), { code: 75, err: /`put` changes it/ });
  t.match(await cli('tenant', 'put', 'acme', '--concurrency-max', '7'), { code: 0 });
  t.match(await cli('resource', 'rm', 'calls'), { err: /Policies are of the resource calls/ });

  const client = await GateClient.open(daemon.url, daemon.token);
  await client.take('calls', { tenant: 'acme', options: { weight: 2 } });
  await client.queue('calls', { tenant: 'acme' });
  t.match(await cli('gate', 'status'), {
    code: 0,
    out: /permits +1\n[\s\S]*seats +3\n[\s\S]*waiting +1/,
  });
  const ls = await cli('gate', 'ls', '--resource', 'calls');
  t.match(ls, { code: 0, out: /resource +tenant +used +limit[\s\S]*\ncalls +acme +2 +2 +1 / });
  const one = JSON.parse((await cli('gate', 'ls', '--tenant', 'acme', '--json')).out);
  t.match(one, { items: [{ resource: 'calls', tenant: 'acme', used: 2 }], cursor: null });
  t.match(await cli('gate', 'ls', '--cursor', 'xyz'), {
    code: 65,
    err: /cursor: is what the page/,
  });
  const explain = await cli('gate', 'explain', 'calls/acme');
  t.match(explain.out, /blockedBy +key/);
  t.match(explain.out, /tenant +2 +7 /);
  t.match(explain.out, /last decisions/);
  t.match(await cli('gate', 'explain', 'calls'), { code: 0, out: /\(platform\)/ });
  t.match(await cli('gate', 'explain', 'nothing/acme'), { code: 65, err: /no resource "nothing"/ });
  t.match(await cli('gate', 'explain', 'a/b/c'), { code: 64 });
  t.match(await cli('gate', 'top'), { code: 0, out: /\ncalls +acme +2 / });
  const top = JSON.parse(
    (await cli('gate', 'top', '--by', 'waiting', '--limit', '1', '--json')).out,
  );
  t.match(top, { items: [{ tenant: 'acme', waiting: 1 }] });
  t.match(await cli('gate', 'top', '--by', 'size'), { code: 64 });

  const own = ['policy', 'put', 'fairlead.api/fairlead.platform'];
  t.match(await cli(...own, '--limit', '7', '--floor', '3'), { code: 0 });
  await cli('tenant', 'put', 'fairlead.platform', '--concurrency-max', '6');
  const platform = JSON.parse((await cli('gate', 'explain', 'fairlead.api', '--json')).out);
  t.match(platform, { tenant: '', policy: { limit: 7, floor: 3 }, chain: [{}, { limit: 6 }, {}] });
  await cli(...own, '--limit', '0');
  t.match(await cli('set', 'ls'), { code: 75, err: /429, code 4002/ });
  t.match(await cli('policy', 'rm', 'fairlead.api/fairlead.platform'), { code: 0 });
  t.match(await cli('set', 'ls'), { code: 0 });
  t.equal(await daemon.end('SIGTERM'), 0);
});

t.test('top on a terminal looks again and again', async (t) => {
  const daemon = await startDev();
  t.teardown(() => daemon.child.kill('SIGKILL'));
  const client = await GateClient.open(daemon.url, daemon.token);
  const looks: string[] = [];
  const screen: Screen = { isTTY: true, write: (text) => looks.push(text) };
  const pauses: number[] = [];
  const pause = async (ms: number): Promise<void> => {
    pauses.push(ms);
    if (pauses.length === 3) throw new Error('interrupted');
    await client.take('calls', { tenant: 'acme' });
  };
  const { url, token } = daemon;
  const options = { url, token, by: 'used', limit: 5, every: 250 };
  await t.rejects(showTop(options, screen, pause), /interrupted/);
  t.strictSame(pauses, [250, 250, 250]);
  const seen = looks.map((text) => {
    t.equal(text.slice(0, 6), '\u001b[H\u001b[J', 'over the look before');
    const [head = ''] = text.slice(6).split('\n');
    t.match(head, /^20\d\d-\S+Z {2}\d+ permits, \d+ seats, 0 waiting; by used$/);
    t.equal(text.at(-1), '\n');
    return [/ (\d+) permits/.exec(head)?.[1], /\ncalls +acme +(\d+) /.exec(text)?.[1]];
  });
  t.strictSame(seen, [
    ['0', undefined],
    ['1', '1'],
    ['2', '2'],
  ]);
  t.equal(await daemon.end('SIGTERM'), 0);
});
