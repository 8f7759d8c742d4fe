// A publisher and a gateway on one shard: their frames, and waiting for what comes back.
import {
  encodePublish,
  encodeSettle,
  encodeSubscribe,
  type OkFrame,
} from '../../src/protocol/frames.ts';
import { type Opened, openPool, PLATFORM } from './shard-harness.ts';

export const PUBLISHER = 11;
export const GATEWAY = 12;

export const portOf = ({ pool }: Opened, shard = 0) =>
  pool.ports[shard] as NonNullable<(typeof pool.ports)[0]>;

export function publish(
  opened: Opened,
  count: number,
  id = 1,
  destination = 'carrier',
  bytes = 20,
): void {
  const messages = Array.from({ length: count }, (_, at) => ({
    tenant: 'acme',
    sender: '+123',
    recipient: `+${at}`,
    payload: `${at}`.padEnd(bytes, '.'),
  }));
  const frame = encodePublish({ id, destination, messages });
  if (!portOf(opened).frame(PUBLISHER, frame)) throw new Error('the frame was refused');
}

export function subscribe(opened: Opened, credit = 1_000, destination = 'carrier'): void {
  portOf(opened).frame(GATEWAY, encodeSubscribe({ id: 1, subscription: 5, destination, credit }));
}

export async function settle(opened: Opened, deliveries: readonly number[], id = 2): Promise<void> {
  portOf(opened).frame(GATEWAY, encodeSettle({ id, subscription: 5, outcomes: deliveries }));
  const settled = () =>
    opened.sink.answers(GATEWAY).some((frame) => 'id' in frame && frame.id === id);
  await opened.sink.wait(settled, `the answer to settle ${id}`);
}

export async function opened(directory: string, options: Parameters<typeof openPool>[1] = {}) {
  const result = await openPool(directory, options);
  portOf(result).connect(PUBLISHER, PLATFORM, '');
  portOf(result).connect(GATEWAY, PLATFORM, '');
  return result;
}

export async function received(from: Opened, count: number): Promise<number[]> {
  await from.sink.wait(() => from.sink.deliveries().length >= count, `${count} deliveries`);
  return from.sink.deliveries().map(({ delivery }) => delivery);
}

export const answered = (from: Opened) => from.sink.answers(PUBLISHER) as OkFrame[];
