/** The entities of the gateway runs. */
import type { BuiltDaemon } from './daemon-process.ts';
import {
  ACCOUNTS,
  DESTINATIONS,
  GATEWAYS,
  type Keys,
  prefixOf,
  TENANTS,
} from './gateway-traffic.ts';

export const SECRET_NAME = 'gateway.key';
export const SECRET = `whsec_${Buffer.from('gateways-in-a-crash-test').toString('base64')}`;

const ATTEMPTS_MAX = 1_000;
/** Long, so that on a busy machine only what hangs is late. */
const TIMEOUT_MS = 5_000;
const ALL_STATUSES = [
  ...(['accepted', 'scheduled', 'queued', 'sending', 'sent'] as const),
  ...(['delivered', 'undelivered', 'failed', 'expired', 'cancelled'] as const),
];

/** @returns what callbacks are signed with */
export async function configure(
  daemon: BuiltDaemon,
  ports: Readonly<Record<string, number>>,
): Promise<Keys> {
  for (const [shardKey, names] of Object.entries(GATEWAYS)) {
    for (const name of names) {
      const onDoubt = name.endsWith('Once') ? 'fail' : 'redeliver';
      const retries = { attemptsMax: ATTEMPTS_MAX, retryBaseMs: 20, retryMaxMs: 200 };
      await daemon.put(`destinations/${name}`, { shardKey, onDoubt, ...retries });
    }
  }
  for (const destination of DESTINATIONS) {
    await daemon.put(`routes/${prefixOf(destination)}`, { destination });
  }
  const { hook, batch, smpp, pull } = GATEWAYS;
  const host = '127.0.0.1';
  const webhookOf = (name: 'hook' | 'batch', batchMax: number) => ({
    ...{ url: `http://${host}:${ports[name]}/send`, batchMax },
    ...{ timeoutMs: TIMEOUT_MS, secret: SECRET_NAME },
  });
  await daemon.put('gateways/pull', { type: 'pull', destinations: pull });
  await daemon.put('gateways/hook', {
    ...{ type: 'webhook', destinations: hook, inFlightMax: 20, webhook: webhookOf('hook', 1) },
  });
  await daemon.put('gateways/batch', {
    ...{ type: 'webhook', destinations: batch, inFlightMax: 20, webhook: webhookOf('batch', 8) },
  });
  await daemon.put('gateways/smpp', {
    ...{ type: 'smpp', destinations: smpp, inFlightMax: 20 },
    smpp: { host, port: ports.smpp, systemId: 'crash', sessions: 2, pduTimeoutMs: TIMEOUT_MS },
  });
  return await keysOf(daemon);
}

async function keysOf(daemon: BuiltDaemon): Promise<Keys> {
  const keys: Record<string, Keys[string]> = {};
  for (const [at, tenant] of TENANTS.entries()) {
    if (at < ACCOUNTS) {
      const account = `AC${String(at).repeat(32)}`;
      const fields = { tenant, callbackStatuses: ALL_STATUSES };
      const made = await daemon.put(`accounts/${account}`, fields);
      keys[tenant] = { account, token: (made as { primaryToken: string }).primaryToken };
    } else {
      const shown = (await daemon.get(`webhooks/${tenant}/secrets`)) as {
        secrets: { secret: string }[];
      };
      keys[tenant] = { secret: shown.secrets[0]?.secret ?? '' };
    }
  }
  return keys;
}
