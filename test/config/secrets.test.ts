// Secrets by reference: where they are looked up, and what no name gets at.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Secrets } from '../../src/config/index.ts';

t.test('a file comes before a variable', async (t) => {
  const root = t.testdir();
  const dir = join(root, 'secrets');
  mkdirSync(dir);
  writeFileSync(join(dir, 'a.key'), ' from the file\n');
  writeFileSync(join(root, 'outside'), 'never');
  const env = {
    FAIRLEAD_SECRET_A_KEY: 'from the environment',
    FAIRLEAD_SECRET_B_KEY: 'b',
    FAIRLEAD_SECRET_EMPTY: ' ',
  };
  let nowMs = 0;
  const secrets = new Secrets({ dir, env, nowMs: () => nowMs });
  t.equal(secrets.get('a.key'), 'from the file');
  t.equal(secrets.get('b-key'), 'b');
  t.equal(new Secrets({ dir: undefined, env }).get('a.key'), 'from the environment');
  for (const name of ['c', 'empty', '', '.', '..', '../outside', '/etc/passwd', 'x'.repeat(65)]) {
    t.throws(() => secrets.get(name), { code: 3036 }, name);
  }
  writeFileSync(join(dir, 'a.key'), 'another');
  t.equal(secrets.get('a.key'), 'from the file', 'known for a second');
  nowMs = 1_001;
  t.equal(secrets.get('a.key'), 'another');
});
