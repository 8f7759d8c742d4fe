import t, { type Test } from 'tap';
import { LIMITS } from '../../../src/limits.ts';
import { encodeGsm7, encodeUcs2, splitText } from '../../../src/protocol/sms-text.ts';
import { COMMAND, type Delivery, deliverBody, SmallSmsc, tlv } from '../../support/small-smsc.ts';
import { fastClock, type LinkSetup, openLink, until } from '../../support/smpp-link.ts';

async function bound(t: Test, setup: Partial<LinkSetup> = {}) {
  const smsc = await SmallSmsc.listen();
  const open = openLink({ port: smsc.port, ...setup });
  t.teardown(async () => {
    await open.link.close();
    await smsc.close();
  });
  await until(() => open.link.up, 'bound');
  const [session] = smsc.sessions;
  if (session === undefined) throw new Error('no session');
  const deliver = async (delivery: Delivery): Promise<number> => {
    const { status, body } = await session.deliver(delivery);
    // An empty message_id, also where something is refused: Kannel warns without it.
    if (!body.equals(Buffer.alloc(1))) throw new Error(`the answer has ${body.toString('hex')}`);
    return status;
  };
  return { ...open, session, deliver };
}

const receiptText = (id: string, stat: string, err = '000'): Buffer =>
  Buffer.from(
    `id:${id} sub:001 dlvrd:001 submit date:2611220101 done date:2611220102 stat:${stat} err:${err} text:hi`,
  );
const receipt = (octets: Buffer, tlvs?: Buffer): Delivery => ({
  octets,
  esmClass: 0x04,
  ...(tlvs && { tlvs }),
});

t.test('receipts by text', async (t) => {
  const { receipts, deliver } = await bound(t);
  t.equal(await deliver(receipt(receiptText('439041101', 'DELIVRD'))), 0);
  t.match(receipts[0], { status: 'delivered', code: 0 });
  t.equal(receipts[0]?.ids[0], '439041101', 'as given comes first');
  t.ok(receipts[0]?.ids.includes('1a2b3c4d'));
  t.ok(receipts[0]?.ids.includes('1A2B3C4D'));
  for (const stat of ['EXPIRED', 'DELETED', 'UNDELIV', 'REJECTD', 'UNKNOWN', 'undeliv']) {
    t.equal(await deliver(receipt(receiptText('1', stat, '034'))), 0);
    t.match(receipts.at(-1), { status: 'undelivered', code: 34 }, stat);
  }
  t.equal(await deliver(receipt(receiptText('1', 'UNDELIV', '0A1'))), 0);
  t.equal(receipts.at(-1)?.code, null, 'an error that is no number');
});

t.test('receipts by fields', async (t) => {
  const { receipts, inbound, deliver } = await bound(t);
  const fields = (id: string, state: number): Buffer =>
    Buffer.concat([tlv(0x001e, Buffer.from(id)), tlv(0x0427, Buffer.from([state]))]);
  const network = tlv(0x0423, Buffer.from([3, 0x01, 0x02]));
  const octets = Buffer.alloc(0);
  // With and without the zero at its end; peers do both.
  t.equal(await deliver(receipt(octets, fields('Ab-7\0', 2))), 0);
  t.equal(await deliver(receipt(octets, Buffer.concat([fields('Ab-7', 5), network]))), 0);
  t.strictSame(receipts, [
    { ids: ['Ab-7'], status: 'delivered', code: null },
    { ids: ['Ab-7'], status: 'undelivered', code: 258 },
  ]);
  for (const state of [3, 4, 5, 7, 8, 9]) {
    t.equal(await deliver(receipt(octets, fields('x', state))), 0);
    t.equal(receipts.at(-1)?.status, 'undelivered', `state ${state}`);
  }
  // The fields are surer than the text.
  t.equal(await deliver(receipt(receiptText('text', 'DELIVRD'), fields('field', 5))), 0);
  t.strictSame(receipts.at(-1), { ids: ['field'], status: 'undelivered', code: 0 });
  // A peer that leaves the type out, and a phone that writes like a peer.
  t.equal(await deliver({ octets, tlvs: fields('untyped', 2) }), 0);
  t.strictSame(receipts.at(-1), { ids: ['untyped'], status: 'delivered', code: null });
  const before = receipts.length;
  t.equal(await deliver({ octets: receiptText('1', 'DELIVRD') }), 0);
  t.equal(receipts.length, before);
  t.match(inbound, [{ text: /^id:1 sub:001/ }]);
});

