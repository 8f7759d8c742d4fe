// Gives two sets of tenants 3 : 1 of a destination, then turns it round while messages wait.
//
//   FAIRLEAD_TOKEN=… node examples/weights.mjs
import { connect } from 'fairlead/client';

const url = process.env.FAIRLEAD_URL ?? 'http://127.0.0.1:7600';
const token = process.env.FAIRLEAD_TOKEN ?? '';

// Operators change everything over REST; PUT replaces the whole resource.
async function put(path, fields) {
  const response = await fetch(new URL(`/v1/${path}`, url), {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(fields),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
}

await put('destinations/weights-example', { ratePerSec: 200 });
await put('sets/big', { weight: 300 });
await put('sets/small', { weight: 100 });
await put('tenants/alice', { set: 'big' });
await put('tenants/bob', { set: 'small' });

// Both have more to send than the destination takes.
const client = connect({ url, token });
const backlog = (tenant) =>
  Array.from({ length: 1000 }, (_, number) => ({ tenant, payload: `${tenant} ${number}` }));
await client.publishBatch('weights-example', [...backlog('alice'), ...backlog('bob')]);

const got = { alice: 0, bob: 0 };
client.subscribe('weights-example', {}, ({ tenant }) => {
  got[tenant] += 1;
});

async function watch(title) {
  got.alice = 0;
  got.bob = 0;
  await new Promise((resolve) => setTimeout(resolve, 2000));
  console.log(`${title}: alice ${got.alice}, bob ${got.bob}`);
}

await watch('weights 300 and 100');
// Live: it re-weights what is already waiting.
await put('sets/big', { weight: 100 });
await put('sets/small', { weight: 300 });
await watch('weights 100 and 300');

// Lifted, the limit lets the rest out, so that nothing is left in the queues.
await put('destinations/weights-example', { ratePerSec: null });
await watch('without a limit');
await client.close();
