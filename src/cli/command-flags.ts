// Flags and helps that commands share.
import { type Command, InvalidArgumentError } from 'commander';

/** A whole number from 1. */
export function count(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('It is a whole number from 1.');
}

/** Flags of commands that ask a running daemon. */
export function remote(command: Command): Command {
  return command
    .option('--url <url>', 'the daemon (FAIRLEAD_URL, else http://127.0.0.1:7600)')
    .option('--token <token>', 'bearer token (FAIRLEAD_TOKEN)')
    .option('--json', 'print JSON');
}

/** Flags of lists. */
export function paged(command: Command): Command {
  return command
    .option('--limit <n>', 'rows of a page (100)')
    .option('--cursor <cursor>', 'where the page before ended');
}

/** The end of a help. */
export function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}
