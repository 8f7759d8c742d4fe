// The list of requests on their way, and the ids of those that bring none.
import t from 'tap';
import { Deadlines, type Timed } from '../../src/proxy/deadlines.ts';
import { mixed, nextRequestId } from '../../src/proxy/request-id.ts';

const IDS = 100_000;

class Due implements Timed {
  place = -1;
  late: () => void = () => {};
  readonly dueMs: number;

  constructor(dueMs: number) {
    this.dueMs = dueMs;
  }
}

t.test('who is late hears of it once, whoever leaves meanwhile', async (t) => {
  const all = new Deadlines<Due>(() => 10);
  const heard: number[] = [];
  const each = Array.from({ length: 9 }, (_, index) => new Due(index === 4 ? 11 : 10));
  for (const [index, due] of each.entries()) {
    due.late = () => {
      heard.push(index);
      all.delete(due);
      all.delete(due);
      // Others end with it: one that was looked at, one that was not, and one that is not late.
      if (index === 6) for (const other of [8, 1, 4]) all.delete(each[other] as Due);
    };
    all.add(due);
  }
  const last = new Due(Number.POSITIVE_INFINITY);
  all.add(last);
  t.equal(all.size, 10);
  while (all.size > 1) await new Promise((resolve) => setTimeout(resolve, 10));
  t.strictSame(heard.sort(), [0, 2, 3, 5, 6, 7, 8]);
  t.strictSame(all.all(), [last]);
  t.equal(last.place, 0);
  t.ok(each.every(({ place }) => place === -1));
  all.delete(last);
  all.delete(last);
  t.equal(all.size, 0);
});

t.test('ids of requests differ and do not count', async (t) => {
  const ids = Array.from({ length: IDS }, nextRequestId);
  t.equal(new Set(ids).size, IDS);
  t.match(ids[0], /^[0-9a-f]{16}-[0-9a-f]{8}$/);
  const numbers = Array.from({ length: IDS }, (_, number) => mixed(number));
  t.equal(new Set(numbers).size, IDS);
  const steps = new Set(numbers.slice(1).map((number, index) => number - (numbers[index] ?? 0)));
  t.ok(steps.size > IDS / 2, `${steps.size} steps between neighbours`);
});
