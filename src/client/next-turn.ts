// Runs work once after everything else of this loop turn, so that what one turn makes (messages of
// many callers, settlements of many handlers) leaves in one frame.

interface Host {
  readonly setImmediate?: (run: () => void) => unknown;
  readonly MessageChannel?: new () => {
    readonly port1: { onmessage: (() => void) | null };
    readonly port2: { postMessage(value: null): void };
  };
}

const host = globalThis as unknown as Host;

/** Calls `run` in the next turn: `setImmediate`, in browsers a message to ourselves (timers wait 4 ms). */
export const nextTurn: (run: () => void) => void = chooseNextTurn();

function chooseNextTurn(): (run: () => void) => void {
  const { setImmediate, MessageChannel } = host;
  if (setImmediate !== undefined) return (run) => void setImmediate(run);
  if (MessageChannel === undefined) return (run) => void setTimeout(run, 0);
  const channel = new MessageChannel();
  const waiting: (() => void)[] = [];
  channel.port1.onmessage = () => waiting.shift()?.();
  return (run) => {
    waiting.push(run);
    channel.port2.postMessage(null);
  };
}

/** A task asked for any number of times in a turn and run once. */
export class OncePerTurn {
  readonly #run: () => void;
  #asked = false;

  constructor(run: () => void) {
    this.#run = run;
  }

  ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    nextTurn(() => {
      this.#asked = false;
      this.#run();
    });
  }
}
