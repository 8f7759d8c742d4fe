// Status callbacks of a real daemon, received by a real HTTP server.
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import twilio from 'twilio';
import { httpPeer, type Received } from '../support/http-peer.ts';
import { MessageApi } from '../support/message-api.ts';
import { LOOPBACK, until } from '../support/webhook-peer.ts';

const sid = `AC${'0'.repeat(31)}1`;

t.test('each status in order, signed by the tenant', async (t) => {
  const peer = await httpPeer();
  t.teardown(() => peer.close());
  const api = await MessageApi.start(t, LOOPBACK);
  await api.call('PUT /v1/destinations/sms', {});
  await api.call('PUT /v1/webhooks/acme', {});
  const secret = (await api.call('GET /v1/webhooks/acme/secrets')).body;
  const events = ['accepted', 'queued', 'sending', 'sent', 'delivered'];
  const id = await api.send({
    destination: 'sms',
    tenant: 'acme',
    callbackUrl: `${peer.url}/status?x=1`,
    callbackEvents: events,
  });
  const gateway = await api.gateway('sms', () => 'sent');
  await api.until(id, 'sent');
  await gateway.receipt([{ id, status: 'delivered' }]);
  await until('all are told', () => peer.received.length === 5);
  const bodies = peer.received.map(({ body }) => JSON.parse(body));
  t.strictSame(
    bodies.map(({ data }) => data.status),
    events,
  );
  t.strictSame(
    peer.received.map(({ headers }) => headers['webhook-id']),
    [1, 2, 3, 4, 5].map((number) => `msg_${id}_${number}`),
  );
  t.ok(peer.received.every(({ url, method }) => url === '/status?x=1' && method === 'POST'));
  const [key] = JSON.stringify(secret).match(/whsec_[A-Za-z0-9+/=]+/) ?? [];
  const webhook = new Webhook(key as string);
  for (const { headers, body } of peer.received) {
    t.doesNotThrow(() => webhook.verify(body, headers as Record<string, string>));
  }
});

t.test('the form of accounts, signed with the auth token', async (t) => {
  const peer = await httpPeer();
  t.teardown(() => peer.close());
  const api = await MessageApi.start(t, LOOPBACK);
  await api.call('PUT /v1/destinations/sms', { attemptsMax: 1 });
  const made = await api.call(`PUT /v1/accounts/${sid}`, { tenant: 'acme' });
  const [token] = JSON.stringify(made.body).match(/(?<=Token":")[0-9a-f]{32}/i) ?? [];
  const url = `${peer.url}/status?a=b`;
  const message = { destination: 'sms', tenant: 'acme', sender: '4930', recipient: '4915' };
  const id = await api.send({ ...message, callbackUrl: url });
  await api.gateway('sms', () => ({ outcome: 'failed', code: 30_005 }));
  await until('it is told', () => peer.received.length === 1);
  const { headers, body } = peer.received[0] as Received;
  const parameters = Object.fromEntries(new URLSearchParams(body));
  t.match(parameters, {
    MessageSid: `SM${id}`,
    AccountSid: sid,
    MessageStatus: 'failed',
    ErrorCode: '30005',
    To: '4915',
    From: '4930',
  });
  const signature = headers['x-twilio-signature'] as string;
  t.ok(twilio.validateRequest(token as string, signature, url, parameters));
});

t.test('an endpoint that is away gets all of it later, and others do not wait', async (t) => {
  const peer = await httpPeer();
  t.teardown(() => peer.close());
  const away = await httpPeer();
  await away.close();
  const api = await MessageApi.start(t, { ...LOOPBACK, 'outbound.retryMs': [200, 200, 200, 200] });
  await api.call('PUT /v1/destinations/sms', {});
  const send = (url: string) =>
    api.send({ destination: 'sms', tenant: 'acme', callbackUrl: url, callbackEvents: ['sent'] });
  const late = await send(`${away.url}/`);
  const early = await send(`${peer.url}/`);
  await api.gateway('sms', () => 'sent');
  await until('the other is told', () => peer.received.length === 1);
  t.match(peer.received[0]?.body, early);
  const back = await httpPeer(undefined, { port: away.port });
  t.teardown(() => back.close());
  await until('it is told too', () => back.received.length > 0);
  t.match(back.received[0]?.body, late);
  t.equal(back.received.length, 1);
});

t.test('what became of callbacks and outgoing requests is in the metrics', async (t) => {
  const peer = await httpPeer();
  t.teardown(() => peer.close());
  const api = await MessageApi.start(t, { ...LOOPBACK, 'ingress.metricsScope': 'none' });
  await api.call('PUT /v1/destinations/sms', {});
  const metric = async (name: string) => {
    const text = await (await fetch(`${api.url}/metrics`)).text();
    const line = text.split('\n').find((each) => each.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.split(' ')[1]);
  };
  t.equal(await metric('fairlead_outbox_delivered_total'), 0);
  const wanted = { callbackUrl: `${peer.url}/`, callbackEvents: ['sent'] };
  await api.send({ destination: 'sms', tenant: 'acme', ...wanted });
  await api.gateway('sms', () => 'sent');
  await until('it is told', async () => (await metric('fairlead_outbox_delivered_total')) === 1);
  const told = {
    fairlead_outbound_requests_total: 1,
    fairlead_outbound_requests_failed_total: 0,
    fairlead_outbound_requests_blocked_total: 0,
    fairlead_outbound_sockets: 1,
    fairlead_outbound_requests_waiting: 0,
    fairlead_outbox_taken_total: 1,
    fairlead_outbox_attempts_total: 1,
    fairlead_outbox_failed_total: 0,
    fairlead_outbox_dropped_total: 0,
    fairlead_outbox_in_flight: 0,
    fairlead_outbox_failed: 0,
    fairlead_outbox_endpoints_disabled: 0,
    fairlead_callback_records: 1,
    fairlead_callback_waiting_bytes: 0,
    fairlead_callback_records_dropped_total: 0,
    'fairlead_callbacks_total{what="put"}': 1,
    'fairlead_callbacks_total{what="late"}': 0,
  };
  for (const [name, value] of Object.entries(told)) t.equal(await metric(name), value, name);
  // Accepted, queued, sending, sent.
  t.equal(await metric('fairlead_callback_events_total'), 4);
});
