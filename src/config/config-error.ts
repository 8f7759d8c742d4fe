/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  /** Dotted key, or `` for a problem of the whole file. */
  readonly key: string;
  readonly why: string;
  /** What was received, as text, redacted for secrets. */
  readonly received?: string;
  /** Where the value came from: a file with its line, a variable, a flag. */
  readonly from: string;
  /** The key that was probably meant. */
  readonly suggestion?: string;
}

/** The configuration cannot be used; every problem found is listed. Exit code 78 (EX_CONFIG). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(describeProblem).join('\n'));
    this.problems = problems;
  }
}

export function describeProblem(problem: ConfigProblem): string {
  const key = problem.key === '' ? '' : `${problem.key}: `;
  const received = problem.received === undefined ? '' : `, received ${problem.received}`;
  const meant = problem.suggestion === undefined ? '' : `; did you mean ${problem.suggestion}?`;
  return `${problem.from}: ${key}${problem.why}${received}${meant}`;
}
