/** Rows as text for people; `--json` prints them as they are. */
import type { CoreResult } from './criterion.ts';
import type { DispatchResult } from './dispatch.ts';
import { gateFactsOf } from './gate/report.ts';
import type { GateResult } from './gate/rows.ts';
import { gatewayFactsOf } from './gateways/report.ts';
import type { GatewayResult } from './gateways/rows.ts';
import type { GeneratorResult } from './generator-cost.ts';
import type { HostRow } from './host.ts';
import type { LifeResult } from './life.ts';
import type { DrainResult, PunctualResult } from './life-scheduled.ts';
import type { RestartResult } from './restart.ts';
import { usageFactsOf } from './usage/report.ts';
import type { UsageResult } from './usage/rows.ts';

export type Row =
  | HostRow
  | CoreResult
  | DispatchResult
  | GeneratorResult
  | RestartResult
  | LifeResult
  | GatewayResult
  | GateResult
  | UsageResult;

const NAME_WIDTH = 34;
const number = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 21 });

export function formatRow(row: Row): string {
  return `${row.name.padEnd(NAME_WIDTH)}${factsOf(row).join(' · ')}`;
}

function factsOf(row: Row): string[] {
  switch (row.scope) {
    case 'host':
      return [
        `${row.cores} × ${row.cpu}`,
        `${row.memoryGiB} GiB`,
        `Linux ${row.kernel}`,
        `Node ${row.node}`,
        `load before ${row.loadBefore}`,
      ];
    case 'core': {
      const facts = [
        `${number.format(row.nsPerMessage)} ns/message`,
        `(${number.format(row.nsPerMessageMin)}–${number.format(row.nsPerMessageMax)})`,
      ];
      if (row.ratioTo1000 !== undefined) facts.push(`${row.ratioTo1000} × that with 1,000 queues`);
      return facts;
    }
    case 'dispatch':
      return [
        `${number.format(row.messagesPerSec)}/s`,
        `(${number.format(row.messagesPerSecMin)}–${number.format(row.messagesPerSecMax)})`,
        `server ${row.serverCpuUsPerMessage} µs/message`,
        `p50 ${row.p50Ms} ms, p99 ${row.p99Ms} ms, p99.9 ${row.p999Ms} ms`,
        `ack p50 ${row.ackP50Ms} ms, p99 ${row.ackP99Ms} ms`,
        `${row.rssMiB} MiB`,
        `generator ${row.loadGeneratorCpuPct} %`,
      ];
    case 'generator':
      return [
        `${number.format(row.messagesPerSec)}/s`,
        `generator ${row.loadGeneratorCpuUsPerMessage} µs/message`,
        `sink ${row.sinkCpuUsPerMessage} µs/message`,
        `at ${number.format(row.floorOfferedPerSec)}/s p50 ${row.floorP50Ms} ms, p99 ${row.floorP99Ms} ms`,
      ];
    case 'restart':
      return [
        `ready after ${row.readySec} s`,
        `RssAnon ${row.rssAnonMiB} MiB (RSS ${row.rssMiB} MiB)`,
        `data ${row.dataMiB} MiB`,
        `drained in ${row.drainSec} s`,
      ];
    case 'life':
      return lifeFactsOf(row);
    case 'gateways':
      return gatewayFactsOf(row);
    case 'gate':
      return gateFactsOf(row);
    case 'usage':
      return usageFactsOf(row);
  }
}

function lifeFactsOf(row: LifeResult): string[] {
  switch (row.name) {
    case 'life/scheduled/memory':
      return [
        `${number.format(row.messages)} messages`,
        `${row.anonBytesPerMessage} B anonymous each (${row.anonBeforeMiB} → ${row.anonAfterMiB} MiB)`,
        `after a restart ${row.anonRestartedBytesPerMessage} B (${row.anonFreshMiB} → ${row.anonRestartedMiB} MiB)`,
        `ready after ${row.readySec} s`,
        `cancelled in ${row.cancelSec} s`,
      ];
    case 'life/scheduled/punctual':
      return [`${number.format(row.duePerSec)}/s due`, ...latenessOf(row)];
    case 'life/scheduled/drain':
      return [
        `${number.format(row.messagesPerSec)}/s`,
        `${number.format(row.messages)} in ${row.seconds} s`,
        ...latenessOf(row),
      ];
    case 'life/keyed':
      return [
        `server ${row.keyedCpuUsPerMessage} µs/message, without keys ${row.unkeyedCpuUsPerMessage} µs`,
        `${number.format(row.keyedPerSec)}/s and ${number.format(row.unkeyedPerSec)}/s`,
        `${number.format(row.keys)} keys, ${row.anonBytesPerKey} B each`,
        `ready after ${row.readySec} s`,
        `${number.format(row.repeated)} repeated`,
      ];
  }
}

function latenessOf(row: PunctualResult | DrainResult): string[] {
  return [
    `late p50 ${row.p50LateMs} ms, p99 ${row.p99LateMs} ms, max ${row.maxLateMs} ms`,
    `generator's delay p99 ${row.generatorDelayP99Ms} ms, max ${row.generatorDelayMaxMs} ms`,
  ];
}
