/** `--scope core`: the criterion benchmarks of native/bench, as rows. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CoreResult, coreRow, pickRatio } from './criterion.ts';

const native = join(import.meta.dirname, '..', 'native');
const results = join(process.env.CARGO_TARGET_DIR ?? join(native, 'target'), 'criterion');

export interface CoreOptions {
  readonly quick: boolean;
  /** A regular expression. */
  readonly filter?: string | undefined;
  /** One file of native/bench/benches; undefined: all. */
  readonly bench?: string | undefined;
}

export function measureCore({ quick, filter, bench }: CoreOptions): CoreResult[] {
  // Estimates of an earlier run would be taken for those of this one.
  rmSync(results, { recursive: true, force: true });
  const which = bench === undefined ? ['--benches'] : ['--bench', bench];
  const args = ['bench', '--package', 'fairlead-bench', ...which, '--'];
  if (quick) args.push('--quick');
  if (filter !== undefined) args.push(filter);
  const stdio: ['ignore', 'ignore', 'inherit'] = ['ignore', 'ignore', 'inherit'];
  const { status, error } = spawnSync('cargo', args, { cwd: native, stdio });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`cargo bench ended with ${status}`);
  const rows = estimateFiles().map(({ benchmark, estimates }) =>
    coreRow(readFileSync(benchmark, 'utf8'), readFileSync(estimates, 'utf8')),
  );
  return pickRatio(rows.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true })));
}

function estimateFiles(): { benchmark: string; estimates: string }[] {
  let names: string[];
  try {
    names = readdirSync(results, { recursive: true, encoding: 'utf8' });
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith(join('new', 'benchmark.json')))
    .map((name) => ({
      benchmark: join(results, name),
      estimates: join(results, name.replace(/benchmark\.json$/, 'estimates.json')),
    }));
}
