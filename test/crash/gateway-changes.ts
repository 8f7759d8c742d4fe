/**
 * Changes of the build that take away what the gateway runs rest on, a line or two each; each has to
 * turn its figure red. `npm run test:crash -- --scope gateways --without NAME` shows one.
 */
import type { Change } from './changed-build.ts';
import type { Wrong } from './gateway-figures.ts';

export interface Mutation {
  readonly what: string;
  /** Has to be above 0. */
  readonly figure: Wrong;
  readonly changes: readonly Change[];
}

const RUNNER = 'gateway/runner.js';
/** What is written later is what a kill finds unwritten: as long as a slow disk takes. */
const LATER_MS = 40;

export const MUTATIONS = {
  eventsStored: {
    what: 'events are acknowledged to the shard before the outbox has them',
    figure: 'callbacksMissing',
    changes: [
      {
        file: 'callbacks/callbacks.js',
        from: 'if (!batch.isEmpty && !(await this.#put(batch))) {',
        to: `this.#tellShards(told);
        await new Promise((resolve) => setTimeout(resolve, ${LATER_MS}));
        if (!batch.isEmpty && !(await this.#put(batch))) {`,
      },
    ],
  },
  receiptsStored: {
    what: 'a message is settled as sent before its ids for receipts are on disk',
    figure: 'receiptsLost',
    changes: [
      {
        file: RUNNER,
        from: 'receipts.put(sent).then(settle, () => { });',
        to: 'void receipts.put(sent);\n        settle();',
      },
      {
        file: 'gateway/receipt-store.js',
        from: 'new Promise((resolve) => setImmediate(resolve))',
        to: `new Promise((resolve) => setTimeout(resolve, ${LATER_MS}))`,
      },
    ],
  },
  answerAwaited: {
    what: 'an item of the outbox is removed before its request is answered',
    figure: 'callbacksMissing',
    changes: [
      {
        file: 'outbound/outbox.js',
        from: 'attempt(item, this.#options, startMs).then((result) => {',
        to: 'this.#items.end(slot);\n        attempt(item, this.#options, startMs).then((result) => {',
      },
      {
        file: 'outbound/outbox.js',
        from: 'this.#settle(slot, endpoint, result, startMs);',
        to: 'this.#items.turns.plan(endpoint, startMs);',
      },
    ],
  },
  requestAwaited: {
    what: 'a message is settled as sent before its request is answered',
    figure: 'lost',
    changes: [
      {
        file: 'gateway/webhook-driver.js',
        from: 'const ended = await this.#options.post.send({',
        to: `for (const job of jobs)
            this.#host.end(job, { kind: 'sent' });
        const ended = await this.#options.post.send({`,
      },
      {
        file: 'gateway/feed.js',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: a line of the build
        from: 'throw new Error(`delivery ${ticket.delivery} is settled twice`);',
        to: 'return;',
      },
    ],
  },
} as const satisfies Readonly<Record<string, Mutation>>;

export type MutationName = keyof typeof MUTATIONS;
