// Options of a message as flags: times and durations, and what is refused.
import { Command } from 'commander';
import t from 'tap';
import {
  addMessageFlags,
  durationMs,
  type MessageFlags,
  messageOptionsOf,
  moment,
} from '../../src/cli/message-flags.ts';
import { runCli } from './run-cli.ts';

function optionsOf(args: readonly string[]): ReturnType<typeof messageOptionsOf> {
  const command = addMessageFlags(new Command().exitOverride().configureOutput({ writeErr() {} }));
  return messageOptionsOf(command.parse(args, { from: 'user' }).opts<MessageFlags>());
}

t.test('all flags', async (t) => {
  const args = [
    ...['--idempotency-key', 'order-7', '--level', '2', '--cost', '3'],
    ...['--send-at', '2030-01-31T09:00:00+01:00', '--validity', '1h'],
    ...['--callback', 'https://example.com/', '--callback-events', 'sent,failed'],
    ...['--order-key', 'thread-1', '--tag', 'spring'],
  ];
  t.strictSame(optionsOf(args), {
    idempotencyKey: 'order-7',
    level: 2,
    cost: 3,
    sendAt: new Date('2030-01-31T08:00:00Z'),
    validityMs: 3_600_000,
    callbackUrl: 'https://example.com/',
    callbackEvents: ['sent', 'failed'],
    orderKey: 'thread-1',
    tag: 'spring',
  });
  t.equal(optionsOf([]), undefined);
});

t.test('an idempotency key is for one message', async (t) => {
  for (const payloads of [['a', 'b'], ['-'], [], ['a', '--count', '2']]) {
    const result = await runCli(['publish', 'd', ...payloads, '--idempotency-key', 'k']);
    t.match(result, { code: 64, stderr: /is for one message/ }, payloads.join(' '));
  }
  const env = { FAIRLEAD_URL: 'http://127.0.0.1:9', FAIRLEAD_TOKEN: 'x' };
  t.match(await runCli(['publish', 'd', 'a', '--idempotency-key', 'k'], { env }), { code: 69 });
  t.match(await runCli(['publish', 'd', 'a', '--level', 'x'], { env }), { code: 64 });
});

t.test('times', async (t) => {
  t.strictSame(moment('+10s', undefined, 1000), new Date(11_000));
  t.strictSame(moment('+5m', undefined, 0), new Date(300_000));
  t.strictSame(moment('2030-01-31'), new Date('2030-01-31T00:00:00Z'));
  t.strictSame(moment('2030-01-31T09:00:00.250Z'), new Date('2030-01-31T09:00:00.250Z'));
  for (const bad of ['', 'soon', '5', '+', '+10', '10s', '2030-13-01', '2030-01-31T09:00:00']) {
    t.throws(() => moment(bad), { code: 'commander.invalidArgument' }, bad);
  }
});

t.test('durations', async (t) => {
  const texts = ['250ms', '90s', '15m', '12h', '30d'];
  t.strictSame(texts.map(durationMs), [250, 90_000, 900_000, 43_200_000, 2_592_000_000]);
  for (const bad of ['', '5', 's', '-5s', '1.5h', '5w', '5 s']) {
    t.throws(() => durationMs(bad), { code: 'commander.invalidArgument' }, bad);
  }
});

t.test('numbers', async (t) => {
  for (const bad of ['x', '-1', '1.5', '']) {
    t.throws(() => optionsOf(['--level', bad]), { code: 'commander.invalidArgument' }, bad);
  }
});
