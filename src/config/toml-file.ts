// Reads a TOML file and knows on which line each of its keys stands. The only importer of smol-toml.
import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { ConfigError } from './config-error.ts';

export type TomlTree = Readonly<Record<string, unknown>>;

export interface TomlFile {
  readonly tree: TomlTree;
  /** `file:line` of a dotted key, or of the nearest key above it. */
  where(key: string): string;
}

/** @throws ConfigError when the file cannot be read or is not TOML. */
export function readTomlFile(file: string): TomlFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const why = `the file cannot be read: ${(error as Error).message}`;
    throw new ConfigError([{ key: '', why, from: file }]);
  }
  try {
    const lines = linesOfKeys(text);
    return { tree: parse(text), where: (key) => `${file}${lineSuffix(lines, key)}` };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const why = `not valid TOML: ${error.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '')}`;
    throw new ConfigError([{ key: '', why, from: `${file}:${error.line}:${error.column}` }]);
  }
}

/** Reads one value as TOML writes it (`8`, `true`, `["a"]`); undefined when it is none. */
export function parseTomlValue(text: string): unknown {
  try {
    return parse(`value = ${text}`).value;
  } catch {
    return undefined;
  }
}

function lineSuffix(lines: ReadonlyMap<string, number>, key: string): string {
  const parts = key.split('.');
  for (let length = parts.length; length > 0; length -= 1) {
    const line = lines.get(parts.slice(0, length).join('.'));
    if (line !== undefined) return `:${line}`;
  }
  return '';
}

/** The parser keeps no positions, so headers and keys are found line by line; the first one counts. */
function linesOfKeys(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  const arrayLengths = new Map<string, number>();
  let table = '';
  for (const [index, line] of text.split('\n').entries()) {
    const header = line.match(/^\s*(\[\[?)([^\]]+)\]/);
    const key = line.match(/^\s*([A-Za-z0-9_."'-]+)\s*=/)?.[1];
    if (header?.[2] !== undefined) {
      table = plainKey(header[2]);
      if (header[1] === '[[') {
        const length = arrayLengths.get(table) ?? 0;
        arrayLengths.set(table, length + 1);
        setOnce(lines, table, index + 1);
        table = `${table}.${length}`;
      }
      setOnce(lines, table, index + 1);
    } else if (key !== undefined) {
      setOnce(lines, table === '' ? plainKey(key) : `${table}.${plainKey(key)}`, index + 1);
    }
  }
  return lines;
}

/** Also for the tables above, which need no header of their own. */
function setOnce(lines: Map<string, number>, key: string, line: number): void {
  const parts = key.split('.');
  for (let length = parts.length; length > 0; length -= 1) {
    const prefix = parts.slice(0, length).join('.');
    if (!lines.has(prefix)) lines.set(prefix, line);
  }
}

function plainKey(key: string): string {
  return key
    .split('.')
    .map((part) => part.trim().replace(/^["']|["']$/g, ''))
    .join('.');
}
