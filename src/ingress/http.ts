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
  type HttpReply,
  HttpRouter,
  type JsonRoute,
  type Match,
  type Route,
} from './http-router.ts';
import { hasScope, type Identity, type ScopeName } from './identity.ts';
import { CountedRequest, type Turnstile } from './turnstile.ts';

export interface HttpServerOptions {
  readonly auth: Authenticator;
  readonly logger: Logger;
  readonly routes: readonly Route[];
  /** Of paths whose errors have another form than the others'. */
  readonly errorForms?: readonly ErrorForm[];
  /** Routes that are not `always` answer notReady while this says so. */
  readonly isServing: () => boolean;
  /** Counts requests of routes that are not `always`, for the tenant that asks. */
  readonly turnstile?: Turnstile | undefined;
  readonly requestsMax?: number;
  readonly requestBodyBytes?: number;
}

const bodiless = new Set(['GET', 'HEAD', 'OPTIONS']);
const utf8 = new TextDecoder('utf-8', { fatal: true });

type Params = Readonly<Record<string, string>>;

interface Asked {
  readonly call: HttpCall;
  readonly params: Params;
  readonly counted: CountedRequest;
}

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
    const counted = new CountedRequest(this.#options.turnstile, call);
    try {
      const status = await this.#answer(call, counted);
      counted.leave(tells(status));
    } catch (error) {
      const isGone = error instanceof ClientGone;
      counted.leave(
        isGone ? undefined : tells(error instanceof FairleadError ? error.status : 500),
      );
      this.#fail(call, error, counted.headers);
    } finally {
      this.#underway -= 1;
      if (this.#underway === 0) this.#idle?.();
    }
  }

  /**
   * Everything up to the first await runs while the library's request is still valid. Returns the
   * status.
   */
  async #answer(call: HttpCall, counted: CountedRequest): Promise<number> {
    const match = this.#match(call);
    if ('allow' in match) {
      const message = `${call.path} does not take ${call.method}, but ${match.allow}.`;
      const error = new FairleadError('methodNotAllowed', message);
      this.#refuse(call, error, { allow: match.allow });
      return error.status;
    }
    const { route, params } = match;
    this.#admit(route);
    const ask = { call, params, counted };
    const { headers, ...reply } =
      route.body === 'form' ? await this.#askForm(route, ask) : await this.#askJson(route, ask);
    call.reply({ ...reply, headers: { ...counted.headers, ...headers } });
    return reply.status;
  }

  async #askForm(route: BasicRoute, { call, params, counted }: Asked): Promise<HttpReply> {
    const credentials = call.credentials();
    const bytes = bodiless.has(call.method) ? undefined : await this.#body(call);
    const { query, headers } = call;
    const body = parseForm(bytes ?? new Uint8Array(), headers.get('content-type'));
    if (!call.open) throw new ClientGone();
    const enter = (tenant: string) => counted.enter(tenant);
    return await route.handler({ params, query, headers, body, credentials, enter });
  }

  async #askJson(route: JsonRoute, { call, params, counted }: Asked): Promise<HttpReply> {
    const isSigned = route.signed === true && !call.headers.has('authorization');
    const token = route.scope === 'none' || isSigned ? undefined : call.token();
    const body = bodiless.has(call.method) ? undefined : this.#body(call);
    const identity = token === undefined ? undefined : await this.#identify(token, route, body);
    const bytes = await body;
    const json = bytes === undefined ? undefined : parseJson(bytes);
    if (!call.open) throw new ClientGone();
    const tenant = identity?.tenant ?? '';
    if (route.control) counted.enterAnyway(tenant);
    else if (!route.always) await counted.enter(tenant);
    const { path, query, headers, requestId, remoteAddress } = call;
    const method = route.method as HttpMethod;
    const asked = { method, path, params, query, headers, body: json, bytes };
    return await route.handler({ ...asked, identity, remoteAddress, requestId });
  }

  #match(call: HttpCall): Match {
    const match = this.#router.match(call.method, call.path);
    if (match === undefined) {
      const near = this.#router.near(call.path);
      const others = near.length === 0 ? '' : `; there are ${near.join(', ')}`;
      throw new FairleadError('routeNotFound', `There is no path ${call.path}${others}.`);
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
    if (route.scope !== 'none' && !mayAsk(identity, route.scope)) {
      throw new FairleadError('scopeMissing', `This needs the scope ${route.scope}.`);
    }
    return identity;
  }

  #fail(call: HttpCall, error: unknown, headers: Readonly<Record<string, string>>): void {
    if (error instanceof ClientGone) return;
    if (error instanceof FairleadError) {
      this.#refuse(call, error, headers);
      return;
    }
    const { requestId, method, path } = call;
    this.#options.logger.error({ err: error, requestId, method, path }, 'request failed');
    this.#refuse(call, new FairleadError('internal', undefined, { requestId }), headers);
  }

  #refuse(call: HttpCall, error: FairleadError, headers: Readonly<Record<string, string>> = {}) {
    const form = this.#options.errorForms?.find(({ prefix }) => call.path.startsWith(prefix));
    call.refuse(error, headers, form?.replyOf);
  }
}

/** The platform sends events of usage, too. */
function mayAsk(identity: Identity, scope: ScopeName): boolean {
  return hasScope(identity, scope) || (scope === 'usage' && hasScope(identity, 'platform'));
}

/** What the time of a request tells of the interface: a refusal is quick and tells nothing. */
function tells(status: number): boolean | undefined {
  return status >= 500 ? false : status >= 400 ? undefined : true;
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
