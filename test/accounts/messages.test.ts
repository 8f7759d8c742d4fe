// The account form on a real daemon: each parameter, each error, each change of a message.
import t from 'tap';
import { AccountApi, hexSid } from './account-api.ts';

const To = '+4915112345678';
const From = '+49301234567';
const Body = 'Your code is 4711';

t.test('a message is sent and read', async (t) => {
  const api = await AccountApi.start(t);
  const made = await api.call('POST Messages.json', { To, From, Body });
  t.equal(made.status, 201, JSON.stringify(made.body));
  const { sid } = made.body;
  const path = `/2010-04-01/Accounts/${api.acme.sid}/Messages/${sid}`;
  const date = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} \+0000$/;
  const fields = {
    account_sid: api.acme.sid,
    api_version: '2010-04-01',
    body: Body,
    date_created: date,
    date_sent: null,
    date_updated: date,
    direction: 'outbound-api',
    error_code: null,
    error_message: null,
    from: From,
    messaging_service_sid: null,
    num_media: '0',
    num_segments: '1',
    price: null,
    price_unit: null,
    sid: /^SM[0-9a-f]{32}$/,
    status: 'queued',
    subresource_uris: { media: `${path}/Media.json` },
    to: To,
    uri: `${path}.json`,
  };
  t.match(made.body, fields);
  t.strictSame(Object.keys(made.body), Object.keys(fields));
  const read = await api.call(`GET Messages/${sid}.json`);
  t.strictSame([read.status, read.body], [200, made.body], 'what is stored is what was answered');
  const media = await api.call(`GET Messages/${sid}/Media.json`);
  t.match(media, { status: 200, body: { media_list: [], next_page_uri: null } });
  const inner = await api.api.call(`GET /v1/messages/${sid.slice(2)}`);
  t.match(inner.body, { tenant: 'acme', sender: From, recipient: To, payload: Body, cost: 1 });
  await api.api.gateway('sms', () => 'sent');
  await api.api.until(sid.slice(2), 'sent');
  t.match((await api.call(`GET Messages/${sid}.json`)).body, { status: 'sent', date_sent: date });
});

t.test('parameters that are taken', async (t) => {
  const api = await AccountApi.start(t);
  const inner = async (form: Record<string, string>) => {
    const sid = await api.send(form);
    return (await api.api.call(`GET /v1/messages/${sid.slice(2)}`)).body;
  };
  const text = `${'é'.repeat(200)}`;
  t.match(await inner({ Body: text }), { cost: 2, payload: text }, 'cost is segments');
  t.match(await inner({ Body: '→'.repeat(1600) }), { cost: 24 });
  t.match(await inner({ To: '+1 (555) 010-0006' }), { recipient: '+15550100006' });
  t.match(await inner({ From: 'ACME' }), { sender: 'ACME' });
  t.match(await inner({ From: '12345' }), { sender: '12345' });
  const StatusCallback = 'https://acme.example/status?x=1';
  t.match(await inner({ StatusCallback }), { callbackUrl: StatusCallback });
  const { acceptedMs, expiresMs } = await inner({ ValidityPeriod: '60' });
  t.equal(expiresMs - acceptedMs, 60_000);
  const SendAt = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, '');
  const later = await api.call('POST Messages.json', {
    ...{ To, From, Body, SendAt },
    ScheduleType: 'fixed',
  });
  t.match(later, { status: 201, body: { status: 'scheduled' } });
  const { dueMs } = (await api.api.call(`GET /v1/messages/${later.body.sid.slice(2)}`)).body;
  t.equal(dueMs, Date.parse(SendAt));
  const ignored = { MaxPrice: '0.1', SmartEncoded: 'true', Nonsense: 'x', Attempt: '2' };
  t.match(await inner(ignored), { payload: 'hello' });
  await api.api.call('PUT /v1/numbers/+49301234567', { tenant: 'acme', destination: 'sms' });
  t.match(await inner({}), { sender: From }, 'a number of its own');
});

