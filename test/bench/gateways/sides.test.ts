import t from 'tap';
import { besideBare } from '../../../bench/gateways/beside-bare.ts';
import type { RoundResult } from '../../../bench/gateways/load/round.ts';
import { alternate, type Side } from '../../../bench/gateways/sides.ts';

/** A server that has seen each side send at a rate of its own. */
function server(rates: Readonly<Record<number, number[]>>) {
  const order: number[] = [];
  let [pid, messages] = [0, 0];
  const results = new Map<number, RoundResult>();
  return {
    order,
    expect: async (count: number, senderPid: number) => {
      order.push(senderPid);
      [pid, messages] = [senderPid, count];
      const seconds = 1;
      const rate = rates[pid]?.shift() ?? 0;
      const sender = { processUs: rate * 30, mainThreadUs: rate * 20 };
      const of = {
        messages: rate,
        seconds,
        sender,
        serverCpuUs: rate * 10,
        requests: messages / 2,
      };
      results.set(pid, of);
    },
    result: async () => results.get(pid) as RoundResult,
  };
}

t.test('sides take turns, and medians are compared', async (t) => {
  const seen = server({ 1: [8_000, 1_000, 9_000], 2: [10_000, 20_000, 1_000], 3: [1, 1, 1] });
  const did: string[] = [];
  const side = (pid: number): Side => ({
    pid,
    prepare: async () => void did.push(`prepare ${pid}`),
    send: async () => void did.push(`send ${pid}`),
    finish: async () => void did.push(`finish ${pid}`),
  });
  const sides = { daemon: side(1), bare: side(2), bareOther: side(3) };
  const pace = { messages: 1000, rounds: 3 };
  const results = await alternate(seen, sides, pace);
  t.strictSame(seen.order, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
  t.strictSame(did.slice(0, 3), ['prepare 1', 'send 1', 'finish 1']);
  t.strictSame(results.daemon, {
    perSec: 8_000,
    perSecMin: 1_000,
    perSecMax: 9_000,
    cpuUsPerMessage: 30,
    mainThreadPct: 16,
    otherThreadsPct: 8,
    serverPct: 8,
    messagesPerRequest: 2,
  });
  t.match(besideBare(results, pace), {
    ratio: 0.8,
    ratioToOther: 8_000,
    messages: 1000,
    rounds: 3,
  });
});

t.test('a side that is not settled as it has to be ends the run', async (t) => {
  const side = {
    pid: 1,
    send: async () => undefined,
    finish: async () => {
      throw new Error('message 7 should be sent');
    },
  };
  const pace = { messages: 10, rounds: 1 };
  await t.rejects(alternate(server({ 1: [5] }), { side }, pace), /message 7 should be sent/);
});
