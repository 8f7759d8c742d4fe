import fc from 'fast-check';
import t from 'tap';
import { idForms } from '../../../src/gateway/smpp/receipt.ts';

t.test('the forms of an id', async (t) => {
  t.equal(idForms('x-1')[0], 'x-1');
  t.strictSame(idForms('x-1'), ['x-1']);
  t.ok(idForms('10').includes('a') && idForms('10').includes('A') && idForms('10').includes('16'));
  t.ok(idForms('0000000a').includes('10'));
  t.ok(idForms('0000000010').includes('10'));
  t.ok(idForms('26').includes('0000001A'));
  t.ok(idForms('1A').includes('0000000026'));
  t.strictSame(idForms('0'), ['0', '00000000', '0000000000000000', '0000000000']);
  t.strictSame(idForms('9'.repeat(21)), ['9'.repeat(21)], 'longer than 64 bits');
  t.strictSame(idForms('f'.repeat(17)), ['f'.repeat(17)]);
  t.ok(idForms(''.padEnd(16, 'f')).includes('18446744073709551615'));
});

t.test('either form leads to the other', async (t) => {
  const property = fc.property(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), (id) => {
    const [hex, decimal] = [id.toString(16), id.toString()];
    const upper = hex.toUpperCase();
    return (
      [hex, upper, hex.padStart(8, '0'), upper.padStart(8, '0')].every((form) =>
        idForms(decimal).includes(form),
      ) &&
      idForms(hex).includes(decimal) &&
      idForms(upper.padStart(16, '0')).includes(decimal) &&
      idForms(decimal).length <= 10
    );
  });
  t.doesNotThrow(() => fc.assert(property));
});
