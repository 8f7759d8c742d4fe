/**
 * One request on its way through the proxy.
 *
 * States: `arriving` (its tenant is being learnt, a short body is read) → `waiting` (for the gate) →
 * `sent` (a backend has it, or is about to) → `answering` → `ended`. Every state may end it: the client
 * goes, a time is over, a backend fails, the daemon stops. What the gate counted is counted down
 * when it ends, whatever ended it, and nowhere else.
 *
 * A body that is no larger than LIMITS.proxyHeldBytes is there before the gate is asked, so a client that
 * sends slowly keeps nobody out; of a larger or chunked one the first part is, up to that much is read
 * while it waits, and the rest when it has passed.
 */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Timed } from './deadlines.ts';
import { backendRequest, type ForwardRequest, type ForwardShared } from './forward-parts.ts';
import { answerHeaders, countHeaders } from './header-rules.ts';
import { HeldBody } from './held-body.ts';
import type {
  BackendExchange,
  BackendFailure,
  BackendHandler,
  CallListener,
  Counts,
  Impeded,
  Passed,
  Waiting,
} from './ports.ts';
import { countFailure, type Ending, endingOf, type ResourceCounts } from './proxy-counts.ts';
import {
  bodyTooLarge,
  goingAway,
  impededRefusal,
  overloaded,
  refusal,
  upstreamError,
} from './refusals.ts';
import { type Backend, pickBackend } from './route.ts';

type State = 'arriving' | 'waiting' | 'sent' | 'answering' | 'ended';

/** No connection was made, so another backend may be asked. */
const NOT_TAKEN = new Set(['refused', 'dns', 'timeout', 'tls']);

export class Forward implements CallListener, BackendHandler, Timed {
  dueMs: number;
  place = -1;
  readonly #shared: ForwardShared;
  readonly #request: ForwardRequest;
  readonly #counts: ResourceCounts;
  /** What was read of the body and no backend has; undefined: nothing yet. */
  #held: HeldBody | undefined;
  #state: State = 'arriving';
  #tenant: string | undefined;
  #waiting: Waiting | undefined;
  #waited: { readonly position: number; readonly estimateMs: number } | undefined;
  #passed: Passed | undefined;
  #backend: Backend | undefined;
  #tried: Set<Backend> | undefined;
  #exchange: BackendExchange | undefined;
  #endMs = Number.POSITIVE_INFINITY;
  #status = 0;
  /** A part of a body has come, and the turn in which it came is over. */
  #isBegun = false;
  #isBodyComplete: boolean;
  #bodyBytes = 0;
  #isPaused = false;

  constructor(shared: ForwardShared, request: ForwardRequest) {
    const { head, route } = request;
    this.#shared = shared;
    this.#request = request;
    this.#counts = shared.counts.of(route.resource);
    this.#isBodyComplete = !head.isChunked && (head.contentLength ?? 0) === 0;
    this.dueMs = shared.nowMs() + LIMITS.proxyGatherMs;
  }

  /** Takes the request; `tenant` may still be on its way. */
  begin(tenant: string | Promise<string>): void {
    this.#request.call.listen(this);
    this.#shared.deadlines.add(this);
    if (typeof tenant === 'string') {
      this.#tenant = tenant;
      this.#advance();
      return;
    }
    tenant.then(
      (name) => {
        this.#tenant = name;
        this.#advance();
      },
      (error: unknown) => this.#fault(error),
    );
  }

