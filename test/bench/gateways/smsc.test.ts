import smpp from 'smpp';
import t from 'tap';
import { COMMAND, readSubmit, responseTo } from '../../../bench/gateways/load/smsc-pdu.ts';

t.test('a submit is read as the library wrote it', async (t) => {
  const fields = {
    service_type: 'CMT',
    source_addr_ton: 5,
    source_addr_npi: 0,
    source_addr: 'bench',
    dest_addr_ton: 1,
    dest_addr_npi: 1,
    destination_addr: '4915112345678',
    esm_class: 0x40,
    protocol_id: 1,
    priority_flag: 2,
    schedule_delivery_time: '',
    validity_period: '000000010000000R',
    registered_delivery: 1,
    replace_if_present_flag: 0,
    data_coding: 4,
    sm_default_msg_id: 3,
    short_message: Buffer.from([0, 1, 255]),
  };
  const before = Buffer.from('not its octets');
  const bytes = Buffer.concat([before, new smpp.PDU('submit_sm', fields).toBuffer()]);
  const read = readSubmit(bytes, before.length);
  t.strictSame(
    { ...read, short_message: Buffer.from(read.short_message) },
    { ...fields, short_message: Buffer.from([0, 1, 255]) },
  );
});

t.test('answers are what the library takes for one', async (t) => {
  const answer = new smpp.PDU(responseTo(COMMAND.submit, 77, '0000002a'));
  t.match(answer, {
    command: 'submit_sm_resp',
    command_status: 0,
    sequence_number: 77,
    message_id: '0000002a',
  });
  t.equal(new smpp.PDU(responseTo(COMMAND.enquireLink, 5)).command, 'enquire_link_resp');
});