t.test('what is not final, or says nothing, is answered and told to nobody', async (t) => {
  const { receipts, inbound, link, deliver, session } = await bound(t);
  for (const stat of ['ENROUTE', 'ACCEPTD', 'SCHEDLD']) {
    t.equal(await deliver(receipt(receiptText('1', stat))), 0);
  }
  t.equal(await deliver(receipt(Buffer.from('no id, no state'))), 0);
  t.equal(await deliver(receipt(Buffer.from('id:7 stat:PERHAPS'))), 0);
  t.equal(await deliver({ octets: receiptText('1', 'DELIVRD'), esmClass: 0x20 }), 0);
  session.send(0x102, 0, 77, Buffer.from([1, 1, 0x31, 0, 1, 1, 0x32, 0]));
  t.equal(await deliver({ octets: Buffer.from('last') }), 0);
  t.strictSame(receipts, []);
  t.match(inbound, [{ text: 'last' }]);
  t.equal(link.state().counts.ignored, 6);
});

t.test('messages from phones', async (t) => {
  const { inbound, deliver, session } = await bound(t);
  t.equal(await deliver({ octets: Buffer.from(encodeGsm7('Hällo {1} €')) }), 0);
  t.strictSame(inbound[0], {
    from: '+15550001',
    to: '+15550002',
    payload: encodeGsm7('Hällo {1} €'),
    dataCoding: 0,
    text: 'Hällo {1} €',
    header: null,
    parts: 1,
    complete: true,
  });
  const short = { from: 'Bank', fromTon: 5, to: '7001', toTon: 3, coding: 8 };
  t.equal(await deliver({ ...short, octets: Buffer.from(encodeUcs2('да')) }), 0);
  t.match(inbound[1], { from: /^Bank$/, to: /^7001$/, dataCoding: 8, text: /^да$/ });
  t.equal(await deliver({ octets: Buffer.from([0, 128, 255]), coding: 4 }), 0);
  t.equal(inbound[2]?.text, null);
  t.strictSame(inbound[2]?.payload, Uint8Array.of(0, 128, 255));
  t.equal(await deliver({ octets: Buffer.from([0xe9]), coding: 3 }), 0);
  t.equal(inbound[3]?.text, 'é');
  const payload = tlv(0x0424, Buffer.from('x'.repeat(3_000)));
  t.equal(await deliver({ octets: Buffer.alloc(0), tlvs: payload }), 0);
  t.equal(inbound[4]?.text?.length, 3_000);
  const ports = Buffer.from([6, 5, 4, 0x0b, 0x84, 0x23, 0xf0, 65, 66]);
  t.equal(await deliver({ octets: ports, esmClass: 0x40, coding: 4 }), 0);
  t.strictSame(inbound[5]?.payload, Uint8Array.of(65, 66));
  t.strictSame(inbound[5]?.header, Uint8Array.of(5, 4, 0x0b, 0x84, 0x23, 0xf0));
  // data_sm: addresses as in deliver_sm, no short message.
  const body = deliverBody({ octets: Buffer.alloc(0) });
  const addresses = body.subarray(0, body.length - 10);
  const tail = Buffer.concat([Buffer.from([0, 0, 0]), tlv(0x0424, Buffer.from('by data sm'))]);
  const answer = await session.request(COMMAND.data, Buffer.concat([addresses, tail]));
  t.match(answer, { command: 0x8000_0103, status: 0 });
  t.match(inbound[6], { from: /^\+15550001$/, to: /^\+15550002$/, text: /^by data sm$/ });
});

const partsOf = (text: string, reference: number, coding: number): Delivery[] =>
  splitText(text, reference).parts.map(({ header, body }) => ({
    octets: Buffer.concat([header ?? Buffer.alloc(0), body]),
    esmClass: 0x40,
    coding,
  }));

t.test('parts are joined: in any order, interleaved, repeated', async (t) => {
  const { inbound, deliver } = await bound(t);
  const a = 'a long text of one alphabet. '.repeat(20);
  const b = 'длинный текст 😀 '.repeat(20);
  const [a1, a2, a3, a4] = partsOf(a, 1, 0) as [Delivery, Delivery, Delivery, Delivery];
  const other = partsOf(b, 1, 8).map((part) => ({ ...part, from: '15550009' }));
  for (const part of [a3, ...other.slice(1).reverse(), a1, a1, a4]) {
    t.equal(await deliver(part), 0);
  }
  t.strictSame(inbound, []);
  t.equal(await deliver(a2), 0);
  t.equal(await deliver(other[0] as Delivery), 0);
  t.match(inbound, [
    { text: a, parts: 4, complete: true, from: '+15550001' },
    { text: b, parts: other.length, complete: true, from: '+15550009' },
  ]);
  // References of 16 bits, and fields in place of a header.
  const wide = (n: number) => Buffer.from([6, 8, 4, 0x12, 0x34, 2, n, 64 + n]);
  for (const n of [2, 1]) t.equal(await deliver({ octets: wide(n), esmClass: 0x40 }), 0);
  const sar = (n: number) =>
    Buffer.concat([
      tlv(0x020c, Buffer.from([0x12, 0x34])),
      tlv(0x020e, Buffer.from([2])),
      tlv(0x020f, Buffer.from([n])),
    ]);
  for (const n of [1, 2])
    t.equal(await deliver({ octets: Buffer.from([66 + n]), tlvs: sar(n) }), 0);
  t.strictSame(
    inbound.map(({ text }) => text),
    [a, b, 'AB', 'CD'],
  );
});

