// Cells of tables as commands print them.
import t from 'tap';
import { formatFields } from '../../src/cli/output.ts';

t.test('numbers are rounded, small ones to what they are', async (t) => {
  const shown = (value: number) => formatFields({ value }).replace('value  ', '');
  t.strictSame([0, 20, 1e300, 12.34567, 0.98765, 0.0002, 1e-300].map(shown), [
    '0',
    '20',
    '1e+300',
    '12.346',
    '0.988',
    '0.0002',
    '1e-300',
  ]);
});
