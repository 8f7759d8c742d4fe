/**
 * What a firing cannot do without, by itself: takes an event, answers, writes it to a file and waits for the
 * disk, and then makes the request. The same process of the load measures it, in the same way.
 */
import { closeSync, fdatasync, openSync, rmSync, writeSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { answerParent } from '../../gateways/child.ts';

/** As a firing's item in the outbox is. */
const RECORD_BYTES = 600;
const agent = new Agent({ keepAlive: true });
const path = join(tmpdir(), `fairlead-bench-bare-${process.pid}`);
const file = openSync(path, 'w');
process.on('exit', () => {
  closeSync(file);
  rmSync(path, { force: true });
});

function keep(text: string): Promise<void> {
  writeSync(file, text.padEnd(RECORD_BYTES));
  return new Promise((resolve, reject) => {
    fdatasync(file, (error) => (error === null ? resolve() : reject(error)));
  });
}

function post(url: string, body: string): void {
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  request(url, { method: 'POST', agent, headers }, (response) => response.resume()).end(body);
}

export const questions = {
  /** Takes lines `TENANT VALUE`. @returns its port */
  async listen(origin: string): Promise<number> {
    const server = createServer({ noDelay: true }, (socket) => {
      createInterface({ input: socket }).on('line', async (line) => {
        const [tenant = '', value = ''] = line.split(' ');
        socket.write(`${line}\n`);
        const data = { tenant, value, token: `bare-${tenant}-${value}` };
        const body = JSON.stringify({ type: 'usage.trigger', data });
        await keep(body);
        post(`${origin}/${tenant}`, body);
      });
    });
    return await new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        resolve((server.address() as { readonly port: number }).port);
      });
    });
  },
  /** Ends by itself, so that its file goes. */
  end: (): void => {
    setImmediate(() => process.exit());
  },
};

export type BareQuestions = typeof questions;

answerParent(questions);
