/**
 * Joins the options from four places; the later one wins: default, file, environment, flags.
 * Every value remembers where it came from. All problems are found before one is thrown.
 */
import { z } from 'zod';
import { closestWord } from '../base/closest-word.ts';
import { ConfigError, type ConfigProblem } from './config-error.ts';
import { redact, redactedText } from './redact.ts';
import { type Config, configSchema, OPTIONS, type Option } from './schema.ts';
import { SECRET_VARIABLE } from './secrets.ts';
import { parseTomlValue, readTomlFile, type TomlFile, type TomlTree } from './toml-file.ts';

/** One value given beside the file. A string is read as the option's type demands. */
export interface Setting {
  readonly key: string;
  readonly value: unknown;
  /** What to call its place: `--port`, `FAIRLEAD_INGRESS_PORT`. */
  readonly from: string;
}

export interface ConfigInput {
  /** The TOML file; undefined: none. */
  readonly file: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** In place of the defaults of the options; everything else wins over them. */
  readonly defaults?: readonly Setting[];
  /** Flags, in order: a later one wins. */
  readonly settings: readonly Setting[];
}

export interface LoadedConfig {
  readonly config: Config;
  /** Dotted key → where its value came from (`default`, `FILE:LINE`, a variable, a flag). */
  readonly origins: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/** Variables of the command line that are no options. */
const OTHER_VARIABLES = ['FAIRLEAD_URL', 'FAIRLEAD_TOKEN', 'FAIRLEAD_CONFIG'];

interface Value {
  readonly value: unknown;
  readonly from: string;
  /** Where a part of the value stands. */
  readonly where?: (key: string) => string;
}

/** @throws ConfigError with every problem found. */
export function loadConfig(input: ConfigInput): LoadedConfig {
  const problems: ConfigProblem[] = [];
  const values = new Map<string, Value>();
  for (const setting of input.defaults ?? []) addSetting(setting, values, problems);
  if (input.file !== undefined) addFile(readTomlFile(input.file), values, problems);
  for (const option of OPTIONS) {
    const text = input.env[option.env];
    if (text !== undefined) {
      values.set(option.key, { value: readText(option, text), from: option.env });
    }
  }
  for (const setting of input.settings) addSetting(setting, values, problems);
  for (const option of OPTIONS) check(option, values.get(option.key), problems);
  if (problems.length === 0) crossCheck(values, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  const config = configSchema.parse(nest(values));
  const origins = new Map(OPTIONS.map(({ key }) => [key, values.get(key)?.from ?? 'default']));
  return { config, origins, warnings: unknownVariables(input.env, config) };
}

function addFile(file: TomlFile, values: Map<string, Value>, problems: ConfigProblem[]): void {
  const visit = (tree: TomlTree, parents: readonly string[]): void => {
    for (const [name, value] of Object.entries(tree)) {
      const key = [...parents, name].join('.');
      const from = file.where(key);
      if (optionOf(key) !== undefined) {
        values.set(key, { value, from, where: file.where });
      } else if (!OPTIONS.some((option) => option.key.startsWith(`${key}.`))) {
        problems.push(unknownKey(key, from));
      } else if (isTable(value)) {
        visit(value, [...parents, name]);
      } else {
        problems.push({ key, why: 'is a table of options', received: text(value), from });
      }
    }
  };
  visit(file.tree, []);
}

function addSetting(setting: Setting, values: Map<string, Value>, problems: ConfigProblem[]): void {
  const option = optionOf(setting.key);
  if (option === undefined) {
    problems.push(unknownKey(setting.key, setting.from));
    return;
  }
  const { value, from } = setting;
  values.set(option.key, {
    value: typeof value === 'string' ? readText(option, value) : value,
    from,
  });
}

/** A text that the option takes as it stands is that text; else it is read as a TOML value. */
function readText(option: Option, value: string): unknown {
  if (option.schema.safeParse(value).success) return value;
  return parseTomlValue(value) ?? value;
}

function unknownKey(key: string, from: string): ConfigProblem {
  const name = key.split('.').at(-1) ?? key;
  const elsewhere = OPTIONS.find((option) => option.key.endsWith(`.${name}`))?.key;
  const tables = OPTIONS.map((option) => option.key.split('.').slice(0, -1).join('.'));
  const known = [...OPTIONS.map((option) => option.key), ...tables.filter((table) => table !== '')];
  const suggestion = closestWord(key, known) ?? elsewhere;
  const why = 'there is no such option';
  return suggestion === undefined ? { key, why, from } : { key, why, from, suggestion };
}

function check(option: Option, given: Value | undefined, problems: ConfigProblem[]): void {
  const result = option.schema.safeParse(given?.value);
  if (result.success) return;
  for (const issue of result.error.issues) {
    const path = issue.path.map(String);
    const key = [option.key, ...path].join('.');
    const fromOf = (inner: string): string => given?.where?.(inner) ?? given?.from ?? 'default';
    const from = fromOf(key);
    if (issue.code === 'unrecognized_keys') {
      for (const name of issue.keys) {
        const inner = `${key}.${name}`;
        const meant = closestWord(name, innerNames(option.schema));
        const problem = { key: inner, why: 'there is no such option', from: fromOf(inner) };
        problems.push(meant === undefined ? problem : { ...problem, suggestion: meant });
      }
      continue;
    }
    const value = path.reduce<unknown>(
      (at, name) => (at as TomlTree | undefined)?.[name],
      given?.value,
    );
    const received = redactedText(key, value);
    problems.push({ key, why: issue.message.replace(/, received .*$/, ''), received, from });
  }
}

/** Rules between options. */
function crossCheck(values: ReadonlyMap<string, Value>, problems: ConfigProblem[]): void {
  for (const listener of ['ingress', 'proxyListener']) {
    const certificate = values.get(`${listener}.tls.certFile`);
    const key = values.get(`${listener}.tls.keyFile`);
    if ((certificate === undefined) === (key === undefined)) continue;
    const missing = `${listener}.tls.${certificate === undefined ? 'certFile' : 'keyFile'}`;
    const from = (certificate ?? key)?.from ?? 'default';
    problems.push({ key: missing, why: 'TLS needs both certFile and keyFile', from });
  }
}

/** Names in the tables of a list of tables. */
function innerNames(schema: z.ZodType): string[] {
  let inner = schema;
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodArray) {
    inner = (inner instanceof z.ZodArray ? inner.element : inner.unwrap()) as z.ZodType;
  }
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

function nest(values: ReadonlyMap<string, Value>): TomlTree {
  const root: Record<string, unknown> = {};
  for (const { key } of OPTIONS) {
    const names = key.split('.');
    const last = names.pop() ?? key;
    let table = root;
    for (const name of names) {
      table[name] ??= {};
      table = table[name] as Record<string, unknown>;
    }
    const given = values.get(key);
    if (given !== undefined) table[last] = given.value;
  }
  return root;
}

function unknownVariables(env: ConfigInput['env'], config: Config): string[] {
  const known = new Set([
    ...OTHER_VARIABLES,
    ...OPTIONS.map((option) => option.env),
    ...config.auth.keys.flatMap((key) => key.secretEnv ?? []),
  ]);
  return Object.keys(env)
    .filter((name) => name.startsWith('FAIRLEAD_') && !name.startsWith(SECRET_VARIABLE))
    .filter((name) => !known.has(name))
    .map((name) => {
      const meant = closestWord(name, known);
      return `${name}: no option has this variable${meant === undefined ? '' : `; did you mean ${meant}?`}`;
    });
}

function optionOf(key: string): Option | undefined {
  return OPTIONS.find((option) => option.key === key);
}

function isTable(value: unknown): value is TomlTree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return JSON.stringify(redact(value)) ?? 'nothing';
}
