/**
 * The only importer of npm `smpp`: its codec, made strict, and nothing else of it.
 *
 * Its sessions are not used: they stop for good at a length below 16, read on after a fault as if there
 * was none, keep callbacks of a dropped socket for ever, and know no time-out. Two things of the codec
 * are put right here, once, when this module loads: it decoded text and lost the octets that it did
 * not know, and it read past a short message or an option that was shorter than it said.
 */
import smpp from 'smpp';
import { LIMITS } from '../../limits.ts';

/** Octets of the header that every PDU begins with. */
export const HEADER_BYTES = 16;
/** Set in the command id of every answer. */
const ANSWER_BIT = 0x8000_0000;

export type SmppFields = Readonly<Record<string, string | number | Buffer>>;

/** A PDU as it came in. */
export interface SmppPdu {
  /** Its name in the specification; `unknown` where the codec has none. */
  readonly command: string;
  readonly isAnswer: boolean;
  /** The command_status of an answer, 0 in requests. */
  readonly status: number;
  readonly sequence: number;
  /** Mandatory and optional fields by name. Octets share memory with what was read. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The header was good, the body was not: the PDU can be refused and the session goes on. */
export class MalformedBodyError extends Error {
  readonly sequence: number;
  readonly isAnswer: boolean;

  constructor(frame: Buffer, cause: unknown) {
    super('The body of a PDU does not fit its command.', { cause });
    this.sequence = frame.readUInt32BE(12);
    this.isAnswer = (frame.readUInt32BE(4) & ANSWER_BIT) !== 0;
  }
}

/** Answers of ours whose body is an empty message_id. */
const answersWithId: ReadonlySet<string> = new Set(['deliver_sm_resp', 'data_sm_resp']);

makeStrict();

/** Octets of a request. */
export function encodeRequest(command: string, sequence: number, fields: SmppFields): Buffer {
  const pdu = new smpp.PDU(command, fields);
  pdu.sequence_number = sequence;
  return pdu.toBuffer();
}

/** Octets of an answer. The codec gives none a body where `status` is not 0; some peers want theirs. */
export function encodeAnswer(command: string, sequence: number, status: number): Buffer {
  const pdu = new smpp.PDU(command, { sequence_number: sequence, command_status: status });
  const octets = pdu.toBuffer();
  if (status === 0 || !answersWithId.has(command)) return octets;
  const whole = Buffer.concat([octets, Buffer.alloc(1)]);
  whole.writeUInt32BE(whole.length, 0);
  return whole;
}

/** The PDU of one whole frame, its length checked before. Throws MalformedBodyError. */
export function decodePdu(frame: Buffer): SmppPdu {
  try {
    const fields = new smpp.PDU(frame);
    return {
      command: fields.command,
      isAnswer: (fields.command_id & ANSWER_BIT) !== 0,
      status: fields.command_status,
      sequence: fields.sequence_number,
      fields,
    };
  } catch (error) {
    throw new MalformedBodyError(frame, error);
  }
}

/** A text field, '' where it is absent. The codec reads it as ASCII. */
export function textField({ fields }: SmppPdu, name: string): string {
  const value = fields[name];
  return typeof value === 'string' ? value : '';
}

/** A number field, undefined where it is absent. */
export function numberField({ fields }: SmppPdu, name: string): number | undefined {
  const value = fields[name];
  return typeof value === 'number' ? value : undefined;
}

/** Octets of a field, undefined where it is absent. */
export function octetsField({ fields }: SmppPdu, name: string): Buffer | undefined {
  const value = fields[name];
  return Buffer.isBuffer(value) ? value : undefined;
}

function makeStrict(): void {
  smpp.PDU.maxLength = LIMITS.smppPduBytes;
  const { types, tlvs, commands } = smpp;
  for (const { params } of Object.values(commands)) delete params?.short_message?.filter;
  delete tlvs.message_payload?.filter;

  // The length octet of a short message may say more than there is.
  types.buffer.read = (buffer, offset) => {
    const length = buffer.readUInt8(offset);
    return octets(buffer, offset + 1, length);
  };
  types.tlv.buffer.read = octets;
  types.tlv.string.read = (buffer, offset, length) =>
    octets(buffer, offset, length).toString('latin1');
  // A C string by the specification, but many peers leave its end off: its length counts, not a zero.
  const receiptedId = tlvs.receipted_message_id;
  if (receiptedId === undefined) throw new Error('npm smpp has no receipted_message_id');
  receiptedId.type = types.tlv.string;
}

function octets(buffer: Buffer, offset: number, length: number): Buffer {
  if (offset + length > buffer.length) {
    throw new RangeError(`${length} octets at ${offset}, the PDU has ${buffer.length}`);
  }
  return buffer.subarray(offset, offset + length);
}
