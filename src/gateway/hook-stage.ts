/**
 * The question before sending: what a hook says of each message. One request asks about all
 * that wait at the moment, up to 100, and a few requests are under way at one time.
 *
 * A hook that gives no answer in time, or none that can be read, is answered for by the gateway's
 * `onTimeout`. What it rewrites holds for this attempt only: the message that is stored stays.
 */
import { ERRORS } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { HookFields } from './gateway-fields.ts';
import { type Decision, decisionsOf } from './hook-answer.ts';
import { type Job, NOT_ATTEMPTED } from './job.ts';
import { timeFor, withTime } from './lease-time.ts';
import { messageJson } from './message-json.ts';
import { requestId } from './request-id.ts';
import type { HookDecided } from './runner.ts';
import type { SignedPost } from './signed-post.ts';

export interface HookStageOptions {
  readonly gateway: string;
  readonly fields: HookFields;
  readonly post: SignedPost;
  readonly decided: HookDecided;
}

export class HookStage {
  readonly #options: HookStageOptions;
  #waiting: Job[] = [];
  #underWay = 0;

  constructor(options: HookStageOptions) {
    this.#options = options;
  }

  take(jobs: readonly Job[]): void {
    this.#waiting.push(...jobs);
    this.#pump();
  }

  giveBack(): void {
    for (const job of this.#waiting.splice(0)) this.#options.decided.end(job, NOT_ATTEMPTED);
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#underWay < LIMITS.hookRequests) {
      const { ready, late } = withTime(this.#waiting.splice(0, LIMITS.hookBatch));
      for (const job of late) this.#options.decided.end(job, NOT_ATTEMPTED);
      if (ready.length > 0) void this.#ask(ready);
    }
  }

  async #ask(jobs: readonly Job[]): Promise<void> {
    const { gateway, fields, post, decided } = this.#options;
    this.#underWay += 1;
    const ended = await post.send({
      url: fields.url,
      secret: fields.secret,
      id: requestId('before', jobs),
      type: 'message.before',
      data: { gateway, messages: jobs.map(messageJson) },
      timeoutMs: timeFor(jobs, fields.timeoutMs),
    });
    this.#underWay -= 1;
    const answer = ended.answer;
    const decisions =
      answer !== undefined && answer.status >= 200 && answer.status < 300
        ? decisionsOf(answer.body, jobs.length)
        : undefined;
    if (decisions === undefined || decisions.includes(undefined)) {
      const why = answer === undefined ? ended.reason : `it answered ${answer.status}`;
      decided.failed(`The hook gave no decision: ${why}`);
    }
    const allowed: Job[] = [];
    for (const [index, job] of jobs.entries()) {
      const next = this.#follow(job, decisions?.[index]);
      if (next !== undefined) allowed.push(next);
    }
    if (allowed.length > 0) decided.allow(allowed);
    this.#pump();
  }

  /** The job to send; undefined when it ended here. */
  #follow(job: Job, decision: Decision | undefined): Job | undefined {
    const { fields, decided } = this.#options;
    const { code } = ERRORS.hookRefused;
    const followed: Decision | { readonly action: 'retry' } = decision ?? {
      action: fields.onTimeout,
    };
    switch (followed.action) {
      case 'allow':
        return job;
      case 'rewrite':
        return { ...job, ...followed.to };
      case 'retry':
        decided.end(job, { kind: 'retry', code });
        return undefined;
      case 'refuse':
        decided.refused();
        decided.end(job, { kind: 'failed', code: followed.code ?? code });
        return undefined;
    }
  }
}
