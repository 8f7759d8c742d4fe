/**
 * SMSCs that others wrote, as processes: jSMPP's simulator (Java, from Maven) and Kannel's drive_smpp.
 * Where one cannot be had, `reason` says why and the tests of it are skipped.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readSubmit, type Submit } from './small-smsc.ts';
import { until } from './smpp-link.ts';

export const JSMPP = 'org.jsmpp:jsmpp-examples:3.0.1';
export const DRIVE_SMPP = '/usr/lib/kannel/test/drive_smpp';
/** drive_smpp ends where nobody listens here. */
const SMSBOX_PORT = 13_001;

export class SmscProcess {
  readonly port: number;
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #also: Server | undefined;

  private constructor(port: number, child: ChildProcess, also?: Server) {
    this.port = port;
    this.#child = child;
    this.#also = also;
    for (const stream of [child.stdout, child.stderr]) this.#read(stream);
  }

  static async jsmpp(jars: string): Promise<SmscProcess> {
    const port = await freePort();
    const child = spawn(
      'java',
      [
        '-Xmx256m',
        `-Djsmpp.simulator.port=${port}`,
        ...['-cp', join(jars, '*')],
        'org.jsmpp.examples.SMPPServerSimulator',
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const smsc = new SmscProcess(port, child);
    await smsc.says('Listening on port');
    return smsc;
  }

  /** `deliveries`: deliver_sm that it sends. It ends as soon as a connection ends. */
  static async kannel(deliveries: number, port?: number): Promise<SmscProcess> {
    const smsbox = createServer((socket) => socket.on('error', () => {}).resume());
    await listen(smsbox, SMSBOX_PORT);
    const on = port ?? (await freePort());
    const args = ['-v', '0', '-p', `${on}`, '-m', `${deliveries}`];
    const child = spawn(DRIVE_SMPP, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const smsc = new SmscProcess(on, child, smsbox);
    await smsc.says('Starting drive_smpp');
    return smsc;
  }

  says(text: string, ms = 20_000): Promise<void> {
    return until(() => this.lines.some((line) => line.includes(text)), `it says ${text}`, ms);
  }

  /** Every submit_sm that jSMPP received, from its log. */
  submits(): Submit[] {
    return this.lines.flatMap((line) => {
      const pdu = /Received PDU [0-9a-f]{8}00000004[0-9a-f]{8}([0-9a-f]{8})([0-9a-f]+)$/.exec(line);
      if (pdu === null) return [];
      const [, sequence = '', body = ''] = pdu;
      return readSubmit({
        command: 4,
        status: 0,
        sequence: Number.parseInt(sequence, 16),
        body: Buffer.from(body, 'hex'),
      });
    });
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await until(() => this.ended, 'it ends');
    const also = this.#also;
    if (also?.listening) await new Promise((resolve) => also.close(resolve));
  }

  #read(stream: ChildProcess['stdout']): void {
    let rest = '';
    stream?.setEncoding('latin1').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.lines.push(line);
    });
  }
}

/** The folder of jSMPP's jars, fetched once; else the reason why there is none. */
export async function jsmppJars(): Promise<{ jars: string } | { reason: string }> {
  const folder = join(import.meta.dirname, '..', '..', '.tap', 'peers', 'jsmpp-3.0.1');
  const run = promisify(execFile);
  try {
    await run('java', ['-version']);
    const found = await readdir(folder).catch(() => []);
    if (found.filter((name) => name.endsWith('.jar')).length >= 5) return { jars: folder };
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'pom.xml'), pom());
    const args = ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`];
    await run('mvn', args, { cwd: folder, timeout: 120_000 });
    return { jars: folder };
  } catch (error) {
    return { reason: `no ${JSMPP}: ${(error as Error).message.split('\n')[0]}` };
  }
}

/** False where drive_smpp can run, else why not. */
export async function noKannel(): Promise<string | false> {
  if (!existsSync(DRIVE_SMPP)) return `no ${DRIVE_SMPP} (Debian: kannel-extras)`;
  const probe = createServer();
  try {
    await listen(probe, SMSBOX_PORT);
    await new Promise((resolve) => probe.close(resolve));
    return false;
  } catch {
    return `port ${SMSBOX_PORT}, which drive_smpp needs, is taken`;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await listen(server, 0);
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const listen = (server: Server, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });

function pom(): string {
  const [group, artifact, version] = JSMPP.split(':');
  const of = (g?: string, a?: string, v?: string): string =>
    `<groupId>${g}</groupId><artifactId>${a}</artifactId><version>${v}</version>`;
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
${of('peers', 'peers', '1')}<packaging>pom</packaging>
<dependencies><dependency>${of(group, artifact, version)}</dependency></dependencies></project>
`;
}
