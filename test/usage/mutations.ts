/** What a build may lack, to see that a run catches it. */
import type { Change } from '../crash/changed-build.ts';

const SERVICE = 'usage/usage-service.js';
const JOURNAL = 'exchange/journal.js';

/** The journal of usage alone leaves out puts; `when` looks at `key`. */
const withoutUsagePuts = (when: string): readonly Change[] => [
  { file: SERVICE, from: 'queued: true,', to: 'queued: true, leaves: true,' },
  {
    file: JOURNAL,
    from: 'commitQueued((writes) => apply(journal, writes))',
    to: 'commitQueued((writes) => apply(journal, this.leaves ? without(writes) : writes))',
  },
  {
    file: JOURNAL,
    from: 'this.#queued = options.queued;',
    to: 'this.#queued = options.queued; this.leaves = options.leaves === true;',
  },
  {
    file: JOURNAL,
    from: 'function apply(journal, writes) {',
    to: `const seen = new Set();
      const isNew = (key) => !seen.has(key.toString('hex')) && seen.add(key.toString('hex'));
      const without = (writes) => ({
        put: (key, value) => { if (!(${when})) writes.put(key, value); },
        remove: (key) => writes.remove(key),
      });
      function apply(journal, writes) {`,
  },
];

export const MUTATIONS: Readonly<Record<string, readonly Change[]>> = {
  /** What a shard tells again after a crash is counted again. */
  'told-again': [
    {
      file: SERVICE,
      from: 'this.port.tell(USAGE_OP.deltas, shard + 1, told',
      to: 'this.port.tell(USAGE_OP.deltas, shard + 1 + 8 * (process.pid % 10_000), told',
    },
  ],
  /** What a shard counted is not in the transaction of the work. */
  'same-transaction': [
    {
      file: JOURNAL,
      from: 'for (const { put, key, value } of readJournal(journal)) {',
      to: `for (const { put, key, value } of readJournal(journal)) {
        if (put && key.length === 9 && key[0] === 0x0a) continue;`,
    },
  ],
  /** Keys of events are forgotten with the process. */
  'event-keys': withoutUsagePuts('key[0] === 0x0f'),
  /** A firing is told, and is not on disk until then. */
  'firing-stored': withoutUsagePuts('key[0] === 0x11'),
  /** How far a trigger has fired is not stored with the firing. */
  once: withoutUsagePuts('key[0] === 0x10 && !isNew(Buffer.from(key))'),
};
