// Both forms of signatures against the libraries that receivers check them with.

import { Webhook } from 'standardwebhooks';
import t from 'tap';
import twilio from 'twilio';
import {
  formSignature,
  keyBytes,
  keyText,
  standardHeaders,
  verifyForm,
  verifyStandard,
} from '../../src/outbound/signatures.ts';

const oldKey = keyText(Buffer.alloc(24, 7));
const newKey = keyText(Buffer.alloc(32, 9));
const body = JSON.stringify({ type: 'message.delivered', text: 'schöner Gruß 🙂' });
const nowSec = Math.floor(Date.now() / 1000);
const message = { id: 'msg_1', atSec: nowSec, body };

t.test('standard: the reference library takes both keys of a rotation', async (t) => {
  const headers = standardHeaders([newKey, oldKey], message);
  for (const key of [newKey, oldKey]) {
    t.strictSame(new Webhook(key).verify(body, headers), JSON.parse(body));
  }
  const other = new Webhook(keyText(Buffer.alloc(24, 8)));
  t.throws(() => other.verify(body, headers));
  t.throws(() => new Webhook(newKey).verify(`${body} `, headers));
  t.equal(
    headers['webhook-signature']?.split(' ')[1],
    new Webhook(oldKey).sign('msg_1', new Date(nowSec * 1000), body),
  );
});

t.test('standard: what the reference library signs is taken', async (t) => {
  const signed = (key: string, at = nowSec, text = body) =>
    new Map([
      ['webhook-id', 'in_1'],
      ['webhook-timestamp', String(at)],
      ['webhook-signature', `v1a,abc ${new Webhook(key).sign('in_1', new Date(at * 1000), text)}`],
    ]);
  const nowMs = nowSec * 1000;
  const check = (headers: Map<string, string>, text = body) =>
    verifyStandard([newKey, oldKey], { headers, body: text, nowMs });
  t.equal(check(signed(oldKey)), 'good');
  t.equal(check(signed(newKey)), 'good');
  t.equal(check(signed(newKey), `${body}x`), 'wrong');
  t.equal(check(signed(keyText(Buffer.alloc(24, 1)))), 'wrong');
  t.equal(check(signed(newKey, nowSec - 301)), 'stale');
  t.equal(check(signed(newKey, nowSec + 301)), 'stale');
  t.equal(check(signed(newKey).set('webhook-timestamp', 'now')), 'wrong');
  t.equal(check(signed(newKey).set('webhook-id', 'in_2')), 'wrong');
  const bare = signed(newKey);
  bare.delete('webhook-signature');
  t.equal(check(bare), 'missing');
});

t.test('a key that is none', async (t) => {
  for (const key of ['', 'whsec_', 'whsec_***', Buffer.alloc(24).toString('base64')]) {
    t.throws(() => keyBytes(key), key);
  }
  t.same(keyBytes(oldKey), Buffer.alloc(24, 7));
});

t.test('form: the reference library takes it', async (t) => {
  const token = '0123456789abcdef0123456789abcdef';
  const parameters: [string, string][] = [
    ['To', '+491511'],
    ['MessageStatus', 'delivered'],
    ['Body', 'schöner Gruß & mehr = 🙂'],
    ['AccountSid', `AC${'0'.repeat(32)}`],
    ['Empty', ''],
  ];
  for (const url of [
    'https://example.com/status',
    'https://example.com/status?x=1&y=a%20b',
    'https://example.com:8443/status',
  ]) {
    const signature = formSignature(token, url, parameters);
    const params = Object.fromEntries(parameters);
    t.ok(twilio.validateRequest(token, signature, url, params), url);
    t.notOk(twilio.validateRequest(token, signature, url, { ...params, To: '+491512' }));
    t.notOk(twilio.validateRequest(`${token}0`, signature, url, params));
    const given = { url, parameters, signature };
    t.equal(verifyForm(['other', token], given), 'good', 'any of the tokens');
    t.equal(verifyForm(['other'], given), 'wrong');
    t.equal(verifyForm([token], { ...given, signature: undefined }), 'missing');
    t.equal(verifyForm([token], { ...given, url: `${url}#` }), 'wrong');
  }
  const twice: [string, string][] = [
    ['A', 'z'],
    ['A', 'b'],
    ['A', 'z'],
  ];
  const url = 'https://example.com/';
  t.ok(
    twilio.validateRequest(token, formSignature(token, url, twice), url, { A: ['z', 'b', 'z'] }),
    'a name that comes more than once',
  );
});
