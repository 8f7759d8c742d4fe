// A crash leaves what was answered, and every error of the shard is a crash with code 70.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { opened, portOf, received, subscribe } from '../support/shard-clients.ts';
import { tsHook } from '../support/ts-hook.ts';

const program = fileURLToPath(new URL('../support/shard-process.ts', import.meta.url));

/** Runs the program with files of at most `fileKib`. */
async function run(directory: string, what: string, fileKib = 'unlimited') {
  const script = `ulimit -f ${fileKib}; exec "$@"`;
  const command = [process.execPath, '--import', tsHook, program, directory, what];
  const child = spawn('bash', ['-c', script, 'bash', ...command], {
    env: { PATH: process.env.PATH },
  });
  const output = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.err += text;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, ...output };
}

t.test('kill -9: what was accepted and not settled is there', async (t) => {
  const directory = t.testdir();
  const { signal, out } = await run(directory, 'kill');
  t.equal(signal, 'SIGKILL');
  t.equal(out, 'answered 1\n');
  const from = await opened(directory);
  subscribe(from);
  await received(from, 16);
  const attempts = from.sink.deliveries().map(({ attempt }) => attempt);
  t.equal(attempts.filter((attempt) => attempt === 2).length, 6, 'handed out, not settled');
  t.equal(attempts.filter((attempt) => attempt === 1).length, 10);
  t.equal(portOf(from).counters.waiting, 0);
  await from.pool.close();
});

t.test(
  'a transaction that fails ends the process with 70; what was answered is there',
  async (t) => {
    const directory = t.testdir();
    const { code, out, err } = await run(directory, 'disk', '20480');
    t.equal(code, 70);
    t.match(err, /"shard failed, the process ends"/);
    const frames = out.trim().split('\n').length;
    t.ok(frames > 3, `${frames} publishes were answered`);
    const from = await opened(directory);
    await portOf(from).request(8, Uint8Array.of(0x91, 1));
    t.ok(portOf(from).counters.waiting >= 16 + (frames - 1) * 50, 'all that was answered waits');
    await from.pool.close();
  },
);

t.test('an exchange the core cannot take ends the process with 70', async (t) => {
  const { code, err } = await run(t.testdir(), 'exchange');
  t.equal(code, 70);
  t.match(err, /"err":"Error: exchange: /);
});
