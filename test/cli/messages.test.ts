// The commands about messages and dead letters, against a daemon.
import { InvalidArgumentError } from 'commander';
import t from 'tap';
import { pastMoment } from '../../src/cli/message-flags.ts';
import { lengthOf, messageTable, timeline } from '../../src/cli/message-text.ts';
import { hostCommands, runCli, startDev } from './run-cli.ts';

t.test('a message from send to redact', async (t) => {
  const daemon = await startDev();
  t.teardown(() => daemon.child.kill('SIGKILL'));
  const env = { FAIRLEAD_URL: daemon.url, FAIRLEAD_TOKEN: daemon.token };
  const cli = await hostCommands(t, env);
  await cli('destination', 'put', 'sms', '--attempts-max', '1');

  const send = ['message', 'send', 'sms'];
  const sent = await cli(...send, 'hello', '--tenant', 'acme', '--sender', '49', '--tag', 'g1');
  t.match(sent, { code: 0, stdout: /^[0-9a-f]{32}\n$/, stderr: '' });
  const id = sent.stdout.trim();
  const keyed = [...send, 'x', '--tenant', 'acme', '--idempotency-key', 'k', '--send-at', '+1h'];
  const first = JSON.parse((await cli(...keyed, '--json')).stdout);
  t.equal(first.repeated, false);
  t.match(await cli(...keyed), { stdout: `${first.id}\n`, stderr: /it was sent before/ });
  const bytes = ['message', 'send', 'sms', '-', '--tenant', 'globex', '--json'];
  const text = await runCli(bytes, { env, input: 'from standard input\n' });
  const globex = JSON.parse(text.stdout).id;

  const get = await cli('message', 'get', id);
  t.match(get.stdout, /^status +queued$/m);
  t.match(get.stdout, /^payload +hello$/m);
  t.match(get.stdout, /^accepted +20\d\d-.*Z$/m);
  t.match(JSON.parse((await cli('message', 'get', globex, '--json')).stdout), {
    payload: 'from standard input\n',
    acceptedMs: Number,
  });
  t.match(await cli('message', 'get', id, '--tenant', 'globex'), {
    code: 65,
    stderr: /3019.*\n {2}Ended messages are remembered/,
  });

  const list = await cli('message', 'list', '--tenant', 'acme');
  t.match(list.stdout, /^id +status +destination +from +to +attempts +accepted +then\n/);
  t.match(list.stdout, new RegExp(`^${id} +queued +sms +acme/49 +- +0 +20.*Z +-$`, 'm'));
  t.match(list.stdout, new RegExp(`^${first.id} +scheduled +sms +acme .* due 20`, 'm'));
  const page = await cli('message', 'ls', '--limit', '1', '--from', '1h', '--status', 'queued');
  t.match(page, { stdout: /queued/, stderr: /^more: --cursor \S+\n$/ });
  t.match(await cli('message', 'ls', '--to', '1h'), { stdout: 'There is no such message.\n' });
  t.match(await cli('message', 'ls', '--status', 'wainting'), { code: 65, stderr: /scheduled, / });

  t.match(await cli('message', 'cancel', first.id), { stdout: `${first.id} cancelled\n` });
  const again = await cli('message', 'cancel', first.id, globex);
  t.match(again, { code: 65, stdout: `${globex} cancelled\n`, stderr: /shows how it ended/ });
  t.match(await cli('message', 'cancel'), {
    code: 64,
    stderr: /--destination, --tenant or --sender/,
  });
  t.match(await cli('message', 'cancel', id, '--sender', 'x'), { code: 64 });
  t.match(await cli('message', 'cancel', '--tenant', 'nobody'), { stdout: '0 cancelled\n' });
  t.match(await cli('message', 'redact', id), { code: 75, stderr: /Cancel it with/ });

  const retry = ['--settle', 'retry', '--retry-after-ms', '1'];
  t.match(await runCli(['consume', 'sms', '--max', '1', ...retry], { env }), { code: 0 });
  const dead = await cli('dlq', 'list');
  t.match(dead.stdout, new RegExp(`^${id} +failed .* ended 20.*Z, attemptsExhausted$`, 'm'));
  t.match(
    (await cli('dlq', 'get', id)).stdout,
    /reason +attemptsExhausted\n[\s\S]*failed +attempts/,
  );
  t.match(await cli('dlq', 'get', globex), { code: 65, stderr: /no dead letter/ });
  t.match(await cli('dlq', 'replay', globex, id), {
    stdout: '1 replayed, 1 are no dead letters\n',
  });
  t.match(await cli('dlq', 'purge'), { code: 64, stderr: /--destination, --tenant/ });
  t.match(await cli('dlq', 'purge', '--tenant', 'acme', '--json'), { stdout: /"purged":0/ });
  t.match(await runCli(['consume', 'sms', '--max', '1'], { env }), { code: 0 });
  t.match(await cli('dlq', 'list'), { stdout: 'There is no dead letter.\n' });

  const trace = await cli('message', 'trace', id);
  t.match(trace.stdout, new RegExp(`^${id}: sent\nacme/49 to sms, level 0\n\ntime +after +state`));
  const states = [...trace.stdout.matchAll(/Z +\+\S+(?: \S+)* {2,}(\w+)/g)].map(
    ([, state]) => state,
  );
  t.strictSame(states, ['accepted', 'queued', 'sending', 'failed', 'queued', 'sending', 'sent']);
  t.match(trace.stdout, /sending +attempt 1, to connection \d+, subscription 1, score -?\d+\n/);
  t.equal(JSON.parse((await cli('message', 'trace', id, '--json')).stdout).trace.length, 7);

  t.match(await cli('message', 'redact', id), { code: 0, stdout: `${id} redacted\n` });
  t.match((await cli('message', 'get', id)).stdout, /^payload +-$/m);
  await cli(...send, 'later', '--tenant', 'acme');
  const erased = await cli('tenant', 'erase', 'acme', '--wait', '1s');
  t.match(erased, { code: 0, stdout: /^cancelled +1\n[\s\S]*^redacted +2\nleft +0\nentityStays/m });
});

