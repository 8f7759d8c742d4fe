/**
 * A WebSocket client with nothing but what the load generator needs: raw socket, one large read
 * buffer, frames handed over as places in it, no copies.
 */
import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { OPCODE, pongFrame, ServerFrames } from './web-socket-frame.ts';

const READ_BUFFER_BYTES = 8 * 1024 * 1024;
/** The daemon's largest frame and its header fit behind what is left of the last read. */
const READ_ROOM_BYTES = 2 * 1024 * 1024;
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export interface FrameHandler {
  /** One binary frame; the bytes are valid during the call only. */
  frame(bytes: Buffer, view: DataView, start: number, end: number): void;
  /** All complete frames of one read were handed over. */
  readEnd(): void;
  failed(error: Error): void;
}

export interface WebSocketTarget {
  /** `http://host:port` or `ws://host:port`. */
  readonly url: string;
  readonly token: string;
}

export class WebSocketClient {
  readonly #socket: Socket;
  readonly #bytes = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #frames = new ServerFrames();
  #filled = 0;
  #handler: FrameHandler | undefined;
  #closing = false;

  /** Opens a connection to `/v1/stream`. */
  static open({ url, token }: WebSocketTarget, handler: FrameHandler): Promise<WebSocketClient> {
    return new Promise((resolve, reject) => {
      const client = new WebSocketClient(new URL(url), token, (error) => {
        if (error !== undefined) reject(error);
        else resolve(client.#serve(handler));
      });
    });
  }

  private constructor(url: URL, token: string, opened: (error?: Error) => void) {
    const key = randomBytes(16).toString('base64');
    const accept = createHash('sha1').update(`${key}${ACCEPT_SUFFIX}`).digest('base64');
    let isOpen = false;
    this.#socket = connect({
      host: url.hostname,
      port: Number(url.port),
      noDelay: true,
      onread: {
        buffer: () => this.#bytes.subarray(this.#filled),
        callback: (count) => {
          this.#filled += count;
          if (isOpen) {
            this.#read();
          } else if (this.#upgraded(accept, opened)) {
            isOpen = true;
          }
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => (isOpen ? this.#fail(error) : opened(error)));
    this.#socket.on('close', () => {
      const error = new Error('the daemon closed a connection');
      if (!isOpen) opened(error);
      else if (!this.#closing) this.#fail(error);
    });
    this.#socket.write(
      `GET /v1/stream HTTP/1.1\r\nHost: ${url.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n` +
        `Sec-WebSocket-Protocol: fairlead.v1\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
  }

  /** The bytes must stay as they are until the peer has answered them. */
  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #serve(handler: FrameHandler): this {
    this.#handler = handler;
    this.#read();
    return this;
  }

  #upgraded(accept: string, opened: (error?: Error) => void): boolean {
    const text = this.#bytes.toString('latin1', 0, this.#filled);
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return false;
    if (!text.startsWith('HTTP/1.1 101') || !text.includes(accept)) {
      opened(new Error(`the upgrade was answered ${text.slice(0, 200)}`));
      return false;
    }
    this.#frames.at = end + 4;
    opened();
    return true;
  }

  #read(): void {
    const handler = this.#handler;
    if (handler === undefined) return;
    const frames = this.#frames;
    try {
      while (frames.next(this.#bytes, this.#filled)) {
        if (frames.opcode === OPCODE.binary) {
          handler.frame(this.#bytes, this.#view, frames.start, frames.end);
        } else {
          this.#control(frames);
        }
      }
      this.#makeRoom();
      handler.readEnd();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #control({ opcode, start, end }: ServerFrames): void {
    const content = this.#bytes.subarray(start, end);
    if (opcode === OPCODE.ping) this.#socket.write(pongFrame(content));
    if (opcode === OPCODE.close) {
      const reason = content.toString('utf8', 2);
      throw new Error(`the daemon closed with ${content.readUInt16BE(0)} ${reason}`);
    }
  }

  /** Moves what is left of an incomplete frame to the front. */
  #makeRoom(): void {
    const frames = this.#frames;
    if (frames.at === this.#filled) {
      frames.at = 0;
      this.#filled = 0;
    } else if (this.#bytes.length - this.#filled < READ_ROOM_BYTES) {
      this.#bytes.copyWithin(0, frames.at, this.#filled);
      this.#filled -= frames.at;
      frames.at = 0;
    }
  }

  #fail(error: Error): void {
    if (this.#closing) return;
    this.close();
    this.#handler?.failed(error);
  }
}
