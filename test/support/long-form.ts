// Tests that show how much other tests and the benchmarks notice take minutes: `FAIRLEAD_LONG=1 npm test` runs
// them, too.

/** False, or why a test of the long form is left out. */
export const notLong: string | false =
  process.env.FAIRLEAD_LONG === '1' ? false : 'a test of the long form: FAIRLEAD_LONG=1';
