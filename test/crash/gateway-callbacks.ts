/**
 * The process of the callback server. argv: seed.
 *
 * The URL of a message's callback is `/TENANT?n=NUMBER`. It is slow, fails, breaks the connection or
 * hangs now and then, so that callbacks come again; each request is noted with what it says.
 */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';
import twilio from 'twilio';
import { httpPeer, type Received } from '../support/http-peer.ts';
import { obeyDriver } from './gateway-peer-process.ts';
import type { CallbacksReport, Keys, SeenCallback } from './gateway-traffic.ts';
import { below, randomFrom } from './traffic.ts';

const HANG_MS = 1_500;
const [seed = '1'] = process.argv.slice(2);
const random = randomFrom(Number(seed));
const callbacks: SeenCallback[] = [];
const strange: string[] = [];
let keys: Keys = {};
let isDraining = false;
let hit = (): void => {};

const peer = await httpPeer((response, request) => {
  const seen = see(request);
  if (seen === undefined) response.writeHead(404).end();
  else void answer(response, seen);
});

async function answer(response: ServerResponse, seen: SeenCallback): Promise<void> {
  const dice = isDraining ? 1 : random();
  if (dice < 0.003) await sleep(HANG_MS);
  else if (random() < 0.06) await sleep(20 + below(random, 80));
  setImmediate(hit);
  if (dice < 0.02 || response.destroyed) {
    response.destroy();
  } else if (dice < 0.07) {
    response.writeHead(500).end();
  } else if (dice < 0.075) {
    response.writeHead(429).end();
  } else {
    seen.taken = true;
    response.writeHead(200).end();
  }
}

function see(request: Received): SeenCallback | undefined {
  const url = new URL(request.url, peer.url);
  const urlTenant = url.pathname.slice(1);
  const key = keys[urlTenant];
  if (key === undefined || request.method !== 'POST') {
    strange.push(`${request.method} ${request.url}`);
    return undefined;
  }
  const common = {
    atMs: Date.now(),
    number: Number(url.searchParams.get('n')),
    urlTenant,
    bodyHash: createHash('sha256').update(request.body).digest('base64'),
    taken: false,
  };
  const seen =
    'account' in key
      ? { ...common, ...formOf(request, key, url) }
      : { ...common, ...jsonOf(request, key) };
  callbacks.push(seen);
  return seen;
}

function formOf(request: Received, key: { account: string; token: string }, url: URL) {
  const form = Object.fromEntries(new URLSearchParams(request.body));
  const signature = String(request.headers['x-twilio-signature'] ?? '');
  const isSame = form.MessageSid === form.SmsSid && form.MessageStatus === form.SmsStatus;
  if (!isSame) strange.push(request.body);
  return {
    event: String(request.headers['i-twilio-idempotency-token'] ?? ''),
    messageId: (form.MessageSid ?? '').replace(/^SM/, ''),
    status: form.MessageStatus ?? '',
    code: form.ErrorCode === undefined ? null : Number(form.ErrorCode),
    attempt: undefined,
    isForm: true,
    bodyTenant: form.AccountSid === key.account ? url.pathname.slice(1) : '',
    isSigned: twilio.validateRequest(key.token, signature, url.href, form),
  };
}

function jsonOf(request: Received, { secret }: { secret: string }) {
  let isSigned = true;
  try {
    new Webhook(secret).verify(request.body, request.headers as Record<string, string>);
  } catch {
    isSigned = false;
  }
  const { data } = JSON.parse(request.body) as {
    data: { id: string; tenant: string; status: string; code: number | null; attempt: number };
  };
  const { id, tenant, status, code, attempt } = data;
  return {
    event: String(request.headers['webhook-id'] ?? ''),
    messageId: id,
    ...{ status, code, attempt, isForm: false, bodyTenant: tenant, isSigned },
  };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

hit = obeyDriver({
  ports: { callbacks: peer.port },
  begin: (message) => {
    keys = message.keys;
  },
  drain: () => {
    isDraining = true;
  },
  count: () => ({ pending: 0, requests: callbacks.length }),
  report: (): CallbacksReport => ({ callbacks, strange }),
});
