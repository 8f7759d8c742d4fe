/** The few PDUs of SMPP 3.4 that the bench's SMSC reads and writes, straight from the octets. */

export const COMMAND = {
  bindReceiver: 0x01,
  bindTransmitter: 0x02,
  submit: 0x04,
  unbind: 0x06,
  bindTransceiver: 0x09,
  enquireLink: 0x15,
  response: 0x8000_0000,
} as const;

export const HEAD_BYTES = 16;

/** Fields of a submit_sm as it came, to be sent again. */
export interface SeenSubmit {
  readonly service_type: string;
  readonly source_addr_ton: number;
  readonly source_addr_npi: number;
  readonly source_addr: string;
  readonly dest_addr_ton: number;
  readonly dest_addr_npi: number;
  readonly destination_addr: string;
  readonly esm_class: number;
  readonly protocol_id: number;
  readonly priority_flag: number;
  readonly schedule_delivery_time: string;
  readonly validity_period: string;
  readonly registered_delivery: number;
  readonly replace_if_present_flag: number;
  readonly data_coding: number;
  readonly sm_default_msg_id: number;
  readonly short_message: Uint8Array;
}

/** @param start place of the PDU's head */
export function readSubmit(bytes: Buffer, start: number): SeenSubmit {
  let at = start + HEAD_BYTES;
  const octet = (): number => {
    at += 1;
    return bytes[at - 1] as number;
  };
  const text = (): string => {
    const end = bytes.indexOf(0, at);
    const value = bytes.toString('latin1', at, end);
    at = end + 1;
    return value;
  };
  const fields = {
    service_type: text(),
    source_addr_ton: octet(),
    source_addr_npi: octet(),
    source_addr: text(),
    dest_addr_ton: octet(),
    dest_addr_npi: octet(),
    destination_addr: text(),
    esm_class: octet(),
    protocol_id: octet(),
    priority_flag: octet(),
    schedule_delivery_time: text(),
    validity_period: text(),
    registered_delivery: octet(),
    replace_if_present_flag: octet(),
    data_coding: octet(),
    sm_default_msg_id: octet(),
  };
  const length = octet();
  return { ...fields, short_message: Uint8Array.from(bytes.subarray(at, at + length)) };
}

/** An answer with a text (a message id or the SMSC's name), or with none. */
export function responseTo(command: number, sequence: number, text?: string): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + (text === undefined ? 0 : text.length + 1));
  bytes.writeUInt32BE(bytes.length, 0);
  bytes.writeUInt32BE((command | COMMAND.response) >>> 0, 4);
  bytes.writeUInt32BE(sequence, 12);
  if (text !== undefined) bytes.write(text, HEAD_BYTES, 'latin1');
  return bytes;
}
