// A message as gateways and hooks are told of it in JSON. Pure.
import type { Job } from './job.ts';

export interface MessageJson {
  readonly id: string;
  readonly destination: string;
  readonly tenant: string;
  readonly sender: string | null;
  readonly recipient: string | null;
  /** One of the two: text where the bytes are UTF-8. */
  readonly payload?: string;
  readonly payloadBase64?: string;
  readonly attempt: number;
  /** ISO 8601, as the next. */
  readonly acceptedAt: string;
  readonly expiresAt: string | null;
  readonly maybeDuplicate: boolean;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function messageJson(job: Job): MessageJson {
  const { messageId, destination, tenant, sender, recipient, attempt, expiresMs } = job;
  return {
    id: messageId,
    destination,
    tenant,
    sender: sender ?? null,
    recipient: recipient ?? null,
    ...payloadJson(job.payload),
    attempt,
    acceptedAt: timeText(job.acceptedMs),
    expiresAt: expiresMs === undefined ? null : timeText(expiresMs),
    maybeDuplicate: job.maybeDuplicate,
  };
}

export function payloadJson(payload: Uint8Array): Pick<MessageJson, 'payload' | 'payloadBase64'> {
  try {
    return { payload: utf8.decode(payload) };
  } catch {
    return { payloadBase64: Buffer.from(payload).toString('base64') };
  }
}

/** The last times with their texts: messages that came together have the same ones. */
const timeTexts = new Map<number, string>();
const TIME_TEXTS_MAX = 1_024;

function timeText(ms: number): string {
  let text = timeTexts.get(ms);
  if (text === undefined) {
    text = new Date(ms).toISOString();
    if (timeTexts.size >= TIME_TEXTS_MAX) timeTexts.clear();
    timeTexts.set(ms, text);
  }
  return text;
}
