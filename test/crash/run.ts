/**
 * `npm run test:crash -- [--kills N] [--seed N] [--seconds-between a..b] [--json]`: kills the built
 * daemon under load and accounts for every message; exit 0 when each ended as what was seen of it says.
 * `--power-cut [--images N]` cuts the power of the store instead (power-cut.ts).
 */
import { parseArgs } from 'node:util';
import { crashRun } from './crash-run.ts';
import { powerCutRun } from './power-cut.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string' },
    'seconds-between': { type: 'string', default: '0.05..0.4' },
    'power-cut': { type: 'boolean', default: false },
    images: { type: 'string', default: '300' },
    json: { type: 'boolean', default: false },
  },
});
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const between = /^([\d.]+)\.\.([\d.]+)$/.exec(values['seconds-between']);
if (between === null || !Number.isInteger(seed) || !(Number(values.kills) > 0)) {
  console.error('usage: npm run test:crash -- [--kills N] [--seed N] [--seconds-between a..b]');
  process.exit(2);
}

const result = values['power-cut']
  ? await powerCutRun({ images: Number(values.images), seed })
  : await crashRun({
      kills: Number(values.kills),
      seed,
      msBetween: [1000 * Number(between[1]), 1000 * Number(between[2])],
    });
const { faults, passed, ...figures } = result;
for (const fault of faults) console.error(fault);
if (values.json) console.log(JSON.stringify(figures));
else for (const [name, value] of Object.entries(figures)) console.log(`${name}: ${value}`);
process.exit(passed ? 0 : 1);
