// What is written and read by hand is what the library writes and reads.
import fc from 'fast-check';
import t from 'tap';
import { decodePdu, encodeRequest, type SmppFields } from '../../../src/gateway/smpp/library.ts';
import {
  encodeSubmit,
  readSubmitAnswer,
  type SubmitFields,
} from '../../../src/gateway/smpp/submit-codec.ts';

const octet = fc.nat(255);
const ascii = (maxLength: number) =>
  fc.array(fc.integer({ min: 0x20, max: 0x7e }), { maxLength }).map((units) => {
    return String.fromCharCode(...units);
  });

const submit: fc.Arbitrary<SubmitFields> = fc.record({
  source_addr_ton: octet,
  source_addr_npi: octet,
  source_addr: ascii(20),
  dest_addr_ton: octet,
  dest_addr_npi: octet,
  destination_addr: ascii(20),
  esm_class: octet,
  priority_flag: octet,
  validity_period: fc.constantFrom('', '000001020304000R'),
  registered_delivery: octet,
  data_coding: octet,
  short_message: fc.uint8Array({ maxLength: 254 }).map((body) => Buffer.from(body)),
});

t.test('submit_sm', async (t) => {
  const property = fc.property(
    submit,
    fc.integer({ min: 1, max: 0x7fff_ffff }),
    (fields, sequence) => {
      const theirs = encodeRequest('submit_sm', sequence, fields as unknown as SmppFields);
      return encodeSubmit(sequence, fields).equals(theirs);
    },
  );
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }));
  const [fields] = fc.sample(submit, { numRuns: 1, seed: 1 }) as [SubmitFields];
  const long = { ...fields, short_message: Buffer.alloc(255) };
  t.throws(() => encodeSubmit(1, long), RangeError);
});

/** An answer with this body, after its header. */
function answer(body: Uint8Array, status: number, sequence: number, command = 0x8000_0004): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32BE(16 + body.length, 0);
  head.writeUInt32BE(command, 4);
  head.writeUInt32BE(status, 8);
  head.writeUInt32BE(sequence, 12);
  return Buffer.concat([head, body]);
}

t.test('the answer to it', async (t) => {
  const property = fc.property(
    fc.uint8Array({ min: 1, max: 255, maxLength: 64 }),
    fc.nat(0xffff_ffff),
    fc.nat(0xffff_ffff),
    (id, status, sequence) => {
      const frame = answer(Buffer.concat([id, Buffer.alloc(1)]), status, sequence);
      const [ours, theirs] = [readSubmitAnswer(frame), decodePdu(frame)];
      return (
        ours !== undefined &&
        ours.command === theirs.command &&
        ours.isAnswer === theirs.isAnswer &&
        ours.status === theirs.status &&
        ours.sequence === theirs.sequence &&
        ours.fields.message_id === theirs.fields.message_id
      );
    },
  );
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }));
  const bare = readSubmitAnswer(answer(new Uint8Array(), 0x58, 7));
  t.match(bare, { command: 'submit_sm_resp', status: 0x58, sequence: 7, isAnswer: true });
  t.equal(bare?.fields.message_id, undefined);
});

t.test('everything else is left to the library', async (t) => {
  const zero = Buffer.alloc(1);
  const id = Buffer.from('12ab\0');
  t.equal(readSubmitAnswer(answer(id, 0, 1, 0x8000_0005)), undefined, 'another command');
  t.equal(readSubmitAnswer(answer(id.subarray(0, 4), 0, 1)), undefined, 'no end of the id');
  const option = Buffer.from([0x04, 0x23, 0x00, 0x01, 0x01]);
  t.equal(readSubmitAnswer(answer(Buffer.concat([id, option]), 0, 1)), undefined, 'an option');
  const long = Buffer.concat([Buffer.alloc(65, 0x41), zero]);
  t.equal(readSubmitAnswer(answer(long, 0, 1)), undefined, 'an id over its length');
});
