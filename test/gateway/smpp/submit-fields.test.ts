import t from 'tap';
import {
  addressText,
  numberAddress,
  relativeTime,
  senderAddress,
} from '../../../src/gateway/smpp/submit-fields.ts';

t.test('addresses by their form', async (t) => {
  const rows: readonly (readonly [string, number, number, string])[] = [
    ['+4915112345678', 1, 1, '4915112345678'],
    ['+123456789012345', 1, 1, '123456789012345'],
    ['123', 3, 0, '123'],
    ['70001234', 3, 0, '70001234'],
    ['12', 0, 1, '12'],
    ['015112345678', 0, 1, '015112345678'],
    ['00491511234567', 0, 1, '00491511234567'],
  ];
  for (const [text, ton, npi, address] of rows) {
    t.strictSame(numberAddress(text), { ton, npi, address }, text);
    t.strictSame(senderAddress(text), { ton, npi, address }, text);
  }
  for (const text of [
    '',
    '+',
    '+0123',
    '+1234567890123456',
    '1'.repeat(21),
    'Name',
    '+49 151',
    '１２３',
  ]) {
    t.equal(numberAddress(text), undefined, text);
  }
  t.strictSame(senderAddress('Fairlead 24'), { ton: 5, npi: 0, address: 'Fairlead 24' });
  t.strictSame(senderAddress(''), { ton: 0, npi: 0, address: '' });
  for (const text of ['twelve chars', 'Grüße', 'a\0b', '\n']) {
    t.equal(senderAddress(text), undefined, text);
  }
  t.equal(addressText(1, '4915112345678'), '+4915112345678');
  t.equal(addressText(1, '+4915112345678'), '+4915112345678');
  t.equal(addressText(1, ''), '');
  t.equal(
    addressText(0, '4915112345678'),
    '4915112345678',
    'nothing says that it is international',
  );
  t.equal(addressText(5, 'Bank'), 'Bank');
});

t.test('relative times', async (t) => {
  t.equal(relativeTime(0), '000000000001000R');
  t.equal(relativeTime(1), '000000000001000R');
  t.equal(relativeTime(1_001), '000000000002000R');
  t.equal(relativeTime(59_999), '000000000100000R');
  t.equal(relativeTime(36_000_000), '000000100000000R');
  t.equal(relativeTime(30 * 86_400_000), '000030000000000R');
  t.equal(relativeTime(Number.MAX_SAFE_INTEGER), '000030000000000R');
});
