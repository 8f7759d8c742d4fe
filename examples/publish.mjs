// Publishes three messages and says what became of each.
//
//   fairlead dev --port 7600            prints a token; in another shell:
//   FAIRLEAD_TOKEN=… node examples/publish.mjs
import { connect, FairleadClientError } from 'fairlead/client';

const client = connect({
  url: process.env.FAIRLEAD_URL ?? 'ws://127.0.0.1:7600',
  // A function instead of a string is asked again before every attempt to connect.
  token: process.env.FAIRLEAD_TOKEN ?? '',
});
client.on('disconnected', ({ reason, retryInMs }) => {
  if (retryInMs !== undefined) console.error(`not connected: ${reason}; again in ${retryInMs} ms`);
});

// A platform token names the tenant; a tenant's own token leaves it out.
const messages = ['one', 'two', 'three'].map((payload) => ({
  tenant: 'acme',
  // Messages of one sender to one destination keep their order.
  sender: '+49301234',
  recipient: '+491511234567',
  payload,
}));

// What is published in one turn leaves in one frame; each message has a promise of its own. It
// resolves when the message is on disk.
const results = await Promise.allSettled(client.publish('sms-de', messages));
for (const [index, result] of results.entries()) {
  const { payload } = messages[index];
  if (result.status === 'fulfilled') {
    console.log(`${payload}: accepted as ${result.value.id}`);
  } else if (result.reason instanceof FairleadClientError) {
    const { error, retryable, maybeAccepted } = result.reason;
    // maybeAccepted: the connection ended before the answer, so it may have been taken.
    console.log(`${payload}: ${error}, retryable ${retryable}, maybe accepted ${maybeAccepted}`);
    process.exitCode = 1;
  }
}

// For many messages at once: one promise, and a list of those refused.
const { ids, refused } = await client.publishBatch('sms-de', messages);
console.log(`batch: ${ids.length - refused.length} accepted, ${refused.length} refused`);

await client.close();
