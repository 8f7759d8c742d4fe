import t from 'tap';
import { measureLife } from '../../bench/life.ts';
import { formatRow } from '../../bench/report.ts';
import { notLong } from '../support/long-form.ts';

const MESSAGES = 10_000;

t.test('life rows measure what they say, on a daemon of its own', { skip: notLong }, async (t) => {
  const rows = [];
  // The other two rows do the same with more restarts and rests; `npm run bench` runs all of them.
  for (const filter of ['life/scheduled/punctual', 'life/keyed']) {
    for await (const row of measureLife({ messages: MESSAGES, rounds: 1, filter })) rows.push(row);
  }
  t.match(rows, [
    { name: 'life/scheduled/punctual', messages: MESSAGES, duePerSec: 10_000 },
    { name: 'life/keyed', keys: MESSAGES, repeated: MESSAGES },
  ]);
  for (const row of rows) {
    t.match(formatRow(row), row.name);
    t.notMatch(formatRow(row), /NaN|undefined|Infinity/);
    t.notMatch(JSON.stringify(row), /null/, 'each figure was measured');
  }
});
