import { CommanderError } from 'commander';
import { ConfigError } from '../config/config-error.ts';
import { CliError, EXIT } from './cli-error.ts';
import { printNote } from './output.ts';
import { buildProgram } from './program.ts';
import { packageVersion } from './version.ts';

/** Runs one command; returns the exit code. Results go to standard output, failures to standard error. */
export async function run(argv: readonly string[]): Promise<number> {
  // A reader that closed early (`fairlead … | head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : EXIT.internal);
  });
  try {
    await buildProgram(packageVersion()).parseAsync([...argv], { from: 'user' });
    // A command that ran and found something wrong says so there.
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return report(error, argv.includes('--json'));
  }
}

/** Says what, why and what to do; returns the exit code. */
function report(error: unknown, json: boolean): number {
  // Commander has printed its message.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage;
  if (error instanceof ConfigError) {
    if (json) printNote(JSON.stringify({ error: error.message, problems: error.problems }));
    else printNote(`The configuration cannot be used.\n${indent(error.message)}`);
    return EXIT.config;
  }
  if (error instanceof CliError) {
    const { message, hint, answer } = error;
    if (json) printNote(JSON.stringify({ error: message, hint, answer }));
    else printNote(hint === undefined ? message : `${message}\n${indent(hint)}`);
    return error.exitCode;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  printNote(json ? JSON.stringify({ error: text }) : text);
  return EXIT.internal;
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ');
}
