/** Rows of usage as text for people. */
import type { CountersResult } from './counters.ts';
import type { DispatchSide, DispatchTriggersResult } from './dispatch-triggers.ts';
import type { FiringResult, FiringSide } from './firing.ts';
import type { UsageResult } from './rows.ts';
import type { UseResult } from './use.ts';

const number = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 21 });

export function usageFactsOf(row: UsageResult): string[] {
  return [...factsOf(row), `load before ${row.loadBefore}`];
}

function factsOf(row: UsageResult): string[] {
  switch (row.kind) {
    case 'firing':
      return firingFactsOf(row);
    case 'use':
      return useFactsOf(row);
    case 'dispatch':
      return dispatchFactsOf(row);
    case 'counters':
      return countersFactsOf(row);
  }
}

function firingFactsOf({ oneByOne, clocked, bare }: FiringResult): string[] {
  const of = (name: string, side: FiringSide): string =>
    `${name} ${side.firingsPerSec}/s: answer p50 ${side.answerP50Ms} ms, then callback p50 ${side.callbackP50Ms} ms, p99 ${side.callbackP99Ms} ms, max ${side.callbackMaxMs} ms, CPU ${side.cpuUsPerFiring} µs`;
  return [of('one by one', oneByOne), of('by the clock', clocked), of('bare', bare)];
}

function useFactsOf(row: UseResult): string[] {
  const facts = [
    `${number.format(row.eventsPerSec)} events/s`,
    `(${number.format(row.eventsPerSecMin)}–${number.format(row.eventsPerSecMax)})`,
    `server ${row.serverCpuUsPerEvent} µs/event`,
    `main thread ${row.serverMainThreadPct} %, others ${row.serverOtherThreadsPct} %`,
    `answer p50 ${row.answerP50Ms} ms, p99 ${row.answerP99Ms} ms`,
    `generator ${row.loadGeneratorCpuPct} %`,
    `RssAnon ${row.rssAnonMiB} MiB`,
  ];
  if (row.filledPerSec !== null) {
    const filled = `${number.format(row.liveKeys)} live keys, filled at ${number.format(row.filledPerSec)}/s`;
    facts.push(filled, `${number.format(row.repeated)} repeated`);
  }
  return facts;
}

function dispatchFactsOf(row: DispatchTriggersResult): string[] {
  const of = (name: string, side: DispatchSide): string =>
    `${name} ${side.serverCpuUsPerMessage} µs/message (${side.serverCpuUsPerMessageMin}–${side.serverCpuUsPerMessageMax}) at ${number.format(side.messagesPerSec)}/s`;
  return [
    of(`${row.triggers} triggers`, row.with),
    of('none', row.without),
    `ratio ${row.ratio}, of turns ${row.ratioOfTurns}`,
    `${row.runs} runs each`,
  ];
}

function countersFactsOf(row: CountersResult): string[] {
  return [
    `${number.format(row.counters)} counters, ${row.bytesPerCounter} B each (${row.anonEmptyMiB} → ${row.anonCountersMiB} MiB)`,
    `${number.format(row.triggers)} triggers, ${row.bytesPerTrigger} B each (→ ${row.anonTriggersMiB} MiB)`,
    `data ${row.dataMiB} MiB`,
    `ready after ${row.readySec} s, ${row.anonRestartedMiB} MiB then`,
    `${row.fired} fired`,
  ];
}
