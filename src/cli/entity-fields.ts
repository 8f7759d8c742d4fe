// The fields of the resources as flags. The daemon checks their values; here only their types are told apart.

export type EntityWord = 'destination' | 'set' | 'tenant';

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
const truth = (text: string): unknown => (text === 'true' ? true : text === 'false' ? false : text);

const quota: readonly EntityField[] = [
  {
    name: 'ratePerSec',
    flag: '--rate-per-sec <n>',
    meaning: 'messages a second, or none',
    parse: number,
  },
  { name: 'burst', flag: '--burst <n>', meaning: 'messages at once after a rest', parse: number },
  {
    name: 'inFlightMax',
    flag: '--in-flight-max <n>',
    meaning: 'messages in flight, or none',
    parse: number,
  },
];
const weight: EntityField = {
  name: 'weight',
  flag: '--weight <n>',
  meaning: 'share among its siblings, 1 to 10000 (100)',
  parse: number,
};
const paused: EntityField = {
  name: 'paused',
  flag: '--paused <bool>',
  meaning: 'true: nothing of it is handed out',
  parse: truth,
};

const fields: Readonly<Record<EntityWord, readonly EntityField[]>> = {
  destination: [
    ...quota,
    {
      name: 'leaseMs',
      flag: '--lease-ms <ms>',
      meaning: 'time a gateway has for an outcome (30000)',
      parse: number,
    },
    {
      name: 'attemptsMax',
      flag: '--attempts-max <n>',
      meaning: 'attempts before a message fails (16)',
      parse: number,
    },
    {
      name: 'onDoubt',
      flag: '--on-doubt <what>',
      meaning: 'after a crash, for what was in flight: redeliver or fail',
      parse: word,
    },
    { name: 'fairBy', flag: '--fair-by <what>', meaning: 'auto, cost or time', parse: word },
    {
      name: 'shardKey',
      flag: '--shard-key <key>',
      meaning: 'destinations with one key share a shard; fixed at the first PUT',
      parse: word,
    },
    paused,
  ],
  set: [
    weight,
    ...quota,
    { name: 'order', flag: '--order <what>', meaning: 'fifo or strict', parse: word },
    {
      name: 'borrowMax',
      flag: '--borrow-max <n>',
      meaning: 'only none yet: no cap on borrowing',
      parse: number,
    },
  ],
  tenant: [
    {
      name: 'set',
      flag: '--set <name>',
      meaning: 'tenant set it belongs to (default)',
      parse: word,
    },
    weight,
    ...quota,
    paused,
  ],
};

export function fieldsOf(word: EntityWord): readonly EntityField[] {
  return fields[word];
}
