// The verdict on free space has hysteresis, and outlives a failed look.
import t from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { DiskSpace } from '../../src/store/disk-space.ts';

t.test('full below the reserve, room again only clearly above it', async (t) => {
  const looks: (number | Error)[] = [1000, 99, 100, 124, new Error('gone'), 125, 100, 99];
  const verdicts: [number, boolean][] = [];
  let look = -1;
  const alive = setInterval(() => {}, 1_000);
  await new Promise<void>((done) => {
    const space = new DiskSpace({
      directory: '/',
      logger: silentLogger,
      reserveBytes: 100,
      intervalMs: 1,
      freeBytes: async () => {
        look += 1;
        const free = looks[look];
        if (free instanceof Error) throw free;
        if (free === undefined) {
          space.stop();
          done();
          return 0;
        }
        return free;
      },
      onChange: (full) => verdicts.push([look, full]),
    });
    void space.start();
  });
  clearInterval(alive);
  t.strictSame(verdicts, [
    [1, true],
    [5, false],
    [7, true],
  ]);
});

t.test('reads the real free space', async (t) => {
  const space = new DiskSpace({
    directory: t.testdir(),
    logger: silentLogger,
    onChange: () => t.fail('no change'),
    reserveBytes: 0,
  });
  await space.start();
  t.ok(space.freeBytes > 0);
  space.stop();
});
