/**
 * Sends the messages of a webhook gateway: one POST a message, or a batch of what waits at the
 * moment.
 *
 * So many requests are under way that their batches together are the gateway's window; beyond
 * that messages wait here and make the next batch larger. There is no timer that collects.
 *
 * While the breaker is open nothing is sent and the gateway is told down; half open, one request
 * goes out and what else came waits for its end.
 */
import { Breaker, type BreakerState } from './breaker.ts';
import type { Driver, DriverHost } from './driver.ts';
import type { WebhookFields } from './gateway-fields.ts';
import { type Job, NOT_ATTEMPTED } from './job.ts';
import { timeFor, withTime } from './lease-time.ts';
import { messageJson } from './message-json.ts';
import { requestId } from './request-id.ts';
import type { SignedPost } from './signed-post.ts';
import { answerOfHead, meaningOf, type WebhookAnswer } from './webhook-answer.ts';

export interface WebhookDriverOptions {
  readonly fields: WebhookFields;
  /** Messages in flight at most. */
  readonly inFlightMax: number;
  readonly post: SignedPost;
  readonly host: DriverHost;
}

export class WebhookDriver implements Driver {
  readonly #options: WebhookDriverOptions;
  readonly #host: DriverHost;
  readonly #breaker: Breaker;
  readonly #requestsMax: number;
  #waiting: Job[] = [];
  #underWay = 0;
  /** A request that began in the state halfOpen has not ended. */
  #probing = false;
  #closing = false;

  constructor(options: WebhookDriverOptions) {
    this.#options = options;
    this.#host = options.host;
    this.#requestsMax = Math.ceil(options.inFlightMax / options.fields.batchMax);
    this.#breaker = new Breaker({
      nowMs: () => performance.now(),
      later: (task, delayMs) => {
        const timer = setTimeout(task, delayMs).unref();
        return () => clearTimeout(timer);
      },
      changed: (state) => this.#breakerChanged(state),
    });
  }

  take(jobs: readonly Job[]): void {
    this.#waiting.push(...jobs);
    this.#pump();
  }

  giveBack(): void {
    for (const job of this.#waiting.splice(0)) this.#host.end(job, NOT_ATTEMPTED);
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#breaker.stop();
    this.giveBack();
  }

  state(): { breaker: BreakerState; requests: number } {
    return { breaker: this.#breaker.state, requests: this.#underWay };
  }

  #pump(): void {
    if (this.#breaker.state === 'open' || this.#closing) {
      this.giveBack();
      return;
    }
    while (this.#waiting.length > 0 && this.#maySend()) {
      const { ready, late } = withTime(this.#waiting.splice(0, this.#options.fields.batchMax));
      for (const job of late) this.#host.end(job, NOT_ATTEMPTED);
      if (ready.length > 0) void this.#send(ready);
    }
    this.#host.waits(this.#waiting.length);
  }

  #maySend(): boolean {
    if (this.#breaker.state === 'halfOpen') return !this.#probing;
    return this.#underWay < this.#requestsMax;
  }

  async #send(jobs: readonly Job[]): Promise<void> {
    const { url, secret, timeoutMs, batchMax } = this.#options.fields;
    const { epoch } = this.#breaker;
    this.#underWay += 1;
    if (this.#breaker.state === 'halfOpen') this.#probing = true;
    const startMs = performance.now();
    const messages = jobs.map(messageJson);
    const ended = await this.#options.post.send({
      url,
      secret,
      id: requestId('send', jobs),
      type: 'message.send',
      data: batchMax === 1 ? (messages[0] as object) : { messages },
      timeoutMs: timeFor(jobs, timeoutMs),
    });
    this.#underWay -= 1;
    if (epoch === this.#breaker.epoch) this.#probing = false;
    const answer = ended.answer ?? answerOfHead(ended.head, batchMax);
    if (ended.answer === undefined) this.#host.failed(ended.reason);
    if (ended.answer === undefined && answer === undefined) {
      const result = ended.sentMaybe ? ({ kind: 'doubt' } as const) : ({ kind: 'retry' } as const);
      for (const job of jobs) this.#host.end(job, result);
      this.#breaker.failed(epoch);
    } else if (answer !== undefined) {
      this.#host.took(performance.now() - startMs);
      this.#answered(jobs, answer, epoch);
    }
    this.#pump();
  }

  #answered(jobs: readonly Job[], answer: WebhookAnswer, epoch: number): void {
    const { results, works } = meaningOf(answer, jobs.length, Date.now());
    for (const [index, job] of jobs.entries()) this.#host.end(job, results[index] ?? NOT_ATTEMPTED);
    if (answer.status >= 300) this.#host.failed(`it answered ${answer.status}`);
    // What waits would only be refused too, and may go elsewhere meanwhile.
    const throttled = results.find((result) => result.kind === 'throttled');
    if (throttled !== undefined) {
      for (const job of this.#waiting.splice(0)) this.#host.end(job, throttled);
    }
    if (works === true) this.#breaker.succeeded(epoch);
    else if (works === false) this.#breaker.failed(epoch);
  }

  #breakerChanged(state: BreakerState): void {
    if (this.#closing) return;
    this.#probing = false;
    this.#host.up(state !== 'open');
    if (state === 'closed') this.#host.credit('full');
    else this.#host.credit(state === 'open' ? 'none' : 'probe');
    if (state === 'open') this.giveBack();
  }
}
