/**
 * Options of the runs that check promises from outside (`npm run test:gate`, `npm run test:usage`): whole numbers
 * with defaults, texts, `--seed` and `--json`. Whatever is wrong, and `--help`, show how the run is called.
 */
import { parseArgs } from 'node:util';

export interface RunOptions<Size extends string, Text extends string> {
  readonly sizes: Readonly<Record<Size, number>>;
  readonly texts: Readonly<Partial<Record<Text, string>>>;
  readonly seed: number;
  readonly json: boolean;
  /** Ends the process with 2. */
  readonly refuse: () => never;
}

/**
 * Of this process, which ends where one is unknown or no number.
 *
 * @param call the command, and its options that are texts
 * @param defaults options that are numbers, and what they are without
 */
export function runOptions<Size extends string, Text extends string>(
  call: string,
  defaults: Readonly<Record<Size, number>>,
  texts: readonly Text[],
): RunOptions<Size, Text> {
  const names = Object.keys(defaults) as Size[];
  const refuse = (): never => {
    const sizes = [...names, 'seed'].map((name) => `[--${name} N]`).join(' ');
    console.error(`usage: ${call} ${sizes} [--json]`);
    process.exit(2);
  };
  try {
    const options: Record<string, { readonly type: 'string' | 'boolean' }> = {
      ...Object.fromEntries([...names, ...texts, 'seed'].map((name) => [name, { type: 'string' }])),
      json: { type: 'boolean' },
    };
    const { values } = parseArgs({ options });
    const number = (name: string, without: number): number => Number(values[name] ?? without);
    const numbers = names.map((name) => [name, number(name, defaults[name])] as const);
    const seed = number('seed', Date.now() % 2 ** 31);
    if (![seed, ...numbers.map(([, value]) => value)].every(Number.isInteger)) return refuse();
    return {
      sizes: Object.fromEntries(numbers) as Record<Size, number>,
      texts: values as Partial<Record<Text, string>>,
      ...{ seed, json: values.json === true, refuse },
    };
  } catch {
    return refuse();
  }
}
