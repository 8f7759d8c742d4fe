// An operator's commands against a daemon: a file of entities, pausing, and who changed what.
import { join } from 'node:path';
import t from 'tap';
import { hostCommands, startDev } from './run-cli.ts';

const toml = `
[destinations.sms]
ratePerSec = 100
retryBaseMs = 2_000

[sets.gold]
weight = 900

[tenants.acme]
set = "gold"
levelFloors = [0, 0.1]

[senders."acme/+4670"]
pool = "campaign"

[pools.campaign]
ratePerSec = 50
`;

t.test('entities by a file, pause, audit', async (t) => {
  const directory = t.testdir({
    'entities.toml': toml,
    'changed.json': '{"destinations":{"sms":{"ratePerSec":200,"burst":5}}}',
    'broken.toml': '[destinations.sms]\nratePerSec = = 1\n',
    'wrong.toml': '[destinations.sms]\nratePerSecond = 1\n',
  });
  const daemon = await startDev();
  t.teardown(() => daemon.child.kill('SIGKILL'));
  const env = { FAIRLEAD_URL: daemon.url, FAIRLEAD_TOKEN: daemon.token };
  const cli = await hostCommands(t, env);
  const apply = (file: string, ...flags: readonly string[]) =>
    cli('apply', join(directory, file), ...flags);

  const plan = await apply('entities.toml', '--dry-run');
  t.match(plan, { code: 0, stderr: 'dry run: 5 created, 0 changed, 0 deleted, 0 unchanged\n' });
  t.match(plan.stdout, /^\+ set gold\n {4}weight: 900\n\+ pool campaign\n/);
  t.match(plan.stdout, /\+ destination sms\n {4}ratePerSec: 100\n {4}retryBaseMs: 2000\n$/);
  const done = await apply('entities.toml');
  t.equal(done.stdout, plan.stdout);
  t.equal(done.stderr, '5 created, 0 changed, 0 deleted, 0 unchanged\n');
  t.match(await apply('entities.toml', '--json'), { stdout: /"unchanged":5,"changes":\[\]/ });

  const changed = await apply('changed.json', '--prune');
  t.equal(
    changed.stdout,
    [
      '~ destination sms',
      '    ratePerSec: 100 → 200',
      '    burst: none → 5',
      '    retryBaseMs: 2000 → 1000',
      '- sender acme/+4670',
      '- tenant acme',
      '- pool campaign',
      '- set gold',
      '',
    ].join('\n'),
  );
  t.match(changed.stderr, /^0 created, 1 changed, 4 deleted, 0 unchanged/);
  t.match(await apply('broken.toml'), { code: 65, stderr: /broken\.toml:2:14: not valid TOML/ });
  t.match(await apply('wrong.toml'), {
    code: 65,
    stderr: /The destination sms: .*did you mean ratePerSec\? Nothing was changed/,
  });
  t.match(await apply('nowhere.toml'), { code: 65, stderr: /cannot be read/ });

  t.match(await cli('pause', 'destination', 'sms', '--json'), { stdout: /"paused":true/ });
  t.match(await cli('drain', 'sender', 'acme/1', '--json'), { stdout: /"refuseNew":true/ });
  t.match(await cli('resume', 'destination', 'sms', '--json'), { stdout: /"paused":false/ });
  t.match(await cli('pause', 'pool', 'x'), { code: 64, stderr: /not a pool/ });
  t.match(await cli('sender', 'get', 'acme'), { code: 64, stderr: /tenant\/sender/ });
  const put = await cli('sender', 'put', 'acme/1', '--keep', '--in-flight-max', '3', '--json');
  t.match(JSON.parse(put.stdout), { name: 'acme/1', inFlightMax: 3, refuseNew: true });
  t.match(await cli('tenant', 'put', 'acme', '--level-floors', '0,0.2', '--json'), {
    stdout: /"levelFloors":\[0,0\.2\]/,
  });

  const audit = await cli('audit', '--kind', 'destination');
  t.match(audit.stdout, /destination sms +paused true → false\n/);
  t.match(audit.stdout, /destination sms +ratePerSec 100 → 200, burst null → 5, retryBaseMs/);
  t.match(audit.stdout, /platform +127\.0\.0\.1 +destination sms +made\n$/);
  t.match(await cli('audit', '--limit', '1'), { stderr: /^more: --cursor \d+\n$/ });
});

t.test('accounts, numbers, routes and services', async (t) => {
  const daemon = await startDev();
  t.teardown(() => daemon.child.kill('SIGKILL'));
  const env = { FAIRLEAD_URL: daemon.url, FAIRLEAD_TOKEN: daemon.token };
  const cli = await hostCommands(t, env);
  await cli('destination', 'put', 'sms');
  const sid = `AC${'0'.repeat(32)}`;
  const made = JSON.parse(
    (await cli('account', 'put', sid, '--tenant', 'acme', '--callback-statuses', 'sent', '--json'))
      .stdout,
  );
  t.match(made, { tenant: 'acme', callbackStatuses: ['sent'], primaryToken: /^[0-9a-f]{32}$/ });
  const shown = await cli('account', 'get', sid);
  t.match(shown, { code: 0, stdout: /tenant +acme/ });
  t.notOk(shown.stdout.includes(made.primaryToken));
  const rotated = JSON.parse((await cli('account', 'rotate-tokens', sid, '--json')).stdout);
  t.match(rotated, { tokenVersion: 2, secondaryToken: made.primaryToken });
  t.match(await cli('account', 'ls'), { code: 0, stdout: new RegExp(sid) });
  t.match(await cli('account', 'put', 'AC1'), { code: 65, stderr: /32 hexadecimal digits/ });
  t.match(await cli('route', 'put', '49', '--destination', 'sms'), { code: 0 });
  t.match(await cli('route', 'put', '*', '--destination', 'sms'), { code: 0 });
  t.match(await cli('route', 'ls', '--limit', '1'), { stdout: /\*/, stderr: /more: --cursor/ });
  t.match(await cli('route', 'put', '1', '--destination', 'no'), { stderr: /there is no destin/ });
  t.match(await cli('destination', 'rm', 'sms'), { stderr: /Gateways, numbers or routes name/ });
  const number = ['number', 'put', '+4930123', '--tenant', 'acme', '--destination', 'sms'] as const;
  t.match(await cli(...number, '--json'), { stdout: /"webhookUrl":null/ });
  const service = `MG${'0'.repeat(32)}`;
  t.match(await cli('service', 'put', service, '--tenant', 'acme', '--senders', '1,2', '--json'), {
    stdout: /"senders":\["1","2"\]/,
  });
  t.match(await cli('drain', 'gateway', 'g'), { code: 64, stderr: /not a gateway/ });
  t.match(await cli('gateway', 'put', 'g', '--type', 'smpp', '--destinations', 'sms'), {
    code: 65,
    stderr: /smpp: is given for the type smpp/,
  });
  for (const args of [
    ['route', 'rm', '*'],
    ['route', 'rm', '49'],
    ['number', 'rm', '+4930123'],
    ['service', 'rm', service],
    ['account', 'rm', sid],
    ['destination', 'rm', 'sms'],
  ]) {
    t.match(await cli(...args), { code: 0 }, args.join(' '));
  }
});
