// The link with Kannel's drive_smpp: a bare SMSC that knows no transceiver, gives no ids, enquires after
// each message that it delivers, and ends with its first connection.
import t from 'tap';
import { FlakyProxy } from '../../support/flaky-proxy.ts';
import { fastClock, openLink, smsTo, until } from '../../support/smpp-link.ts';
import { noKannel, SmscProcess } from '../../support/smsc-process.ts';

const skip = await noKannel();

/** Texts of the submit_sm in its log, as far as they are ASCII. */
const submitted = (smsc: SmscProcess): string[] =>
  smsc.lines.flatMap((line) => /submit_sm: short_message = <(.*)>$/.exec(line)?.[1] ?? []);

/** One in ten is long, one in seven is Cyrillic. */
function contentOf(index: number): string {
  if (index % 10 === 0) return `long ${index} `.repeat(80).slice(0, 400);
  return index % 7 === 0 ? `сообщение ${index}` : `message ${index}`;
}

/** Calls `one` for each index, ten at a time. */
async function each<T>(indexes: number[], one: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  const worker = async (): Promise<void> => {
    for (let index = indexes.shift(); index !== undefined; index = indexes.shift()) {
      results.push(await one(index));
    }
  };
  await Promise.all(Array.from({ length: 10 }, worker));
  return results;
}

const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

t.test('1,000 messages out, 400 in', { skip }, async (t) => {
  const smsc = await SmscProcess.kannel(400);
  const { link, inbound } = openLink({ port: smsc.port, settings: { bind: 'separate' } });
  t.teardown(async () => {
    await link.close();
    await smsc.close();
  });
  await until(() => link.state().sessions.every(({ state }) => state === 'bound'), 'both bound');
  const results = await each(range(0, 1_000), async (index) => {
    const { outcome, ids } = await link.submit(smsTo(index, { content: contentOf(index) }));
    return `${outcome} ${ids.length}`;
  });
  t.equal(results.filter((result) => result === 'sent 1').length, 900);
  t.equal(results.filter((result) => result === 'sent 3').length, 100);
  await until(() => inbound.length === 400, 'all that it delivers');
  t.strictSame(
    inbound.map(({ text }) => Number(text)).sort((a, b) => a - b),
    range(1, 400),
  );
  t.match(inbound[0], { from: '456', to: '123', dataCoding: 0, complete: true });
  await until(() => submitted(smsc).length === 1_200, 'all parts are in its log');
  const texts = submitted(smsc).filter((text) => text.startsWith('message'));
  const plain = range(0, 1_000).filter((index) => index % 10 !== 0 && index % 7 !== 0);
  t.strictSame(texts.sort(), plain.map(contentOf).sort());
  t.notOk(
    smsc.lines.find((line) => /ERROR|PANIC|WARNING/.test(line)),
    'it has no complaint',
  );
});

t.test('the link is killed in mid-window, four ways', { skip }, async (t) => {
  let smsc = await SmscProcess.kannel(1);
  const { port } = smsc;
  const proxy = await FlakyProxy.to(port);
  const { link } = openLink({
    port: proxy.port,
    settings: { bind: 'separate', pduTimeoutMs: 4_000, enquireMs: 4_000 },
    clock: fastClock(4),
  });
  t.teardown(async () => {
    await link.close();
    await proxy.close();
    await smsc.close();
  });
  const faults: readonly (() => void)[] = [
    () => proxy.drop(),
    () => proxy.freeze(),
    () => proxy.halfClose(),
    () => proxy.garbage(Buffer.alloc(8)),
  ];
  for (const [round, fault] of faults.entries()) {
    await until(
      () => link.state().sessions.every(({ state }) => state === 'bound'),
      'bound',
      40_000,
    );
    const outcomes = new Map<string, string>();
    await each(range(round * 100, 100), async (index) => {
      if (index % 100 === 50) setImmediate(fault);
      const content = `message ${index}`;
      outcomes.set(content, (await link.submit(smsTo(index, { content }))).outcome);
    });
    t.equal(outcomes.size, 100);
    const of = (outcome: string) => [...outcomes].filter(([, one]) => one === outcome);
    const texts = submitted(smsc);
    t.equal(new Set(texts).size, texts.length, 'none was sent twice');
    t.ok(of('doubt').length <= 10, 'in doubt: a window at most');
    t.equal(of('sent').length + of('doubt').length + of('notAttempted').length, 100);
    await until(() => of('sent').every(([text]) => submitted(smsc).includes(text)), 'all arrived');
    t.notOk(of('notAttempted').some(([text]) => submitted(smsc).includes(text)));
    await until(
      () => link.state().sessions.every(({ state }) => state !== 'bound'),
      'both ended',
      40_000,
    );
    await smsc.close();
    smsc = await SmscProcess.kannel(1, port);
  }
  await until(() => link.up, 'bound again');
  t.equal((await link.submit(smsTo(400))).outcome, 'sent');
});
