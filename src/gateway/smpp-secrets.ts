/** The secrets of an SMPP gateway: what a bind and a TLS connection can take. */
import { X509Certificate } from 'node:crypto';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { SmppFields } from './gateway-fields.ts';
import type { SecretOf } from './ports.ts';

export interface SmppSecrets {
  /** '' where there is none. */
  readonly password: string;
  /** PEM; undefined: the usual certificates are trusted. */
  readonly ca: string | undefined;
}

type References = Pick<SmppFields, 'password' | 'ca'>;

/** @throws FairleadError secretNotFound; invalidValue where a value is none that can be used */
export function smppSecretsOf({ password, ca }: References, secretOf: SecretOf): SmppSecrets {
  return {
    password: password === null ? '' : passwordOf(password, secretOf(password)),
    ca: ca === null ? undefined : certificatesOf(ca, secretOf(ca)),
  };
}

/**
 * Looks at the secrets of a gateway that is put. One that is missing may come later.
 *
 * @throws FairleadError invalidValue
 */
export function checkSmppSecrets(smpp: References | null, secretOf: SecretOf): void {
  if (smpp === null) return;
  const { password, ca } = smpp;
  for (const one of [
    { password, ca: null },
    { password: null, ca },
  ]) {
    try {
      smppSecretsOf(one, secretOf);
    } catch (error) {
      if (!(error instanceof FairleadError) || error.error !== 'secretNotFound') throw error;
    }
  }
}

function passwordOf(name: string, value: string): string {
  const octets = Buffer.byteLength(value);
  if (/^[ -~]*$/.test(value) && octets <= LIMITS.smppPasswordOctets) return value;
  const most = `the password of an SMPP bind has at most ${LIMITS.smppPasswordOctets} octets of printable ASCII`;
  const message = `smpp.password: ${most}, the secret ${JSON.stringify(name)} has ${octets} octets.`;
  throw new FairleadError('invalidValue', message, { field: 'smpp.password' });
}

function certificatesOf(name: string, value: string): string {
  try {
    new X509Certificate(value);
    return value;
  } catch {
    const message = `smpp.ca: the secret ${JSON.stringify(name)} is no certificate in PEM.`;
    throw new FairleadError('invalidValue', message, { field: 'smpp.ca' });
  }
}
