// A process with one shard that is made to crash. argv: directory, what happens to it.
import { native } from '../../src/native.ts';
import { answered, opened, portOf, publish, received, settle, subscribe } from './shard-clients.ts';

// Past the file size limit a write then fails instead of ending the process.
process.on('SIGXFSZ', () => {});

async function main(directory: string, what: string): Promise<void> {
  const from = await opened(directory, {
    onFatal: (error) => {
      console.error(`onFatal: ${error.message}`);
      native.exitNow(70);
    },
  });
  subscribe(from, 10);
  publish(from, 20);
  await settle(from, (await received(from, 10)).slice(0, 4));
  console.log(`answered ${answered(from).length}`);
  if (what === 'kill') process.kill(process.pid, 'SIGKILL');
  if (what === 'exchange') portOf(from).request(99, new Uint8Array(0));
  for (let id = 2; what === 'disk'; id += 1) {
    publish(from, 50, id, 'carrier', 20_000);
    await from.sink.wait(() => answered(from).length >= id, `publish ${id}`);
    console.log(`answered ${id}`);
  }
}

await main(process.argv[2] as string, process.argv[3] as string);
