/** `gate/table/…`: take and give in the native table, nobody else at it: criterion benchmarks of native/bench. */
import { loadavg } from 'node:os';
import { measureCore } from '../core.ts';
import type { CoreResult } from '../criterion.ts';

/** Caps of a chain: a key alone, and key, tenant and resource. */
const CHAINS = [1, 3] as const;

export interface TableResult {
  readonly scope: 'gate';
  readonly name: string;
  readonly kind: 'table';
  readonly cells: number;
  /** Of one take and its give. */
  readonly nsPerPair: number;
  /** Bounds of criterion's 95 % confidence interval. */
  readonly nsPerPairMin: number;
  readonly nsPerPairMax: number;
  readonly loadBefore: number;
}

export function measureTable(quick: boolean): TableResult[] {
  const loadBefore = Number((loadavg()[0] ?? 0).toFixed(2));
  const names = CHAINS.map(benchmarkOf).join('|');
  return tableRows(measureCore({ quick, filter: `^(${names})$`, bench: 'gate' }), loadBefore);
}

/** @throws Error when a benchmark is not among them */
export function tableRows(results: readonly CoreResult[], loadBefore: number): TableResult[] {
  return CHAINS.map((cells) => {
    const result = results.find(({ name }) => name === benchmarkOf(cells));
    if (result === undefined) throw new Error(`there is no benchmark ${benchmarkOf(cells)}`);
    return {
      scope: 'gate',
      name: `gate/table/${cells}`,
      kind: 'table',
      cells,
      nsPerPair: result.nsPerMessage,
      nsPerPairMin: result.nsPerMessageMin,
      nsPerPairMax: result.nsPerMessageMax,
      loadBefore,
    };
  });
}

function benchmarkOf(cells: number): string {
  return `take and give/${cells} cells`;
}
