/** HTTP load by generators that others know, against answers that fail: what they say of it. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';

export interface ToolLoad {
  readonly url: string;
  readonly header: string;
  readonly connections: number;
  readonly seconds: number;
}

export interface ToolSaid {
  readonly requests: number;
  readonly not2xx: number;
  /** Of connections, cut answers among them. */
  readonly errors: number;
  readonly timeouts: number;
}

export const TOOLS = ['autocannon', 'wrk'] as const;
export type Tool = (typeof TOOLS)[number];

/** @returns why it cannot run */
export function missing(tool: Tool): string | undefined {
  if (tool === 'autocannon') return undefined;
  return spawnSync('wrk', ['--version']).error === undefined ? undefined : 'wrk is not installed';
}

/** @throws Error when it fails, or says something that is not understood */
export async function load(tool: Tool, of: ToolLoad): Promise<ToolSaid> {
  return tool === 'wrk' ? await byWrk(of) : await byAutocannon(of);
}

async function byAutocannon({ url, header, connections, seconds }: ToolLoad): Promise<ToolSaid> {
  const program = createRequire(import.meta.url).resolve('autocannon/autocannon.js');
  const shape = ['-c', `${connections}`, '-d', `${seconds}`, '-H', header.replace(': ', '=')];
  const said = await output(process.execPath, [program, ...shape, '--json', '--no-progress', url]);
  const { requests, non2xx, errors, timeouts, resets } = JSON.parse(said) as {
    readonly requests: { readonly total: number };
    readonly non2xx: number;
    readonly errors: number;
    readonly timeouts: number;
    readonly resets: number;
  };
  return { requests: requests.total, not2xx: non2xx, errors: errors + resets, timeouts };
}

async function byWrk({ url, header, connections, seconds }: ToolLoad): Promise<ToolSaid> {
  const shape = ['-t', '1', '-c', `${connections}`, '-d', `${seconds}s`, '--timeout', '10s'];
  const said = await output('wrk', [...shape, '-H', header, url]);
  const number = (pattern: RegExp): number => Number(pattern.exec(said)?.[1] ?? 0);
  const requests = number(/(\d+) requests in/);
  if (!said.includes(' requests in '))
    throw new Error(`wrk said ${JSON.stringify(said.slice(0, 300))}`);
  const errors = ['connect', 'read', 'write'].map((sort) => number(new RegExp(`${sort} (\\d+)`)));
  return {
    requests,
    not2xx: number(/Non-2xx or 3xx responses: (\d+)/),
    errors: errors.reduce((sum, count) => sum + count, 0),
    timeouts: number(/timeout (\d+)/),
  };
}

async function output(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', error: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.error += text;
  });
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${said.error}`);
  return said.out;
}
