/** A hop that does nothing, in a process of its own: hands each connection's bytes on to the backend, and back. */
import { connect, createServer, type Socket } from 'node:net';
import { answerParent } from '../../gateways/child.ts';

const host = '127.0.0.1';

function join(client: Socket, backend: Socket): void {
  client.pipe(backend);
  backend.pipe(client);
  for (const [each, other] of [
    [client, backend],
    [backend, client],
  ] as const) {
    each.on('error', () => other.destroy());
    each.on('close', () => other.destroy());
  }
}

export const questions = {
  /** @returns its port */
  async listen(backendPort: number): Promise<number> {
    const server = createServer({ noDelay: true }, (client) => {
      join(client, connect({ host, port: backendPort, noDelay: true }));
    });
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    return (server.address() as { port: number }).port;
  },
};

export type HopQuestions = typeof questions;

answerParent(questions);
