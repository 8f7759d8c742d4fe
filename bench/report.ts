/** Rows as text for people; `--json` prints them as they are. */
import type { CoreResult } from './criterion.ts';
import type { DispatchResult } from './dispatch.ts';
import type { GeneratorResult } from './generator-cost.ts';
import type { HostRow } from './host.ts';
import type { RestartResult } from './restart.ts';

export type Row = HostRow | CoreResult | DispatchResult | GeneratorResult | RestartResult;

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
  }
}
