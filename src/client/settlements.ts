// Settlements of one subscription on one connection, gathered for a turn and sent in one frame.
import { encodeSettle, type SettleOutcome } from '../protocol/frames.ts';
import type { Connection } from './connection.ts';
import type { FairleadClientError } from './error.ts';
import { OncePerTurn } from './next-turn.ts';
import type { Outcome } from './types.ts';
import { wireOutcome } from './wire.ts';

/** A frame with more would pass the daemon's bound on outcomes of a frame (65,536). */
const OUTCOMES_PER_FRAME = 32_768;

export class Settlements {
  readonly #connection: Connection;
  readonly #subscription: number;
  readonly #failed: (error: FairleadClientError) => void;
  readonly #later: OncePerTurn;
  #outcomes: (number | SettleOutcome)[] = [];

  constructor(
    connection: Connection,
    subscription: number,
    failed: (error: FairleadClientError) => void,
  ) {
    this.#connection = connection;
    this.#subscription = subscription;
    this.#failed = failed;
    this.#later = new OncePerTurn(() => this.flush());
  }

  /** Adds one outcome; a bare delivery number says that it was sent. */
  add(delivery: number, outcome: Outcome | undefined): void {
    const plain =
      outcome === undefined || (outcome.outcome === 'sent' && outcome.code === undefined);
    this.#outcomes.push(plain ? delivery : wireOutcome(delivery, outcome));
    if (this.#outcomes.length >= OUTCOMES_PER_FRAME) this.flush();
    else this.#later.ask();
  }

  /** Sends what was gathered: as bare numbers those that were sent, in one more frame the others. */
  flush(): void {
    if (this.#outcomes.length === 0) return;
    const outcomes = this.#outcomes;
    this.#outcomes = [];
    const sent = outcomes.filter((each) => typeof each === 'number');
    this.#send(sent);
    if (sent.length < outcomes.length) {
      this.#send(outcomes.filter((each) => typeof each !== 'number'));
    }
  }

  #send(outcomes: readonly (number | SettleOutcome)[]): void {
    if (outcomes.length === 0) return;
    const subscription = this.#subscription;
    this.#connection.request((id) => encodeSettle({ id, subscription, outcomes }), {
      ok: () => {},
      failed: (error) => {
        // With the connection the daemon took its deliveries back: there is nothing left to settle.
        if (error.error !== 'connectionLost') this.#failed(error);
      },
    });
  }
}
