/** Reads `application/x-www-form-urlencoded` as it stands: what a lenient reader would guess at is refused. */
import { FairleadError } from '../errors.ts';

const FORM = 'application/x-www-form-urlencoded';
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2}).{0,2}/s;

/**
 * The fields of a body; none without bytes. A body without a content type is taken for a form.
 *
 * @throws FairleadError unsupportedMediaType, invalidValue
 */
export function parseForm(bytes: Uint8Array, contentType: string | undefined): URLSearchParams {
  const form = new URLSearchParams();
  if (bytes.byteLength === 0) return form;
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? FORM;
  if (type !== FORM && type !== '') {
    const received = JSON.stringify(type.slice(0, 80));
    throw new FairleadError('unsupportedMediaType', `A body is ${FORM}, received ${received}.`);
  }
  const text = textOf(bytes);
  const [bad] = BAD_ESCAPE.exec(text) ?? [];
  if (bad !== undefined) {
    const message = `A % begins an escape of two hexadecimal digits, received ${JSON.stringify(bad)}.`;
    throw new FairleadError('invalidValue', message);
  }
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const end = equals < 0 ? pair.length : equals;
    form.append(decoded(pair.slice(0, end)), decoded(pair.slice(end + 1)));
  }
  return form;
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw notUtf8();
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw notUtf8();
  }
}

function notUtf8(): FairleadError {
  return new FairleadError('invalidValue', 'The fields of a form are UTF-8.');
}
