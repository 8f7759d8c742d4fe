// The examples of the routes about messages: one message, and what has to be there before it.
import type { ExampleStep } from '../rest/rest-route.ts';

/** 16 bytes, of which the first two are the shard. */
export const exampleId = '00001c2f7a9be0445d0102a300000000';

const destination = 'sms-de';

export const exampleSend = {
  destination,
  tenant: 'acme',
  sender: '4930',
  recipient: '4915112345',
  payload: 'Your code is 4711',
  validityMs: 300_000,
  callbackUrl: 'https://acme.example/status',
};

export const exampleMessage = {
  id: exampleId,
  destination,
  tenant: 'acme',
  sender: '4930',
  recipient: '4915112345',
  payload: 'Your code is 4711',
  status: 'queued',
  code: null,
  reason: null,
  attempts: 0,
  acceptedMs: 1_790_000_000_123,
  dueMs: null,
  expiresMs: 1_790_000_300_123,
  endedMs: null,
  cost: 1,
  level: 0,
  orderKey: null,
  tag: null,
  callbackUrl: 'https://acme.example/status',
  inDoubt: false,
  redacted: false,
  deadLetter: false,
};

export const exampleDeadLetter = {
  ...exampleMessage,
  status: 'failed',
  code: 3024,
  reason: 'attemptsExhausted',
  attempts: 1,
  endedMs: 1_790_000_001_456,
  deadLetter: true,
};

const queue = { destination, tenant: 'acme', sender: '4930', orderKey: null, level: 0 };

export const exampleTrace = [
  { atMs: 1_790_000_000_123, state: 'accepted', queue },
  { atMs: 1_790_000_000_123, state: 'queued', queue, dueMs: null },
];

const put: ExampleStep = { method: 'PUT', path: `/v1/destinations/${destination}`, body: {} };
const send: ExampleStep = {
  method: 'POST',
  path: '/v1/messages',
  body: exampleSend,
  take: { id: 'id' },
};

/** A destination. */
export const beforeSend: readonly ExampleStep[] = [put];
/** A message that waits; its id is the example's. */
export const beforeMessage: readonly ExampleStep[] = [put, send];
/** One that has ended. */
export const beforeEnded: readonly ExampleStep[] = [
  put,
  send,
  { gateway: destination, outcome: 'sent' },
];
/** One that is a dead letter. */
export const beforeDeadLetter: readonly ExampleStep[] = [
  { method: 'PUT', path: `/v1/destinations/${destination}`, body: { attemptsMax: 1 } },
  send,
  { gateway: destination, outcome: 'retry' },
];
