// The data directory and the address of a daemon started for trying things out.
import t from 'tap';
import { runCli, startDev } from './run-cli.ts';

t.test('kept data and tokens outlive the process', async (t) => {
  const dataDir = `${t.testdir()}/data`;
  const first = await startDev(['--data', dataDir, '--keep']);
  t.teardown(() => first.child.kill('SIGKILL'));
  t.equal(first.dataDir, dataDir);
  const env = { FAIRLEAD_URL: first.url, FAIRLEAD_TOKEN: first.token };
  t.match(await runCli(['publish', 'd', 'kept', '--tenant', 't'], { env }), { code: 0 });
  t.match(await runCli(['dev', '--data', dataDir, '--keep']), {
    code: 78,
    stderr: /is in use by another daemon/,
  });
  first.child.kill('SIGKILL');
  t.match(await runCli(['dev', '--data', dataDir]), { code: 64, stderr: /Add --keep/ });

  const second = await startDev(['--data', dataDir, '--keep']);
  t.teardown(() => second.child.kill('SIGKILL'));
  const again = { FAIRLEAD_URL: second.url, FAIRLEAD_TOKEN: first.token };
  const consumed = await runCli(['consume', 'd', '--max', '1', '--json'], { env: again });
  t.match(JSON.parse(consumed.stdout), { payload: 'kept', tenant: 't' });
  t.equal(await second.end('SIGINT'), 0);
});

t.test('an address in use', async (t) => {
  const daemon = await startDev();
  t.teardown(() => daemon.child.kill('SIGKILL'));
  const { port } = new URL(daemon.url);
  t.match(await runCli(['dev', '--port', port]), { code: 69, stderr: /cannot listen on/ });
  t.equal(await daemon.end('SIGTERM'), 0);
});
