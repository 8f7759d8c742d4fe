// Who learns how each message of a publish frame ended.
import type { FairleadClientError } from './error.ts';
import type { BatchPublished, Published } from './types.ts';

/** Takes the answer for each message of a chunk, by its position there. */
export interface Sink {
  /** `repeated`: the id is an earlier message's. */
  accept(position: number, id: string, repeated: boolean): void;
  refuse(position: number, error: FairleadClientError): void;
}

/** The sink of a chunk from which the message at `gone` was taken out. */
export function without(sink: Sink, gone: number): Sink {
  const before = (position: number): number => (position < gone ? position : position + 1);
  return {
    accept: (position, id, repeated) => sink.accept(before(position), id, repeated),
    refuse: (position, error) => sink.refuse(before(position), error),
  };
}

/** Promises of single messages, in the order of their chunk. */
export class Waiters implements Sink {
  readonly #waiters: {
    resolve: (published: Published) => void;
    reject: (error: FairleadClientError) => void;
  }[] = [];

  add(waiter: {
    resolve: (published: Published) => void;
    reject: (error: FairleadClientError) => void;
  }): void {
    this.#waiters.push(waiter);
  }

  accept(position: number, id: string, repeated: boolean): void {
    this.#waiters[position]?.resolve({ id, repeated });
  }

  refuse(position: number, error: FairleadClientError): void {
    this.#waiters[position]?.reject(error);
  }
}

/** One promise for many messages that may lie in several chunks. */
export class Batch {
  readonly #ids: (string | undefined)[];
  readonly #repeated: number[] = [];
  readonly #refused: { index: number; error: FairleadClientError }[] = [];
  readonly #resolve: (published: BatchPublished) => void;
  #open: number;

  constructor(length: number, resolve: (published: BatchPublished) => void) {
    this.#ids = new Array<string | undefined>(length).fill(undefined);
    this.#open = length;
    this.#resolve = resolve;
  }

  /** The sink of a chunk whose first message is at `offset` of the batch. */
  from(offset: number): Sink {
    return {
      accept: (position, id, repeated) => {
        this.#ids[offset + position] = id;
        if (repeated) this.#repeated.push(offset + position);
        this.#count();
      },
      refuse: (position, error) => {
        this.#refused.push({ index: offset + position, error });
        this.#count();
      },
    };
  }

  finish(): void {
    this.#refused.sort((a, b) => a.index - b.index);
    this.#repeated.sort((a, b) => a - b);
    this.#resolve({ ids: this.#ids, repeated: this.#repeated, refused: this.#refused });
  }

  #count(): void {
    this.#open -= 1;
    if (this.#open === 0) this.finish();
  }
}
