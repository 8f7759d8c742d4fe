/**
 * `node scripts/ts.mjs test/rate/rate.ts [--seconds N] [--rates a,b,…] [--together] [--json]`: F8 in real
 * time, each rate alone, kill -9 in the middle. Exit 0 when no window is above its bound and
 * 99.5–100 % of the rate is reached between restarts, which needs a quiet machine.
 */
import { parseArgs } from 'node:util';
import { type RateRow, rateRun } from './rate-run.ts';

const SHARE_MIN = 0.995;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rates: { type: 'string', default: '10,100,1000,5000' },
    together: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const rates = values.rates.split(',').map(Number);
const groups = values.together ? [rates] : rates.map((rate) => [rate]);
const rows: RateRow[] = [];
for (const ratesPerSec of groups) {
  const some = await rateRun({ ratesPerSec, seconds: Number(values.seconds), starts: 2 });
  rows.push(...some);
  for (const row of some) console.log(values.json ? JSON.stringify(row) : Object.values(row));
}
const kept = rows.every(({ overMax, depth }) => overMax <= depth);
const reached = rows.every(({ dispatchedShare }) => dispatchedShare >= SHARE_MIN);
console.log(JSON.stringify({ boundKept: kept, rateReached: reached }));
process.exit(kept && reached ? 0 : 1);
