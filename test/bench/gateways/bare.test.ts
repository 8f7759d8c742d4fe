// The bare sides and their servers, as the processes that the rows run, without a look at the pace.
import t from 'tap';
import { Child } from '../../../bench/gateways/child.ts';
import type { BareHttpQuestions } from '../../../bench/gateways/load/bare-http.ts';
import type { BareSmppQuestions } from '../../../bench/gateways/load/bare-smpp.ts';
import type { HttpServerQuestions, SeenRequest } from '../../../bench/gateways/load/http-server.ts';
import { markedText, markersOf } from '../../../bench/gateways/load/marker.ts';
import type { SmscQuestions } from '../../../bench/gateways/load/smsc.ts';
import type { SeenSubmit } from '../../../bench/gateways/load/smsc-pdu.ts';
import { oneRound, roundServer } from '../../../bench/gateways/sides.ts';

const MESSAGES = 600;

t.test('HTTP: every message comes once, as it was seen, one or several a request', async (t) => {
  const server = new Child<HttpServerQuestions>('http-server.ts');
  const bare = new Child<BareHttpQuestions>('bare-http.ts');
  t.teardown(() => Promise.all([server.stop(), bare.stop()]));
  const origin = `http://127.0.0.1:${await server.ask('listen')}`;
  const headers: SeenRequest['headers'] = [
    ['host', 'elsewhere'],
    ['content-type', 'application/json'],
    ['webhook-signature', 'v1,abc'],
  ];
  for (const perRequest of [1, 20]) {
    const texts = Array.from({ length: perRequest }, (_, at) => markedText(at, 160));
    const body = Buffer.from(JSON.stringify(texts));
    const request = { path: '/messages?a=1', headers, body };
    await bare.ask('open', origin, 8, request, ['webhook-signature']);
    for (const way of ['request', 'dispatch'] as const) {
      const send = (messages: number) => bare.ask('send', messages, way);
      await server.ask('look');
      const result = await oneRound(roundServer(server), { pid: bare.pid, send }, MESSAGES);
      t.match(result, { messages: MESSAGES * 0.8, requests: MESSAGES / perRequest });
      const seen = await server.ask('seen');
      t.equal(seen.path, '/messages?a=1');
      t.equal(seen.body.length, body.length);
      t.equal(markersOf(Buffer.from(seen.body)).length, perRequest);
      const sent = new Map(seen.headers);
      t.equal(sent.get('content-type'), 'application/json');
      t.equal(`http://${sent.get('host')}`, origin);
      t.notOk(sent.has('webhook-signature'));
    }
  }
  await t.rejects(bare.ask('open', 'no origin', 1, { path: '/', headers, body: Buffer.of() }, []));
});

t.test('SMPP: every submit comes once, with the fields that were seen', async (t) => {
  const server = new Child<SmscQuestions>('smsc.ts');
  const bare = new Child<BareSmppQuestions>('bare-smpp.ts');
  t.teardown(() => Promise.all([server.stop(), bare.stop()]));
  const port = await server.ask('listen');
  const submit: SeenSubmit = {
    service_type: '',
    source_addr_ton: 1,
    source_addr_npi: 1,
    source_addr: '15550000001',
    dest_addr_ton: 1,
    dest_addr_npi: 1,
    destination_addr: '491700000001',
    esm_class: 0,
    protocol_id: 0,
    priority_flag: 0,
    schedule_delivery_time: '',
    validity_period: '',
    registered_delivery: 1,
    replace_if_present_flag: 0,
    data_coding: 0,
    sm_default_msg_id: 0,
    short_message: Buffer.from(markedText(0, 160)),
  };
  await bare.ask('open', port, 10, submit);
  for (const way of ['octets', 'text'] as const) {
    const send = (messages: number) => bare.ask('send', messages, way);
    const result = await oneRound(roundServer(server), { pid: bare.pid, send }, MESSAGES);
    t.match(result, { messages: MESSAGES * 0.8, requests: MESSAGES });
    const { short_message: octets, ...fields } = await server.ask('first');
    const { short_message: _, ...wanted } = submit;
    t.strictSame(fields, wanted);
    t.equal(Buffer.from(octets).toString('latin1'), markedText(0, 160));
  }
});

t.test('a child that ends rejects what it was asked', async (t) => {
  const server = new Child<HttpServerQuestions>('http-server.ts');
  await server.ask('listen');
  await server.ask('expect', 5, process.pid);
  const result = server.ask('result');
  const [rejected] = await Promise.all([
    t.rejects(result, /http-server.ts ended with SIGKILL/),
    server.stop(),
  ]);
  t.ok(rejected);
});
