import t from 'tap';
import { parseOptions, UsageError } from '../../bench/options.ts';

t.test('all scopes, three rounds of five seconds', async (t) => {
  t.match(parseOptions([]), {
    scopes: ['core', 'generator', 'dispatch', 'restart', 'life', 'gateways', 'gate', 'usage'],
    json: false,
    rounds: 3,
    measureMs: 5000,
    generators: 1,
    messages: 1_000_000,
  });
});

t.test('a given number wins over --quick', async (t) => {
  const options = parseOptions(['--quick', '--scope', 'dispatch', '--rounds', '5', '--json']);
  t.match(options, { scopes: ['dispatch'], quick: true, json: true, rounds: 5, measureMs: 1000 });
});

t.test('wrong arguments are named', async (t) => {
  t.throws(
    () => parseOptions(['--scope', 'disk']),
    new UsageError(
      '--scope takes core, generator, dispatch, restart, life, gateways, gate, usage or all, received disk',
    ),
  );
  t.throws(
    () => parseOptions(['--rounds', '0']),
    new UsageError('--rounds takes a whole number from 1, received 0'),
  );
  t.throws(() => parseOptions(['--fast']), { name: 'UsageError' });
});
