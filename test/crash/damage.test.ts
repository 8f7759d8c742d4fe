// A sector of a record that the disk lost, or a bit that flipped: the daemon names the record and stops.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { encodePublish } from '../../src/protocol/frames.ts';
import { BuiltDaemon, freePort } from './daemon-process.ts';
import { WireClient } from './wire-client.ts';

const SECTOR_BYTES = 512;
const PAYLOAD_BYTES = 6_000;

/** Publishes one message, kills the daemon. @returns the options to start it again */
async function stored(dataDir: string) {
  const options = { dataDir, port: await freePort(), settings: ['shards=1'] };
  const daemon = await BuiltDaemon.start(options);
  try {
    await daemon.put('destinations/alpha', { paused: true });
    await new Promise<void>((resolve, reject) => {
      const events = { ok: () => resolve(), error: reject, closed: reject };
      const message = { tenant: 'acme', sender: 's', payload: 'q'.repeat(PAYLOAD_BYTES) };
      const frame = encodePublish({ id: 1, destination: 'alpha', messages: [message] });
      WireClient.open(daemon.url, daemon.token, events).then((each) => each.send(frame), reject);
    });
    await daemon.kill();
  } finally {
    await daemon.end();
  }
  return options;
}

/** Changes bytes of a file from the first place of a text in it. */
function damage(file: string, text: string, change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(file);
  let at = bytes.indexOf(text);
  if (at < 0) throw new Error(`${text} is not in ${file}`);
  // Wherever it stands: the audit log has the fields of an entity too.
  for (; at >= 0; at = bytes.indexOf(text, at + text.length)) change(bytes.subarray(at));
  writeFileSync(file, bytes);
}

t.test('a lost sector of a batch record: it does not start, and names the record', async (t) => {
  const dataDir = t.testdir();
  const options = await stored(dataDir);
  const file = join(dataDir, 'shard-0', 'data.mdb');
  damage(file, 'q'.repeat(64), (bytes) => bytes.fill(0, 1_024, 1_024 + SECTOR_BYTES));
  const error: Error = await BuiltDaemon.start(options).then(
    async (daemon) => {
      await daemon.end();
      throw new Error('it started');
    },
    (refusal) => refusal,
  );
  t.comment(error.message.trim().slice(0, 400));
  t.match(error.message, /checksum/i);
  t.match(error.message, /batch/, 'which table');
  t.match(error.message, /batch record of batch \d+, messages from 0 on,/, 'and which record');
});

t.test('a flipped bit of an entity: it does not start, and names the record', async (t) => {
  const dataDir = t.testdir();
  const options = await stored(dataDir);
  damage(join(dataDir, 'main', 'data.mdb'), 'attemptsMax', (bytes) => {
    bytes[3] = (bytes[3] as number) ^ 1;
  });
  const error: Error = await BuiltDaemon.start(options).then(
    async (daemon) => {
      await daemon.end();
      throw new Error('it started');
    },
    (refusal) => refusal,
  );
  t.comment(error.message.trim().slice(0, 400));
  t.match(error.message, /type entity \(alpha\) is damaged: checksum differs/);
  t.match(error.message, /alpha/, 'whose it is');
});
