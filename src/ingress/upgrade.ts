/**
 * The WebSocket handshake at /v1/stream: subprotocol and token. A bad token is accepted and closed
 * at once, because a browser sees a close code but no status of a refused handshake.
 */
import type uWS from 'uWebSockets.js';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { CLOSE, SUBPROTOCOL } from '../protocol/kinds.ts';
import type { Authenticator } from './auth.ts';
import type { Session, SocketData } from './connection.ts';
import { HttpCall, overloaded } from './http-call.ts';
import { type Identity, SCOPES } from './identity.ts';

export interface UpgradeOptions {
  readonly auth: Authenticator;
  /** Open sockets now. */
  readonly openSockets: () => number;
  /** Undefined while connections are welcome. */
  readonly refusal: () => FairleadError | undefined;
  readonly connectionsMax?: number;
}

export class Upgrader {
  readonly #options: UpgradeOptions;
  /** Handshakes whose token is being verified; they count as connections. */
  #underway = 0;

  constructor(options: UpgradeOptions) {
    this.#options = options;
  }

  /** The library's upgrade handler. Everything of the request is read before the first await. */
  async upgrade(
    response: uWS.HttpResponse,
    request: uWS.HttpRequest,
    context: uWS.us_socket_context_t,
  ): Promise<void> {
    const call = new HttpCall(response, request);
    const refusal = this.#options.refusal() ?? this.#tooMany() ?? wrongSubprotocol(call);
    if (refusal !== undefined) {
      call.refuse(refusal);
      return;
    }
    this.#underway += 1;
    const session = await this.#session(call);
    this.#underway -= 1;
    if (!call.open) return;
    const { headers } = call;
    const data: SocketData = { session };
    response.cork(() => {
      response.upgrade(
        data,
        headers.get('sec-websocket-key') ?? '',
        headers.has('sec-websocket-protocol') ? SUBPROTOCOL : '',
        headers.get('sec-websocket-extensions') ?? '',
        context,
      );
    });
  }

  async #session(call: HttpCall): Promise<Session> {
    try {
      const query = call.headers.has('authorization') ? null : call.query.get('access_token');
      const identity = await this.#options.auth.verify(query ?? call.token());
      return { identity, refusal: nothingUsable(identity), connection: undefined };
    } catch (error) {
      const known = error instanceof FairleadError;
      const failure = known ? error : new FairleadError('tokenInvalid');
      const reason = `${failure.error}: ${failure.message}`;
      return {
        identity: undefined,
        refusal: { code: CLOSE.badToken, reason },
        connection: undefined,
      };
    }
  }

  #tooMany(): FairleadError | undefined {
    const connectionsMax = this.#options.connectionsMax ?? LIMITS.connectionsMax;
    if (this.#options.openSockets() + this.#underway < connectionsMax) return undefined;
    return overloaded(`${connectionsMax} connections are open.`);
  }
}

function wrongSubprotocol({ headers }: HttpCall): FairleadError | undefined {
  const offered = headers.get('sec-websocket-protocol');
  if (offered === undefined) return undefined;
  if (offered.split(',').some((each) => each.trim() === SUBPROTOCOL)) return undefined;
  return new FairleadError(
    'invalidValue',
    `The subprotocol is ${SUBPROTOCOL}; the client offers others only.`,
    { field: 'sec-websocket-protocol', offered, supported: [SUBPROTOCOL] },
  );
}

/** A token that is good but opens nothing here. */
function nothingUsable({ scopes }: Identity): Session['refusal'] {
  const usable = SCOPES.publish | SCOPES.consume | SCOPES.gate | SCOPES.receive | SCOPES.usage;
  if ((scopes & usable) !== 0) return undefined;
  const reason = 'scopeMissing: this needs the scope publish, consume, gate or receive';
  return { code: CLOSE.forbidden, reason };
}
