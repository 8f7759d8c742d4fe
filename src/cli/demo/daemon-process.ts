// A real daemon in a process of its own: `fairlead dev` on a free port, in a temporary folder.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const REST_TIMEOUT_MS = 10_000;
const STDERR_LINES = 20;

export class DaemonProcess {
  readonly #child: ChildProcess;
  readonly #stderr: string[] = [];
  #said: { readonly url: string; readonly token: string } | undefined;

  /** Starts it; the folder has to be empty or absent. */
  constructor(dataDir: string) {
    const launcher = import.meta.url.endsWith('.ts')
      ? '../../main-launcher.cts'
      : '../../main-launcher.cjs';
    const args = ['dev', '--json', '--port', '0', '--data', dataDir];
    this.#child = spawn(
      process.execPath,
      [...process.execArgv, fileURLToPath(new URL(launcher, import.meta.url)), ...args],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    if (this.#child.stderr === null) return;
    createInterface({ input: this.#child.stderr }).on('line', (line) => {
      this.#stderr.push(line);
      if (this.#stderr.length > STDERR_LINES) this.#stderr.shift();
    });
  }

  /** Resolves when it listens. @throws Error with its last words if it does not come up */
  async listening(): Promise<void> {
    try {
      this.#said = JSON.parse(await firstLine(this.#child)) as { url: string; token: string };
    } catch (cause) {
      this.kill();
      const words = this.#stderr.join('\n');
      throw new Error(`the daemon did not start: ${String(cause)}\n${words}`);
    }
  }

  get url(): string {
    return this.#said?.url ?? '';
  }

  get token(): string {
    return this.#said?.token ?? '';
  }

  /** Resolves with its last words when it ends by itself, which it should not. */
  async ended(): Promise<string> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      await once(this.#child, 'exit');
    }
    const how = this.#child.signalCode ?? `code ${this.#child.exitCode}`;
    return `the daemon ended with ${how}\n${this.#stderr.join('\n')}`;
  }

  /** Makes or replaces a resource: `destinations/sms`, `sets/gold`, `tenants/acme`. */
  async put(path: string, body: object): Promise<void> {
    const response = await fetch(new URL(`/v1/${path}`, this.url.replace(/^ws/, 'http')), {
      method: 'PUT',
      headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(REST_TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`PUT /v1/${path}: ${response.status} ${text}`);
  }

  /** Asks it to end and returns its exit code, -1 if it had to be killed. */
  async stop(): Promise<number> {
    if (this.#child.exitCode !== null) return this.#child.exitCode;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    const [code] = (await exit) as [number | null];
    clearTimeout(timer);
    return code ?? -1;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  const { stdout } = child;
  if (stdout === null) throw new Error('it has no output');
  const lines = createInterface({ input: stdout });
  const signal = AbortSignal.timeout(START_TIMEOUT_MS);
  const exited = once(child, 'exit', { signal }).then(([code, by]) => {
    throw new Error(`it ended with ${by ?? `code ${code}`}`);
  });
  exited.catch(() => {});
  const [line] = (await Promise.race([once(lines, 'line', { signal }), exited])) as [string];
  return line;
}
