// The result of a run, and whether it is what a fair, durable dispatcher owes.
import type { LedgerTotals } from './ledger.ts';
import { type Measure, waitsOf } from './measure.ts';
import { type Plan, TENANTS } from './plan.ts';

/** What a run has to reach to pass. */
export const PASS = {
  jainMin: 0.995,
  shareErrorMax: 0.02,
  /** Quiet p99 under the flood ≤ factor · base p99 + so many message times. */
  quietFactor: 1.5,
  quietMessageTimes: 3,
} as const;

/** The line of `--json`; names end in their unit. */
export interface Report {
  readonly accepted: number;
  readonly delivered: number;
  readonly lost: number;
  readonly duplicates: number;
  /** Delivered in the measured window, a second of it. */
  readonly messagesPerSec: number;
  readonly jain: number;
  readonly shareErrorMax: number;
  /** Publish call to delivery, of all quiet tenants, in the measured window under the flood. */
  readonly quietP99Ms: number;
  readonly quietP99RatioUnderFlood: number;
  readonly quietP99BaseMs: number;
  readonly quietP99BoundMs: number;
  readonly quietP50Ms: number;
  readonly quietP50BaseMs: number;
  readonly quietSamples: number;
  readonly ratePerSec: number;
  readonly windowDeliveries: number;
  readonly tenantsBacklogged: number;
  readonly refused: number;
  readonly drainMs: number;
  readonly daemonExitCode: number;
  readonly seconds: number;
}

export interface Run {
  readonly plan: Plan;
  readonly totals: LedgerTotals;
  readonly base: Measure;
  readonly flood: Measure;
  readonly refused: number;
  readonly drainMs: number;
  readonly daemonExitCode: number;
  readonly seconds: number;
}

export const isQuiet = (index: number): boolean => TENANTS[index]?.role === 'quiet';

export function reportOf(run: Run): Report {
  const { plan, totals, base, flood } = run;
  const before = waitsOf(base, isQuiet);
  const under = waitsOf(flood, isQuiet);
  const messageMs = 1000 / plan.ratePerSec;
  return {
    accepted: totals.accepted,
    delivered: totals.delivered,
    lost: totals.lost,
    duplicates: totals.duplicates,
    messagesPerSec: Math.round(flood.deliveries / (plan.windowMs / 1000)),
    jain: round(flood.jain, 5),
    shareErrorMax: round(flood.shareErrorMax, 5),
    quietP99Ms: round(under.p99Ms, 3),
    quietP99RatioUnderFlood: round(under.p99Ms / before.p99Ms, 3),
    quietP99BaseMs: round(before.p99Ms, 3),
    quietP99BoundMs: round(PASS.quietFactor * before.p99Ms + PASS.quietMessageTimes * messageMs, 3),
    quietP50Ms: round(under.p50Ms, 3),
    quietP50BaseMs: round(before.p50Ms, 3),
    quietSamples: under.count,
    ratePerSec: plan.ratePerSec,
    windowDeliveries: flood.deliveries,
    tenantsBacklogged: flood.tenants.filter(({ backlogged }) => backlogged).length,
    refused: run.refused,
    drainMs: Math.round(run.drainMs),
    daemonExitCode: run.daemonExitCode,
    seconds: round(run.seconds, 1),
  };
}

/** One sentence for each thing that is not as it has to be; none if the run passes. */
export function missesOf(report: Report, backloggedExpected: number): string[] {
  const { lost, duplicates, jain, shareErrorMax, quietP99Ms, quietP99BoundMs } = report;
  const misses: string[] = [];
  const miss = (wrong: boolean, sentence: string): void => {
    if (wrong) misses.push(sentence);
  };
  miss(lost !== 0, `${lost} acknowledged messages were not delivered.`);
  miss(duplicates !== 0, `${duplicates} deliveries were duplicates.`);
  miss(report.accepted === 0, 'No message was accepted.');
  miss(report.refused !== 0, `${report.refused} messages were refused.`);
  // Written as "not ≥" so that a figure that is no number is a miss.
  miss(!(jain >= PASS.jainMin), `Jain's index is ${jain}; it has to be at least ${PASS.jainMin}.`);
  miss(
    !(shareErrorMax <= PASS.shareErrorMax),
    `A backlogged tenant's share is off by ${percent(shareErrorMax)}; at most ${percent(PASS.shareErrorMax)} is allowed.`,
  );
  miss(
    report.tenantsBacklogged < backloggedExpected,
    `Only ${report.tenantsBacklogged} of ${backloggedExpected} tenants had a backlog throughout, so shares were not measured for all.`,
  );
  miss(
    !(quietP99Ms <= quietP99BoundMs),
    `Quiet tenants' p99 wait under the flood is ${quietP99Ms} ms; at most ${quietP99BoundMs} ms is allowed (${PASS.quietFactor} × ${report.quietP99BaseMs} ms + ${PASS.quietMessageTimes} message times).`,
  );
  miss(
    report.daemonExitCode !== 0,
    `The daemon ended with code ${report.daemonExitCode} after SIGTERM.`,
  );
  return misses;
}

export function percent(value: number): string {
  return `${(value * 100).toFixed(2)} %`;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
