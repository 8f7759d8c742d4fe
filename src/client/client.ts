/**
 * A client of one daemon: one connection at a time, made again whenever it ends.
 *
 * connecting → open → waiting → connecting …; open → leaving (the daemon goes away: what is under
 * way is finished, nothing new is sent) → waiting; any → closed. Publishes wait and subscriptions
 * stay through all but closed.
 */
import { backoffMs } from './backoff.ts';
import { BatchConsumer, type BatchHandler } from './batch-consumer.ts';
import { isList } from './check-message.ts';
import { checkName } from './check-text.ts';
import { Connection, type ConnectionEvents } from './connection.ts';
import { Consumer, type Handler } from './consumer.ts';
import {
  CLOSE_BAD_TOKEN,
  CLOSE_FORBIDDEN,
  CLOSE_NORMAL,
  CONCURRENCY_DEFAULT,
  CREDIT_DEFAULT,
  FINISH_MS,
  FINISH_STEP_MS,
  HEARTBEAT_MS,
  OPEN_TIMEOUT_MS,
  QUEUE_BYTES_MAX,
  STABLE_MS,
} from './defaults.ts';
import { Emitter } from './emitter.ts';
import { DAEMON_ERRORS, FairleadClientError } from './error.ts';
import { Gate, GateBook } from './gate.ts';
import type { AcquireOptions } from './gate-types.ts';
import {
  cancelMessages,
  type OpenConnection,
  statusOfMessages,
  tellReceipts,
} from './message-requests.ts';
import { Publisher } from './publisher.ts';
import { findWebSocket, openSocket } from './socket.ts';
import { SubscriptionCore } from './subscription.ts';
import {
  type SubscribeOptions,
  type Subscription,
  SubscriptionHandle,
} from './subscription-handle.ts';
import type {
  BatchPublished,
  Cancelled,
  ClientEvents,
  ConnectOptions,
  Message,
  MessageStatus,
  Published,
  Receipt,
  Receipted,
} from './types.ts';
import { takeUsageNews, type UsageEvent, type Used, useEvents } from './usage.ts';

type State = 'connecting' | 'open' | 'leaving' | 'waiting' | 'closed';

export class Client extends Emitter<ClientEvents> {
  readonly #options: ConnectOptions;
  readonly #publisher: Publisher;
  readonly #gate = new GateBook((error) => this.emit('error', error));
  readonly #subscriptions = new Map<number, SubscriptionHandle>();
  readonly #removeAbort: () => void;
  #state: State = 'connecting';
  #connection: Connection | undefined;
  #attempt = 0;
  #openedAtMs: number | undefined;
  #retryAfterMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastSubscription = 0;
  #closing: Promise<void> | undefined;
  #final: FairleadClientError | undefined;
  #watchers: (() => void)[] = [];

