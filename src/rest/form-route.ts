/**
 * A route that takes forms and Basic credentials instead of JSON and a token. Its handler checks the
 * credentials itself, ignores what it does not know, and answers errors in a form of its own.
 */
import type { FairleadError } from '../errors.ts';
import type { RestMethod, RestReply } from './rest-route.ts';

export interface BasicCredentials {
  readonly user: string;
  readonly password: string;
}

export interface FormRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /**
   * Counts the request for a tenant, once its handler knows who asks; a promise where it waits.
   * @throws FairleadError when as many of the tenant are under way as may be
   */
  readonly enter: (tenant: string) => Promise<void> | undefined;
  /** The fields of the form; empty without a body. */
  readonly body: URLSearchParams;
  readonly credentials: BasicCredentials;
}

export interface FormRoute {
  readonly body: 'form';
  readonly scope: 'basic';
  readonly method: RestMethod;
  readonly path: string;
  readonly handler: (request: FormRequest) => Promise<RestReply> | RestReply;
}

/** How errors below a path are answered: of its routes, and where it has none. */
export interface ErrorForm {
  /** Starts and ends with a slash. */
  readonly prefix: string;
  readonly replyOf: (error: FairleadError) => RestReply;
}
