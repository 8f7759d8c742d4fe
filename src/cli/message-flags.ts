// The options of a message as flags of `fairlead publish`.
import { type Command, InvalidArgumentError } from 'commander';
import type { MessageOptions } from '../client/index.ts';

export interface MessageFlags {
  readonly idempotencyKey?: string;
  readonly level?: number;
  readonly cost?: number;
  readonly sendAt?: Date;
  readonly validity?: number;
  readonly callback?: string;
  readonly callbackEvents?: string;
  readonly orderKey?: string;
  readonly tag?: string;
}

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Adds the flags; what they take is checked by the SDK, but for times. */
export function addMessageFlags(command: Command): Command {
  return command
    .option('--idempotency-key <key>', 'publish it once, however often this is run')
    .option('--level <n>', 'service level, 0 (the highest) to 7', whole)
    .option('--cost <n>', 'what it weighs in its queue and takes of a rate', whole)
    .option('--send-at <time>', 'not before: 2030-01-31T09:00:00Z, or from now +10s, +5m', moment)
    .option('--validity <duration>', 'how long it may wait: 90s, 15m, 12h, 30d', durationMs)
    .option('--callback <url>', 'where status callbacks go')
    .option('--callback-events <statuses>', 'which are told, with commas: sent,delivered')
    .option('--order-key <name>', 'keeps order with others of this key, not of its sender')
    .option('--tag <name>', 'tag for usage reports');
}

/** The options that were given; none if no flag was. */
export function messageOptionsOf(flags: MessageFlags): MessageOptions | undefined {
  const { idempotencyKey, level, cost, sendAt, validity, callback, orderKey, tag } = flags;
  const events = flags.callbackEvents?.split(',') as MessageOptions['callbackEvents'];
  const options: MessageOptions = {
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(level !== undefined && { level }),
    ...(cost !== undefined && { cost }),
    ...(sendAt !== undefined && { sendAt }),
    ...(validity !== undefined && { validityMs: validity }),
    ...(callback !== undefined && { callbackUrl: callback }),
    ...(events !== undefined && { callbackEvents: events }),
    ...(orderKey !== undefined && { orderKey }),
    ...(tag !== undefined && { tag }),
  };
  return Object.keys(options).length === 0 ? undefined : options;
}

function whole(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It is a whole number.');
}

/** `+10s` is from now; else a date that says its time zone, or a date alone, which is UTC. */
export function moment(text: string, _before?: unknown, nowMs = Date.now()): Date {
  if (text.startsWith('+')) return new Date(nowMs + durationMs(text.slice(1)));
  const isIso = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const date = new Date(text);
  if (isIso && !Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError(
    'It is a time such as 2030-01-31T09:00:00Z, or from now: +10s, +5m.',
  );
}

/** A moment as above, or a duration ago: `1h`. */
export function pastMoment(text: string, _before?: unknown, nowMs = Date.now()): Date {
  const isDuration = /^\d+[a-z]+$/.test(text);
  if (isDuration) return new Date(nowMs - durationMs(text));
  if (!text.startsWith('+')) return moment(text);
  throw new InvalidArgumentError('It is a time such as 2030-01-31T09:00:00Z, or so long ago: 1h.');
}

/** `250ms`, `90s`, `15m`, `12h`, `30d` in ms. */
export function durationMs(text: string): number {
  const [, number, unit] = /^(\d{1,12})(ms|[smhd])$/.exec(text) ?? [];
  if (number !== undefined) return Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS];
  throw new InvalidArgumentError('It is a duration: 250ms, 90s, 15m, 12h or 30d.');
}
