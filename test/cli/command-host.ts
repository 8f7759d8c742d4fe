// A process that runs commands one after another: what they import is compiled once. Whether a command
// ends its process by itself is for the tests that start one of its own (run-cli.ts).
import { run } from '../../src/cli/run.ts';
import type { CliResult, HostedCommand } from './run-cli.ts';

type Write = typeof process.stdout.write;

async function runHosted({ args, env }: HostedCommand): Promise<CliResult> {
  const said = { stdout: '', stderr: '' };
  const collect = (stream: keyof typeof said): Write => {
    return ((text: string) => {
      said[stream] += text;
      return true;
    }) as Write;
  };
  const { stdout, stderr } = process;
  const writes = [stdout.write, stderr.write] as const;
  Object.assign(process.env, env);
  stdout.write = collect('stdout');
  stderr.write = collect('stderr');
  try {
    const code = await run(args);
    return { code, ...said };
  } finally {
    [stdout.write, stderr.write] = writes;
    stdout.removeAllListeners('error');
    process.exitCode = undefined;
    for (const name of Object.keys(env)) delete process.env[name];
  }
}

process.on('message', (command: HostedCommand) => {
  void runHosted(command).then((result) => process.send?.(result));
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
