// The fields of the resources as flags. The daemon checks their values; here only their types are told apart.

export type EntityWord =
  | 'destination'
  | 'set'
  | 'tenant'
  | 'sender'
  | 'pool'
  | 'gateway'
  | 'account'
  | 'number'
  | 'route'
  | 'service'
  | 'resource'
  | 'policy'
  | 'price'
  | 'cap';

/** Those that can be paused, and all but the gateway drained. */
export const PAUSABLE_WORDS = ['destination', 'set', 'tenant', 'sender', 'gateway'] as const;

export interface EntityField {
  readonly name: string;
  /** For commander: `--rate-per-sec <n>`. */
  readonly flag: string;
  readonly meaning: string;
  readonly parse: (text: string) => unknown;
}

/** A number, or `none` for no limit; anything else goes to the daemon, which says what it wants. */
const number = (text: string): unknown => {
  if (text === 'none' || text === 'null') return null;
  return text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text);
};
const word = (text: string): unknown => text;
const wordOrNone = (text: string): unknown => (text === 'none' ? null : text);
const truth = (text: string): unknown => (text === 'true' ? true : text === 'false' ? false : text);
/** `0,0.1,0.2`, or `none`. */
const numbers = (text: string): unknown =>
  text === 'none' ? null : text.split(',').map((part) => number(part));

const words = (text: string): unknown => text.split(',');
const wordsOrNone = (text: string): unknown => (text === 'none' ? null : words(text));

/** `10,200` or `10,200,0.5`, or `none`; what else it is, the daemon refuses. */
const adaptive = (text: string): unknown => {
  if (text === 'none') return null;
  const [min, max, tolerance] = text.split(',').map(number);
  return tolerance === undefined ? { min, max } : { min, max, tolerance };
};

/** `0.0075`, or with moments before each: `2027-01-01=0.008`; what else it is, the daemon refuses. */
const prices = (text: string): unknown =>
  text.split(',').map((part) => {
    const [price = '', from] = part.split('=').reverse();
    return from === undefined ? { price } : { fromMs: Date.parse(from), price };
  });

/** The flag is the field's name in kebab case; `value` is what it takes. */
function field(
  name: string,
  value: string,
  parse: EntityField['parse'],
  meaning: string,
): EntityField {
  const kebab = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return { name, flag: `--${kebab} <${value}>`, meaning, parse };
}

const rate: readonly EntityField[] = [
  field('ratePerSec', 'n', number, 'messages a second, or none'),
  field('burst', 'n', number, 'messages at once after a rest'),
];
const quota: readonly EntityField[] = [
  ...rate,
  field('inFlightMax', 'n', number, 'messages in flight, or none'),
];
const weight = field('weight', 'n', number, 'share among its siblings, 1 to 10000 (100)');
const paused = field('paused', 'bool', truth, 'true: nothing of it is sent');
const refuseNew = field('refuseNew', 'bool', truth, 'true: new work is refused');

