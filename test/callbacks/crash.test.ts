// The built daemon is killed again and again while messages live: every change of each message's status
// arrives, at least once, in order, under one id.
import t from 'tap';
import { connect } from '../../src/client/index.ts';
import { EVENT_STATUS_NAMES } from '../../src/protocol/status-events.ts';
import { BuiltDaemon, freePort } from '../crash/daemon-process.ts';
import { httpPeer } from '../support/http-peer.ts';
import { until } from '../support/webhook-peer.ts';

const MESSAGES = 600;
const KILLS = 4;
const FINAL = ['delivered', 'expired', 'cancelled'];

t.test('callbacks survive kill -9', { timeout: 240_000 }, async (t) => {
  const arrivals = new Map<string, { number: number; body: string }[]>();
  let failing = false;
  const peer = await httpPeer((response, { headers, body }) => {
    const [, id = '', number = ''] = String(headers['webhook-id']).split('_');
    const list = arrivals.get(id) ?? [];
    arrivals.set(id, list);
    list.push({ number: Number(number), body });
    response.statusCode = failing ? 503 : 204;
    response.end();
  });
  t.teardown(() => peer.close());
  const port = await freePort();
  const settings = ['outbound.allow=["127.0.0.0/8"]', 'outbound.retryMs=[50,100,200,400,400]'];
  const options = { dataDir: t.testdir(), port, settings };
  let daemon = await BuiltDaemon.start(options);
  t.teardown(() => daemon.end());
  await daemon.put('destinations/sms', { leaseMs: 2_000 });
  const client = connect({ url: daemon.url, token: () => daemon.token, resend: true });
  t.teardown(() => client.close(0));
  const receipts: string[] = [];
  client.subscribe('sms', { credit: 64 }, ({ id, attempt }) => {
    if (attempt === 1 && receipts.length % 7 === 3) return { outcome: 'retry', retryAfterMs: 10 };
    receipts.push(id);
    return 'sent';
  });
  const accepted: string[] = [];
  const message = (at: number) => ({
    tenant: 'acme',
    sender: `s${at % 20}`,
    payload: String(at),
    options: {
      idempotencyKey: `key-${at}`,
      callbackUrl: `${peer.url}/c`,
      callbackEvents: EVENT_STATUS_NAMES,
      ...(at % 5 === 0 && { sendAt: Date.now() + 1_500 }),
    },
  });
  const publishing = (async () => {
    for (let at = 0; at < MESSAGES; at += 20) {
      const part = Array.from({ length: 20 }, (_, index) =>
        client.publish('sms', message(at + index)).then(
          ({ id }) => accepted.push(id),
          () => {},
        ),
      );
      await Promise.all(part);
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  })();
  const telling = setInterval(() => {
    const told = receipts.slice(-400).map((id) => ({ id, status: 'delivered' as const }));
    for (let at = 0; at < told.length; at += 100) {
      void client.receipt(told.slice(at, at + 100)).catch(() => {});
    }
  }, 200);
  t.teardown(() => clearInterval(telling));
  for (let kill = 0; kill < KILLS; kill += 1) {
    await new Promise((resolve) => setTimeout(resolve, 700 + 400 * kill));
    failing = kill % 2 === 0;
    await daemon.kill();
    daemon = await BuiltDaemon.start(options);
  }
  failing = false;
  await publishing;
  const statusOf = (body: string): string => JSON.parse(body).data.status;
  const isOver = (id: string) =>
    (arrivals.get(id) ?? []).some(({ body }) => FINAL.includes(statusOf(body)));
  const repeat = setInterval(() => {
    const open = accepted.filter((id) => !isOver(id)).slice(0, 400);
    const told = open.map((id) => ({ id, status: 'delivered' as const }));
    for (let at = 0; at < told.length; at += 100) {
      void client.receipt(told.slice(at, at + 100)).catch(() => {});
    }
  }, 1_000);
  t.teardown(() => clearInterval(repeat));
  t.ok(accepted.length > MESSAGES / 2, `${accepted.length} were accepted`);
  await until('every accepted message has its last status', () => accepted.every(isOver), 120_000);
  let repeats = 0;
  const wrong: string[] = [];
  for (const id of accepted) {
    const list = arrivals.get(id) ?? [];
    const numbers = list.map(({ number }) => number);
    const once = [...new Set(numbers)];
    repeats += numbers.length - once.length;
    const isInOrder = numbers.every((number, at) => at === 0 || number >= (numbers[at - 1] ?? 0));
    const isWhole = once.every((number, at) => number === at + 1);
    const bodies = new Set(list.map(({ number, body }) => `${number} ${body}`));
    const story = [...new Map(list.map(({ number, body }) => [number, statusOf(body)])).values()];
    const isStory =
      story[0] === 'accepted' &&
      (story[1] === 'queued' || story[1] === 'scheduled') &&
      story.every((status, at) => at === 0 || status !== story[at - 1]);
    if (!isInOrder || !isWhole || !isStory || bodies.size !== once.length) {
      wrong.push(`${id}: ${list.map(({ number, body }) => `${number} ${statusOf(body)}`)}`);
    }
  }
  t.strictSame(wrong.slice(0, 3), [], 'each change, in order, under one id');
  t.comment(`${accepted.length} messages, ${repeats} callbacks came again`);
});
