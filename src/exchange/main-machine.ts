/**
 * A native state machine of the main thread: it is told the time, does no I/O, and every error that it
 * throws is a fault after which nothing of it can be trusted.
 */

export interface MainStep {
  /** Bytes that `takeEffects` writes. */
  readonly effectsBytes: number;
  /** Bytes that `takeJournal` writes; 4: it is empty. */
  readonly journalBytes: number;
  /** The effects have to wait for the flush of the journal, also where they leave at once. */
  readonly flush: boolean;
}

export interface MainMachine {
  /** `nowUs`: µs since 1970. */
  step(nowUs: number, input: Uint8Array): MainStep;
  takeEffects(output: Uint8Array): void;
  takeJournal(output: Uint8Array): void;
}
