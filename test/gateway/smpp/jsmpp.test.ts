// The link with jSMPP's SMSC simulator: it takes transceivers, answers ids in hexadecimal and names
// them in decimal in its receipts.
import t from 'tap';
import type { SmppMessage, SubmitResult } from '../../../src/gateway/smpp/types.ts';
import { decodeGsm7, decodeUcs2 } from '../../../src/protocol/sms-text.ts';
import { FlakyProxy } from '../../support/flaky-proxy.ts';
import type { Submit } from '../../support/small-smsc.ts';
import { fastClock, openLink, smsTo, until } from '../../support/smpp-link.ts';
import { jsmppJars, SmscProcess } from '../../support/smsc-process.ts';

const found = await jsmppJars();
const skip = 'reason' in found ? found.reason : false;
const start = () => SmscProcess.jsmpp('jars' in found ? found.jars : '');

/** One in three is Cyrillic, one in ten is long. */
function message(index: number): SmppMessage {
  const text = index % 3 === 0 ? `Сообщение ${index}, ` : `Message ${index} [5 €], `;
  return smsTo(index, { content: index % 10 === 0 ? text.repeat(14) : text, receipt: true });
}

/** Sends all, `atOnce` at a time, each until a session takes it. */
async function sendAll(
  count: number,
  submit: (index: number) => Promise<SubmitResult>,
  atOnce = 20,
): Promise<SubmitResult[]> {
  const results: SubmitResult[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      let result = await submit(index);
      while (result.outcome === 'notAttempted') {
        await new Promise((resolve) => setTimeout(resolve, 5));
        result = await submit(index);
      }
      results[index] = result;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** Recipient → text, of all its parts. */
function textsOf(submits: readonly Submit[]): Map<string, string> {
  const texts = new Map<string, string>();
  for (const { to, esmClass, coding, octets } of submits) {
    const body = esmClass === 0x40 ? octets.subarray(6) : octets;
    const text = coding === 8 ? decodeUcs2(body) : decodeGsm7(body);
    texts.set(to, (texts.get(to) ?? '') + text);
  }
  return texts;
}

const partKey = ({ to, esmClass, octets }: Submit): string =>
  `${to} ${esmClass === 0x40 ? octets[5] : 1}`;

t.test('1,000 messages, and a receipt for every part of them', { skip }, async (t) => {
  const smsc = await start();
  const { link, receipts, inbound } = openLink({ port: smsc.port, settings: { window: 20 } });
  t.teardown(async () => {
    await link.close();
    await smsc.close();
  });
  await until(() => link.up, 'bound');
  const results = await sendAll(1_000, (index) => link.submit(message(index)));
  t.ok(results.every(({ outcome }) => outcome === 'sent'));

  const parts = results.reduce((sum, { ids }) => sum + ids.length, 0);
  await until(() => smsc.submits().length >= parts, 'all are in its log');
  const submits = smsc.submits();
  t.equal(submits.length, parts);
  const texts = textsOf(submits);
  const wrong = results.flatMap((_, index) => {
    const { to, content } = message(index);
    return texts.get(to.slice(1)) === content ? [] : [index];
  });
  t.strictSame(wrong, [], 'every text is whole');

  await until(() => receipts.length >= parts, 'receipts', 60_000);
  const waiting = new Set(results.flatMap(({ ids }) => ids));
  t.equal(waiting.size, parts);
  for (const { ids } of receipts) waiting.delete(ids.find((id) => waiting.has(id)) ?? '');
  t.strictSame([...waiting], [], 'every id has its receipt');
  t.equal(receipts.length, parts);
  t.ok(receipts.every(({ status, code }) => status === 'delivered' && code === 0));
  t.ok(receipts.every(({ ids: [first] }) => /^[0-9]+$/.test(first ?? '')));
  t.ok(
    results.some(({ ids: [first] }) => /[a-f]/.test(first ?? '')),
    'it answers hexadecimal ids',
  );
  t.match(inbound, [{ from: '+555', to: '+12345', text: 'Hello World' }]);
});

t.test('the link is killed in mid-window, four ways', { skip }, async (t) => {
  const smsc = await start();
  const proxy = await FlakyProxy.to(smsc.port);
  const { link } = openLink({
    port: proxy.port,
    settings: { window: 20, pduTimeoutMs: 6_000 },
    clock: fastClock(4),
  });
  t.teardown(async () => {
    await link.close();
    await proxy.close();
    await smsc.close();
  });
  await until(() => link.up, 'bound');
  const faults = new Map([
    [200, () => proxy.drop()],
    [400, () => proxy.freeze()],
    [600, () => proxy.halfClose()],
    [800, () => proxy.garbage(Buffer.alloc(64))],
  ]);
  const results = await sendAll(1_000, (index) => {
    const fault = faults.get(index);
    if (fault !== undefined) setImmediate(fault);
    faults.delete(index);
    return link.submit({ ...message(index), receipt: false });
  });
  t.equal(proxy.accepted, 5, 'a new session after each');
  t.equal(results.length, 1_000);
  const of = (outcome: string) => results.filter((result) => result.outcome === outcome).length;
  t.comment(`sent ${of('sent')}, in doubt ${of('doubt')}, to be tried again ${of('retry')}`);
  t.equal(of('sent') + of('doubt') + of('retry'), 1_000);
  t.ok(of('doubt') <= 4 * 20, 'in doubt: a window a fault at most');
  await until(() => smsc.submits().length >= of('sent'), 'all are in its log');
  await new Promise((resolve) => setTimeout(resolve, 200));
  const received = smsc.submits().map(partKey);
  t.equal(new Set(received).size, received.length, 'no part was sent twice');
  const texts = textsOf(smsc.submits());
  const lost = results.flatMap(({ outcome }, index) => {
    const { to, content } = message(index);
    return outcome === 'sent' && texts.get(to.slice(1)) !== content ? [index] : [];
  });
  t.strictSame(lost, [], 'what was answered is there');
  const partly = results.filter(({ outcome }) => outcome === 'retry');
  t.ok(
    partly.every(({ ids }) => ids.length > 0),
    'only a message that had begun asks for more',
  );
});

t.test('it refuses other binds and other passwords', { skip }, async (t) => {
  const smsc = await start();
  const refused = async (settings: object): Promise<string | null | undefined> => {
    const { link } = openLink({ port: smsc.port, settings });
    await until(() => link.state().sessions.every((one) => one.lastError !== null), 'refused');
    const [session] = link.state().sessions;
    t.notOk(link.up);
    await link.close();
    return session?.lastError;
  };
  t.equal(await refused({ password: 'other' }), 'bind: refused with 0x0000000e');
  t.equal(await refused({ systemId: 'other' }), 'bind: refused with 0x0000000f');
  t.equal(await refused({ bind: 'separate' }), 'bind: refused with 0x0000000d');
  await smsc.close();
});
