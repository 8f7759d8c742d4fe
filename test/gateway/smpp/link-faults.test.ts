// Peers and networks that fail: every submit ends with an outcome, nothing is sent twice by the link.
import t, { type Test } from 'tap';
import type { SmppClock, SubmitResult } from '../../../src/gateway/smpp/types.ts';
import { FlakyProxy } from '../../support/flaky-proxy.ts';
import {
  COMMAND,
  pduOctets,
  SmallSmsc,
  type SmallSmscOptions,
  type Submit,
} from '../../support/small-smsc.ts';
import { fastClock, type LinkSetup, openLink, smsTo, until } from '../../support/smpp-link.ts';

async function bound(t: Test, smscOptions: SmallSmscOptions, setup: Partial<LinkSetup> = {}) {
  const smsc = await SmallSmsc.listen(smscOptions);
  const proxy = await FlakyProxy.to(smsc.port);
  const open = openLink({ port: proxy.port, ...setup });
  t.teardown(async () => {
    await proxy.close();
    await smsc.close();
    await open.link.close();
  });
  await until(() => open.link.up, 'bound');
  return { smsc, proxy, ...open };
}

const slowly = (ms: number) => async () => {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return {};
};

const count = (results: readonly SubmitResult[], outcome: SubmitResult['outcome']): number =>
  results.filter((result) => result.outcome === outcome).length;

const recipients = (submits: readonly Submit[]): string[] => submits.map(({ to }) => to);

const lastError = ({ link }: { link: ReturnType<typeof openLink>['link'] }) =>
  link.state().sessions[0]?.lastError;

const breaks: Readonly<Record<string, { break: (proxy: FlakyProxy) => void; says: RegExp }>> = {
  'a reset': { break: (proxy) => proxy.drop(), says: /ECONNRESET|closed/ },
  'a silent stop': { break: (proxy) => proxy.freeze(), says: /silent: 3 enquiries/ },
  'a half close': { break: (proxy) => proxy.halfClose(), says: /closed the connection/ },
  'a length of 0': { break: (proxy) => proxy.garbage(Buffer.alloc(8)), says: /malformed length 0/ },
  'a length of 4': {
    break: (proxy) => proxy.garbage(Buffer.from([0, 0, 0, 4])),
    says: /malformed length 4:/,
  },
  'a length of 2 GiB': {
    break: (proxy) => proxy.garbage(Buffer.from([0x7f, 255, 255, 255, 0])),
    says: /malformed length 2147483647/,
  },
};

for (const [name, fault] of Object.entries(breaks)) {
  t.test(`${name} in mid-window`, async (t) => {
    const setup = { settings: { pduTimeoutMs: 600 } };
    const open = await bound(t, { onSubmit: slowly(40) }, setup);
    const { smsc, proxy, link, events } = open;
    const before = await Promise.all(
      Array.from({ length: 10 }, (_, index) => link.submit(smsTo(index))),
    );
    t.equal(count(before, 'sent'), 10);
    const during = Array.from({ length: 10 }, (_, index) => link.submit(smsTo(10 + index)));
    await until(() => smsc.submits.length === 20, 'the window is full of them');
    fault.break(proxy);
    const results = await Promise.all(during);
    t.equal(count(results, 'doubt'), 10, 'written, and not answered');
    t.equal((await link.submit(smsTo(20))).outcome, 'notAttempted');
    await until(() => events.some((event) => event.startsWith('down')), 'it is seen');
    t.match(lastError(open), fault.says);
    await until(() => link.up, 'a new session');
    const after = await Promise.all(
      Array.from({ length: 10 }, (_, index) => link.submit(smsTo(20 + index))),
    );
    t.strictSame(new Set(after.map(({ outcome }) => outcome)), new Set(['sent']));
    t.equal(new Set(recipients(smsc.submits)).size, 30);
    t.equal(smsc.submits.length, 30, 'none was sent twice');
    t.equal(proxy.accepted, 2);
  });
}

