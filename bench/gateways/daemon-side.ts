/**
 * The daemon as a sender: messages wait at a paused destination, then it is resumed and the gateway
 * sends them. In the end each has to have the status `sent`.
 */
import type { PublishOptions } from '../../src/protocol/client-frames.ts';
import { MESSAGE_STATUS } from '../../src/protocol/kinds.ts';
import { messageIdAt, messageIdToText } from '../../src/protocol/message-id.ts';
import { DaemonProcess, makeDataDirectory, removeDataDirectory } from '../daemon.ts';
import { setUp, TENANTS } from '../dispatch.ts';
import { LifeClient } from '../life-client.ts';
import { recipientName, senderName, tenantName } from '../load/message-shape.ts';
import { PAYLOAD_BYTES } from './beside-bare.ts';
import { markedText } from './load/marker.ts';
import type { Side } from './sides.ts';

const MESSAGES_PER_FRAME = 500;
const IDS_PER_FRAME = 4_000;
const DESTINATION = 'bench-0';
const GATEWAY = 'bench';
/** The servers of the bench are on this host. */
const SETTINGS = ['outbound.allow=["127.0.0.0/8"]'];

export class DaemonSide implements Side {
  readonly daemon: DaemonProcess;
  readonly #client: LifeClient;
  readonly #dataDir: string;
  /** Ids of the round's messages. */
  #ids: Uint8Array[] = [];

  /** @param gateway fields of the gateway entity, without its destinations */
  static async start(gateway: object, nodeArgs: readonly string[] = []): Promise<DaemonSide> {
    const dataDir = makeDataDirectory();
    const options = { durability: 'flushed', dataDir, settings: SETTINGS, nodeArgs } as const;
    const daemon = await DaemonProcess.start(options);
    try {
      await setUp(daemon, 1);
      await daemon.put('gateways', GATEWAY, { destinations: [DESTINATION], ...gateway });
      return new DaemonSide(daemon, await LifeClient.open(daemon), dataDir);
    } catch (error) {
      await daemon.kill();
      removeDataDirectory(dataDir);
      throw error;
    }
  }

  private constructor(daemon: DaemonProcess, client: LifeClient, dataDir: string) {
    this.daemon = daemon;
    this.#client = client;
    this.#dataDir = dataDir;
  }

  get pid(): number {
    return this.daemon.pid;
  }

  async prepare(messages: number): Promise<void> {
    await this.daemon.put('destinations', DESTINATION, { paused: true });
    this.begin();
    while (this.#ids.length < messages) {
      await this.publish(Math.min(MESSAGES_PER_FRAME, messages - this.#ids.length));
    }
    const { waiting } = await this.daemon.status();
    if (waiting !== messages) throw new Error(`${messages} messages should wait, ${waiting} do`);
  }

  /** The next message that is published is number 0. */
  begin(): void {
    this.#ids = [];
  }

  /** Publishes the next messages in one frame: 100 tenants in turn, a sender each. */
  async publish(count: number, options?: (sequence: number) => PublishOptions): Promise<void> {
    const first = this.#ids.length;
    const messages = Array.from({ length: count }, (_, at) => ({
      ...markedMessage(first + at),
      options: options?.(first + at),
    }));
    const { firstId, refused } = await this.#client.publish({ destination: DESTINATION, messages });
    if (firstId === undefined || refused.length > 0) {
      throw new Error(`messages were refused: ${JSON.stringify(refused[0])}`);
    }
    for (let at = 0; at < count; at += 1) this.#ids.push(messageIdAt(firstId, at));
  }

  async send(): Promise<void> {
    await this.daemon.put('destinations', DESTINATION, {});
  }

  async finish(): Promise<void> {
    await this.daemon.untilEmpty();
    for (let at = 0; at < this.#ids.length; at += IDS_PER_FRAME) {
      const ids = this.#ids.slice(at, at + IDS_PER_FRAME);
      for (const [place, entry] of (await this.#client.status(ids)).entries()) {
        if (entry?.status === MESSAGE_STATUS.sent && entry.attempts === 1) continue;
        const id = messageIdToText(ids[place] as Uint8Array);
        throw new Error(`message ${id} should be sent at once, and is ${JSON.stringify(entry)}`);
      }
    }
  }

  async end(): Promise<void> {
    this.#client.close();
    await this.daemon.kill();
    removeDataDirectory(this.#dataDir);
  }
}

function markedMessage(sequence: number) {
  const queue = sequence % TENANTS;
  return {
    tenant: tenantName(queue),
    sender: senderName(queue),
    recipient: recipientName(queue),
    payload: markedText(sequence, PAYLOAD_BYTES),
  };
}
