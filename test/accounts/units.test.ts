// Longest prefixes, sticky senders, codes, and that no form makes the server fail.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { AccountDirectory, AccountsOptions, StoredMessage } from '../../src/accounts/ports.ts';
import { rfc2822 } from '../../src/accounts/resources.ts';
import { accountRoutes } from '../../src/accounts/routes.ts';
import { destinationOf, senderOf } from '../../src/accounts/routing.ts';
import { readMessage } from '../../src/accounts/send-parameters.ts';
import { ERRORS, type ErrorName, FairleadError } from '../../src/errors.ts';
import {
  ACCOUNT_ERRORS,
  accountCodeOf,
  restErrorCode,
  restErrorMessage,
  restErrorOf,
  restStatus,
} from '../../src/rest/account-codes.ts';

const SID = `AC${'a'.repeat(32)}`;
const TOKEN = 'b'.repeat(32);
const SERVICE = `MG${'c'.repeat(32)}`;
const KEY = Buffer.alloc(16, 7);

t.test('the longest route wins', (t) => {
  const table: Readonly<Record<string, string>> = { '49': 'de', '4915': 'mobile', '1': 'us' };
  const at = (number: string, routes = table) =>
    destinationOf({ route: (prefix) => routes[prefix] }, number);
  t.equal(at('+4915112'), 'mobile');
  t.equal(at('+49301'), 'de');
  t.equal(at('+1555'), 'us');
  t.equal(at('+33'), undefined);
  t.equal(at('+33', { ...table, '*': 'else' }), 'else');
  t.equal(at('+49', { ...table, '*': 'else' }), 'de');
  t.end();
});

t.test('a recipient has one sender; one more sender moves one part in n', (t) => {
  const senders = Array.from({ length: 10 }, (_, index) => `s${index}`);
  const recipients = Array.from({ length: 5_000 }, (_, index) => `+4915${index}`);
  const choose = (list: readonly string[], key = KEY) =>
    recipients.map((recipient) => senderOf(key, SERVICE, list, recipient));
  const before = choose(senders);
  t.strictSame(choose(senders), before);
  for (const sender of senders) {
    const count = before.filter((each) => each === sender).length;
    t.ok(count > 380 && count < 620, `${sender}: ${count} of 5,000`);
  }
  const after = choose([...senders, 'new']);
  const moved = after.filter((sender, index) => sender !== before[index]);
  t.ok(moved.every((sender) => sender === 'new'));
  t.ok(moved.length > 330 && moved.length < 590, `${moved.length} moved`);
  t.notSame(choose(senders, Buffer.alloc(16, 8)), before, 'it is keyed');
  t.strictSame(new Set(choose(['one'])), new Set(['one']));
  t.end();
});

t.test('codes and statuses', (t) => {
  for (const name of Object.keys(ERRORS) as ErrorName[]) {
    t.ok(ACCOUNT_ERRORS[accountCodeOf(name)], name);
    t.ok(ACCOUNT_ERRORS[restErrorCode(ERRORS[name].code) as 30008], name);
  }
  t.equal(accountCodeOf('capReached'), 20429);
  t.equal(restErrorCode(ERRORS.queueFull.code), 30001);
  t.equal(restErrorCode(ERRORS.validityOver.code), 30036);
  t.equal(restErrorCode(ERRORS.hookRefused.code), 21610);
  t.equal(restErrorCode(30003), 30003);
  t.equal(restErrorCode(63016), 63016);
  t.equal(restErrorCode(11), 30005);
  t.equal(restErrorCode(404), 30008);
  t.equal(restErrorCode(9001), 20500);
  t.equal(restErrorMessage(30003), 'Unreachable destination handset');
  t.equal(restErrorMessage(63016), 'An error of the carrier');
  const statuses = ['expired', 'cancelled', 'queued', 'delivered'].map(restStatus);
  t.strictSame(statuses, ['failed', 'canceled', 'queued', 'delivered']);
  t.equal(restErrorOf('expired', null), 30036);
  t.equal(restErrorOf('failed', null), 30008);
  t.equal(restErrorOf('undelivered', 30006), 30006);
  t.equal(restErrorOf('delivered', 5), null);
  t.equal(rfc2822(1_798_135_200_000), 'Thu, 24 Dec 2026 18:00:00 +0000');
  t.end();
});

const stored: StoredMessage = {
  id: '0'.repeat(32),
  sender: null,
  recipient: null,
  payload: '//8=',
  status: 'queued',
  code: null,
  acceptedMs: 0,
  endedMs: null,
  cost: 1,
  tag: 'not a service',
  redacted: false,
};

const directory: AccountDirectory = {
  account: (sid) =>
    sid !== SID
      ? undefined
      : {
          sid,
          tenant: 'acme',
          friendlyName: '',
          status: 'active',
          callbackStatuses: ['sent'],
          primaryToken: TOKEN,
          secondaryToken: TOKEN,
          createdMs: 0,
          updatedMs: 0,
        },
  service: (sid) => (sid === SERVICE ? { tenant: 'acme', senders: ['1', '2'] } : undefined),
  route: (prefix) => (prefix === '49' ? 'sms' : undefined),
  ownerOf: (number) => (number === '+49301234567' ? 'other' : undefined),
};

