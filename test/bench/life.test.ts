import t from 'tap';
import { measureLife } from '../../bench/life.ts';
import { formatRow } from '../../bench/report.ts';

const MESSAGES = 10_000;

t.test('each life row measures what it says, on a daemon of its own', async (t) => {
  const rows = [];
  for await (const row of measureLife({ messages: MESSAGES, rounds: 1 })) rows.push(row);
  t.match(rows, [
    { name: 'life/scheduled/memory', messages: MESSAGES, queues: 4_000 },
    { name: 'life/scheduled/punctual', messages: MESSAGES, duePerSec: 10_000 },
    { name: 'life/scheduled/drain', messages: MESSAGES },
    { name: 'life/keyed', keys: MESSAGES, repeated: MESSAGES },
  ]);
  for (const row of rows) {
    t.match(formatRow(row), row.name);
    t.notMatch(formatRow(row), /NaN|undefined|Infinity/);
    t.notMatch(JSON.stringify(row), /null/, 'each figure was measured');
  }
});
