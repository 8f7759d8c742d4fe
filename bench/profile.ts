/**
 * `node scripts/ts.mjs bench/profile.ts [--row NAME] [--seconds N] [--messages N] [--perf]`: where
 * the daemon's time goes while a row of dispatch, the gateways, the gate or usage runs. Without `--perf` V8's sampling profiler looks at the main
 * thread and at the shards' workers: functions of JavaScript, and native calls as one each. With
 * `--perf` Linux's profiler looks at all threads: Rust, LMDB, network library and kernel by name.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type CpuProfile, selfTimes } from './cpu-profile.ts';
import { measureRow, type Observer } from './dispatch.ts';
import { dispatchRows } from './dispatch-rows.ts';
import { OBSERVED_GATE_ROWS } from './gate/rows.ts';
import { OBSERVED_ROWS } from './gateways/observe.ts';
import { InspectorClient } from './inspector.ts';
import { formatRow } from './report.ts';
import { freePort } from './restart.ts';
import { OBSERVED_USAGE_ROWS } from './usage/rows.ts';

const TOP = 25;
const SAMPLE_US = 500;

const { values } = parseArgs({
  options: {
    row: { type: 'string', default: 'flushed/160B/100' },
    seconds: { type: 'string', default: '5' },
    messages: { type: 'string', default: '50000' },
    perf: { type: 'boolean', default: false },
  },
});
/** Of a row of the gateways; the last one is looked at. */
const GATEWAY_ROUNDS = 3;
const directory = mkdtempSync(join(tmpdir(), 'fairlead-profile-'));
const measureMs = 1000 * Number(values.seconds);
const pace = { rounds: 1, warmUpMs: 3000, measureMs, generators: 1 };
const observer = values.perf ? perfObserver() : inspectorObserver(await freePort());
const gatewayRow = OBSERVED_ROWS.get(values.row);
const gateRow = OBSERVED_GATE_ROWS.get(values.row) ?? OBSERVED_USAGE_ROWS.get(values.row);
if (gateRow !== undefined) {
  console.log(`\n${values.row} ${await gateRow(pace, observer)}/s`);
} else if (gatewayRow === undefined) {
  const row = dispatchRows({ quick: false }).find(({ name }) => name === values.row);
  if (row === undefined) throw new Error(`there is no row ${values.row}`);
  for await (const result of measureRow(row, pace, observer)) console.log(formatRow(result));
} else {
  const perSec = await gatewayRow(Number(values.messages), GATEWAY_ROUNDS, observer);
  console.log(`\n${values.row} ${Math.round(perSec)}/s`);
}
console.log(`profiles are in ${directory}`);

/** A CPU profile of each thread that runs JavaScript; they open in the browser's developer tools. */
function inspectorObserver(port: number): Observer {
  return {
    nodeArgs: [`--inspect=127.0.0.1:${port}`],
    start: async () => {
      const client = await InspectorClient.connect(port);
      const threads = await client.threads();
      for (const thread of threads) {
        await thread.send('Profiler.enable', {});
        await thread.send('Profiler.setSamplingInterval', { interval: SAMPLE_US });
        await thread.send('Profiler.start', {});
      }
      return async () => {
        for (const thread of threads) {
          const { profile } = (await thread.send('Profiler.stop', {})) as { profile: CpuProfile };
          writeFileSync(join(directory, `${thread.name}.cpuprofile`), JSON.stringify(profile));
          console.log(`\n${thread.name}`);
          for (const { name, percent } of selfTimes(profile).slice(0, TOP)) {
            console.log(`${percent.toFixed(1).padStart(6)} %  ${name}`);
          }
        }
        client.close();
      };
    },
  };
}

/** `perf record` on the whole process; frames without a name are JavaScript. */
function perfObserver(): Observer {
  const file = join(directory, 'perf.data');
  return {
    nodeArgs: ['--perf-basic-prof'],
    start: async ({ pid }) => {
      const args = ['record', '-q', '-e', 'cpu-clock', '-F', '999', '-g', '-p', String(pid)];
      const recorder = spawn('perf', [...args, '-o', file], { stdio: 'inherit' });
      return async () => {
        const ended = once(recorder, 'exit');
        recorder.kill('SIGINT');
        await ended;
        const report = ['report', '-i', file, '--stdio', '--no-children', '-g', 'none'];
        const options = ['--sort', 'dso,symbol', '--percent-limit', '0.7'];
        await once(spawn('perf', [...report, ...options], { stdio: 'inherit' }), 'exit');
      };
    },
  };
}
