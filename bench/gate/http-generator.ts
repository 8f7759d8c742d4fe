/** A closed loop of requests by a generator that others know: wrk, or autocannon where it is not installed. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface ClosedLoop {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  /** Bytes of a request's body. */
  readonly sentBytes: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly ms: number;
}

export interface ClosedLoopResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export type HttpGenerator = 'wrk' | 'autocannon';

export function httpGenerator(): HttpGenerator {
  return spawnSync('wrk', ['--version']).error === undefined ? 'wrk' : 'autocannon';
}

/** @throws Error when a request failed or was not answered with 2xx */
export async function closedLoop(by: HttpGenerator, loop: ClosedLoop): Promise<ClosedLoopResult> {
  return by === 'wrk' ? await byWrk(loop) : await byAutocannon(loop);
}

const secondsOf = ({ ms }: ClosedLoop): string => String(Math.max(1, Math.round(ms / 1000)));

const fieldsOf = ({ headers }: ClosedLoop): string[] =>
  Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);

async function byWrk(loop: ClosedLoop): Promise<ClosedLoopResult> {
  const { url, method, sentBytes, connections } = loop;
  const shape = ['-t', '1', '-c', String(connections), '-d', `${secondsOf(loop)}s`];
  const whole = [...shape, '--timeout', '10s', '--latency', ...fieldsOf(loop)];
  if (method === 'GET') return parseWrk(await output('wrk', [...whole, url]));
  // It takes a method and a body from a script only.
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-wrk-'));
  const script = join(directory, 'request.lua');
  writeFileSync(script, `wrk.method = "${method}"\nwrk.body = string.rep("x", ${sentBytes})\n`);
  try {
    return parseWrk(await output('wrk', [...whole, '-s', script, url]));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function byAutocannon(loop: ClosedLoop): Promise<ClosedLoopResult> {
  const { url, method, sentBytes, connections } = loop;
  const program = createRequire(import.meta.url).resolve('autocannon/autocannon.js');
  const shape = ['-c', String(connections), '-d', secondsOf(loop), '--json', '--no-progress'];
  const body = method === 'GET' ? [] : ['-m', method, '-b', 'x'.repeat(sentBytes)];
  const whole = [program, ...shape, ...body, ...fieldsOf(loop), url];
  return parseAutocannon(await output(process.execPath, whole));
}

export function parseWrk(text: string): ClosedLoopResult {
  const fault = /Non-2xx[^\n]*|Socket errors[^\n]*/.exec(text)?.[0];
  if (fault !== undefined) throw new Error(`wrk: ${fault}`);
  const [, requests, time, unit] = /(\d+) requests in ([\d.]+)(ms|s|m)/.exec(text) ?? [];
  if (requests === undefined) throw new Error(`wrk said ${JSON.stringify(text.slice(0, 300))}`);
  const percentile = (percent: string): number => {
    const [, value, of] = new RegExp(`^ *${percent}%\\s+([\\d.]+)(us|ms|s)`, 'm').exec(text) ?? [];
    return of === 'us' ? Number(value) / 1000 : Number(value) * (of === 'ms' ? 1 : 1000);
  };
  const scale = unit === 'ms' ? 0.001 : unit === 'm' ? 60 : 1;
  return {
    requests: Number(requests),
    seconds: Number(time) * scale,
    p50Ms: percentile('50'),
    p99Ms: percentile('99'),
  };
}

export function parseAutocannon(text: string): ClosedLoopResult {
  const { errors, non2xx, requests, duration, latency } = JSON.parse(text) as {
    readonly errors: number;
    readonly non2xx: number;
    readonly duration: number;
    readonly requests: { readonly total: number };
    readonly latency: { readonly p50: number; readonly p99: number };
  };
  if (errors + non2xx > 0) throw new Error(`autocannon: ${errors} errors, ${non2xx} not 2xx`);
  return { requests: requests.total, seconds: duration, p50Ms: latency.p50, p99Ms: latency.p99 };
}

async function output(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const parts: Buffer[] = [];
  let said = '';
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  child.stderr.on('data', (part: Buffer) => {
    said += part.toString();
  });
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${said}`);
  return Buffer.concat(parts).toString();
}
