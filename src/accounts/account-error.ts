/** Errors of the account form: `{code, message, more_info, status}`. */
import { FairleadError } from '../errors.ts';
import { ACCOUNT_ERRORS, type AccountErrorCode, accountCodeOf } from '../rest/account-codes.ts';
import type { ErrorForm } from '../rest/form-route.ts';
import type { RestReply } from '../rest/rest-route.ts';

/** Where each code is described. */
const MORE_INFO = 'https://www.twilio.com/docs/errors';

export class AccountError extends Error {
  override readonly name = 'AccountError';
  readonly code: AccountErrorCode;
  readonly status: number;

  /** Without a message: what the code means. */
  constructor(code: AccountErrorCode, message: string = ACCOUNT_ERRORS[code], status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

export const notFound = (what: string): AccountError =>
  new AccountError(20404, `The requested resource ${what} was not found`, 404);

/** The answer of an error; everything else than ours is the server's to log. */
export function replyOf(error: AccountError | FairleadError): RestReply {
  if (error instanceof AccountError) {
    const { code, message, status } = error;
    const headers = status === 401 ? CHALLENGE : {};
    return { status, body: { code, message, more_info: `${MORE_INFO}/${code}`, status }, headers };
  }
  const code = accountCodeOf(error.error);
  const { status, headers } = statusOf(error);
  const meaning = ACCOUNT_ERRORS[code];
  const message = meaning === error.message ? meaning : `${meaning}: ${error.message}`;
  return { status, body: { code, message, more_info: `${MORE_INFO}/${code}`, status }, headers };
}

const CHALLENGE = { 'www-authenticate': 'Basic realm="Fairlead"' } as const;

/** Full disks are no class of their own in that form. */
function statusOf({ status, details }: FairleadError) {
  if (status === 401) return { status, headers: CHALLENGE };
  const retryAfterMs = details?.retryAfterMs;
  const isLater = typeof retryAfterMs === 'number';
  const headers = isLater
    ? { 'retry-after': `${Math.max(1, Math.ceil(retryAfterMs / 1000))}` }
    : {};
  return { status: status === 507 ? 503 : status, headers };
}

/** How the server answers errors of its own below the path of this form. */
export const accountErrorForm: ErrorForm = { prefix: '/2010-04-01/', replyOf };

/** Runs a handler; its errors become answers. */
export async function answered(handler: () => Promise<RestReply>): Promise<RestReply> {
  try {
    return await handler();
  } catch (error) {
    if (error instanceof AccountError || error instanceof FairleadError) return replyOf(error);
    throw error;
  }
}
