// The addon as one library for all threads, and its exit.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { native } from '../src/native.ts';

const addon = JSON.stringify(join(import.meta.dirname, '../native/node/fairlead.node'));

t.test('every thread shares one copy of the library', async (t) => {
  const code = `require('node:worker_threads').parentPort.postMessage(require(${addon}).instanceId())`;
  const workers = [1, 2].map(() => new Worker(code, { eval: true, execArgv: [] }));
  const ids = await Promise.all(workers.map((worker) => once(worker, 'message')));
  const here = native.instanceId();
  t.ok(Number.isSafeInteger(here) && here > 0, 'is an address');
  t.strictSame(ids, [[here], [here]]);
});

t.test('exitNow ends the process at once with its code', async (t) => {
  const code = `process.on('exit', () => console.log('handler')); require(${addon}).exitNow(70)`;
  const child = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8', env: {} });
  t.strictSame([child.status, child.stdout], [70, '']);
});
