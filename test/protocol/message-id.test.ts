import fc from 'fast-check';
import t from 'tap';
import { messageIdAt, messageIdFromText, messageIdToText } from '../../src/protocol/message-id.ts';

t.test('text and bytes of an id', async (t) => {
  const property = fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (id) => {
    const text = messageIdToText(id);
    return /^[0-9a-f]{32}$/.test(text) && Buffer.compare(messageIdFromText(text) ?? id, id) === 0;
  });
  t.doesNotThrow(() => fc.assert(property));
  t.equal(messageIdFromText('00'), undefined);
  t.equal(messageIdFromText('g'.repeat(32)), undefined);
  t.throws(() => messageIdToText(new Uint8Array(15)), TypeError);
});

t.test('the ids of a frame count up from the first', async (t) => {
  const first = messageIdFromText('0001000000000000aabbccddeeff00fe') as Uint8Array;
  t.equal(messageIdToText(messageIdAt(first, 0)), '0001000000000000aabbccddeeff00fe');
  t.equal(messageIdToText(messageIdAt(first, 3)), '0001000000000000aabbccddeeff0101');
  const buffer = Buffer.from(first);
  messageIdAt(buffer, 3);
  t.strictSame([...buffer], [...first], 'the first id stays as it is');
  t.throws(() => messageIdAt(first, 65_535), RangeError);
});
