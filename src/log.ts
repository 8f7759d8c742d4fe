// The only importer of pino: one JSON line a record on standard error, so that standard output stays
// free for what a command prints. Written at once: a crash-only exit loses no line.
import { pino, stdTimeFunctions } from 'pino';
import type { Logger } from './base/logger.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Makes the process's logger. Never pass tokens, keys or payloads in the fields. */
export function createLogger(level: LogLevel): Logger {
  const options = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, pino.destination({ fd: 2, sync: true }));
}
