/**
 * Octets of submit_sm and of the answer to it (SMPP 3.4 §4.4), which come once a message: written and
 * read by hand, because the library's general codec took two thirds of what a message cost here. All
 * other PDUs are the library's, and so is an answer that has more than an id.
 */
import { HEADER_BYTES, type SmppPdu } from './library.ts';

/** What is not here is empty or 0. */
export interface SubmitFields {
  readonly source_addr_ton: number;
  readonly source_addr_npi: number;
  /** ASCII, at most 20 octets; so is the next. */
  readonly source_addr: string;
  readonly dest_addr_ton: number;
  readonly dest_addr_npi: number;
  readonly destination_addr: string;
  readonly esm_class: number;
  readonly priority_flag: number;
  /** '' or the 16 characters of a time. */
  readonly validity_period: string;
  readonly registered_delivery: number;
  readonly data_coding: number;
  /** At most 254 octets, its header included. */
  readonly short_message: Uint8Array;
}

const SUBMIT_SM = 0x0000_0004;
const SUBMIT_SM_RESP = 0x8000_0004;
/** Octets of a submit_sm without its texts: 17 of one octet each, the ends of C strings among them. */
const FIXED_BYTES = HEADER_BYTES + 17;
const SHORT_MESSAGE_BYTES = 254;
/** Message id of 64 octets and its end. */
const ID_BYTES = 65;

/** @throws RangeError where the short message is too long for its length octet */
export function encodeSubmit(sequence: number, fields: SubmitFields): Buffer {
  const { source_addr: source, destination_addr: destination, short_message: body } = fields;
  const { validity_period: validity } = fields;
  if (body.length > SHORT_MESSAGE_BYTES) {
    throw new RangeError(`a short message of ${body.length} octets`);
  }
  const length = FIXED_BYTES + source.length + destination.length + validity.length + body.length;
  const octets = Buffer.allocUnsafe(length);
  octets.writeUInt32BE(length, 0);
  octets.writeUInt32BE(SUBMIT_SM, 4);
  octets.writeUInt32BE(0, 8);
  octets.writeUInt32BE(sequence, 12);
  // service_type
  octets[16] = 0;
  octets[17] = fields.source_addr_ton;
  octets[18] = fields.source_addr_npi;
  let at = writeText(octets, source, 19);
  octets[at] = fields.dest_addr_ton;
  octets[at + 1] = fields.dest_addr_npi;
  at = writeText(octets, destination, at + 2);
  octets[at] = fields.esm_class;
  // protocol_id
  octets[at + 1] = 0;
  octets[at + 2] = fields.priority_flag;
  // schedule_delivery_time
  octets[at + 3] = 0;
  at = writeText(octets, validity, at + 4);
  octets[at] = fields.registered_delivery;
  // replace_if_present_flag
  octets[at + 1] = 0;
  octets[at + 2] = fields.data_coding;
  // sm_default_msg_id
  octets[at + 3] = 0;
  octets[at + 4] = body.length;
  octets.set(body, at + 5);
  return octets;
}

/**
 * The answer to a submit_sm where it is a header alone or with one C string; undefined for any other
 * frame, whose length was checked before.
 */
export function readSubmitAnswer(frame: Buffer): SmppPdu | undefined {
  if (frame.readUInt32BE(4) !== SUBMIT_SM_RESP) return undefined;
  const idBytes = frame.length - HEADER_BYTES;
  if (idBytes > ID_BYTES || (idBytes > 0 && frame.indexOf(0, HEADER_BYTES) !== frame.length - 1)) {
    return undefined;
  }
  return {
    command: 'submit_sm_resp',
    isAnswer: true,
    status: frame.readUInt32BE(8),
    sequence: frame.readUInt32BE(12),
    fields:
      idBytes > 0 ? { message_id: frame.toString('ascii', HEADER_BYTES, frame.length - 1) } : {},
  };
}

function writeText(octets: Buffer, text: string, at: number): number {
  const end = at + octets.write(text, at, 'latin1');
  octets[end] = 0;
  return end + 1;
}