  /** The daemon stops: what no backend has is refused. */
  turnAway(): void {
    if (this.#state === 'arriving' || this.#state === 'waiting') this.#refuse(goingAway(), true);
  }

  /** Ends it at once. */
  cut(): void {
    if (this.#state === 'ended') return;
    this.#exchange?.abort();
    this.#request.call.cut();
    this.#end('aborted', false);
  }

  late(nowMs: number): void {
    if (this.#state === 'sent') {
      this.#exchange?.abort();
      this.#failed({ kind: 'timeout', sentMaybe: true });
      return;
    }
    if (this.#state === 'answering' && nowMs < this.#endMs) countFailure(this.#counts, 'idle');
    this.cut();
  }

  // The client's side.

  bodyPart(chunk: Uint8Array, last: boolean): void {
    if (this.#state === 'ended' || this.#isBodyComplete) return;
    this.#bodyBytes += chunk.byteLength;
    if (this.#bodyBytes > this.#request.route.bodyBytesMax) {
      this.#tooLarge();
      return;
    }
    this.#isBodyComplete = last;
    if (this.#exchange === undefined) this.#hold(chunk);
    else this.#passPart(chunk, this.#exchange);
    if (this.#state !== 'arriving') return;
    if (last) this.#advance();
    else this.#advanceSoon();
  }

  gone(): void {
    if (this.#state === 'ended') return;
    this.#exchange?.abort();
    this.#end('aborted', undefined);
  }

  drained(): void {
    if (this.#state !== 'answering') return;
    this.#setDue(this.#request.route.idleMs);
    this.#exchange?.resume();
  }

  // The backend's side.

  head(status: number, headers: readonly string[], length: number | undefined): void {
    if (this.#state !== 'sent') return;
    const passed = answerHeaders(headers);
    this.#state = 'answering';
    this.#status = status;
    this.#setDue(this.#request.route.idleMs);
    const { call, requestId } = this.#request;
    passed.push('x-request-id', requestId);
    countHeaders(passed, this.#passed as Counts, this.#waited);
    call.head(status, passed, length);
  }

  data(chunk: Uint8Array): boolean {
    if (this.#state !== 'answering') return false;
    const hasRoom = this.#request.call.write(chunk);
    if (hasRoom) this.#setDue(this.#request.route.idleMs);
    // While the client is the slow one, the backend's time stands still.
    else this.dueMs = this.#endMs;
    return hasRoom;
  }

  paused(): void {
    if (this.#state === 'answering') this.#request.call.flush();
  }

  end(): void {
    if (this.#state !== 'answering') return;
    this.#request.call.end();
    this.#end(endingOf(this.#status), this.#status < 500);
  }

  failed(failure: BackendFailure): void {
    if (this.#state === 'answering') {
      // What the client has of the answer is not all: it must not look so.
      countFailure(this.#counts, failure.kind);
      this.#request.call.cut();
      this.#end('aborted', false);
      return;
    }
    if (this.#state !== 'sent' || this.#askAnother(failure)) return;
    this.#failed(failure);
  }

  room(): void {
    if (!this.#isPaused || this.#exchange === undefined || this.#isBodyComplete) return;
    this.#isPaused = false;
    this.#request.call.resume();
  }

  // Arriving.

  /** A short body that came in one piece, chunked or not, is complete by the end of the turn. */
  #advanceSoon(): void {
    if (this.#isBegun) return;
    setImmediate(() => {
      this.#isBegun = true;
      this.#advance();
    });
  }

  #advance(): void {
    if (this.#state !== 'arriving' || this.#tenant === undefined) return;
    const { contentLength } = this.#request.head;
    const isShort = contentLength !== undefined && contentLength <= LIMITS.proxyHeldBytes;
    if (!this.#isBodyComplete && (isShort || !this.#isBegun)) return;
    const { resource, seats, waitMs } = this.#request.route;
    const ask = { resource, tenant: this.#tenant, seats };
    const whole = waitMs === undefined ? ask : { ...ask, waitMs };
    try {
      const end = this.#shared.gate.enter(whole, (later) => this.#decided(later));
      if (end.kind === 'waiting') this.#wait(end);
      else this.#decided(end);
    } catch (error) {
      this.#fault(error);
    }
  }

  #wait(waiting: Waiting): void {
    this.#state = 'waiting';
    this.#waiting = waiting;
    this.#waited = { position: waiting.position, estimateMs: waiting.estimateMs };
    this.#counts.waiting += 1;
    // The gate says when it is over.
    this.dueMs = Number.POSITIVE_INFINITY;
  }

  #decided(end: Passed | Impeded): void {
    if (this.#waiting !== undefined) {
      this.#waiting = undefined;
      this.#counts.waiting -= 1;
    }
    if (this.#state === 'ended') {
      if (end.kind === 'passed') end.leave();
      return;
    }
    if (end.kind === 'impeded') {
      const { call, requestId } = this.#request;
      call.answer(impededRefusal(end, requestId, countHeaders([], end, this.#waited)), false);
      this.#end('impeded', undefined);
      return;
    }
    this.#passed = end;
    this.#state = 'sent';
    this.#counts.underway += 1;
    const { lifeMs } = this.#request.route;
    if (lifeMs !== undefined) this.#endMs = this.#shared.nowMs() + lifeMs;
    try {
      this.#send();
    } catch (error) {
      this.#fault(error);
    }
  }

  #hold(chunk: Uint8Array): void {
    this.#held ??= new HeldBody(this.#shared.counts);
    this.#held.add(chunk);
    if (this.#shared.counts.heldBytes > LIMITS.proxyHeldAllBytes) {
      this.#refuse(overloaded('The bodies of all requests together are too large.'), true);
    } else if (this.#held.bytes >= LIMITS.proxyHeldBytes && !this.#isBodyComplete) {
      this.#pause();
    }
  }

  // Sent.

  #send(): void {
    const { route } = this.#request;
    const nowMs = this.#shared.nowMs();
    const backend = pickBackend(route, nowMs, this.#tried);
    if (backend === undefined) throw new Error('a route without a backend');
    this.#take(backend);
    this.dueMs = Math.min(this.#endMs, nowMs + route.timeoutMs);
    const streams = !this.#isBodyComplete;
    const body = streams ? 'stream' : this.#held?.whole;
    const exchange = this.#shared.backends.send(backendRequest(this.#request, backend, body), this);
    // It may have failed at once, and another have been asked.
    if (this.#backend !== backend || !this.#isSentOn) return;
    this.#exchange = exchange;
    if (streams) this.#begin(exchange);
  }

  get #isSentOn(): boolean {
    return this.#state === 'sent' || this.#state === 'answering';
  }

  /** The body that is read goes on its way, the rest is read. */
  #begin(exchange: BackendExchange): void {
    let hasRoom = true;
    for (const chunk of this.#held?.take() ?? []) hasRoom = exchange.write(chunk);
    if (!hasRoom) this.#pause();
    else if (this.#isPaused) this.room();
  }

  #passPart(chunk: Uint8Array, exchange: BackendExchange): void {
    const hasRoom = chunk.byteLength === 0 || exchange.write(Buffer.from(chunk));
    if (this.#state === 'sent') this.#setDue(this.#request.route.timeoutMs);
    if (this.#isBodyComplete) exchange.finish();
    else if (!hasRoom) this.#pause();
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#request.call.pause();
  }

  /** Whether the request goes to another backend: nothing of it has left, and all of it is here. */
  #askAnother({ kind, sentMaybe }: BackendFailure): boolean {
    const backend = this.#backend;
    if (sentMaybe || !NOT_TAKEN.has(kind) || backend === undefined) return false;
    const { route } = this.#request;
    if (route.backends.length > 1) {
      backend.restUntilMs = this.#shared.nowMs() + LIMITS.proxyRestMs;
    }
    this.#tried ??= new Set();
    this.#tried.add(backend);
    if (!this.#isBodyComplete || this.#bodyBytes > (this.#held?.bytes ?? 0)) return false;
    if (this.#tried.size >= route.backends.length) return false;
    countFailure(this.#counts, kind);
    this.#exchange = undefined;
    this.#send();
    return true;
  }

  #take(backend: Backend): void {
    if (this.#backend !== undefined) this.#backend.underway -= 1;
    this.#backend = backend;
    backend.underway += 1;
  }

  #setDue(ms: number): void {
    this.dueMs = Math.min(this.#endMs, this.#shared.nowMs() + ms);
  }

  // Ends.

  #tooLarge(): void {
    this.#exchange?.abort();
    if (this.#state === 'answering') {
      this.#request.call.cut();
      this.#end('aborted', undefined);
      return;
    }
    this.#refuse(bodyTooLarge(this.#request.route.bodyBytesMax), false);
  }

  #failed(failure: BackendFailure): void {
    countFailure(this.#counts, failure.kind);
    this.#refuse(upstreamError(failure), false, false);
  }

  #fault(error: unknown): void {
    if (this.#state === 'ended') return;
    const known = error instanceof FairleadError;
    const { requestId } = this.#request;
    if (!known) this.#shared.onFault(error, requestId);
    this.#exchange?.abort();
    this.#refuse(known ? error : new FairleadError('internal', undefined, { requestId }), false);
  }

  /** Where nothing was answered yet. */
  #refuse(error: FairleadError, close: boolean, ok?: boolean): void {
    const { call, requestId } = this.#request;
    const counted = this.#passed ?? this.#waiting;
    const lines = counted === undefined ? [] : countHeaders([], counted, this.#waited);
    call.answer(refusal(error, requestId, lines), close);
    this.#end(endingOf(error.status), ok);
  }

  #end(ending: Ending, ok: boolean | undefined): void {
    this.#state = 'ended';
    this.#shared.deadlines.delete(this);
    this.#counts.requests[ending] += 1;
    this.#held?.take();
    if (this.#backend !== undefined) this.#backend.underway -= 1;
    if (this.#waiting !== undefined) {
      this.#waiting.giveUp();
      this.#waiting = undefined;
      this.#counts.waiting -= 1;
    }
    if (this.#passed !== undefined) {
      this.#counts.underway -= 1;
      this.#passed.leave(ok);
      this.#passed = undefined;
    }
    this.#exchange = undefined;
  }
}
