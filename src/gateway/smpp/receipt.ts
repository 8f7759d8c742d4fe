/** Reads delivery receipts, and the forms that a peer's message id may take in them. Pure. */
import { numberField, octetsField, type SmppPdu, textField } from './library.ts';
import type { SmppReceipt } from './types.ts';

/** Message type bits of esm_class (SMPP 3.4 §5.2.12). */
const TYPE_MASK = 0x3c;
const TYPE_RECEIPT = 0x04;

/** `intermediate`: not final, nothing to tell. `unreadable`: no id, or no state that is known. */
export type ReadReceipt = SmppReceipt | 'intermediate' | 'unreadable';

type Verdict = SmppReceipt['status'] | 'intermediate';

/** message_state (§5.2.28), index = value. */
const verdictOfState: readonly Verdict[] = [
  'intermediate', // scheduled
  'intermediate', // en route
  'delivered',
  'undelivered', // expired
  'undelivered', // deleted
  'undelivered', // undeliverable
  'intermediate', // accepted
  'undelivered', // unknown
  'undelivered', // rejected
  'undelivered', // skipped
];

const verdictOfText: Readonly<Record<string, Verdict>> = {
  DELIVRD: 'delivered',
  EXPIRED: 'undelivered',
  DELETED: 'undelivered',
  UNDELIV: 'undelivered',
  UNKNOWN: 'undelivered',
  REJECTD: 'undelivered',
  SKIPPED: 'undelivered',
  ACCEPTD: 'intermediate',
  ENROUTE: 'intermediate',
  SCHEDLD: 'intermediate',
};

/** What an incoming PDU is: a receipt, something else of the peer's own, or a message from a phone. */
export function kindOf(pdu: SmppPdu): 'receipt' | 'notice' | 'message' {
  const type = (numberField(pdu, 'esm_class') ?? 0) & TYPE_MASK;
  if (type === TYPE_RECEIPT) return 'receipt';
  if (type !== 0) return 'notice';
  // Some peers leave the type out. Only the fields tell then: a text alone may be any phone's.
  const told = textField(pdu, 'receipted_message_id') !== '';
  return told && numberField(pdu, 'message_state') !== undefined ? 'receipt' : 'message';
}

/** A receipt by its fields, else by its text (`id:… stat:… err:…`, appendix B). */
export function readReceipt(pdu: SmppPdu): ReadReceipt {
  const text = (octetsField(pdu, 'message_payload') ?? octetsField(pdu, 'short_message'))?.toString(
    'latin1',
  );
  const word = (name: string): string | undefined =>
    new RegExp(`(?:^|\\s)${name}:\\s*(\\S+)`, 'i').exec(text ?? '')?.[1];
  const id = textField(pdu, 'receipted_message_id').replace(/\0.*$/s, '') || word('id');
  const state = numberField(pdu, 'message_state');
  const verdict =
    state === undefined ? verdictOfText[word('stat')?.toUpperCase() ?? ''] : verdictOfState[state];
  if (verdict === 'intermediate') return 'intermediate';
  if (id === undefined || verdict === undefined) return 'unreadable';
  return { ids: idForms(id), status: verdict, code: codeOf(pdu, word('err')) };
}

function codeOf(pdu: SmppPdu, error: string | undefined): number | null {
  const network = octetsField(pdu, 'network_error_code');
  if (network?.length === 3) return network.readUInt16BE(1);
  return error !== undefined && /^[0-9]{1,9}$/.test(error) ? Number(error) : null;
}

/**
 * The forms that `id` may have had in the answer to its submit_sm: as given, without leading zeros, a
 * decimal number as hexadecimal (both cases, also padded to 8 and 16 digits), a hexadecimal one as
 * decimal (also padded to 10). Some peers answer one form and send receipts in the other.
 */
export function idForms(id: string): string[] {
  const forms = new Set([id]);
  const bare = id.replace(/^0+(?=.)/, '');
  // Longer than 64 bits is no number of a peer's.
  if (/^[0-9]{1,20}$/.test(bare)) {
    const hex = BigInt(bare).toString(16);
    for (const form of [hex, hex.padStart(8, '0'), hex.padStart(16, '0')]) {
      forms.add(form).add(form.toUpperCase());
    }
  }
  if (/^[0-9a-f]{1,16}$/i.test(bare)) {
    const decimal = BigInt(`0x${bare}`).toString();
    forms.add(decimal).add(decimal.padStart(10, '0'));
  }
  return [...forms.add(bare)];
}
