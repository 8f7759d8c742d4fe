// A client process of the demo: publishes, or consumes, as its parent says, and reports every id.
import { type Client, connect } from '../../client/index.ts';
import { Consuming } from './consuming.ts';
import type { FromChild, ToChild } from './messages.ts';
import { Publishing } from './publishing.ts';

const say = (message: FromChild): void => {
  if (process.connected) process.send?.(message);
};

let client: Client | undefined;
let work: Publishing | Consuming | undefined;

async function obey(message: ToChild): Promise<void> {
  switch (message.do) {
    case 'start': {
      const { url, token } = message;
      client = connect({ url, token });
      client.on('error', (error) => fail(error));
      work =
        message.role === 'publish'
          ? new Publishing(client, message, say)
          : new Consuming(client, message, say);
      await work.ready();
      say({ is: 'ready' });
      break;
    }
    case 'publish':
      if (work instanceof Publishing) work.publish(message.perSec);
      break;
    case 'finish':
      await work?.finish();
      await client?.close();
      say({ is: 'done' });
      process.disconnect();
      break;
  }
}

function fail(error: unknown): void {
  say({ is: 'failed', message: error instanceof Error ? error.message : String(error) });
}

process.on('message', (message) => void obey(message as ToChild).catch(fail));
// Without its parent it has nobody to report to.
process.on('disconnect', () => process.exit());
