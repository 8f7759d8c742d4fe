/** Counts of a ledger by name: what was seen, how it ended, and what has to be 0. */

type Counts<Name extends string> = Readonly<Record<Name, number>>;

export interface FigureNames<Count extends string, Ended extends string, Wrong extends string> {
  readonly counts: Counts<Count>;
  readonly ended: Counts<Ended>;
  /** All of these have to be 0. */
  readonly wrong: Counts<Wrong>;
}

/** Violations of one kind that are kept in words. */
const FAULTS_MAX = 6;

export class NamedFigures<Count extends string, Ended extends string, Wrong extends string> {
  readonly #counts: Record<Count, number>;
  readonly #ended: Record<Ended, number>;
  readonly #wrong: Record<Wrong, number>;
  /** The first violations of each kind, in words. */
  readonly faults: string[] = [];

  /** Begins with the values that the names have. */
  constructor({ counts, ended, wrong }: FigureNames<Count, Ended, Wrong>) {
    this.#counts = { ...counts };
    this.#ended = { ...ended };
    this.#wrong = { ...wrong };
  }

  count(what: Count, by = 1): void {
    this.#counts[what] += by;
  }

  ended(how: Ended): void {
    this.#ended[how] += 1;
  }

  wrong(what: Wrong, words: string): void {
    this.#wrong[what] += 1;
    if (this.#wrong[what] <= FAULTS_MAX) this.faults.push(`${what}: ${words}`);
  }

  get isRight(): boolean {
    return Object.values(this.#wrong).every((count) => count === 0);
  }

  result(): Counts<Count | Ended | Wrong> {
    return { ...this.#counts, ...this.#ended, ...this.#wrong };
  }
}
