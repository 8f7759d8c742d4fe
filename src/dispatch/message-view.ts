/** A message as an answer shows it, made of what the core says. */
import type { FoundMessage } from './message-shards.ts';

/** Bytes at the beginning that mark text as UTF-8 belong to the payload. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The payload as text where it is text; a redacted message has none. */
export function messageView(message: FoundMessage): object {
  const { id, destination, tenant, sender, recipient, payload, callback, ...state } = message;
  return {
    ...{ id, destination, tenant, sender, recipient },
    ...payloadView(payload, message.redacted),
    callbackUrl: callback,
    ...state,
  };
}

function payloadView(base64: string, redacted: boolean): object {
  if (redacted) return { payload: null };
  try {
    return { payload: utf8.decode(Buffer.from(base64, 'base64')) };
  } catch {
    return { payloadBase64: base64 };
  }
}