t.test('refusals say what to do', async (t) => {
  const env = { FAIRLEAD_URL: 'http://127.0.0.1:9', FAIRLEAD_TOKEN: 'x' };
  t.match(await runCli(['message', 'get', 'x'], { env }), { code: 69, stderr: /Is it running/ });
  t.match(await runCli(['message', 'send', 'sms', 'x'], { env }), { code: 64, stderr: /--tenant/ });
  const help = await runCli(['dlq', 'replay', '--help']);
  t.match(help, { code: 0, stdout: /Examples:\n {2}fairlead dlq replay 0000/ });
});

t.test('times ago', async (t) => {
  t.strictSame(pastMoment('1h', undefined, 3_600_000), new Date(0));
  t.strictSame(pastMoment('2030-01-31T09:00:00Z'), new Date('2030-01-31T09:00:00Z'));
  for (const bad of ['+1h', '1x', 'soon']) t.throws(() => pastMoment(bad), InvalidArgumentError);
});

t.test('tables and timelines', async (t) => {
  t.strictSame([0, 999, 1000, 61_400, 7_500_000].map(lengthOf), [
    '0 ms',
    '999 ms',
    '1 s',
    '1 min 1 s',
    '2 h 5 min',
  ]);
  const message = { id: 'a', status: 'undelivered', tenant: 'acme', sender: null, code: 27 };
  t.match(
    messageTable([{ ...message, endedMs: 0, reason: null, acceptedMs: 0 }]),
    /acme .*, code 27$/,
  );
  const events = [
    { atMs: 1000, state: 'accepted' },
    { atMs: 1250, state: 'queued', reason: 'retry', dueMs: 3250 },
  ];
  const text = timeline({ trace: events, acceptedMs: 1000, traceTruncated: true });
  t.equal(
    text,
    [
      'time                      after    state',
      '1970-01-01T00:00:01.000Z  +0 ms    accepted',
      '1970-01-01T00:00:01.250Z  +250 ms  queued    retry, due in 2 s',
      '(some of it is no longer known)',
    ].join('\n'),
  );
});
