/**
 * A TCP proxy that breaks connections as networks do. New connections are good again.
 *
 * `drop` resets both sides, `freeze` forwards nothing more and closes nothing, `halfClose` ends the
 * client's side only, `garbage` puts octets into what the client reads.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class FlakyProxy {
  readonly #server: Server;
  #pairs: { readonly client: Socket; readonly target: Socket }[] = [];
  readonly #sockets = new Set<Socket>();
  /** Connections there have been. */
  accepted = 0;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      this.accepted += 1;
      const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
      client.setNoDelay(true);
      const pair = { client, target };
      this.#pairs.push(pair);
      client.pipe(target);
      target.pipe(client);
      for (const socket of [client, target]) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          client.destroy();
          target.destroy();
          this.#sockets.delete(socket);
          this.#pairs = this.#pairs.filter((other) => other !== pair);
        });
      }
    });
  }

  static async to(targetPort: number): Promise<FlakyProxy> {
    const proxy = new FlakyProxy(targetPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  drop(): void {
    for (const { client, target } of this.#pairs) {
      client.resetAndDestroy();
      target.resetAndDestroy();
    }
  }

  freeze(): void {
    for (const { client, target } of this.#pairs) {
      client.unpipe(target).pause();
      target.unpipe(client).pause();
    }
    this.#pairs = [];
  }

  halfClose(): void {
    for (const { client, target } of this.#pairs) {
      target.unpipe(client).resume();
      client.end();
    }
  }

  garbage(octets: Buffer): void {
    for (const { client, target } of this.#pairs) {
      target.unpipe(client).resume();
      client.write(octets);
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
