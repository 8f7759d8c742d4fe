/**
 * kill -9 with gateways, receipts and callbacks in flight, short:
 * `npm run test:crash -- --scope gateways --kills 100` is the long form.
 */
import t from 'tap';
import { type Count, type Ended, GATEWAY_WRONG } from './gateway-figures.ts';
import { gatewayRun } from './gateway-run.ts';

t.setTimeout(240_000);

/** Without these the run would have shown nothing of them. */
const SEEN: readonly (Count | Ended)[] = [
  ...(['webhookRequests', 'submits', 'receipts', 'receiptsEarly', 'callbackRepeats'] as const),
  ...(['againRefused', 'sent', 'delivered', 'undelivered', 'failed'] as const),
];

t.test('every message ends once, as its gateway said, and all of it is told', async (t) => {
  const result = await gatewayRun({ kills: 8, seed: 20_261_122, msBetween: [100, 600] });
  const { faults, ...figures } = result;
  t.comment(JSON.stringify(figures));
  t.strictSame(faults, []);
  for (const name of GATEWAY_WRONG) t.equal(result[name], 0, name);
  t.equal(result.exitCode, 0);
  t.ok(result.passed);
  t.ok(result.accepted > 50, `${result.accepted} accepted`);
  t.ok(result.againInDoubt + result.inDoubt > 0, 'kills left messages in doubt');
  for (const name of SEEN) t.ok(result[name] > 0, `${result[name]} ${name}`);
});
