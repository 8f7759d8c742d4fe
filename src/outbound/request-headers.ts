// Which headers an outgoing request may carry, and those that every one has.
import { OutboundError } from './outbound-error.ts';

/** An answer is never compressed, so that none unpacks to more than came. */
export const OWN_HEADERS = { 'user-agent': 'fairlead', 'accept-encoding': 'identity' } as const;

/** They belong to the connection, or would make one request into two. */
const REFUSED = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'content-length',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'accept-encoding',
  'cookie',
]);

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
/** Visible characters, spaces and tabs inside; no line breaks. */
const VALUE = /^[\t\x20-\x7e]*$/;

/** @throws OutboundError badUrl, naming the header */
export function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!TOKEN.test(name) || REFUSED.has(name.toLowerCase())) {
      throw new OutboundError('badUrl', `The header ${JSON.stringify(name)} is not sent.`);
    }
    if (!VALUE.test(value)) {
      throw new OutboundError('badUrl', `The value of the header ${name} is not plain text.`);
    }
  }
}
