// What the demo draws: the table while it runs, and the closing picture. Text only, no state.
import type { LedgerTotals } from './ledger.ts';
import type { Measure } from './measure.ts';
import { SETS, TENANTS } from './plan.ts';
import type { Report } from './report.ts';
import { percentile } from './shares.ts';

export interface Row {
  readonly waiting: number;
  readonly sent: number;
  readonly owed: number;
  readonly got: number;
  readonly waitsMs: readonly number[];
}

const HEAD = ['tenant', 'set', 'weight', 'waiting', 'sent', 'owed', 'got', 'p50 ms', 'p99 ms'];
const WIDTHS = [11, 6, 6, 8, 8, 7, 7, 8, 8];
/** So that a line with its numbers fits 80 columns. */
const BAR_WIDTH = 25;

/** The table of tenants; `sent` is what publishers saw acknowledged. */
export function drawTable(title: string, rows: readonly Row[]): string {
  const lines = TENANTS.map((tenant, index) => {
    const row = rows[index];
    const mark = tenant.role === 'flooder' ? '*' : tenant.role === 'busy' ? '+' : '';
    return cells([
      tenant.name + mark,
      tenant.set,
      String(tenant.weight),
      count(row?.waiting ?? 0),
      count(row?.sent ?? 0),
      count(row?.owed ?? 0),
      count(row?.got ?? 0),
      milliseconds(percentile(row?.waitsMs ?? [], 0.5)),
      milliseconds(percentile(row?.waitsMs ?? [], 0.99)),
    ]);
  });
  return [title, cells(HEAD), ...lines, '* floods   + has a backlog under the flood'].join('\n');
}

/** One line for outputs that are no terminal. */
export function drawProgress(
  phase: string,
  { accepted, delivered }: LedgerTotals,
  quietP99Ms: number,
): string {
  const waiting = count(Math.max(0, accepted - delivered));
  const quiet = milliseconds(quietP99Ms);
  return `${phase.padEnd(9)} accepted ${count(accepted)}, delivered ${count(delivered)}, waiting ${waiting}, quiet p99 ${quiet} ms`;
}

/** got ÷ owed of every tenant as a bar; the mark is what is owed. */
export function drawShares({ tenants }: Measure): string {
  const lines = SETS.flatMap((set) => [
    `${set.name} (weight ${set.weight})`,
    ...TENANTS.flatMap((tenant, index) => {
      const each = tenants[index];
      if (tenant.set !== set.name || each === undefined) return [];
      const ratio = each.got / each.owed;
      const name = `  ${tenant.name.padEnd(10)} ${String(tenant.weight).padStart(4)}`;
      const numbers = `${count(each.got).padStart(6)} of ${count(each.owed).padStart(6)}`;
      const kind = each.backlogged ? 'backlogged' : '';
      return [`${name} ${bar(ratio)} ${ratio.toFixed(3)} ${numbers}  ${kind}`.trimEnd()];
    }),
  ]);
  return lines.join('\n');
}

export function drawSummary(report: Report): string {
  return [
    `accepted ${count(report.accepted)}, delivered ${count(report.delivered)}, lost ${report.lost}, duplicates ${report.duplicates}`,
    `${count(report.messagesPerSec)} messages a second while measured (${count(report.windowDeliveries)} deliveries), the rest drained in ${count(report.drainMs)} ms once the limit was lifted`,
    `Jain's index of got ÷ owed ${report.jain}, largest share error of a backlogged tenant ${(report.shareErrorMax * 100).toFixed(2)} %`,
    `quiet tenants wait p50 ${report.quietP50Ms} ms, p99 ${report.quietP99Ms} ms under the flood (before: ${report.quietP50BaseMs} and ${report.quietP99BaseMs} ms), from publish call to delivery`,
  ].join('\n');
}

/** Full at BAR_WIDTH for 1.25 times what is owed, with a mark at 1. */
function bar(ratio: number): string {
  const mark = Math.round(BAR_WIDTH / 1.25);
  const filled = Math.min(BAR_WIDTH, Math.round((ratio * BAR_WIDTH) / 1.25));
  const drawn = '█'.repeat(filled).padEnd(BAR_WIDTH, '·');
  return `${drawn.slice(0, mark)}│${drawn.slice(mark)}`;
}

function cells(texts: readonly string[]): string {
  return texts
    .map((text, index) =>
      index < 2 ? text.padEnd(WIDTHS[index] ?? 0) : text.padStart(WIDTHS[index] ?? 0),
    )
    .join(' ');
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function milliseconds(value: number): string {
  return Number.isNaN(value) ? '-' : value.toFixed(1);
}
