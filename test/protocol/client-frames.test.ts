import t from 'tap';
import {
  encodeCredit,
  encodePublish,
  encodeSettle,
  encodeSubscribe,
  type PublishMessage,
  type SettleOutcome,
} from '../../src/protocol/client-frames.ts';
import type { Outcome, ThrottleScope } from '../../src/protocol/kinds.ts';
import { bytesOf, golden, hexOf } from './golden.ts';

type Name = string | null;
type Meaning =
  | {
      kind: 'publish';
      id: number;
      destination: string;
      messages: { tenant: Name; sender: Name; recipient: Name; payload: string; isBin: boolean }[];
    }
  | { kind: 'subscribe'; id: number; subscription: number; destination: string; credit: number }
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
  | { kind: 'error' };

function message(fields: {
  tenant: Name;
  sender: Name;
  recipient: Name;
  payload: string;
  isBin: boolean;
}): PublishMessage {
  const bytes = bytesOf(fields.payload);
  return {
    tenant: fields.tenant ?? undefined,
    sender: fields.sender ?? undefined,
    recipient: fields.recipient ?? undefined,
    payload: fields.isBin ? bytes : new TextDecoder().decode(bytes),
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
