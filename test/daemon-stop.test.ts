// How a daemon ends: a stop waits for what is in flight, a start that fails leaves nothing open.
import t from 'tap';
import { connect as connectClient } from '../src/client/index.ts';
import { auth, start } from './support/in-process-daemon.ts';

t.test('a stop waits for what is in flight', async (t) => {
  const dataDir = t.testdir();
  const more = { 'dispatch.autoCreateDestinations': true };
  const first = await start(dataDir, more);
  t.teardown(() => first.stop());
  const scope = 'publish consume platform';
  const token = await auth.issueToken({ scope, ttlSec: 60 });
  const client = connectClient({ url: first.url, token });
  t.teardown(() => client.close());
  const messages = ['a', 'b', 'c'].map((payload) => ({ tenant: 't', payload }));
  await Promise.all(client.publish('d', messages));
  let stopped: Promise<void> | undefined;
  await new Promise<void>((resolve) => {
    client.subscribe('d', { credit: 2 }, async (): Promise<'sent'> => {
      stopped ??= first.stop();
      resolve();
      await new Promise((settle) => setTimeout(settle, 300));
      return 'sent';
    });
  });
  await stopped;
  await client.close();

  const second = await start(dataDir, more);
  t.teardown(() => second.stop());
  const headers = { authorization: `Bearer ${token}` };
  const status = await (await fetch(`${second.url}/v1/status`, { headers })).json();
  t.match(status, { shards: [{ waiting: 1, inFlight: 0 }] }, 'two were settled, one waits');
  await second.stop();
});

t.test('a start that fails leaves nothing open', async (t) => {
  const dataDir = t.testdir();
  const daemon = await start(dataDir);
  t.teardown(() => daemon.stop());
  await t.rejects(start(dataDir), { name: 'DataDirectoryError' });
  const other = t.testdir({ other: {} });
  await t.rejects(start(`${other}/other`, { 'ingress.port': daemon.port }), {
    message: /cannot listen on/,
  });
  await t.rejects(start(`${other}/other`, { 'auth.keys': [] }), { name: 'ConfigError' });
  const again = await start(`${other}/other`);
  await again.stop();
  await daemon.stop();
});
