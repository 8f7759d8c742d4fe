/** The daemon's side of a gate row: frames of permits over a WebSocket connection. */
import { decodeDaemonFrame } from '../../../src/protocol/daemon-frames.ts';
import { WebSocketClient, type WebSocketTarget } from '../../load/web-socket-client.ts';
import type { PairHandler, PairWire } from './pair-loop.ts';
import type { PermitFrames } from './permit-frames.ts';

export class PermitWire implements PairWire {
  readonly #frames: PermitFrames;
  #socket!: WebSocketClient;
  #waiting: Buffer[] = [];

  static async open(
    target: WebSocketTarget,
    frames: PermitFrames,
    handler: PairHandler,
  ): Promise<PermitWire> {
    const wire = new PermitWire(frames);
    wire.#socket = await WebSocketClient.open(target, {
      frame: (bytes, view, start, end) => wire.#take(handler, bytes, view, start, end),
      readEnd: () => wire.flush(),
      failed: (error) => handler.failed(error),
    });
    return wire;
  }

  private constructor(frames: PermitFrames) {
    this.#frames = frames;
  }

  acquire(slot: number): void {
    this.#waiting.push(this.#frames.acquires[slot] as Buffer);
  }

  release(slot: number): void {
    this.#frames.gaveBack(slot);
    this.#waiting.push(this.#frames.releases[slot] as Buffer);
  }

  flush(): void {
    if (this.#waiting.length === 0) return;
    // Copied: a frame of a slot is written again before the kernel need have taken it.
    this.#socket.write(Buffer.concat(this.#waiting));
    this.#waiting.length = 0;
  }

  close(): void {
    this.#socket.close();
  }

  #take(handler: PairHandler, bytes: Buffer, view: DataView, start: number, end: number): void {
    const number = this.#frames.take(bytes, view, start);
    if (number < 0) otherFrame(bytes, start, end);
    else if (number < this.#frames.slots) handler.acquired(number);
    else handler.released(number - this.#frames.slots);
  }
}

function otherFrame(bytes: Buffer, start: number, end: number): void {
  const frame = decodeDaemonFrame(Buffer.from(bytes.subarray(start, end)));
  if (frame.kind !== 'hello') throw new Error(`the daemon answered ${JSON.stringify(frame)}`);
}
