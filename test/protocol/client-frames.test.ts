import t from 'tap';
import {
  encodeCancel,
  encodeCredit,
  encodePublish,
  encodeReceipt,
  encodeSettle,
  encodeStatus,
  encodeSubscribe,
  type PublishMessage,
  type PublishOptions,
  type SettleOutcome,
} from '../../src/protocol/client-frames.ts';
import type { Outcome, ReceiptStatus, ThrottleScope } from '../../src/protocol/kinds.ts';
import { bytesOf, golden, hexOf } from './golden.ts';

type Name = string | null;
interface Message {
  tenant: Name;
  sender: Name;
  recipient: Name;
  payload: string;
  isBin: boolean;
  options?: PublishOptions;
}
type Meaning =
  | {
      kind: 'publish';
      id: number;
      destination: string;
      messages: Message[];
    }
  | {
      kind: 'subscribe';
      id: number;
      subscription: number;
      destination: string;
      credit: number;
      gateway?: string;
    }
  | { kind: 'credit'; id: number; subscription: number; add: number }
  | {
      kind: 'settle';
      id: number;
      subscription: number;
      outcomes: {
        delivery: number;
        outcome: Outcome;
        code: number | null;
        retryAfterMs: number | null;
        scope: ThrottleScope;
      }[];
    }
  | {
      kind: 'receipt';
      id: number;
      receipts: { messageId: string; status: ReceiptStatus; code: number | null }[];
    }
  | { kind: 'cancel' | 'status'; id: number; messageIds: string[] }
  | { kind: 'error' };

/** Options that are as if absent are left out, as the SDK leaves them out. */
function options(meaning: PublishOptions): PublishOptions {
  const absent = Object.entries(meaning).filter(
    ([key, value]) =>
      value === null || (key === 'l' && value === 0) || (key === 'c' && value === 1),
  );
  return Object.fromEntries(
    Object.entries(meaning).filter(([key]) => !absent.some(([name]) => name === key)),
  );
}

function message(fields: Message): PublishMessage {
  const bytes = bytesOf(fields.payload);
  return {
    tenant: fields.tenant ?? undefined,
    sender: fields.sender ?? undefined,
    recipient: fields.recipient ?? undefined,
    payload: fields.isBin ? bytes : new TextDecoder().decode(bytes),
    options: fields.options && options(fields.options),
  };
}

function encode(meaning: Meaning): Uint8Array {
  switch (meaning.kind) {
    case 'publish':
      return encodePublish({ ...meaning, messages: meaning.messages.map(message) });
    case 'subscribe':
      return encodeSubscribe(meaning);
    case 'credit':
      return encodeCredit(meaning);
    case 'settle': {
      const outcomes = meaning.outcomes.map((entry): number | SettleOutcome => {
        if (entry.outcome === 0) return entry.delivery;
        return {
          delivery: entry.delivery,
          outcome: entry.outcome,
          code: entry.code ?? undefined,
          retryAfterMs: entry.retryAfterMs ?? undefined,
          scope: entry.scope === 0 ? undefined : entry.scope,
        };
      });
      return encodeSettle({ ...meaning, outcomes });
    }
    case 'receipt': {
      const receipts = meaning.receipts.map(({ messageId, status, code }) => ({
        messageId: bytesOf(messageId),
        status,
        code: code ?? undefined,
      }));
      return encodeReceipt({ id: meaning.id, receipts });
    }
    case 'cancel':
    case 'status': {
      const frame = { id: meaning.id, messageIds: meaning.messageIds.map(bytesOf) };
      return meaning.kind === 'cancel' ? encodeCancel(frame) : encodeStatus(frame);
    }
    case 'error':
      throw new Error('nobody encodes a fault');
  }
}

t.test('client frames have the bytes of the golden file', async (t) => {
  type Row = { name: string; hex: string; encoded: boolean; meaning: Meaning };
  for (const row of golden<Row[]>('client-frames.json').filter(({ encoded }) => encoded)) {
    t.equal(hexOf(encode(row.meaning)), row.hex, row.name);
  }
});
