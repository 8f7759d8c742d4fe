// Ten jobs at once, of which the gate lets three run at a time.
//
//   fairlead dev --port 7600            prints a token; in another shell:
//   FAIRLEAD_TOKEN=… node examples/permits.mjs
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, ImpededError } from 'fairlead/client';

const url = process.env.FAIRLEAD_URL ?? 'ws://127.0.0.1:7600';
const token = process.env.FAIRLEAD_TOKEN ?? '';

// What is over the limit waits, at most 2 s.
const answer = await fetch(`${url.replace(/^ws/, 'http')}/v1/resources/jobs`, {
  method: 'PUT',
  headers: { authorization: `Bearer ${token}` },
  body: JSON.stringify({ tenantLimit: 3, mode: 'queue', waitMs: 2000 }),
});
if (!answer.ok) throw new Error(`the resource was not made: ${answer.status}`);

const client = connect({ url, token });
const gate = client.gate({ tenant: 'acme' });
let running = 0;

async function job(number) {
  const onWait = ({ position }) => console.log(`job ${number} waits, at position ${position}`);
  try {
    await gate.run('jobs', { onWait }, async ({ signal }) => {
      running += 1;
      console.log(`job ${number} runs, ${running} at a time`);
      // Ends early when the permit is lost: then another may be running in its place.
      await sleep(300, undefined, { signal }).finally(() => {
        running -= 1;
      });
    });
  } catch (error) {
    if (!(error instanceof ImpededError)) throw error;
    console.log(`job ${number}: ${error.error}, again in ${error.retryAfterMs} ms`);
  }
}

await Promise.all(Array.from({ length: 10 }, (_, number) => job(number)));
await client.close();
