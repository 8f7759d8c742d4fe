// One listener for each signal, however many wait for it: a server has one signal for thousands of
// asks, and hosts warn of more than ten listeners.

const waiting = new WeakMap<
  AbortSignal,
  { readonly tasks: Set<() => void>; readonly run: () => void }
>();

/** Calls `task` when the signal aborts; the returned function takes it back. */
export function onAbort(signal: AbortSignal, task: () => void): () => void {
  let of = waiting.get(signal);
  if (of === undefined) {
    const tasks = new Set<() => void>();
    const run = (): void => {
      waiting.delete(signal);
      for (const each of tasks) each();
    };
    of = { tasks, run };
    waiting.set(signal, of);
    signal.addEventListener('abort', run, { once: true });
  }
  const { tasks, run } = of;
  // One that is given twice is two.
  const own = (): void => task();
  tasks.add(own);
  return () => {
    if (!tasks.delete(own) || tasks.size > 0) return;
    waiting.delete(signal);
    signal.removeEventListener('abort', run);
  };
}