const fields: Readonly<Record<EntityWord, readonly EntityField[]>> = {
  destination: [
    ...quota,
    field('leaseMs', 'ms', number, 'time a gateway has for an outcome (30000)'),
    field('attemptsMax', 'n', number, 'attempts before a message is a dead letter (16)'),
    field('onDoubt', 'what', word, 'after a crash, for what was in flight: redeliver or fail'),
    field('fairBy', 'what', word, 'auto, cost or time'),
    field(
      'shardKey',
      'key',
      word,
      'destinations with one key share a shard; fixed when it is made',
    ),
    paused,
    field('retryBaseMs', 'ms', number, 'pause before the second attempt; it doubles (1000)'),
    field('retryMaxMs', 'ms', number, 'longest pause between attempts (600000)'),
    field('retryJitter', 'part', number, 'part of the pause by which it varies, 0 to 1 (0.2)'),
    field('validityMs', 'ms', number, 'how long a message may wait that does not say (36000000)'),
    refuseNew,
    field('admission', 'what', word, 'refuse what would expire before its turn: off, shadow, on'),
    field('owner', 'tenant', wordOrNone, 'tenant that takes its messages itself, or none'),
  ],
  set: [
    weight,
    ...quota,
    field('order', 'what', word, 'fifo or strict'),
    field('borrowMax', 'part', number, 'most above its share, as part of that share, or none'),
    paused,
    refuseNew,
    field('policy', 'what', word, 'fair or shuffle'),
    field('slots', 'n', number, 'of the policy shuffle: slots that tenants share (64)'),
    field('hand', 'n', number, 'of the policy shuffle: slots of one tenant (4)'),
  ],
  tenant: [
    field('set', 'name', word, 'tenant set it belongs to (default)'),
    weight,
    ...quota,
    paused,
    refuseNew,
    field('refuseCode', 'code', number, 'what new work is refused with: 3022, 5006 or none (3022)'),
    field('levelFloors', 'list', numbers, 'least part of each service level: 0,0.1,0.2; or none'),
    field('waitingMax', 'n', number, 'messages that may wait at one destination, or none'),
    field('waitingBytesMax', 'n', number, 'bytes that may wait at one destination, or none'),
    field('concurrencyMax', 'n', number, 'seats of permits over all resources, or none'),
    field('parent', 'tenant', wordOrNone, 'tenant above it, whose usage includes its own; or none'),
  ],
  sender: [
    ...quota,
    field('pool', 'name', wordOrNone, 'pool whose rate it shares, or none'),
    paused,
    refuseNew,
  ],
  pool: rate,
  gateway: [
    field('type', 'type', word, 'pull, webhook or smpp'),
    field('destinations', 'list', words, 'what it serves, with commas between'),
    weight,
    ...quota,
    paused,
  ],
  account: [
    field('tenant', 'name', word, 'tenant that it sends as (its name)'),
    field('friendlyName', 'text', word, 'for people'),
    field('status', 'status', word, 'active, suspended or closed (active)'),
    field('callbackStatuses', 'list', wordsOrNone, 'told of where a message does not say; or none'),
  ],
  number: [
    field('tenant', 'name', word, 'whose number it is'),
    field('webhookUrl', 'url', wordOrNone, 'told of what comes in; this or the next'),
    field('destination', 'name', wordOrNone, 'where what comes in is published'),
  ],
  route: [field('destination', 'name', word, 'where messages to these recipients go')],
  resource: [
    field('limit', 'n', number, 'seats of all tenants together, or none'),
    field('tenantLimit', 'n', number, 'seats of each tenant without its own limit, or none'),
    field('mode', 'mode', word, 'what has no room is: reject, queue or delay (reject)'),
    field('waitersMax', 'n', number, 'that may wait, of each tenant (1000)'),
    field('waitMs', 'ms', number, 'longest wait (10000)'),
    field('ratePerSec', 'n', number, 'of the mode delay: that pass each second'),
    field('leaseMs', 'ms', number, 'how long a permit lasts that nobody renews (30000)'),
    field('adaptive', 'min,max[,tolerance]', adaptive, 'limits that follow the load, or none'),
  ],
  policy: [
    field('limit', 'n', number, 'seats of this tenant; none: the resource’s'),
    field('floor', 'n', number, 'seats of the resource that are kept free for it (0)'),
    field('weight', 'n', number, 'share among those that wait; none: the tenant’s'),
    field('mode', 'mode', wordOrNone, 'reject, queue or delay; none: the resource’s'),
    field('waitersMax', 'n', number, 'that may wait; none: the resource’s'),
    field('waitMs', 'ms', number, 'longest wait; none: the resource’s'),
    field('ratePerSec', 'n', number, 'of the mode delay; none: the resource’s'),
  ],
  price: [
    field('by', 'what', word, 'what one price is of: count or usage (usage)'),
    field('steps', 'list', prices, 'prices and their first days: 0.0075 or 0.007,2027-01-01=0.008'),
  ],
  cap: [
    field('category', 'name', word, 'what is counted (messages)'),
    field('by', 'what', word, 'count, usage or price (price)'),
    field('period', 'period', word, 'day, month, year or alltime (month)'),
    field('value', 'n', word, 'the most that is accepted in a period'),
  ],
  service: [
    field('tenant', 'name', word, 'whose service it is'),
    field('friendlyName', 'text', word, 'for people'),
    field('senders', 'list', words, 'senders, with commas between'),
  ],
};

export function fieldsOf(word: EntityWord): readonly EntityField[] {
  return fields[word];
}

/** What is named by two names with a slash between. */
export const PAIR_WORDS: Readonly<
  Partial<Record<EntityWord, readonly [form: string, example: string]>>
> = {
  sender: ['tenant/sender', 'acme/4930'],
  policy: ['resource/tenant', 'calls.create/acme'],
  cap: ['tenant/name', 'acme/monthly'],
};

export function pluralOf(word: EntityWord): string {
  return word === 'policy' ? 'policies' : `${word}s`;
}

/** Path of one resource. */
export function pathOf(word: EntityWord, name: string): readonly string[] {
  const isPair = PAIR_WORDS[word] !== undefined || word === 'price';
  const slash = isPair ? name.indexOf('/') : -1;
  const names = slash < 0 ? [name] : [name.slice(0, slash), name.slice(slash + 1)];
  return ['v1', pluralOf(word), ...names];
}
