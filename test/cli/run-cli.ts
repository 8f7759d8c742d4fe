// Runs the built command as a child process with a clean environment, or many commands, from source, in one.
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { tsHook } from '../support/ts-hook.ts';

const root = join(import.meta.dirname, '../..');
const loader = ['--import', tsHook];
const command = [join(root, 'dist/main-launcher.cjs')];
const inherited = { PATH: process.env.PATH ?? '' };

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

function start(args: readonly string[], { env = {} }: CliOptions): ChildProcess {
  return spawn(process.execPath, [...command, ...args], { env: { ...inherited, ...env } });
}

/** Runs one command to its end. */
export async function runCli(
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const child = start(args, options);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  child.stdin?.end(options.input ?? '');
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** What a host of commands is told. */
export interface HostedCommand {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Commands that all run in one process, one after another: a tenth of the time of a process each. For
 * those that ask and answer; what reads standard input or has to end by itself is for `runCli`.
 */
export async function hostCommands(
  t: { teardown(end: () => unknown): void },
  env: HostedCommand['env'],
): Promise<(...args: readonly string[]) => Promise<CliResult>> {
  const host = fork(join(import.meta.dirname, 'command-host.ts'), {
    execArgv: loader,
    env: inherited,
  });
  t.teardown(() => host.kill('SIGKILL'));
  const died = once(host, 'exit').then(([code]) => {
    throw new Error(`the host of commands ended with ${code}`);
  });
  died.catch(() => {});
  await Promise.race([once(host, 'message'), died]);
  let last: Promise<unknown> = Promise.resolve();
  const next = async (args: readonly string[]): Promise<CliResult> => {
    host.send({ args, env } satisfies HostedCommand);
    const [result] = await Promise.race([once(host, 'message'), died]);
    return result as CliResult;
  };
  return (...args) => {
    const result = last.then(() => next(args));
    last = result.catch(() => {});
    return result;
  };
}

export interface RunningDaemon {
  readonly url: string;
  readonly token: string;
  readonly dataDir: string;
  readonly pid: number;
  readonly child: ChildProcess;
  /** Sends the signal and waits for the end; returns the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Starts `fairlead dev --json` and waits for its line. */
export async function startDev(args: readonly string[] = []): Promise<RunningDaemon> {
  const child = start(['dev', '--json', ...args], {});
  const closed = once(child, 'close') as Promise<[number | null]>;
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  if (child.stdout === null) throw new Error('the child has no standard output');
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    once(lines, 'line').then(([line]) => line as string),
    closed.then(([code]) => Promise.reject(new Error(`dev ended with ${code}: ${stderr}`))),
  ]);
  const ready = JSON.parse(first) as Pick<RunningDaemon, 'url' | 'token' | 'dataDir' | 'pid'>;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return (await closed)[0];
  };
  return { ...ready, child, end };
}
