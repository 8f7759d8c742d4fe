import t from 'tap';
import { BREAKER, Breaker, type BreakerState } from '../../src/gateway/breaker.ts';

class World {
  nowMs = 0;
  readonly states: BreakerState[] = [];
  task: (() => void) | undefined;
  delayMs = 0;
  readonly breaker = new Breaker({
    nowMs: () => this.nowMs,
    later: (task, delayMs) => {
      this.task = task;
      this.delayMs = delayMs;
      return () => {
        this.task = undefined;
      };
    },
    changed: (state) => this.states.push(state),
  });

  /** `+` for an answer, `-` for none; `ms` between them. */
  run(ends: string, ms = 1): void {
    for (const end of ends) {
      this.nowMs += ms;
      const { epoch } = this.breaker;
      if (end === '+') this.breaker.succeeded(epoch);
      else this.breaker.failed(epoch);
    }
  }
}

t.test('five failures in a row open it, however far apart', async (t) => {
  const world = new World();
  world.run('----+----', 3_600_000);
  t.equal(world.breaker.state, 'closed');
  world.run('-', 3_600_000);
  t.equal(world.breaker.state, 'open');
  t.equal(world.delayMs, BREAKER.backOffMsMin);
});

t.test('half of the last twenty within ten seconds open it', async (t) => {
  const world = new World();
  world.run('+-'.repeat(9), 100);
  t.equal(world.breaker.state, 'closed', 'not before there are twenty');
  world.run('+-', 100);
  t.equal(world.breaker.state, 'open');
  const slow = new World();
  slow.run('+-'.repeat(50), 1_000);
  t.equal(slow.breaker.state, 'closed', 'what is older is not looked at');
  const good = new World();
  good.run('+++-'.repeat(50), 10);
  t.equal(good.breaker.state, 'closed');
});

t.test('one probe decides; each failed one doubles the wait up to a bound', async (t) => {
  const world = new World();
  world.run('-----');
  const waits: number[] = [];
  for (let probe = 0; probe < 7; probe += 1) {
    waits.push(world.delayMs);
    world.task?.();
    t.equal(world.breaker.state, 'halfOpen');
    world.run('-');
    t.equal(world.breaker.state, 'open');
  }
  t.strictSame(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  world.task?.();
  world.run('+');
  t.equal(world.breaker.state, 'closed');
  world.run('-----');
  t.equal(world.delayMs, BREAKER.backOffMsMin, 'and it begins anew');
});

t.test('requests that began before the last change say nothing', async (t) => {
  const world = new World();
  const { epoch } = world.breaker;
  world.run('-----');
  world.breaker.succeeded(epoch);
  world.breaker.failed(epoch);
  t.strictSame(world.states, ['open']);
  world.task?.();
  world.breaker.failed(epoch);
  world.breaker.succeeded(epoch);
  t.equal(world.breaker.state, 'halfOpen');
  world.breaker.stop();
});
