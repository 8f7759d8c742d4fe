// The public Python client of that form against a real daemon. It needs python3 with venv and its
// package index; without them the test is skipped and says why.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { AccountApi } from './account-api.ts';

const CLIENT = 'twilio==9.13.0';
const PAGED = 120;
const run = promisify(execFile);
const directory = join(import.meta.dirname, '../../.tap/python-client');
const python = join(directory, 'bin/python');

/** Makes the environment once; what keeps it from being made, if anything does. */
async function prepare(): Promise<string | undefined> {
  const options = { timeout: 240_000 };
  try {
    if (!existsSync(python)) await run('python3', ['-m', 'venv', directory], options);
    const { stdout } = await run(python, ['-m', 'pip', 'freeze'], options);
    if (stdout.includes(CLIENT)) return undefined;
    await run(python, ['-m', 'pip', 'install', '--quiet', '--no-compile', CLIENT], options);
    return undefined;
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string };
    return `no Python client: ${(stderr.trim() || message).split('\n').at(-1)}`;
  }
}

const missing = await prepare();

t.test('the Python client', { skip: missing ?? false }, async (t) => {
  const { api, acme, other, service } = await AccountApi.start(t, { shards: 2 });
  const given = { url: api.url, ...acme, otherSid: other.sid, service, paged: PAGED };
  const script = join(import.meta.dirname, 'python/client.py');
  const child = run(python, [script], { timeout: 240_000, maxBuffer: 2 ** 20 });
  child.child.stdin?.end(JSON.stringify(given));
  const seen = JSON.parse((await child).stdout);
  t.strictSame(seen, {
    made: ['queued', 'Hellö → 🎉', '1', 'outbound-api', null],
    fetched: [true, 'Hellö → 🎉', '+49301234567', '+4915112345678'],
    dated: true,
    deleteEarly: [20009, 409],
    later: ['scheduled', true],
    cancelled: 'canceled',
    cancelledTwice: [30409, 409],
    redacted: ['', 'canceled'],
    deleted: true,
    gone: [20404, 404],
    listed: [PAGED, PAGED],
    newestFirst: true,
    limited: 60,
    back: true,
    since: 5,
    before: 0,
    account: ['acme Ltd', 'active'],
    refused: [
      [21211, 400],
      [21603, 400],
      [21617, 400],
      [21620, 400],
      [21609, 400],
      [20404, 404],
    ],
    wrong: [20003, 401],
  });
});
