// Whatever bytes come: the server answers in its form and never fails.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { AccountApi } from './account-api.ts';

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.string({ unit: 'binary', maxLength: 80 }).map((text) => Buffer.from(text)),
  fc.constantFrom(
    ...['To=%', 'To=%ff%fe&Body=%00', '{"To":"+49"}', 'To=a&To=b&To=c', '&&&==', 'Body'.repeat(50)],
    ...['To=%2B4915112345678&From=4930&Body=%ff', 'To=%2B4915112345678&From=A&Body=%ed%a0%80'],
  ),
);
const segment = fc.oneof(
  fc.constantFrom('Messages.json', 'Messages', '.json', '%', '%00', '..', 'Messages/SM.json'),
  fc.constantFrom(`Messages/SM${'0'.repeat(32)}.json`, `Messages/SM${'f'.repeat(32)}/Media.json`),
  fc.webSegment(),
);
const methods = ['GET', 'POST', 'DELETE', 'PUT', 'HEAD', 'OPTIONS', 'PATCH'] as const;
const method = fc.constantFrom(...methods);
const authorization = fc.oneof(
  fc.constant(undefined),
  fc.constantFrom('Basic', 'Basic =', 'Basic Og==', 'Basic QUM6', 'Basic %', 'Bearer x'),
);

t.test('a form that cannot be read is refused as a whole, and nothing of it is sent', async (t) => {
  const api = await AccountApi.start(t);
  const { sid, token } = api.acme;
  const authorization = `Basic ${Buffer.from(`${sid}:${token}`).toString('base64')}`;
  const fields = 'To=%2B4915112345678&From=4930&Body=';
  const post = async (body: string | Uint8Array, type?: string) => {
    const answer = await fetch(`${api.url}/2010-04-01/Accounts/${sid}/Messages.json`, {
      method: 'POST',
      headers: { authorization, ...(type === undefined ? {} : { 'content-type': type }) },
      body: Buffer.from(body),
    });
    const { code, body: sent } = (await answer.json()) as { code?: number; body?: string };
    return { status: answer.status, code: code ?? null, sent };
  };
  const form = 'application/x-www-form-urlencoded';
  for (const body of ['%ff', '%ed%a0%80', '%c0%80', '100%', '%4', '%zz', '%u00e4']) {
    t.match(await post(`${fields}${body}`, form), { status: 400, code: 20001 }, body);
  }
  const bytes = Buffer.concat([Buffer.from(fields), Buffer.from([0xe4])]);
  t.match(await post(bytes, form), { status: 400, code: 20001 }, 'Latin-1');
  for (const type of ['application/json', 'multipart/form-data; boundary=x', 'text/plain']) {
    t.match(await post(`${fields}x`, type), { status: 415, code: 20001 }, type);
  }
  t.equal((await api.call('GET Messages.json')).body.messages.length, 0);
  for (const type of [form, `${form}; charset=UTF-8`, form.toUpperCase(), undefined]) {
    t.match(await post(`${fields}%C3%A4+b%26c=d&&x`, type), { status: 201, sent: 'ä b&c=d' });
  }
});

t.test('any request', async (t) => {
  const api = await AccountApi.start(t);
  const { sid, token } = api.acme;
  const ours = `Basic ${Buffer.from(`${sid}:${token}`).toString('base64')}`;
  const seen = new Set<number>();
  const property = fc.asyncProperty(
    method,
    segment,
    fc.webQueryParameters(),
    bytes,
    fc.option(authorization, { nil: ours, freq: 2 }),
    async (method, segment, query, body, credentials) => {
      const url = `${api.url}/2010-04-01/Accounts/${sid}/${segment}?${query}`;
      const bodiless = method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
      const answer = await fetch(url, {
        method,
        headers: credentials === undefined ? {} : { authorization: credentials },
        ...(bodiless ? {} : { body: Buffer.from(body) }),
      });
      const text = await answer.text();
      seen.add(answer.status);
      assert.ok(answer.status < 500, `${method} ${url}: ${answer.status} ${text}`);
      if (answer.status < 400 || method === 'HEAD') return;
      const { code, status } = JSON.parse(text);
      assert.equal(status, answer.status);
      assert.ok(code >= 20_000, text);
    },
  );
  // The statuses asserted below are met by these first requests, whatever is drawn after them.
  const unknown = `Messages/SM${'0'.repeat(32)}.json`;
  const examples: [(typeof methods)[number], string, string, string, string][] = [
    ['GET', 'Messages.json', '', '', ours],
    ['POST', 'Messages.json', '', 'To=%', ours],
    ['GET', 'Messages.json', '', '', 'Basic ='],
    ['GET', unknown, '', '', ours],
    ['PATCH', 'Messages.json', '', '', ours],
  ];
  await t.resolves(fc.assert(property, { numRuns: 600, examples }));
  for (const status of [200, 400, 401, 404, 405]) t.ok(seen.has(status), `${status} was seen`);
});
