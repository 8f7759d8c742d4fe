/**
 * Makes resources that are named for the first time: acquire frames that name one wait until it is
 * there. Only where the daemon is configured to make them; other frames of the connection go on, since
 * what they are about was answered before.
 *
 * A resource that cannot be made is left to the gate, which says that there is none.
 */
import type { Logger } from '../base/logger.ts';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { resourcesOf } from '../protocol/gate-frames.ts';

export interface ResourceMakerOptions {
  readonly has: (resource: string) => boolean;
  /** Once for all callers at the same time. @throws FairleadError */
  readonly create: (resource: string) => Promise<void>;
  /** Passes a frame on; false: there is no room. */
  readonly frame: (connection: number, bytes: Uint8Array) => boolean;
  readonly logger: Logger;
}

interface HeldFrame {
  readonly connection: number;
  readonly bytes: Uint8Array;
}

const BOUNDS = { entries: LIMITS.permitsPerFrame, nameBytes: LIMITS.nameBytes } as const;

export class ResourceMaker {
  readonly #options: ResourceMakerOptions;
  readonly #held = new Set<HeldFrame>();
  #heldBytes = 0;

  constructor(options: ResourceMakerOptions) {
    this.#options = options;
  }

  /** Passes a frame on, now or once its resources are there; false: there is no room. */
  frame(connection: number, bytes: Uint8Array): boolean {
    const { has, frame } = this.#options;
    const missing = [...(resourcesOf(bytes, BOUNDS) ?? [])].filter((name) => !has(name));
    if (missing.length === 0) return frame(connection, bytes);
    if (this.#heldBytes + bytes.length > LIMITS.gateInputBytes) return false;
    const held = { connection, bytes: bytes.slice() };
    this.#held.add(held);
    this.#heldBytes += bytes.length;
    void Promise.all(missing.map((name) => this.make(name))).then(() => this.#goOn(held));
    return true;
  }

  /** Resolves once it is there, or cannot be made. */
  async make(resource: string): Promise<void> {
    const { create, logger } = this.#options;
    try {
      await create(resource);
    } catch (error) {
      if (!(error instanceof FairleadError)) {
        logger.error({ err: error, resource }, 'resource not made');
      }
    }
  }

  /** Its frames that wait are dropped. */
  disconnect(connection: number): void {
    for (const held of this.#held) {
      if (held.connection === connection) this.#drop(held);
    }
  }

  /** Drops what waits. */
  close(): void {
    this.#held.clear();
    this.#heldBytes = 0;
  }

  #goOn(held: HeldFrame): void {
    if (!this.#held.has(held)) return;
    if (this.#options.frame(held.connection, held.bytes)) {
      this.#drop(held);
      return;
    }
    setImmediate(() => this.#goOn(held));
  }

  #drop(held: HeldFrame): void {
    if (this.#held.delete(held)) this.#heldBytes -= held.bytes.length;
  }
}
