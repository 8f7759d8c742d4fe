/**
 * `npm run test:crash -- [--kills N] [--seed N] [--seconds-between a..b] [--per-sec N] [--json]`: kills the built
 * daemon under load and accounts for every message; exit 0 when each ended as what was seen of it says.
 * `--power-cut [--images N]` cuts the power of the store instead (power-cut.ts).
 * `--scope gateways` has gateways, receipts and callbacks in flight (gateway-run.ts); with
 * `--without NAME` in a build that lacks something (gateway-changes.ts).
 */
import { parseArgs } from 'node:util';
import { changedBuild } from './changed-build.ts';
import { crashRun } from './crash-run.ts';
import { MUTATIONS } from './gateway-changes.ts';
import { gatewayRun } from './gateway-run.ts';
import { powerCutRun } from './power-cut.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string' },
    'seconds-between': { type: 'string', default: '0.05..0.4' },
    'power-cut': { type: 'boolean', default: false },
    'per-sec': { type: 'string' },
    scope: { type: 'string', default: 'messages' },
    without: { type: 'string' },
    images: { type: 'string', default: '300' },
    json: { type: 'boolean', default: false },
  },
});
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const between = /^([\d.]+)\.\.([\d.]+)$/.exec(values['seconds-between']);
const isScope = ['messages', 'gateways'].includes(values.scope);
const without = Object.entries(MUTATIONS).find(([name]) => name === values.without)?.[1];
const changed = without === undefined ? undefined : changedBuild(without.changes);
if (
  between === null ||
  !Number.isInteger(seed) ||
  !(Number(values.kills) >= 0) ||
  !isScope ||
  (values.without !== undefined && without === undefined)
) {
  console.error(
    'usage: npm run test:crash -- [--scope messages|gateways] [--kills N] [--seed N] [--seconds-between a..b] [--per-sec N]',
  );
  process.exit(2);
}

const kills = {
  kills: Number(values.kills),
  seed,
  msBetween: [1000 * Number(between[1]), 1000 * Number(between[2])],
  build: changed?.path,
  ...(values['per-sec'] !== undefined && { perSec: Number(values['per-sec']) }),
} as const;
const run = values.scope === 'gateways' ? gatewayRun : crashRun;
const result = values['power-cut']
  ? await powerCutRun({ images: Number(values.images), seed })
  : await run(kills);
changed?.remove();
const { faults, passed, ...figures } = result;
for (const fault of faults) console.error(fault);
if (values.json) console.log(JSON.stringify(figures));
else for (const [name, value] of Object.entries(figures)) console.log(`${name}: ${value}`);
process.exit(passed ? 0 : 1);
