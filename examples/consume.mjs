// Takes messages of a destination as its gateway, until ctrl-C.
//
//   FAIRLEAD_TOKEN=… node examples/consume.mjs
import { connect } from 'fairlead/client';

const client = connect({
  url: process.env.FAIRLEAD_URL ?? 'ws://127.0.0.1:7600',
  token: process.env.FAIRLEAD_TOKEN ?? '',
});
client.on('error', (error) => console.error(`${error.error}: ${error.message}`));

// Stands for the carrier's API.
async function sendSms(recipient, text) {
  if (!recipient?.startsWith('+')) return { status: 400 };
  console.log(`to ${recipient}: ${text}`);
  return { status: 200 };
}

// credit: how many deliveries may be under way here; concurrency: how many handlers at a time.
// The connection comes back by itself, and with it the subscription.
client.subscribe('sms-de', { credit: 100, concurrency: 10 }, async (delivery) => {
  // An earlier attempt may have reached the recipient: where that costs money, ask before sending.
  if (delivery.maybeDelivered) console.log(`${delivery.id} may be a second delivery`);

  const { status } = await sendSms(delivery.recipient, delivery.text);
  // What is returned settles the delivery. What is thrown is tried again, a little later each time.
  if (status === 200) return 'sent';
  if (status === 429) return { outcome: 'throttled', retryAfterMs: 1000, scope: 'gateway' };
  if (status >= 500) return { outcome: 'retry', retryAfterMs: 5000 };
  return { outcome: 'failed', code: status };
});

process.once('SIGINT', async () => {
  // Waits for handlers that run and tells their outcomes; the daemon takes back all the others.
  await client.close();
});
