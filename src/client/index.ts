// `fairlead/client`: publish to and consume from a Fairlead daemon, and pass its gate, in Node and in browsers.
import { Client } from './client.ts';
import type { ConnectOptions } from './types.ts';

/**
 * Returns a client that connects by itself and again whenever its connection ends.
 *
 * ```js
 * const client = connect({ url: 'ws://127.0.0.1:7600', token });
 * const { id } = await client.publish('sms-de', { tenant: 'acme', sender: '+49301', payload: 'Hello' });
 * client.subscribe('sms-de', {}, (delivery) => send(delivery.recipient, delivery.text));
 * ```
 */
export function connect(options: ConnectOptions): Client {
  return new Client(options);
}

export { type BatchHandler, DeliveryBatch } from './batch-consumer.ts';
export { Client } from './client.ts';
export type { Handler, HandlerResult } from './consumer.ts';
export { Delivery } from './delivery.ts';
export { FairleadClientError, ImpededError } from './error.ts';
export { Gate, type Guarded } from './gate.ts';
export type * from './gate-types.ts';
export { idText } from './message-id.ts';
export { Permit } from './permit.ts';
export type { WebSocketConstructor, WebSocketLike } from './socket.ts';
export type { SubscribeOptions, Subscription } from './subscription-handle.ts';
export type * from './types.ts';
export type { UsageEvent, Used } from './usage.ts';
