import type { Delivery, Outcome, OutcomeName } from '../client/index.ts';
import type { RemoteOptions } from './api-client.ts';
import { printJson, printLine, printNote } from './output.ts';
import { withClient } from './sdk.ts';

export interface ConsumeOptions extends RemoteOptions {
  readonly settle: OutcomeName;
  readonly max?: number;
  readonly credit: number;
  readonly retryAfterMs: number;
}

/** Prints and settles deliveries until --max of them, or a signal. */
export async function consume(destination: string, options: ConsumeOptions): Promise<void> {
  const { max = Number.POSITIVE_INFINITY } = options;
  let taken = 0;
  await withClient(options, async (client) => {
    await new Promise<void>((resolve, reject) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve);
      const credit = Math.min(options.credit, max);
      const subscription = client.subscribe(destination, { credit }, (delivery): Outcome => {
        // What came beyond --max goes back as if it had never come.
        if (taken >= max) return { outcome: 'notAttempted' };
        taken += 1;
        print(delivery, options);
        if (taken >= max) resolve();
        return outcomeOf(options);
      });
      subscription.ready().catch(reject);
    });
  });
  if (!options.json) printNote(`${taken} ${taken === 1 ? 'delivery' : 'deliveries'}`);
}

function outcomeOf({ settle, retryAfterMs }: ConsumeOptions): Outcome {
  const rests = settle === 'retry' || settle === 'throttled';
  return rests ? { outcome: settle, retryAfterMs } : { outcome: settle };
}

function print(delivery: Delivery, { json }: ConsumeOptions): void {
  const { id, tenant, sender, recipient, text, attempt, acceptedMs, maybeDelivered } = delivery;
  if (json) {
    const names = { tenant, sender: sender ?? null, recipient: recipient ?? null };
    printJson({ id, ...names, payload: text, attempt, acceptedMs, maybeDelivered });
    return;
  }
  const route = `${tenant} ${sender ?? '-'} → ${recipient ?? '-'}`;
  const again =
    attempt > 1 ? ` (attempt ${attempt}${maybeDelivered ? ', maybe delivered' : ''})` : '';
  printLine(`${id}  ${route}${again}  ${JSON.stringify(text)}`);
}
