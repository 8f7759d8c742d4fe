/**
 * The reverse proxy: takes requests from its listener, asks the gate before a byte of them leaves, and
 * hands them to a backend; US20250130872A1: passed on and counted within the threshold, else impeded,
 * counted down when the processing ends.
 *
 * Here is what is decided from a request's head: whether it is one that may be passed on, its route,
 * its tenant. What happens then is forward.ts's. States: serving → draining (what no backend has is
 * refused, the rest goes on) → closed.
 */
import type { Logger } from '../base/logger.ts';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { Deadlines } from './deadlines.ts';
import { Forward } from './forward.ts';
import type { ForwardShared } from './forward-parts.ts';
import type { Fronts } from './forwarded.ts';
import { checkPath, checkSlashes } from './path-check.ts';
import type { Backends, Gate, IncomingCall, Tokens } from './ports.ts';
import { ProxyCounts, type ProxyMetric } from './proxy-counts.ts';
import { bodyTooLarge, goingAway, overloaded, refusal } from './refusals.ts';
import { FramingError, readHead } from './request-head.ts';
import { nextRequestId } from './request-id.ts';
import type { RouteTable } from './route.ts';
import { tenantOf } from './tenant.ts';

export interface ReverseProxyOptions {
  readonly routes: RouteTable;
  readonly fronts: Fronts;
  readonly gate: Gate;
  readonly backends: Backends;
  readonly tokens: Tokens;
  readonly logger: Logger;
  readonly requestsMax?: number;
  /** In ms; the monotonic clock unless given. */
  readonly nowMs?: () => number;
}

const DRAIN_POLL_MS = 10;

export class ReverseProxy {
  readonly counts = new ProxyCounts();
  readonly #options: ReverseProxyOptions;
  readonly #shared: ForwardShared;
  readonly #underway: Deadlines<Forward>;
  #isLeaving = false;

  constructor(options: ReverseProxyOptions) {
    const nowMs = options.nowMs ?? (() => performance.now());
    this.#options = options;
    this.#underway = new Deadlines(nowMs);
    this.#shared = {
      gate: options.gate,
      backends: options.backends,
      deadlines: this.#underway,
      counts: this.counts,
      nowMs,
      onFault: (error, requestId) => {
        options.logger.error({ err: error, requestId }, 'a proxied request failed');
      },
    };
  }

  /** Requests that have not ended, those that wait included. */
  get underway(): number {
    return this.#underway.size;
  }

  metrics(): ProxyMetric[] {
    return this.counts.metrics();
  }

  /** Takes a request, while its listener hands it over. Never throws. */
  take(call: IncomingCall): void {
    let requestId: string | undefined;
    try {
      this.#admit();
      const head = readHead(call);
      requestId = head.requestId ?? nextRequestId();
      checkPath(call.path, call.query);
      const route = this.#options.routes.match(head.host, call.path, call.method);
      if (!route.encodedSlashes) checkSlashes(call.path);
      if ((head.contentLength ?? 0) > route.bodyBytesMax) throw bodyTooLarge(route.bodyBytesMax);
      const peer = this.#options.fronts.peer(call.peer);
      const tenant = tenantOf(route.tenantFrom, call, { peer, tokens: this.#options.tokens });
      new Forward(this.#shared, { call, route, head, peer, requestId }).begin(tenant);
    } catch (error) {
      this.#refuse(call, error, requestId ?? nextRequestId());
    }
  }

  /** From here on nothing new is passed on. Resolves when nothing is under way, or after this long. */
  async drain(deadlineMs: number): Promise<void> {
    this.#isLeaving = true;
    for (const forward of this.#underway.all()) forward.turnAway();
    const endMs = performance.now() + deadlineMs;
    while (this.#underway.size > 0 && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
  }

  /** Ends what is under way at once. */
  close(): void {
    this.#isLeaving = true;
    for (const forward of this.#underway.all()) forward.cut();
  }

  #admit(): void {
    if (this.#isLeaving) throw goingAway();
    const requestsMax = this.#options.requestsMax ?? LIMITS.proxyRequests;
    if (this.#underway.size < requestsMax) return;
    throw overloaded(`${requestsMax} requests are under way.`);
  }

  #refuse(call: IncomingCall, error: unknown, requestId: string): void {
    const known = error instanceof FairleadError;
    if (!known) this.#shared.onFault(error, requestId);
    const failure = known ? error : new FairleadError('internal', undefined, { requestId });
    this.counts.refuse(failure.code);
    const close =
      failure instanceof FramingError ||
      failure.error === 'goingAway' ||
      failure.error === 'overloaded';
    call.answer(refusal(failure, requestId), close);
  }
}
