/** Who asks: the account of Basic credentials. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { BasicCredentials } from '../rest/form-route.ts';
import { AccountError, notFound } from './account-error.ts';
import type { AccountDirectory, AccountRecord } from './ports.ts';

const hash = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Compared with where there is no account, so that answers take the same time. */
const NOBODY = { primaryToken: '', secondaryToken: '' } as const;

/**
 * The account that asks, which is also the one whose resources it asks for.
 *
 * @throws AccountError 20003 for wrong credentials, 20005 for an account that is not active, 20404
 *   for the path of another account
 */
export function authenticate(
  directory: AccountDirectory,
  { user, password }: BasicCredentials,
  pathSid: string,
): AccountRecord {
  const account = directory.account(user);
  const { primaryToken, secondaryToken } = account ?? NOBODY;
  const given = hash(password);
  const isPrimary = timingSafeEqual(given, hash(primaryToken));
  const isSecondary = timingSafeEqual(given, hash(secondaryToken));
  if (account === undefined || !(isPrimary || isSecondary)) {
    throw new AccountError(20003, 'Authenticate', 401);
  }
  if (account.status !== 'active') {
    throw new AccountError(20005, `Account not active: it is ${account.status}`, 403);
  }
  if (pathSid !== account.sid) throw notFound(`/2010-04-01/Accounts/${pathSid}`);
  return account;
}
