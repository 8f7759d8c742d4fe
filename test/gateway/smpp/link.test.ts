import t, { type Test } from 'tap';
import type { SubmitResult } from '../../../src/gateway/smpp/types.ts';
import { makeCertificate, noOpenssl } from '../../support/certificate.ts';
import { COMMAND, SmallSmsc, type SmallSmscOptions } from '../../support/small-smsc.ts';
import { type LinkSetup, openLink, smsTo, until } from '../../support/smpp-link.ts';

async function bound(t: Test, smscOptions: SmallSmscOptions, setup: Partial<LinkSetup> = {}) {
  const smsc = await SmallSmsc.listen(smscOptions);
  const open = openLink({ port: smsc.port, ...setup });
  t.teardown(async () => {
    await smsc.close();
    await open.link.close();
  });
  await until(() => open.link.up, 'bound');
  return { smsc, ...open };
}

t.test('a message goes out as it was written', async (t) => {
  const { smsc, link } = await bound(t, {});
  const sent = await link.submit(
    smsTo(7, { content: 'Grüße, 5 €', receipt: true, validityMs: 90_061_000, priority: 2 }),
  );
  t.strictSame(sent, { outcome: 'sent', ids: ['00000001'] });
  t.strictSame(smsc.submits[0], {
    sequence: 2,
    from: '15550000',
    fromTon: 1,
    fromNpi: 1,
    to: '1555000007',
    toTon: 1,
    toNpi: 1,
    esmClass: 0,
    priority: 2,
    validity: '000001010101000R',
    registered: 1,
    coding: 0,
    octets: Buffer.from('47727e1e652c2035201b65', 'hex'),
  });
  t.equal((await link.submit(smsTo(8, { content: 'привет' }))).outcome, 'sent');
  t.match(smsc.submits[1], { coding: 8, registered: 0, validity: /^$/ });
  t.strictSame(smsc.submits[1]?.octets, Buffer.from('043f04400438043204350442', 'hex'));
  t.equal((await link.submit(smsTo(9, { content: Uint8Array.of(0, 255, 27) }))).outcome, 'sent');
  t.match(smsc.submits[2], { coding: 4, esmClass: 0 });
  t.strictSame(smsc.submits[2]?.octets, Buffer.from([0, 255, 27]));
});

t.test('a long message goes out in parts, in order', async (t) => {
  const { smsc, link } = await bound(t, {});
  const text = `${'a'.repeat(152)}€${'b'.repeat(160)}`;
  t.strictSame(await link.submit(smsTo(1, { content: text, reference: 77 })), {
    outcome: 'sent',
    ids: ['00000001', '00000002', '00000003'],
  });
  const headers = smsc.submits.map(({ octets }) => octets.subarray(0, 6).toString('hex'));
  t.strictSame(headers, ['0500034d0301', '0500034d0302', '0500034d0303']);
  t.ok(smsc.submits.every(({ esmClass, octets }) => esmClass === 0x40 && octets.length <= 159));
  const septets = Buffer.concat(smsc.submits.map(({ octets }) => octets.subarray(6)));
  t.equal(septets.toString('latin1'), text.replace('€', '\u001be'));

  const binary = Uint8Array.from({ length: 300 }, (_, index) => index & 0xff);
  t.equal((await link.submit(smsTo(2, { content: binary }))).ids.length, 3);
  const octets = Buffer.concat(smsc.submits.slice(3).map((part) => part.octets.subarray(6)));
  t.equal(Buffer.compare(octets, binary), 0);
});

t.test('what cannot be written fails here', async (t) => {
  const { smsc, link } = await bound(t, {});
  const failed = (code: number) => ({ outcome: 'failed', code, ids: [] });
  t.strictSame(await link.submit(smsTo(1, { from: 'twelve chars' })), failed(0x0a));
  t.strictSame(await link.submit(smsTo(1, { to: 'Name' })), failed(0x0b));
  t.strictSame(await link.submit(smsTo(1, { content: 'я'.repeat(67 * 255 + 1) })), failed(0x01));
  t.strictSame(await link.submit(smsTo(1, { content: new Uint8Array(134 * 256) })), failed(0x01));
  t.equal(smsc.submits.length, 0);
});

t.test('each status has its outcome', async (t) => {
  let status = 0;
  const { link } = await bound(t, { onSubmit: () => ({ status }) });
  const of = async (code: number): Promise<SubmitResult> => {
    status = code;
    return link.submit(smsTo(1));
  };
  t.strictSame(await of(0x58), { outcome: 'throttled', retryAfterMs: 1_000, code: 0x58, ids: [] });
  t.strictSame(await of(0x14), { outcome: 'throttled', retryAfterMs: 5_000, code: 0x14, ids: [] });
  for (const code of [0x08, 0x45, 0x64, 0xff, 0x0400, 0x04ff, 0x0102]) {
    t.strictSame(await of(code), { outcome: 'retry', code, ids: [] });
  }
  for (const code of [0x01, 0x0a, 0x0b, 0x15, 0x65, 0x66, 0x0101, 0x0104]) {
    t.strictSame(await of(code), { outcome: 'failed', code, ids: [] });
  }
  t.match(link.state().counts, { throttled: 2, retry: 7, failed: 8, submitted: 17, sent: 0 });
});

