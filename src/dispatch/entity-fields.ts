// Fields that several kinds of entities have.
import { z } from 'zod';
import { LIMITS } from '../limits.ts';

const BURST_MAX = 10_000_000;
const IN_FLIGHT_MAX = 10_000_000;

export const integer = (least: number, most: number) =>
  z
    .int({ error: `is a whole number from ${least} to ${most}` })
    .min(least)
    .max(most);

export const nameSchema = z
  .string('is a text')
  .regex(
    new RegExp(`^[A-Za-z0-9._:+@-]{1,${LIMITS.nameBytes}}$`),
    `is 1 to ${LIMITS.nameBytes} characters of A-Z a-z 0-9 . _ : + @ -`,
  );

export const weight = integer(LIMITS.weightMin, LIMITS.weightMax)
  .default(LIMITS.weightDefault)
  .describe('share among its siblings');
export const paused = z
  .boolean('is true or false')
  .default(false)
  .describe('nothing of it is sent');
export const refuseNew = z
  .boolean('is true or false')
  .default(false)
  .describe('new work is refused; what waits is still sent');

/** What may be sent: messages a second, and at once after a rest. */
export const rate = {
  ratePerSec: z
    .number(`is null or a number above 0, up to ${LIMITS.ratePerSecMax}`)
    .positive()
    .max(LIMITS.ratePerSecMax)
    .nullable()
    .default(null)
    .describe('messages a second; null: no limit'),
  burst: integer(1, BURST_MAX)
    .nullable()
    .default(null)
    .describe('messages at once after a rest; null: 1'),
};

/** Also how much at one time. */
export const quota = {
  ...rate,
  inFlightMax: integer(1, IN_FLIGHT_MAX)
    .nullable()
    .default(null)
    .describe('messages in flight; null: no limit'),
};

/** Where requests of the daemon go. */
export const urlSchema = z
  .string('is a text')
  .max(LIMITS.callbackBytes)
  .regex(/^https?:\/\/[!-~]+$/, 'is an http:// or https:// URL in printable ASCII')
  .refine((text) => URL.canParse(text), 'is a URL')
  // It would be shown to whoever reads the entity, and no request goes there.
  .refine((text) => !hasUser(text), 'has no user name and no password');

function hasUser(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username !== '' || password !== '';
}

/** Name of a secret, which is in a file of the secrets directory or a variable of the environment. */
export const secretNameSchema = z
  .string('is null or the name of a secret')
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'is 1 to 64 characters of A-Z a-z 0-9 . _ -')
  .nullable()
  .default(null);
