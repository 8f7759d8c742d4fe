/** Exit codes after sysexits.h; 0 is success. */
export const EXIT = {
  usage: 64,
  /** What was given is wrong: a refused field, an unknown resource. */
  data: 65,
  /** The daemon cannot be reached. */
  unavailable: 69,
  internal: 70,
  /** A file or directory cannot be made or used. */
  cannotCreate: 73,
  /** The same command may succeed later. */
  temporary: 75,
  noPermission: 77,
  config: 78,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A command failed: `message` says what and why, `hint` what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;
  /** The daemon's own answer, shown with --json. */
  readonly answer: unknown;

  constructor(
    exitCode: ExitCode,
    message: string,
    { hint, answer }: { hint?: string | undefined; answer?: unknown } = {},
  ) {
    super(message);
    this.exitCode = exitCode;
    this.hint = hint;
    this.answer = answer;
  }
}