t.test('a messaging service gives each recipient always the same sender', async (t) => {
  const api = await AccountApi.start(t);
  const { service: MessagingServiceSid } = api;
  const senders = new Map<string, string>();
  for (let turn = 0; turn < 2; turn += 1) {
    for (let index = 0; index < 20; index += 1) {
      const to = `+49151123456${10 + index}`;
      const form = { To: to, Body, MessagingServiceSid };
      const { body, status } = await api.call('POST Messages.json', form);
      t.equal(status, 201);
      t.match(body, { status: 'accepted', messaging_service_sid: MessagingServiceSid });
      if (turn === 1) t.equal(body.from, senders.get(to));
      senders.set(to, body.from);
    }
  }
  t.strictSame(new Set(senders.values()), new Set(['4930', 'ACME']), 'both are used');
  const form = { To, Body, MessagingServiceSid, From: 'ACME' };
  t.match(await api.call('POST Messages.json', form), { status: 201, body: { from: 'ACME' } });
  t.match(await api.call('POST Messages.json', { ...form, From: '4931' }), { code: 21606 });
});

t.test('each fault has its code', async (t) => {
  const api = await AccountApi.start(t);
  const good = { To, From, Body };
  const day = 24 * 3_600_000;
  const at = (ms: number) => new Date(Date.now() + ms).toISOString();
  await api.api.call('PUT /v1/numbers/+49309999999', { tenant: 'other', destination: 'sms' });
  const foreign = hexSid('MG');
  await api.api.call(`PUT /v1/services/${foreign}`, { tenant: 'other', senders: ['1'] });
  const cases: [object, number, number][] = [
    [{ To: '' }, 400, 21604],
    [{ To: '4915112345678' }, 400, 21211],
    [{ To: '+49' }, 400, 21211],
    [{ To: 'whatsapp:+4915112345678' }, 400, 21211],
    [{ To: `+49${'1'.repeat(10_000)}` }, 400, 21211],
    [{ From: '' }, 400, 21603],
    [{ From: 'a sender of many words' }, 400, 21212],
    [{ From: '+49' }, 400, 21212],
    [{ From: '+49309999999' }, 400, 21606],
    [{ From: '', MessagingServiceSid: hexSid('MG') }, 404, 21701],
    [{ From: '', MessagingServiceSid: foreign }, 404, 21701],
    [{ From: '', MessagingServiceSid: 'x' }, 404, 21701],
    [{ Body: '' }, 400, 21602],
    [{ Body: 'x'.repeat(1601) }, 400, 21617],
    [{ Body: 'x'.repeat(100_000) }, 400, 21617],
    [{ MediaUrl: 'https://x.example/a.png' }, 400, 21620],
    [{ StatusCallback: 'acme.example/status' }, 400, 21609],
    [{ StatusCallback: `https://acme.example/${'x'.repeat(2048)}` }, 400, 21609],
    [{ ValidityPeriod: '0' }, 400, 21624],
    [{ ValidityPeriod: '36001' }, 400, 21624],
    [{ ValidityPeriod: '1.5' }, 400, 21624],
    [{ ScheduleType: 'fixed' }, 400, 35111],
    [{ SendAt: at(day) }, 400, 35126],
    [{ SendAt: at(day), ScheduleType: 'optimize' }, 400, 35126],
    [{ SendAt: at(-1000), ScheduleType: 'fixed' }, 400, 35114],
    [{ SendAt: at(36 * day), ScheduleType: 'fixed' }, 400, 35114],
    [{ SendAt: 'tomorrow', ScheduleType: 'fixed' }, 400, 35114],
    [{ To: '+33612345678' }, 400, 21612],
  ];
  for (const [change, status, code] of cases) {
    const answer = await api.call('POST Messages.json', { ...good, ...change });
    t.match(answer, { status, code }, JSON.stringify(change).slice(0, 80));
    t.strictSame(Object.keys(answer.body), ['code', 'message', 'more_info', 'status']);
    t.match(answer.body, { message: String, more_info: new RegExp(`/${code}$`), status });
  }
  await api.api.call('PUT /v1/routes/*', { destination: 'sms' });
  t.match(await api.call('POST Messages.json', { ...good, To: '+33612345678' }), { status: 201 });
  const { body } = await api.call('GET Messages.json');
  t.equal(body.messages.length, 1, 'nothing that was refused is there');
});

