/** Rows of the gateways as text for people. */
import type { BesideBareResult, GatewayResult } from './rows.ts';
import type { SideResult } from './sides.ts';

const number = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 21 });

export function gatewayFactsOf(row: GatewayResult): string[] {
  switch (row.name) {
    case 'outbox/waiting':
      return [
        `${number.format(row.items)} items`,
        `${row.anonBytesPerItem} B anonymous each (${row.anonBeforeMiB} → ${row.anonAfterMiB} MiB)`,
        `opened in ${row.openSec} s, then ${row.anonRestartedBytesPerItem} B each (${row.anonFreshMiB} → ${row.anonRestartedMiB} MiB)`,
        `put ${number.format(row.putPerSec)}/s`,
      ];
    case 'outbox/hanging':
      return [
        `without p50 ${row.withoutP50Ms} ms, p99 ${row.withoutP99Ms} ms`,
        `with ${row.hanging} of ${number.format(row.endpoints)} p50 ${row.withP50Ms} ms, p99 ${row.withP99Ms} ms`,
        `ratio ${row.p99Ratio}`,
        `${number.format(row.ratePerSec)}/s, ${row.heldMax} held`,
      ];
    case 'gateways/callbacks':
      return [
        `${number.format(row.messagesPerSec)}/s (${number.format(row.messagesPerSecMin)}–${number.format(row.messagesPerSecMax)})`,
        `${row.callbacksPerMessage} callbacks each`,
        `${row.cpuUsPerMessage} µs/message, main thread ${row.mainThreadPct} %, others ${row.otherThreadsPct} %`,
        `server ${row.serverPct} %`,
      ];
    default:
      return besideBareFactsOf(row);
  }
}

function besideBareFactsOf(row: BesideBareResult): string[] {
  return [
    `daemon ${factsOf(row.daemon)}, main thread ${row.daemon.mainThreadPct} %, others ${row.daemon.otherThreadsPct} %`,
    `bare ${factsOf(row.bare)}`,
    `ratio ${row.ratio}`,
    `other ${factsOf(row.bareOther)}`,
    `ratio ${row.ratioToOther}`,
    `server ${row.daemon.serverPct} %`,
  ];
}

function factsOf({ perSec, perSecMin, perSecMax, cpuUsPerMessage }: SideResult): string {
  const spread = `(${number.format(perSecMin)}–${number.format(perSecMax)})`;
  return `${number.format(perSec)}/s ${spread} ${cpuUsPerMessage} µs/message`;
}
