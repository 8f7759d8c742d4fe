/**
 * Categories as the account form names them. Three have another name there; every other category has
 * its own name in both.
 */

/** Theirs → ours. */
const OURS: Readonly<Record<string, string>> = {
  sms: 'messages',
  'sms-outbound': 'messages',
  'sms-inbound': 'messages-inbound',
};

/** Ours → theirs. */
const THEIRS: Readonly<Record<string, string>> = {
  messages: 'sms',
  'messages-inbound': 'sms-inbound',
};

const SHAPE = /^[a-z0-9._-]{1,64}$/;

interface Described {
  readonly description: string;
  readonly countUnit: string;
  readonly usageUnit: string;
}

const DESCRIBED: Readonly<Record<string, Described>> = {
  messages: described('Outbound messages', 'messages', 'segments'),
  'messages-inbound': described('Inbound messages', 'messages', 'messages'),
  'message-bytes': described('Bytes of message bodies', 'messages', 'bytes'),
  segments: described('Segments of messages', 'messages', 'segments'),
  'api-requests': described('API requests', 'requests', 'requests'),
  'permit-seconds': described('Seconds that permits were held', 'permits', 'seconds'),
  totalprice: described('Total price', '', ''),
};

/** Undefined: no category has such a name. */
export function ourCategory(name: string): string | undefined {
  if (!SHAPE.test(name)) return undefined;
  return OURS[name] ?? name;
}

export const theirCategory = (name: string): string => THEIRS[name] ?? name;

/** Words that people read; those of a category that the daemon does not know are its name. */
export function describedCategory(name: string): Described {
  return DESCRIBED[name] ?? described(name.replaceAll(/[._-]/g, ' '), '', '');
}

function described(description: string, countUnit: string, usageUnit: string): Described {
  return { description, countUnit, usageUnit };
}