t.test('credentials', async (t) => {
  const api = await AccountApi.start(t);
  const { acme, other } = api;
  const get = (account: { sid: string; token: string }, sid = account.sid) =>
    api.call('GET', undefined, { account, sid });
  const shown = await get(acme);
  t.match(shown, {
    status: 200,
    body: { sid: acme.sid, friendly_name: 'acme Ltd', status: 'active', type: 'Full' },
  });
  t.notOk(JSON.stringify(shown.body).includes(acme.token));
  t.match(await get({ ...acme, token: acme.secondaryToken }), { status: 200 });
  for (const account of [
    { ...acme, token: other.token },
    { ...acme, token: '' },
    { sid: hexSid('AC'), token: acme.token },
    { sid: '', token: '' },
  ]) {
    const refused = await get(account, acme.sid);
    t.match(refused, { status: 401, code: 20003 });
    t.match(refused.headers.get('www-authenticate'), /^Basic /);
  }
  t.match(await get(acme, other.sid), { status: 404, code: 20404 }, 'the account of another');
  const sid = await api.send();
  const theirs = { account: other };
  t.match(await api.call(`GET Messages/${sid}.json`, undefined, theirs), { code: 20404 });
  t.match(await api.call(`DELETE Messages/${sid}.json`, undefined, theirs), { code: 20404 });
  const cancel = { Status: 'canceled' };
  t.match(await api.call(`POST Messages/${sid}.json`, cancel, theirs), { code: 20404 });
  t.match((await api.call('GET Messages.json', undefined, theirs)).body, { messages: [] });
  const bare = await fetch(`${api.url}/2010-04-01/Accounts/${acme.sid}.json`);
  t.equal(bare.status, 401);
  t.match(await bare.json(), { code: 20003 });
  const bearer = { headers: { authorization: 'Bearer x' } };
  t.match(await api.call('GET', undefined, bearer), { status: 401, code: 20003 });

  const rotated = await api.api.call(`POST /v1/accounts/${acme.sid}/tokens`);
  t.match(await get(acme), { status: 200 }, 'the primary token is the secondary one now');
  t.match(await get({ ...acme, token: rotated.body.primaryToken }), { status: 200 });
  t.match(await get({ ...acme, token: acme.secondaryToken }), { status: 401 });
  for (const status of ['suspended', 'closed']) {
    await api.api.call(`PUT /v1/accounts/${acme.sid}`, { tenant: 'acme', status });
    t.match(await get(acme), { status: 403, code: 20005 });
    t.match(await get({ ...acme, token: 'x' }), { status: 401, code: 20003 });
  }
  t.match(await get(other), { status: 200 });
});

t.test('what is not there, in the form of its own', async (t) => {
  const api = await AccountApi.start(t);
  t.match(await api.call('GET Calls.json'), { status: 404, code: 20404 });
  t.match(await api.call('PUT Messages.json', {}), { status: 405, code: 20004 });
  t.match(await api.call('GET Messages/SM1.json'), { status: 404, code: 20404 });
  t.match(await api.call(`GET Messages/SM${'0'.repeat(32)}`), { status: 404, code: 20404 });
  t.match(await api.call(`GET Messages/SM${'0'.repeat(32)}.json`), { status: 404, code: 20404 });
  t.match(await api.call(`GET Messages/SM${'f'.repeat(32)}.json`), { status: 404, code: 20404 });
  const huge = await api.call('POST Messages.json', { Body: 'x'.repeat(2 ** 20) });
  t.match(huge, { status: 413, code: 20001 });
  const { status } = await api.api.call('GET /v1/nowhere');
  t.equal(status, 404);
  t.match(
    (await api.api.call('GET /v1/nowhere')).body,
    { details: null },
    'the others keep theirs',
  );
});

