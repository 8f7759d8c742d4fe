// One connection as the gate uses it: what has been proven to lie in the past, and whether the
// daemon still takes new asks over it.
import type { OkFrame } from '../protocol/frames.ts';
import type { Connection } from './connection.ts';
import type { FairleadClientError } from './error.ts';

/** As `Reply`, with the time at which the request left. */
export interface GateReply {
  ok(answer: OkFrame, sentMs: number): void;
  failed(error: FairleadClientError): void;
}

/** Ms of a clock that never goes back; the wall clock may. */
export const nowMs = (): number => performance.now();

export class GateLink {
  readonly connection: Connection;
  /** The daemon goes away: it answers what it has and takes releases and renewals, but no asks. */
  isLeaving = false;
  #provenMs: number;

  constructor(connection: Connection) {
    this.connection = connection;
    this.#provenMs = nowMs();
  }

  get isOpen(): boolean {
    return this.connection.isOpen;
  }

  /**
   * The daemon did what it tells next after this time: it serves the frames of a connection in order,
   * so later than the newest answered one was sent. What is told late is seen to be old by this.
   */
  get provenMs(): number {
    return this.#provenMs;
  }

  /** Sends a frame about permits. */
  request(encode: (id: number) => Uint8Array, reply: GateReply): void {
    const sentMs = nowMs();
    this.connection.request(encode, {
      ok: (answer) => {
        this.#provenMs = Math.max(this.#provenMs, sentMs);
        reply.ok(answer, sentMs);
      },
      failed: (error) => reply.failed(error),
    });
  }
}
