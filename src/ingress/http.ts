/**
 * HTTP beside the WebSocket: finds the route, checks the token, reads the body, calls the handler,
 * and turns whatever it throws into a coded answer. Knows no resource.
 */
import type uWS from 'uWebSockets.js';
import type { Logger } from '../base/logger.ts';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { ErrorForm } from '../rest/form-route.ts';
import type { Authenticator } from './auth.ts';
import { BOUNDS } from './bounds.ts';
import { parseForm } from './form-body.ts';
import { ClientGone, HttpCall, overloaded } from './http-call.ts';
import {
  type BasicRoute,
  type HttpMethod,
  HttpRouter,
  type JsonRoute,
  type Match,
  type Route,
} from './http-router.ts';
import { hasScope, type Identity } from './identity.ts';

export interface HttpServerOptions {
  readonly auth: Authenticator;
  readonly logger: Logger;
  readonly routes: readonly Route[];
  /** Of paths whose errors have another form than the others'. */
  readonly errorForms?: readonly ErrorForm[];
  /** Routes that are not `always` answer notReady while this says so. */
  readonly isServing: () => boolean;
  readonly requestsMax?: number;
  readonly requestBodyBytes?: number;
}

const bodiless = new Set(['GET', 'HEAD', 'OPTIONS']);
const utf8 = new TextDecoder('utf-8', { fatal: true });

type Params = Readonly<Record<string, string>>;

export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #router = new HttpRouter();
  readonly #bodies = { heldBytes: 0 };
  #underway = 0;
  #idle: (() => void) | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    for (const route of options.routes) this.#router.add(route);
  }

  /** Requests whose handler has not ended. */
  get underway(): number {
    return this.#underway;
  }

  attach(app: uWS.TemplatedApp): void {
    app.any('/*', (response, request) => {
      void this.#take(new HttpCall(response, request));
    });
  }

  /** Resolves when no request is under way. */
  async whenIdle(): Promise<void> {
    if (this.#underway === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  async #take(call: HttpCall): Promise<void> {
    this.#underway += 1;
    try {
      await this.#answer(call);
    } catch (error) {
      this.#fail(call, error);
    } finally {
      this.#underway -= 1;
      if (this.#underway === 0) this.#idle?.();
    }
  }

  /** Everything up to the first await runs while the library's request is still valid. */
  async #answer(call: HttpCall): Promise<void> {
    const match = this.#match(call);
    if ('allow' in match) {
      const message = `${call.path} does not take ${call.method}, but ${match.allow}.`;
      this.#refuse(call, new FairleadError('methodNotAllowed', message), { allow: match.allow });
      return;
    }
    const { route, params } = match;
    this.#admit(route);
    if (route.body === 'form') await this.#answerForm(call, route, params);
    else await this.#answerJson(call, route, params);
  }

  async #answerForm(call: HttpCall, route: BasicRoute, params: Params): Promise<void> {
    const credentials = call.credentials();
    const bytes = bodiless.has(call.method) ? undefined : await this.#body(call);
    const { query, headers } = call;
    const body = parseForm(bytes ?? new Uint8Array(), headers.get('content-type'));
    if (!call.open) return;
    call.reply(await route.handler({ params, query, headers, body, credentials }));
  }

  async #answerJson(call: HttpCall, route: JsonRoute, params: Params): Promise<void> {
    const isSigned = route.signed === true && !call.headers.has('authorization');
    const token = route.scope === 'none' || isSigned ? undefined : call.token();
    const body = bodiless.has(call.method) ? undefined : this.#body(call);
    const identity = token === undefined ? undefined : await this.#identify(token, route, body);
    const bytes = await body;
    const json = bytes === undefined ? undefined : parseJson(bytes);
    if (!call.open) return;
    const { path, query, headers, requestId, remoteAddress } = call;
    const method = route.method as HttpMethod;
    const asked = { method, path, params, query, headers, body: json, bytes };
    call.reply(await route.handler({ ...asked, identity, remoteAddress, requestId }));
  }

  #match(call: HttpCall): Match {
    const match = this.#router.match(call.method, call.path);
    if (match === undefined) {
      throw new FairleadError('routeNotFound', `There is no path ${call.path}.`);
    }
    return match;
  }

  #admit(route: Route): void {
    if (route.always) return;
    if (!this.#options.isServing()) throw new FairleadError('notReady');
    const requestsMax = this.#options.requestsMax ?? BOUNDS.requestsMax;
    if (this.#underway > requestsMax) throw overloaded(`${requestsMax} requests are under way.`);
  }

  #body(call: HttpCall): Promise<Uint8Array> {
    const bytesMax = this.#options.requestBodyBytes ?? LIMITS.requestBodyBytes;
    return call.body(bytesMax, this.#bodies);
  }

  async #identify(token: string, route: JsonRoute, body?: Promise<unknown>): Promise<Identity> {
    // The body may fail first, while nobody awaits it yet.
    body?.catch(() => {});
    const identity = await this.#options.auth.verify(token);
    if (route.scope !== 'none' && !hasScope(identity, route.scope)) {
      throw new FairleadError('scopeMissing', `This needs the scope ${route.scope}.`);
    }
    return identity;
  }

  #fail(call: HttpCall, error: unknown): void {
    if (error instanceof ClientGone) return;
    if (error instanceof FairleadError) {
      this.#refuse(call, error);
      return;
    }
    const { requestId, method, path } = call;
    this.#options.logger.error({ err: error, requestId, method, path }, 'request failed');
    this.#refuse(call, new FairleadError('internal', undefined, { requestId }));
  }

  #refuse(call: HttpCall, error: FairleadError, headers: Readonly<Record<string, string>> = {}) {
    const form = this.#options.errorForms?.find(({ prefix }) => call.path.startsWith(prefix));
    call.refuse(error, headers, form?.replyOf);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return undefined;
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (error) {
    const reason = (error as Error).message;
    throw new FairleadError('invalidJson', `The request body is not valid JSON: ${reason}.`);
  }
}