t.test('the window is kept on each session, and places are told', async (t) => {
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  let answered = 0;
  const { smsc, link, events } = await bound(
    t,
    {
      async onSubmit() {
        await gate;
        answered += 1;
        return {};
      },
    },
    { settings: { sessions: 2, window: 3 } },
  );
  await until(() => link.free === 6, 'both sessions are bound');
  events.length = 0;
  const results = Array.from({ length: 6 }, (_, index) => link.submit(smsTo(index)));
  t.equal(link.free, 0);
  t.strictSame(await link.submit(smsTo(6)), { outcome: 'notAttempted', ids: [] });
  await until(() => smsc.submits.length === 6, 'six are there');
  t.strictSame(
    link.state().sessions.map(({ windowUsed }) => windowUsed),
    [3, 3],
  );
  t.equal(answered, 0);
  open();
  t.ok((await Promise.all(results)).every(({ outcome }) => outcome === 'sent'));
  t.strictSame(events, ['free'], 'once for all places');
  t.equal(link.free, 6);
  t.strictSame(
    link.state().sessions.map(({ windowUsed }) => windowUsed),
    [0, 0],
  );
});

t.test('a later part is tried again where it was refused for now', async (t) => {
  const answers = [0, 0x58, 0x08, 0, 0];
  const { smsc, link } = await bound(t, { onSubmit: () => ({ status: answers.shift() ?? 0 }) });
  const result = await link.submit(smsTo(1, { content: 'x'.repeat(400) }));
  t.match(result, { outcome: 'sent', ids: { length: 3 } });
  const numbers = smsc.submits.map(({ octets }) => octets[5]);
  t.strictSame(numbers, [1, 2, 2, 2, 3]);
});

t.test('a message that a later part stops says so', async (t) => {
  const answers = [0, 0x0b];
  const { smsc, link } = await bound(t, { onSubmit: () => ({ status: answers.shift() ?? 0x58 }) });
  t.strictSame(await link.submit(smsTo(1, { content: 'x'.repeat(400) })), {
    outcome: 'failed',
    code: 0x0b,
    ids: ['00000001'],
  });
  t.equal(smsc.submits.length, 2, 'its last part is not sent');
  t.match(await link.submit(smsTo(1, { content: 'x'.repeat(400) })), {
    outcome: 'throttled',
    ids: [],
  });
  t.equal(smsc.submits.length, 3, 'a first part is not tried again here');
});

t.test('separate sessions: one to send, one to receive', async (t) => {
  const { smsc, link, inbound } = await bound(t, {}, { settings: { bind: 'separate' } });
  await until(() => smsc.sessions.filter((session) => session.bound).length === 2, 'two binds');
  const receiver = smsc.sessions.find(({ requests }) => requests[0] === COMMAND.bindReceiver);
  const transmitter = smsc.sessions.find(({ requests }) => requests[0] === COMMAND.bindTransmitter);
  await Promise.all(Array.from({ length: 10 }, (_, index) => link.submit(smsTo(index))));
  t.strictSame(receiver?.requests, [COMMAND.bindReceiver]);
  t.equal(transmitter?.requests.length, 11);
  t.equal(link.free, 10, 'the receiver gives no place');
  t.equal((await receiver?.deliver({ octets: Buffer.from('hi') }))?.status, 0);
  t.match(inbound, [{ text: 'hi' }]);
  t.strictSame(
    link.state().sessions.map(({ role, state }) => `${role} ${state}`),
    ['transmitter bound', 'receiver bound'],
  );
  receiver?.socket.destroy();
  await until(() => link.state().sessions[1]?.lastError !== null, 'the receiver is lost');
  t.ok(link.up, 'it can still send');
});

t.test('closing answers what is under way, unbinds, and takes nothing more', async (t) => {
  const { smsc, link, events } = await bound(t, {
    onSubmit: () => new Promise((resolve) => setTimeout(resolve, 50, {})),
  });
  const [session] = smsc.sessions;
  const under = Array.from({ length: 10 }, (_, index) => link.submit(smsTo(index)));
  await until(() => smsc.submits.length === 10, 'ten are there');
  const closed = link.close();
  t.equal(link.free, 0);
  t.equal((await link.submit(smsTo(11))).outcome, 'notAttempted');
  await closed;
  t.ok((await Promise.all(under)).every(({ outcome }) => outcome === 'sent'));
  t.equal(session?.requests.at(-1), COMMAND.unbind);
  t.equal(events.at(-1), 'down: ended');
  t.equal(link.close(), link.close());
});

t.test('over TLS, with a certificate that is trusted', { skip: noOpenssl }, async (t) => {
  const { key, cert } = makeCertificate();
  const settings = { host: 'localhost', tls: true, ca: cert };
  const { smsc, link } = await bound(t, { tls: { key, cert } }, { settings });
  t.equal((await link.submit(smsTo(1))).outcome, 'sent');

  const distrustful = openLink({ port: smsc.port, settings: { host: 'localhost', tls: true } });
  t.teardown(() => distrustful.link.close());
  await until(() => distrustful.link.state().sessions[0]?.lastError !== null, 'refused');
  t.match(distrustful.link.state().sessions[0]?.lastError, /self-signed certificate/);
});