  /** Made by `connect`. */
  constructor(options: ConnectOptions) {
    super();
    this.#options = options;
    this.#publisher = new Publisher({
      queueBytesMax: options.queueBytesMax ?? QUEUE_BYTES_MAX,
      resend: options.resend ?? false,
    });
    const abort = (): void => this.#finish(new FairleadClientError('clientClosed', 'Aborted.'));
    options.signal?.addEventListener('abort', abort);
    this.#removeAbort = () => options.signal?.removeEventListener('abort', abort);
    if (options.signal?.aborted) abort();
    else void this.#connect();
  }

  get isConnected(): boolean {
    return this.#state === 'open';
  }

  /** Resolves when a connection is open. @throws FairleadClientError when the client is closed */
  async whenConnected(): Promise<void> {
    while (this.#state !== 'open') {
      if (this.#state === 'closed') throw this.#closedError();
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  /**
   * Publishes one message, or each of several; what is published within a turn shares a frame.
   * A promise resolves when the message is as durable as the daemon's mode says, and rejects with
   * FairleadClientError when it was refused; `maybeAccepted` tells whether that is certain.
   */
  publish(destination: string, message: Message): Promise<Published>;
  publish(destination: string, messages: readonly Message[]): Promise<Published>[];
  publish(
    destination: string,
    messages: Message | readonly Message[],
  ): Promise<Published> | Promise<Published>[] {
    if (isList(messages)) return messages.map((each) => this.#publisher.publish(destination, each));
    return this.#publisher.publish(destination, messages);
  }

  /**
   * Publishes many messages with one promise; refusals of single messages are in its result.
   * @throws FairleadClientError if a message is malformed, or the client's queue is full
   */
  publishBatch(destination: string, messages: readonly Message[]): Promise<BatchPublished> {
    return this.#publisher.publishBatch(destination, messages);
  }

  /** Resolves when the queue of this client has room: await it before publishing more. */
  writable(): Promise<void> {
    return this.#publisher.writable();
  }

  /**
   * Withdraws messages that wait; one that is being sent or has ended is refused in the result.
   * With a tenant's token only the tenant's own are known.
   * @throws FairleadClientError if it could not be asked; what was cancelled before stays so
   */
  cancel(ids: readonly string[]): Promise<Cancelled> {
    return cancelMessages(this.#open, ids);
  }

  /**
   * Where messages are, by position; undefined for one that is not known, or no longer.
   * @throws FairleadClientError if it could not be asked
   */
  status(ids: readonly string[]): Promise<(MessageStatus | undefined)[]> {
    return statusOfMessages(this.#open, ids);
  }

  /**
   * Tells what became of messages after they were sent: for gateways.
   * @throws FairleadClientError if it could not be told; what was applied before stays so
   */
  receipt(receipts: readonly Receipt[]): Promise<Receipted> {
    return tellReceipts(this.#open, receipts);
  }

  /**
   * Counts events of usage; refusals of single events are in the result.
   * @throws FairleadClientError if they could not be told; what was counted before stays so
   */
  use(events: readonly UsageEvent[]): Promise<Used> {
    return useEvents(this.#open, events);
  }

  /** Takes messages of a destination, one at a time to the handler; what it returns settles it. */
  subscribe(
    destination: string,
    options: SubscribeOptions & { readonly concurrency?: number },
    handler: Handler,
  ): Subscription {
    const consumer = new Consumer({
      settle: options.settle ?? 'auto',
      concurrency: options.concurrency ?? CONCURRENCY_DEFAULT,
      handler,
      error: (error) => this.emit('error', error),
    });
    return this.#subscribe(destination, options, consumer);
  }

  /** Takes messages of a destination a frame at a time: the way for many messages a second. */
  subscribeBatches(
    destination: string,
    options: SubscribeOptions,
    handler: BatchHandler,
  ): Subscription {
    const consumer = new BatchConsumer({
      settle: options.settle ?? 'auto',
      handler,
      error: (error) => this.emit('error', error),
    });
    return this.#subscribe(destination, options, consumer);
  }

  /** Permits of the concurrency gate; `defaults` hold for each ask that does not say otherwise. */
  gate(defaults: AcquireOptions = {}): Gate {
    return new Gate(this.#gate, defaults);
  }

  /**
   * Ends in order: tells holders of permits to stop, waits for them, for handlers that run, for
   * settlements and for the answers of publishes, at most `timeoutMs` (default 10 s); then closes.
   * What is left unanswered is refused.
   */
  close(timeoutMs = FINISH_MS): Promise<void> {
    this.#closing ??= this.#closeInOrder(timeoutMs);
    return this.#closing;
  }

  readonly #open: OpenConnection = async () => {
    for (;;) {
      await this.whenConnected();
      if (this.#connection !== undefined) return this.#connection;
    }
  };

  #subscribe(
    destination: string,
    options: SubscribeOptions,
    consumer: Consumer | BatchConsumer,
  ): Subscription {
    if (this.#state === 'closed' || this.#closing !== undefined) throw this.#closedError();
    checkName('destination', destination);
    if (options.gateway !== undefined) checkName('gateway', options.gateway);
    this.#lastSubscription += 1;
    const number = this.#lastSubscription;
    const core = new SubscriptionCore({
      number,
      destination,
      credit: options.credit ?? CREDIT_DEFAULT,
      gateway: options.gateway,
      error: (error) => this.emit('error', error),
      take: (arrival) => consumer.take(arrival),
      lost: () => consumer.lost(),
    });
    consumer.bind(core);
    const handle = new SubscriptionHandle(core, consumer, options.signal);
    this.#subscriptions.set(number, handle);
    if (this.#state === 'open' && this.#connection !== undefined) core.attach(this.#connection);
    return handle;
  }

  async #connect(): Promise<void> {
    this.#state = 'connecting';
    try {
      const { token, url, WebSocket: given } = this.#options;
      const WebSocket = await findWebSocket(given);
      const secret = typeof token === 'function' ? await token() : token;
      if (this.#isEnded()) return;
      this.#connection = new Connection(
        openSocket(WebSocket, url, secret),
        {
          openTimeoutMs: this.#options.openTimeoutMs ?? OPEN_TIMEOUT_MS,
          heartbeatMs: this.#options.heartbeatMs ?? HEARTBEAT_MS,
        },
        this.#events(),
      );
    } catch (cause) {
      if (this.#isEnded()) return;
      const error =
        cause instanceof FairleadClientError
          ? cause
          : new FairleadClientError('connectionLost', String(cause));
      if (error.error === 'noWebSocket') {
        this.#finish(error);
      } else {
        this.emit('error', error);
        this.#wait(0, error.message);
      }
    }
  }

  #events(): ConnectionEvents {
    return {
      hello: ({ protocol, durability }) => this.#opened(protocol, durability),
      deliver: (subscription, deliveries) =>
        this.#subscriptions.get(subscription)?.core.arrived(deliveries),
      event: (frame) => {
        const isNews = takeUsageNews(frame, (news) => this.emit('usage', news));
        if (!isNews) this.#gate.event(frame);
      },
      goAway: (reason, retryAfterMs) => void this.#leave(reason, retryAfterMs),
      error: (error) => this.emit('error', error),
      closed: (code, reason) => this.#lost(code, reason),
    };
  }

  #opened(protocol: number, durability: string): void {
    const connection = this.#connection;
    if (connection === undefined || this.#state !== 'connecting') return;
    this.#state = 'open';
    this.#openedAtMs = Date.now();
    this.emit('connected', { protocol, durability, limits: connection.limits });
    // First: what is held there would end.
    this.#gate.attach(connection);
    for (const [number, { core }] of this.#subscriptions) {
      if (core.isClosed) this.#subscriptions.delete(number);
      else core.attach(connection);
    }
    this.#publisher.attach(connection);
    this.#notify();
  }

  /** The daemon will end: what was begun is finished, the rest waits for the next connection. */
  async #leave(reason: string, retryAfterMs: number): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined || this.#state !== 'open') return;
    this.#state = 'leaving';
    this.#retryAfterMs = retryAfterMs;
    this.#publisher.detach();
    this.#gate.leave();
    this.emit('goAway', { reason, retryAfterMs });
    await this.#finished(connection, Date.now() + FINISH_MS);
    connection.close(CLOSE_NORMAL, 'go away');
  }

  /** Resolves when nothing is under way on the connection, it has ended, or time is up. */
  async #finished(connection: Connection, untilMs: number): Promise<void> {
    const busy = (): boolean =>
      connection.unanswered > 0 ||
      !this.#gate.keeper.releases.isIdle ||
      [...this.#subscriptions.values()].some(({ core }) => core.unsettled > 0);
    for (;;) {
      for (const { core } of this.#subscriptions.values()) core.flush();
      if (!connection.isOpen || !busy() || Date.now() >= untilMs) return;
      await new Promise((resolve) => setTimeout(resolve, FINISH_STEP_MS));
    }
  }

  #lost(code: number, reason: string): void {
    const helloCame = this.#openedAtMs !== undefined;
    if (helloCame && Date.now() - (this.#openedAtMs ?? 0) >= STABLE_MS) this.#attempt = 0;
    this.#openedAtMs = undefined;
    this.#connection = undefined;
    this.#publisher.detach();
    this.#gate.detach();
    for (const { core } of this.#subscriptions.values()) core.detach();
    if (this.#isEnded()) return;
    // A function may give a fresh token in place of one that expired while it was used.
    const renewable = helloCame && typeof this.#options.token === 'function';
    if (code === CLOSE_FORBIDDEN || (code === CLOSE_BAD_TOKEN && !renewable)) {
      // The reason begins with the error's name: tokenMissing, tokenExpired …
      const told = reason.split(':', 1)[0] ?? '';
      const isTold = Object.values(DAEMON_ERRORS).some(([name]) => name === told);
      const name = code === CLOSE_FORBIDDEN ? 'scopeMissing' : 'tokenInvalid';
      this.#finish(new FairleadClientError(isTold ? told : name, reason || undefined), code);
    } else {
      this.#wait(code, reason);
    }
  }

  #wait(code: number, reason: string): void {
    this.#state = 'waiting';
    const retryInMs = this.#retryAfterMs + backoffMs(this.#attempt);
    this.#attempt += 1;
    this.#retryAfterMs = 0;
    this.#timer = setTimeout(() => void this.#connect(), retryInMs);
    this.emit('disconnected', { code, reason, retryInMs });
  }

  async #closeInOrder(timeoutMs: number): Promise<void> {
    const untilMs = Date.now() + timeoutMs;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    const stops = [...this.#subscriptions.values()].map((handle) => handle.close());
    stops.push(this.#gate.close(new FairleadClientError('clientClosed')), this.#publisher.idle());
    await Promise.race([Promise.all(stops), late]);
    clearTimeout(timer);
    const connection = this.#connection;
    if (connection !== undefined) await this.#finished(connection, untilMs);
    this.#finish(new FairleadClientError('clientClosed'));
  }

  /** Ends for good: nothing waits any more, no new connection is made. */
  #finish(error: FairleadClientError, code = CLOSE_NORMAL): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#final = error;
    clearTimeout(this.#timer);
    this.#removeAbort();
    this.#publisher.fail(error);
    this.#gate.fail(error);
    for (const handle of this.#subscriptions.values()) handle.core.close(error);
    this.#connection?.close(CLOSE_NORMAL, '');
    if (error.error !== 'clientClosed') this.emit('error', error);
    this.emit('disconnected', { code, reason: error.message, retryInMs: undefined });
    this.#notify();
  }

  #isEnded = (): boolean => this.#state === 'closed';

  #closedError(): FairleadClientError {
    return this.#final ?? new FairleadClientError('clientClosed');
  }

  #notify(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}