t.test('a day that no calendar has is no time to send at', (t) => {
  const account = directory.account(SID);
  if (account === undefined) throw new Error('no account');
  const sendAt = (SendAt: string) => {
    const form = { To: '+4915112345678', From: '4930', Body: 'x', ScheduleType: 'fixed', SendAt };
    const nowMs = Date.parse('2026-11-10T00:00:00Z');
    const context = { account, directory, hashKey: KEY, nowMs, idempotencyKey: undefined };
    return readMessage(new URLSearchParams(form), { ...context, onUnroutable: () => {} }).sendAtMs;
  };
  t.equal(sendAt('2026-11-30T08:00:00Z'), Date.parse('2026-11-30T08:00:00Z'));
  t.equal(sendAt('2026-11-30T23:30:00-02:00'), Date.parse('2026-12-01T01:30:00Z'));
  for (const day of ['2026-11-31', '2026-11-32', '2026-11-00', '2026-13-01']) {
    t.throws(() => sendAt(`${day}T08:00:00Z`), { code: 35114 }, day);
  }
  t.end();
});

/** Answers of every route to any parameters; `fail`: what the shards throw, if they do. */
function answersOf(fail: ErrorName | null) {
  const may = async <T>(value: T): Promise<T> => {
    if (fail !== null) throw new FairleadError(fail, undefined, { retryAfterMs: 10 });
    return value;
  };
  const options: AccountsOptions = {
    directory,
    hashKey: KEY,
    onUnroutable: () => {},
    messages: {
      publish: (message) => {
        assert.ok(message.cost >= 1 && message.cost <= 65_535);
        assert.match(message.recipient, /^\+[1-9]\d{1,16}$/);
        assert.match(message.sender, /^[A-Za-z0-9._+-]{1,16}$/);
        return may({ id: stored.id, repeated: message.body.length % 2 === 0 });
      },
      find: () => may(stored),
      findOrLate: () => may(stored),
      cancel: () => may(undefined),
      redact: () => may(undefined),
      forget: () => may(undefined),
      list: ({ limit, fromMs, toMs }) => {
        assert.ok(limit >= 1 && limit <= 1000 && fromMs >= 0 && toMs > 0);
        return may({ items: [stored], cursor: 'nAAAA' });
      },
    },
  };
  return accountRoutes(options);
}

const names = {
  form: [
    ...['To', 'From', 'Body', 'MessagingServiceSid', 'StatusCallback', 'ValidityPeriod', 'SendAt'],
    ...['ScheduleType', 'MediaUrl', 'Status', 'MaxPrice', 'ContentSid', 'x'],
  ],
  query: ['To', 'From', 'DateSent', 'DateSent<', 'DateSent>', 'PageSize', 'Page', 'PageToken', 'y'],
};
const values = fc.oneof(
  fc.constantFrom(
    ...['', '+4915112345678', '+49301234567', '4930', 'ACME', 'fixed', 'canceled', '0', '1', '-1'],
    ...['2026-12-24', '2026-12-24T18:00:00Z', '9999-12-31', '0000-00-00', '275760-09-13T00:00:00Z'],
    ...[SERVICE, 'https://x.example', 'http://[', 'PA', 'PAnAA.n', 'PA...', '36000', '1e3', '٣'],
    ...['\0', '\ud800', '🎉'.repeat(900), '+'.repeat(70), 'x'.repeat(1601), '%', '\u202e'],
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
);
/** A message that may be sent; what stands before it in a form counts instead. */
const good: [string, string][] = [
  ['To', '+4915112345678'],
  ['From', '4930'],
  ['Body', 'hello'],
];
const bases = fc.constantFrom<[string, string][]>([], good);
const pairs = (of: readonly string[]) =>
  fc.array(fc.tuple(fc.constantFrom(...of), values), { maxLength: 9 });
const failures = fc.option(fc.constantFrom(...(Object.keys(ERRORS) as ErrorName[])), { freq: 3 });
const sids = fc.oneof(fc.constantFrom(`SM${'0'.repeat(32)}.json`, '.json', 'SM.json'), fc.string());

t.test('no parameters make the server fail', async (t) => {
  const seen = new Set<number>();
  const property = fc.asyncProperty(
    failures,
    pairs(names.form),
    pairs(names.query),
    sids,
    fc.nat(6),
    bases,
    async (fail, form, query, message, index, base) => {
      const route = answersOf(fail)[index];
      assert.ok(route);
      const reply = await route.handler({
        params: { account: index === 0 ? `${SID}.json` : SID, message },
        query: new URLSearchParams(query),
        headers: new Map([['idempotency-key', form[0]?.[1] ?? '']]),
        body: new URLSearchParams([...form, ...base]),
        credentials: { user: SID, password: TOKEN },
        enter: () => undefined,
      });
      seen.add(reply.status);
      const isOurs = fail !== null && ERRORS[fail].status >= 500;
      assert.ok(reply.status < 500 || isOurs, `${reply.status} ${JSON.stringify(reply.body)}`);
      JSON.stringify(reply.body);
      if (reply.status < 400) return;
      const { code, status } = reply.body as { code: keyof typeof ACCOUNT_ERRORS; status: number };
      assert.ok(ACCOUNT_ERRORS[code], String(code));
      assert.equal(status, reply.status);
    },
  );
  await t.resolves(fc.assert(property, { numRuns: 5_000 }));
  for (const status of [200, 201, 204, 400, 404]) t.ok(seen.has(status), `${status} was seen`);
});
