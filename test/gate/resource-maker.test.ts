// Frames that name a new resource wait until it is there, and only those.
import t from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { FairleadError } from '../../src/errors.ts';
import { ResourceMaker } from '../../src/gate/resource-maker.ts';
import { LIMITS } from '../../src/limits.ts';
import { encodeAcquire, encodeRelease, resourcesOf } from '../../src/protocol/frames.ts';
import { pack } from '../../src/protocol/msgpack.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const acquire = (...resources: string[]) =>
  encodeAcquire({ id: 1, entries: resources.map((resource) => ({ resource, tenant: 'a' })) });

function make() {
  const there = new Set(['known']);
  const passed: string[] = [];
  const making = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  const state = { hasRoom: true };
  const maker = new ResourceMaker({
    has: (resource) => there.has(resource),
    create: (resource) =>
      new Promise((resolve, reject) => {
        const done = () => {
          there.add(resource);
          resolve();
        };
        making.set(resource, { resolve: done, reject });
      }),
    frame: (connection, bytes) => {
      if (state.hasRoom) passed.push(`${connection} ${bytes.length}`);
      return state.hasRoom;
    },
    logger: silentLogger,
  });
  return { maker, making, passed, state };
}

t.test('a frame waits for its resources, others of its connection go on', async (t) => {
  const { maker, making, passed } = make();
  const frame = acquire('known', 'new', 'newer');
  t.equal(maker.frame(1, frame), true);
  t.strictSame([...making.keys()], ['new', 'newer']);
  const release = encodeRelease({ id: 2, permits: [1] });
  maker.frame(1, release);
  maker.frame(1, acquire('known'));
  maker.frame(1, Uint8Array.of(0xc1));
  const others = [`1 ${release.length}`, `1 ${acquire('known').length}`, '1 1'];
  t.strictSame(passed, others);
  const held = frame.slice();
  frame.fill(0);
  making.get('new')?.resolve();
  await turn();
  t.strictSame(passed, others, 'one of two is there');
  making.get('newer')?.reject(new FairleadError('tooManyEntities'));
  await turn();
  t.equal(passed.at(-1), `1 ${held.length}`, 'one that cannot be made is left to the gate');
});

t.test('frames of a connection that ended are dropped', async (t) => {
  const { maker, making, passed } = make();
  maker.frame(1, acquire('new'));
  maker.frame(2, acquire('new'));
  maker.disconnect(1);
  making.get('new')?.resolve();
  await turn();
  t.strictSame(passed, [`2 ${acquire('new').length}`]);
  maker.close();
});

t.test('what is held is bounded, and waits for room', async (t) => {
  const { maker, making, passed, state } = make();
  const names = Array.from({ length: 1_000 }, (_, index) => `${'r'.repeat(120)}${index}`);
  const frame = acquire(...names);
  let held = 0;
  while (maker.frame(held, frame)) held += 1;
  t.equal(held, Math.floor(LIMITS.gateInputBytes / frame.length));
  maker.close();
  state.hasRoom = false;
  maker.frame(1, acquire('late'));
  making.get('late')?.resolve();
  await turn();
  await turn();
  t.strictSame(passed, []);
  state.hasRoom = true;
  await turn();
  t.strictSame(passed, [`1 ${acquire('late').length}`]);
});

t.test('the names in a frame', async (t) => {
  const bounds = { entries: 3, nameBytes: 8 };
  const names = (fields: unknown) => resourcesOf(pack(fields), bounds);
  t.strictSame(
    names([10, 1, [['a', null], ['b', 't', { weight: 2 }], ['a']]]),
    new Set(['a', 'b']),
  );
  t.strictSame(names([10, 1, []]), new Set());
  t.equal(names([11, 1, [['a']]]), undefined, 'another kind');
  t.equal(names([10, 1, [['a'], ['a'], ['a'], ['a']]]), undefined, 'too many');
  t.equal(names([10, 1, [['a'.repeat(9)]]]), undefined, 'too long');
  t.equal(names([10, 1, [[]]]), undefined);
  t.equal(names([10, 1, [[5]]]), undefined);
  t.equal(names([10, 1, 'x']), undefined);
  t.equal(resourcesOf(pack([10, 1, [['abc', 'x']]]).subarray(0, 8), bounds), undefined, 'cut');
});