t.test('parts that never come: the others are handed over', async (t) => {
  const { inbound, deliver, link } = await bound(t, { clock: fastClock(600) });
  const [first, , third] = partsOf('x'.repeat(400), 9, 0) as [Delivery, Delivery, Delivery];
  await deliver(first);
  await deliver(third);
  await until(() => inbound.length === 1, 'handed over');
  t.match(inbound, [{ complete: false, parts: 2, text: /^x+$/ }]);
  t.equal(inbound[0]?.text?.length, 153 + 94);
  await deliver(first);
  await link.close();
  t.match(inbound[1], { complete: false, parts: 1 }, 'closing hands over what waits');
});

t.test('the peer is answered when the handler is done', async (t) => {
  const running: ((error?: Error) => void)[] = [];
  const handle = () =>
    new Promise<void>((resolve, reject) => {
      running.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  const release = async (error?: Error): Promise<void> => {
    await until(() => running.length > 0, 'the handler runs');
    await new Promise((resolve) => setTimeout(resolve, 20));
    running.pop()?.(error);
  };
  const { inbound, deliver, link } = await bound(t, { onInbound: handle, onReceipt: handle });
  for (const delivery of [{ octets: Buffer.from('hi') }, receipt(receiptText('1', 'DELIVRD'))]) {
    for (const [error, status] of [[undefined, 0] as const, [new Error('full'), 0x64] as const]) {
      let answered: number | undefined;
      const done = deliver(delivery).then((got) => {
        answered = got;
      });
      const released = release(error);
      await until(() => running.length > 0, 'the handler runs');
      t.equal(answered, undefined, 'not before');
      await Promise.all([released, done]);
      t.equal(answered, status);
    }
  }
  t.equal(link.state().counts.refused, 2);

  // The last part of a message that was not taken comes again, alone.
  const parts = partsOf('y'.repeat(400), 3, 0);
  const before = inbound.length;
  t.equal(await deliver(parts[0] as Delivery), 0);
  t.equal(await deliver(parts[2] as Delivery), 0);
  for (const [error, status] of [[new Error('full'), 0x64] as const, [undefined, 0] as const]) {
    const last = deliver(parts[1] as Delivery);
    await release(error);
    t.equal(await last, status);
  }
  t.strictSame(
    inbound.slice(before).map(({ text }) => text),
    ['y'.repeat(400), 'y'.repeat(400)],
  );
});

t.test('a flood is refused for now, and nothing is lost', async (t) => {
  let running = 0;
  let most = 0;
  const { inbound, deliver, link } = await bound(t, {
    async onInbound() {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 20));
      running -= 1;
    },
  });
  const untilTaken = async (index: number): Promise<number> => {
    for (let attempt = 1; ; attempt += 1) {
      const status = await deliver({ octets: Buffer.from(`flood ${index}`) });
      if (status === 0) return attempt;
      if (status !== 0x64) throw new Error(`answered with ${status}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const attempts = await Promise.all(
    Array.from({ length: 2_000 }, (_, index) => untilTaken(index)),
  );
  t.equal(new Set(inbound.map(({ text }) => text)).size, 2_000);
  t.equal(inbound.length, 2_000);
  t.equal(most, LIMITS.smppInboundMax);
  const refused = attempts.reduce((sum, attempt) => sum + attempt - 1, 0);
  t.equal(link.state().counts.refused, refused);
  t.ok(refused > 0);
});

t.test('receipts that wait hold up no others, nor messages, and are bounded', async (t) => {
  const waiting: (() => void)[] = [];
  const { receipts, deliver, link } = await bound(t, {
    onReceipt: ({ ids: [id] }) =>
      id === 'ours' ? Promise.resolve() : new Promise<void>((wake) => waiting.push(wake)),
  });
  const others = (count: number) =>
    Array.from({ length: count }, (_, at) => deliver(receipt(receiptText(`f00${at}`, 'DELIVRD'))));
  const unknown = others(LIMITS.smppReceiptsMax - 1);
  await until(() => waiting.length === unknown.length, 'all of them wait');
  t.equal(await deliver(receipt(receiptText('ours', 'DELIVRD'))), 0);
  t.equal(await deliver({ octets: Buffer.from('a message') }), 0);
  unknown.push(...others(1));
  await until(() => waiting.length === unknown.length, 'as many as may');
  t.equal(await deliver(receipt(receiptText('ours', 'DELIVRD'))), 0x64);
  t.equal(link.state().counts.refused, 1);
  for (const wake of waiting) wake();
  t.strictSame(new Set(await Promise.all(unknown)), new Set([0]));
  t.equal(await deliver(receipt(receiptText('ours', 'DELIVRD'))), 0);
  t.equal(receipts.length, LIMITS.smppReceiptsMax + 2);
});
