/** A route of the account form: who asks is checked and counted before its handler runs. */
import type { FormRequest, FormRoute } from '../rest/form-route.ts';
import type { RestMethod, RestReply } from '../rest/rest-route.ts';
import { answered } from './account-error.ts';
import { authenticate } from './credentials.ts';
import type { AccountDirectory, AccountRecord } from './ports.ts';
import { API_VERSION } from './resources.ts';

export interface Asked extends FormRequest {
  readonly account: AccountRecord;
}

export type Handler = (request: Asked) => Promise<RestReply>;

/** `path` is below `/2010-04-01/Accounts/` and begins with `:account`. */
export function accountRoute(
  directory: AccountDirectory,
  method: RestMethod,
  path: string,
  handle: Handler,
): FormRoute {
  return {
    body: 'form',
    scope: 'basic',
    method,
    path: `/${API_VERSION}/Accounts/${path}`,
    handler: (request) =>
      answered(async () => {
        const sid = (request.params.account ?? '').replace(/\.json$/, '');
        const account = authenticate(directory, request.credentials, sid);
        await request.enter(account.tenant);
        return await handle({ ...request, account });
      }),
  };
}
