// The webhook commands against a daemon, which sends to a server on this machine.
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { httpPeer } from '../support/http-peer.ts';
import { hostCommands, runCli, startDev } from './run-cli.ts';

t.test('test, ls, items, replay, enable', async (t) => {
  let status = 204;
  const peer = await httpPeer((response) => {
    response.statusCode = status;
    response.end();
  });
  const daemon = await startDev();
  t.teardown(async () => {
    daemon.child.kill('SIGKILL');
    await peer.close();
  });
  const { url, token } = daemon;
  const env = { FAIRLEAD_URL: url, FAIRLEAD_TOKEN: token };
  const hosted = await hostCommands(t, env);
  const cli = (...args: readonly string[]) => hosted('webhook', ...args);

  const test = ['webhook', 'test', `${peer.url}/hook`, '--tenant', 'acme'];
  const taken = await runCli(test, { env });
  t.match(taken, { code: 0, stderr: '' });
  t.match(taken.stdout, /^status +204$/m);
  const answer = await fetch(`${url}/v1/webhooks/acme/secrets`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const [secret] = JSON.stringify(await answer.json()).match(/whsec_[A-Za-z0-9+/=]+/) ?? [''];
  const [got] = peer.received;
  const verified = new Webhook(secret).verify(
    got?.body ?? '',
    got?.headers as Record<string, string>,
  );
  t.match(verified, { type: 'ping' }, 'the tenant’s own secret verifies it');

  status = 500;
  const refused = await cli('test', peer.url, '--tenant', 'acme', '--json');
  t.equal(refused.code, 65);
  t.match(JSON.parse(refused.stdout.split('\n')[0] ?? ''), { isTaken: false, status: 500 });
  const inside = await cli('test', 'http://10.0.0.1/', '--tenant', 'acme');
  t.match(inside, { code: 65, stdout: /^error +blocked$/m, stderr: /outbound\.allow/ });

  t.match(await cli('ls'), { code: 0, stdout: 'Nothing was sent yet.\n' });
  t.match(await cli('items', '--state', 'failed', '--json'), {
    code: 0,
    stdout: '{"items":[],"cursor":null}\n',
  });
  t.match(await cli('replay'), { code: 64, stderr: /Name ids/ });
  t.match(await cli('replay', 'nobody'), { code: 0, stdout: '0 sent again, 1 had not failed\n' });
  t.match(await cli('enable', `${peer.url}/hook?x`), {
    code: 0,
    stdout: `${peer.url}/hook: was not disabled, 0 failed\n`,
  });
});

t.test('a list of addresses that cannot be used is told before the daemon starts', async (t) => {
  const args = ['check-config', '--set', 'outbound.allow=["10.0.0.0/40"]'];
  const { code, stderr } = await runCli(args);
  t.equal(code, 78);
  t.match(stderr, /outbound\.allow\.0: "10\.0\.0\.0\/40" is no CIDR range/);
});