t.test('cancelling, redacting, deleting', async (t) => {
  const api = await AccountApi.start(t);
  const change = (sid: string, form: Record<string, string>) =>
    api.call(`POST Messages/${sid}.json`, form);
  const SendAt = new Date(Date.now() + 3_600_000).toISOString();
  const later = await api.send({ SendAt, ScheduleType: 'fixed' });
  t.match(await api.call(`DELETE Messages/${later}.json`), { status: 409, code: 20009 });
  t.match(await change(later, { Body: '' }), { status: 409, code: 20009 });
  const cancelled = await change(later, { Status: 'canceled' });
  t.match(cancelled, { status: 200, body: { status: 'canceled', error_code: null } });
  t.match(await change(later, { Status: 'canceled' }), { status: 409, code: 30409 });
  const redacted = await change(later, { Body: '' });
  t.match(redacted, { status: 200, body: { body: '', status: 'canceled', num_segments: '1' } });
  for (const form of [{}, { Status: 'sent' }, { Body: 'x' }, { Status: 'canceled', Body: '' }]) {
    t.match(await change(later, form), { status: 400, code: 30400 }, JSON.stringify(form));
  }
  const deleted = await api.call(`DELETE Messages/${later}.json`);
  t.strictSame([deleted.status, deleted.body], [204, undefined]);
  t.match(await api.call(`GET Messages/${later}.json`), { code: 20404 });
  t.match(await api.call(`DELETE Messages/${later}.json`), { code: 20404 });
  t.match((await api.call('GET Messages.json')).body, { messages: [] });
});

t.test('what became of a message', async (t) => {
  const api = await AccountApi.start(t);
  const outcomes: Record<string, object> = {
    failed: { outcome: 'failed', code: 30007 },
    own: { outcome: 'failed', code: 555 },
    smpp: { outcome: 'failed', code: 11 },
    delivered: { outcome: 'delivered' },
  };
  await api.api.gateway('sms', ({ payload }) => {
    return outcomes[Buffer.from(payload).toString()] as { outcome: 'sent' };
  });
  const ended = async (body: string, status: string) => {
    const sid = await api.send({ Body: body });
    await api.api.until(sid.slice(2), status);
    return (await api.call(`GET Messages/${sid}.json`)).body;
  };
  const filtered = { status: 'failed', error_code: 30007, error_message: 'Message filtered' };
  t.match(await ended('failed', 'failed'), { ...filtered, date_sent: null });
  t.match(await ended('own', 'failed'), { error_code: 30008, error_message: 'Unknown error' });
  t.match(await ended('smpp', 'failed'), { error_code: 30005 });
  t.match(await ended('delivered', 'delivered'), { error_code: null, date_sent: String });
  await api.api.call('POST /v1/destinations/sms/pause');
  const sid = await api.send({ ValidityPeriod: '1' });
  await api.api.until(sid.slice(2), 'expired');
  const expired = await api.call(`GET Messages/${sid}.json`);
  t.match(expired.body, { status: 'failed', error_code: 30036, error_message: /^Validity/ });
});

t.test('the same key is the same message', async (t) => {
  const api = await AccountApi.start(t);
  const send = (name: string, key: string, form = {}, account = api.acme) =>
    api.call(
      'POST Messages.json',
      { To, From, Body, ...form },
      { account, headers: { [name]: key } },
    );
  const first = await send('Idempotency-Key', 'k1');
  const again = await send('I-Twilio-Idempotency-Token', 'k1', { Body: 'another' });
  t.strictSame([again.status, again.body], [201, first.body]);
  t.not((await send('Idempotency-Key', 'k2')).body.sid, first.body.sid);
  t.not((await send('Idempotency-Key', 'k1', {}, api.other)).body.sid, first.body.sid);
  t.match(await send('Idempotency-Key', 'k'.repeat(256)), { status: 400, code: 20001 });
});

t.test('what is too much is refused with a time to come again', async (t) => {
  const api = await AccountApi.start(t);
  await api.api.call('PUT /v1/tenants/acme', { waitingMax: 1 });
  await api.send();
  const full = await api.call('POST Messages.json', { To, From, Body });
  t.match(full, { status: 429, code: 30001 });
  t.match(full.headers.get('retry-after'), /^\d+$/);
  await api.api.call('PUT /v1/tenants/acme', { refuseNew: true });
  t.match(await api.call('POST Messages.json', { To, From, Body }), { status: 503, code: 20503 });
});
