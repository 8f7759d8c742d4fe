import { createHmac } from 'node:crypto';

/**
 * The secret with a version that signs requests to a tenant, in the form of Standard Webhooks. It is
 * derived from the hash key of the data directory, so it is stored nowhere.
 */
export function webhookSecret(hashKey: Uint8Array, tenant: string, version: number): string {
  const bytes = createHmac('sha256', hashKey).update(`webhook\0${tenant}\0${version}`).digest();
  return `whsec_${bytes.toString('base64')}`;
}