t.test('a link that breaks again and again: each message has its outcome', async (t) => {
  const { smsc, proxy, link } = await bound(
    t,
    { onSubmit: slowly(3) },
    { settings: { sessions: 2, pduTimeoutMs: 10_000 }, clock: fastClock(5) },
  );
  const faults = [
    () => proxy.drop(),
    () => proxy.freeze(),
    () => proxy.halfClose(),
    () => proxy.garbage(Buffer.alloc(4)),
  ];
  let next = 0;
  const outcomes = new Map<string, SubmitResult['outcome']>();
  const worker = async (): Promise<void> => {
    for (let index = next++; index < 2_000; index = next++) {
      if (index % 400 === 399) faults[Math.floor(index / 400) % faults.length]?.();
      const message = smsTo(index);
      for (;;) {
        const { outcome } = await link.submit(message);
        if (outcome !== 'notAttempted') {
          outcomes.set(message.to.slice(1), outcome);
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  };
  await Promise.all(Array.from({ length: 20 }, worker));
  t.equal(outcomes.size, 2_000);
  const received = new Set(recipients(smsc.submits));
  t.equal(smsc.submits.length, received.size, 'none was sent twice');
  const lost = [...outcomes].filter(([to, outcome]) => outcome === 'sent' && !received.has(to));
  t.strictSame(lost, []);
  const kinds = new Set(outcomes.values());
  t.strictSame([...kinds].sort(), ['doubt', 'sent']);
  const doubtful = [...outcomes.values()].filter((outcome) => outcome === 'doubt').length;
  t.ok(doubtful <= 5 * 20, `${doubtful} in doubt: at most a window a fault`);
});

t.test('one slow answer: that message is in doubt, the session goes on', async (t) => {
  const open = await bound(
    t,
    { onSubmit: ({ to }) => (to.endsWith('13') ? 'silent' : {}) },
    { settings: { pduTimeoutMs: 500 } },
  );
  const { smsc, link, proxy, events } = open;
  const results = await Promise.all([link.submit(smsTo(13)), link.submit(smsTo(14))]);
  t.strictSame(results, [
    { outcome: 'doubt', ids: [] },
    { outcome: 'sent', ids: ['00000001'] },
  ]);
  t.equal(link.free, 0, 'nothing more is put at risk');
  events.length = 0;
  await until(() => link.state().sessions[0]?.silent === false, 'the peer answered an enquiry');
  t.strictSame(events, ['free']);
  t.ok(smsc.sessions[0]?.requests.includes(COMMAND.enquire));
  t.equal((await link.submit(smsTo(15))).outcome, 'sent');
  t.equal(proxy.accepted, 1);
});

t.test('a silent peer gets no more than one window', async (t) => {
  const { smsc, link, proxy, events } = await bound(
    t,
    { onSubmit: () => 'silent', answersEnquiries: false },
    { settings: { pduTimeoutMs: 500, window: 4 } },
  );
  const startMs = performance.now();
  const results: SubmitResult[] = [];
  while (!events.some((event) => event.startsWith('down'))) {
    const four = Array.from({ length: 4 }, (_, index) => link.submit(smsTo(index)));
    results.push(...(await Promise.all(four)));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const tookMs = performance.now() - startMs;
  t.equal(count(results, 'doubt'), 4);
  t.equal(count(results, 'notAttempted'), results.length - 4);
  t.equal(smsc.submits.length, 4);
  t.ok(tookMs >= 1_990 && tookMs < 4_000, `one PDU and three enquiries of 500 ms: ${tookMs}`);
  t.equal(proxy.accepted, 1);
});

t.test('a peer that says nothing for enquireMs is asked', async (t) => {
  const { smsc, link, events } = await bound(t, {}, { settings: { enquireMs: 50 } });
  const enquiries = () => smsc.sessions[0]?.requests.filter((one) => one === COMMAND.enquire) ?? [];
  await until(() => enquiries().length >= 3, 'three enquiries');
  t.ok(link.up);
  t.notOk(events.some((event) => event.startsWith('down')));
});

t.test('answers out of order, repeated, and to nothing', async (t) => {
  const waiting: (() => void)[] = [];
  const { smsc, link } = await bound(t, {
    onSubmit: ({ to }, session) => {
      // Sequence numbers that nobody waits for, one of them with another command.
      session.send(COMMAND.submit + COMMAND.genericNack, 0, 0x7fff_fff0, Buffer.from('stray\0'));
      return new Promise((resolve) => waiting.push(() => resolve({ id: to })));
    },
  });
  const results = Array.from({ length: 10 }, (_, index) => link.submit(smsTo(index)));
  await until(() => waiting.length === 10, 'ten are there');
  for (const answer of waiting.reverse()) answer();
  const ids = (await Promise.all(results)).flatMap((result) => result.ids);
  t.strictSame(
    ids,
    Array.from({ length: 10 }, (_, index) => smsTo(index).to.slice(1)),
  );
  t.equal(link.state().counts.strayAnswers, 10);

  const [session] = smsc.sessions;
  session?.send(COMMAND.submit + COMMAND.genericNack, 0, 2, Buffer.from('again\0'));
  await until(() => link.state().counts.strayAnswers === 11, 'a repeated answer');
  const pending = link.submit(smsTo(10));
  await until(() => waiting.length === 11, 'the eleventh');
  const sequence = smsc.submits.at(-1)?.sequence ?? 0;
  // The right number with the answer of another command.
  session?.send(COMMAND.enquire + COMMAND.genericNack, 0, sequence);
  await until(() => link.state().counts.strayAnswers === 13, 'the wrong command');
  session?.send(COMMAND.genericNack, 0x08, sequence);
  t.strictSame(await pending, { outcome: 'retry', code: 0x08, ids: [] });
});

t.test('bodies that cannot be read are refused, and the session goes on', async (t) => {
  const { smsc, link, proxy } = await bound(t, {});
  const [session] = smsc.sessions;
  const whole = Buffer.from([0, 1, 1, 0x31, 0, 1, 1, 0x32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 65]);
  const cut = await session?.request(COMMAND.deliver, whole);
  t.match(cut, { command: COMMAND.genericNack, status: 0x02 }, 'a short message that is shorter');
  const option = Buffer.from([4, 0x24, 0, 99, 65]);
  const tail = await session?.request(
    COMMAND.deliver,
    Buffer.concat([whole.subarray(0, 18), Buffer.from([1, 65]), option]),
  );
  t.match(tail, { command: COMMAND.genericNack, status: 0x02 }, 'an option that is shorter');
  const ends = await session?.request(COMMAND.deliver, whole.subarray(0, 4));
  t.match(ends, { command: 0x8000_0005, status: 0x01 }, 'a body that ends');
  t.match(await session?.request(0x2222), { command: COMMAND.genericNack, status: 0x03 });
  t.match(await session?.request(COMMAND.submit, whole), { command: COMMAND.genericNack });
  t.equal((await link.submit(smsTo(1))).outcome, 'sent');
  t.equal(link.state().counts.malformed, 4);
  t.equal(proxy.accepted, 1);
});

t.test('PDUs in pieces of every size', async (t) => {
  const { smsc, link, inbound } = await bound(t, {});
  const [session] = smsc.sessions;
  const one = pduOctets(COMMAND.enquire, 0, 900, Buffer.alloc(0));
  const many = Buffer.concat(Array.from({ length: 30 }, () => one));
  for (let size = 1; size <= 40; size += 3) {
    for (let at = 0; at < many.length; at += size) {
      session?.socket.write(many.subarray(at, at + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  t.equal((await session?.deliver({ octets: Buffer.from('after') }))?.status, 0);
  t.match(inbound, [{ text: 'after' }]);
  t.ok(link.up);
});

t.test('the peer unbinds: what is under way is answered, then a new session', async (t) => {
  const open = await bound(t, { onSubmit: slowly(50) });
  const { smsc, link, proxy, events } = open;
  const under = Array.from({ length: 5 }, (_, index) => link.submit(smsTo(index)));
  await until(() => smsc.submits.length === 5, 'five are there');
  const [session] = smsc.sessions;
  t.match(await session?.request(COMMAND.unbind), { command: 0x8000_0006, status: 0 });
  t.equal((await link.submit(smsTo(5))).outcome, 'notAttempted');
  t.equal(count(await Promise.all(under), 'sent'), 5);
  await until(() => proxy.accepted === 2 && link.up, 'a new session');
  t.equal(lastError(open), 'the peer unbound');
  t.ok(events.includes('down: the peer unbound'));
  t.equal((await link.submit(smsTo(6))).outcome, 'sent');
});

t.test('a session that the peer does not hold for bound is made anew', async (t) => {
  let refuse = true;
  const open = await bound(t, {
    async onSubmit({ to }) {
      if (to.endsWith('2')) await new Promise((resolve) => setTimeout(resolve, 40));
      return { status: refuse ? 0x04 : 0 };
    },
  });
  const refused = { outcome: 'retry', code: 4, ids: [] };
  const results = [open.link.submit(smsTo(1)), open.link.submit(smsTo(2))];
  t.strictSame(await Promise.all(results), [refused, refused], 'none is in doubt');
  refuse = false;
  await until(() => open.proxy.accepted === 2 && open.link.up, 'a new session');
  t.equal((await open.link.submit(smsTo(1))).outcome, 'sent');
});

t.test('binds that are refused, unanswered or impossible come again ever later', async (t) => {
  const at: number[] = [];
  const smsc = await SmallSmsc.listen({
    onBind: () => {
      at.push(performance.now());
      return at.length < 6 ? 0x0e : 0;
    },
  });
  const asked: number[] = [];
  const fast = fastClock(20);
  const clock: SmppClock = {
    ...fast,
    after: (ms, fire) => {
      asked.push(ms);
      return fast.after(ms, fire);
    },
  };
  // Neither within the twentieth of it, nor taken for a wait.
  const settings = { pduTimeoutMs: 200_000, enquireMs: 300_000 };
  const { link, events } = openLink({ port: smsc.port, clock, settings });
  await until(() => link.state().sessions[0]?.lastError !== null, 'refused');
  t.match(link.state(), {
    up: false,
    sessions: [{ state: 'backoff', lastError: 'bind: refused with 0x0000000e' }],
  });
  t.equal((await link.submit(smsTo(1))).outcome, 'notAttempted');
  await until(() => link.up, 'bound');
  // Half of 500 ms · 2ⁿ, twenty times as fast.
  const least = [250, 500, 1_000, 2_000, 4_000];
  t.strictSame(
    asked.filter((ms) => ms < 200_000),
    least,
  );
  const waits = at.slice(1).map((ms, index) => ms - (at[index] as number));
  t.ok(
    waits.every((ms, index) => ms >= (least[index] as number) / 20 - 2),
    waits.join(' '),
  );
  t.strictSame(events, ['up', 'free']);
  await link.close();
  await smsc.close();

  const mute = await SmallSmsc.listen({ onBind: () => 'silent' });
  const unanswered = openLink({ port: mute.port, settings: { pduTimeoutMs: 60 } });
  await until(() => unanswered.link.state().sessions[0]?.lastError !== null, 'given up');
  t.match(unanswered.link.state().sessions[0]?.lastError, /longer than 60 ms|no answer/);
  await unanswered.link.close();
  await mute.close();

  const nobody = openLink({ port: 1 });
  await until(() => nobody.link.state().sessions[0]?.lastError !== null, 'no peer');
  t.match(nobody.link.state().sessions[0]?.lastError, /ECONNREFUSED/);
  await nobody.link.close();
});
