// Status callbacks over a real store: once each, full outboxes, late receipts, bounds, damage.
import t, { type Test } from 'tap';
import { silentLogger } from '../../src/base/logger.ts';
import { Callbacks } from '../../src/callbacks/callbacks.ts';
import type { CallbacksOptions } from '../../src/callbacks/ports.ts';
import { FairleadError } from '../../src/errors.ts';
import type { NewItem } from '../../src/outbound/outbox-records.ts';
import { pack } from '../../src/protocol/msgpack.ts';
import {
  EVENT_STATUS,
  type EventStatusName,
  statusMask,
} from '../../src/protocol/status-events.ts';
import { Environment } from '../../src/store/environment.ts';
import { until } from '../support/webhook-peer.ts';

const account = `AC${'a'.repeat(32)}`;
const HOUR_MS = 3_600_000;

/** The shard's, the outbox's and the clock's side. */
class World {
  readonly items: NewItem[] = [];
  readonly taken: [shard: number, sequence: number][] = [];
  readonly fatal: Error[] = [];
  nowMs = 1_790_000_000_000;
  /** Puts that are refused as outboxFull from now on. */
  full = 0;
  readonly #dir: string;
  readonly #more: Partial<CallbacksOptions>;
  environment: Environment;
  callbacks: Callbacks;

  constructor(t: Test, more: Partial<CallbacksOptions> = {}) {
    this.#dir = t.testdir();
    this.#more = more;
    this.environment = Environment.open({ path: this.#dir, durability: 'flushed' });
    this.callbacks = this.#open();
    t.teardown(async () => {
      await this.callbacks.close();
      await this.environment.close();
    });
  }

  #open(): Callbacks {
    return new Callbacks({
      environment: this.environment,
      outbox: {
        put: async (items, alsoWrite) => {
          if (this.full > 0) {
            this.full -= 1;
            throw new FairleadError('outboxFull', undefined, { retryAfterMs: 5 });
          }
          await this.environment.commitQueued((writes) => alsoWrite?.(writes));
          const refused = items.filter(({ url }) => url.includes('gone'));
          this.items.push(...items.filter((item) => !refused.includes(item)));
          return refused.map(({ id }) => ({ id, reason: 'endpointDisabled' as const }));
        },
      },
      eventsTaken: (shard, sequence) => this.taken.push([shard, sequence]),
      accountOf: (tenant) => {
        if (tenant === 'formal') return { sid: account, callbackStatuses: null };
        return tenant === 'chatty'
          ? { sid: account, callbackStatuses: ['queued', 'sending'] }
          : undefined;
      },
      receiptWaitMs: HOUR_MS,
      logger: silentLogger,
      onFatal: (error) => this.fatal.push(error),
      nowMs: () => this.nowMs,
      ...this.#more,
    });
  }

  async restart(): Promise<void> {
    await this.callbacks.close();
    await this.environment.close();
    this.environment = Environment.open({ path: this.#dir, durability: 'flushed' });
    this.callbacks = this.#open();
  }

  /** One record of events: message number, status, code. */
  tell(
    sequence: number,
    events: readonly (readonly [number, EventStatusName, (number | undefined)?])[],
    { shard = 0, tenant = 'acme', url = 'https://acme.example/s', mask }: Telling = {},
  ): void {
    const rows = events.map(([message, status, code]) => [
      idOf(message),
      EVENT_STATUS[status],
      code ?? null,
      this.nowMs,
      status === 'accepted' ? 0 : 1,
      status === 'accepted'
        ? ['sms', tenant, '+1', '+2', url, mask === undefined ? null : statusMask(mask), 'x', 1]
        : null,
    ]);
    this.callbacks.statusEvents(shard, sequence, pack(rows));
  }

  async told(shard: number, sequence: number): Promise<void> {
    const isTold = () => this.taken.some(([of, at]) => of === shard && at === sequence);
    await until(`sequence ${sequence} of shard ${shard} is taken`, isTold);
  }

  ids(): string[] {
    return this.items.map(({ id }) => id.replace(/^msg_0*/, ''));
  }
}

interface Telling {
  shard?: number;
  tenant?: string;
  url?: string;
  mask?: readonly EventStatusName[];
}

const idOf = (message: number): Buffer => Buffer.from(hexOf(message), 'hex');
const hexOf = (message: number): string => message.toString(16).padStart(32, '0');
const textOf = ({ body }: NewItem): string => Buffer.from(body).toString();

t.test('what is wanted goes out once, numbered, in order', async (t) => {
  const world = new World(t);
  world.tell(1, [
    [1, 'accepted'],
    [1, 'queued'],
    [2, 'accepted'],
    [2, 'queued'],
  ]);
  world.tell(2, [
    [1, 'sending'],
    [1, 'sent'],
    [2, 'sending'],
    [2, 'queued'],
  ]);
  world.tell(3, [
    [1, 'delivered'],
    [2, 'sending'],
    [2, 'failed', 3024],
  ]);
  await world.told(0, 3);
  t.strictSame(world.ids(), ['1_4', '1_5', '2_6'], 'sent and ends, by the n-th event');
  t.strictSame(
    world.items.map(({ stream }) => stream),
    [hexOf(1), hexOf(1), hexOf(2)],
  );
  t.match(JSON.parse(textOf(world.items[2] as NewItem)), {
    type: 'message.status',
    timestamp: new Date(world.nowMs).toISOString(),
    data: {
      id: hexOf(2),
      tenant: 'acme',
      destination: 'sms',
      sender: '+1',
      recipient: '+2',
      status: 'failed',
      code: 3024,
      attempt: 1,
      tag: 'x',
    },
  });
  t.match(world.items[0], { signing: { kind: 'standard', tenant: 'acme' }, method: 'POST' });
  t.equal(world.callbacks.numbers.records, 1, 'what failed may still be replayed or delivered');
});

t.test('what was taken before is not put again, but its shard is told again', async (t) => {
  const world = new World(t);
  world.tell(5, [[1, 'accepted']], { mask: ['accepted'] });
  world.tell(9, [[1, 'accepted']], { shard: 1, mask: ['accepted'] });
  await world.told(0, 5);
  await world.told(1, 9);
  await world.restart();
  world.taken.length = 0;
  world.tell(5, [[1, 'accepted']], { mask: ['accepted'] });
  world.tell(6, [[2, 'accepted']], { mask: ['accepted'] });
  await world.told(0, 6);
  t.strictSame(world.ids(), ['1_1', '1_1', '2_1']);
  t.equal(world.items.filter(({ url }) => url === 'https://acme.example/s').length, 3);
  world.tell(5, [[3, 'accepted']], { mask: ['accepted'] });
  await world.told(0, 5);
  t.equal(world.items.length, 3);
});

t.test('the form of accounts, with its names and codes', async (t) => {
  const world = new World(t);
  const all: EventStatusName[] = ['expired', 'cancelled', 'delivered', 'undelivered'];
  all.forEach((status, at) => {
    world.tell(2 * at + 1, [[at + 1, 'accepted']], { tenant: 'formal' });
    world.tell(2 * at + 2, [[at + 1, status, status === 'undelivered' ? 30_003 : undefined]]);
  });
  await world.told(0, 8);
  const forms = world.items.map((item) => Object.fromEntries(new URLSearchParams(textOf(item))));
  t.match(world.items[0], { signing: { kind: 'form', account } });
  t.strictSame(forms[0], {
    MessageSid: `SM${hexOf(1)}`,
    SmsSid: `SM${hexOf(1)}`,
    AccountSid: account,
    MessageStatus: 'failed',
    SmsStatus: 'failed',
    To: '+2',
    From: '+1',
    ApiVersion: '2010-04-01',
    ErrorCode: '30036',
  });
  t.strictSame(
    forms.map(({ MessageStatus, ErrorCode }) => [MessageStatus, ErrorCode]),
    [
      ['failed', '30036'],
      ['canceled', undefined],
      ['delivered', undefined],
      ['undelivered', '30003'],
    ],
  );
});

t.test('an account says which statuses, a message says better', async (t) => {
  const world = new World(t);
  const life = (message: number) =>
    (['accepted', 'queued', 'sending', 'sent'] as const).map(
      (status) => [message, status] as const,
    );
  world.tell(1, life(1), { tenant: 'chatty' });
  world.tell(2, life(2), { tenant: 'chatty', mask: ['sent'] });
  world.tell(3, life(3), { mask: [] });
  await world.told(0, 3);
  t.strictSame(world.ids(), ['1_2', '1_3', '2_4']);
});

t.test('a full outbox is waited for; meanwhile nothing is taken', async (t) => {
  const world = new World(t);
  world.full = 5;
  world.tell(1, [[1, 'accepted']], { mask: ['accepted'] });
  world.tell(2, [[2, 'accepted']], { mask: ['accepted'] });
  await until('it was refused', () => world.full < 5);
  t.strictSame(world.taken, []);
  t.ok(world.callbacks.numbers.waitingBytes > 0);
  await world.told(0, 2);
  t.strictSame(world.ids(), ['1_1', '2_1']);
  t.equal(world.callbacks.numbers.waitingBytes, 0);
  world.full = Number.POSITIVE_INFINITY;
  world.tell(3, [[3, 'accepted']], { mask: ['accepted'] });
  await until('it was refused again', () => world.callbacks.numbers.waitingBytes > 0);
  await world.callbacks.close();
  t.strictSame(world.taken.at(-1), [0, 2], 'an end of the daemon takes nothing');
});

t.test('what the outbox leaves out is counted, and does not hold up others', async (t) => {
  const world = new World(t);
  const mask = ['accepted'] as const;
  world.tell(1, [[1, 'accepted']], { mask, url: 'https://gone.example/' });
  world.tell(2, [[2, 'accepted']], { mask });
  await world.told(0, 2);
  t.strictSame(world.ids(), ['2_1']);
  t.match(world.callbacks.numbers, { items: 1, refused: 1, events: 2 });
});

t.test('a receipt of a forgotten message is told once', async (t) => {
  const world = new World(t);
  for (const message of [1, 2]) {
    world.tell(message, [
      [message, 'accepted'],
      [message, 'sent'],
    ]);
  }
  await world.told(0, 2);
  t.equal(await world.callbacks.lateReceipt(hexOf(9), 'delivered', undefined), false, 'unknown');
  t.equal(await world.callbacks.lateReceipt('nonsense', 'delivered', undefined), false);
  t.equal(await world.callbacks.lateReceipt(hexOf(1), 'undelivered', 7), true);
  t.equal(await world.callbacks.lateReceipt(hexOf(1), 'undelivered', 7), true);
  t.equal(await world.callbacks.lateReceipt(hexOf(1), 'failed', 8), true, 'it is known already');
  t.strictSame(world.ids(), ['1_2', '2_2', '1_3']);
  t.match(world.callbacks.lateMessage(hexOf(1)), { status: 'undelivered', code: 7 });
  await world.restart();
  t.match(world.callbacks.lateMessage(hexOf(1)), { status: 'undelivered', code: 7 });
  t.equal(await world.callbacks.lateReceipt(hexOf(1), 'delivered', undefined), true);
  t.equal(await world.callbacks.lateReceipt(hexOf(1), 'failed', 1), true, 'delivered stays so');
  t.strictSame(world.ids().slice(3), ['1_4']);
  t.match(world.callbacks.lateMessage(hexOf(1)), { status: 'delivered', code: null });
  t.equal(world.callbacks.lateMessage(hexOf(2)), undefined);
  await world.callbacks.close();
  await t.rejects(world.callbacks.lateReceipt(hexOf(2), 'delivered', undefined), FairleadError);
});

t.test('a late status is known with its message, until that is forgotten here too', async (t) => {
  const world = new World(t);
  for (const message of [1, 2]) {
    world.tell(message, [
      [message, 'accepted'],
      [message, 'sent'],
    ]);
  }
  await world.told(0, 2);
  t.equal(world.callbacks.lateMessage(hexOf(1)), undefined, 'no receipt came');
  await world.callbacks.lateReceipt(hexOf(1), 'undelivered', 7);
  const late = { tenant: 'acme', status: 'undelivered', code: 7 };
  t.match(world.callbacks.lateMessage(hexOf(1)), late);
  await world.restart();
  t.match(world.callbacks.lateMessage(hexOf(1)), late);
  t.equal(await world.callbacks.forget(hexOf(1)), true);
  t.equal(world.callbacks.lateMessage(hexOf(1)), undefined);
  t.equal(await world.callbacks.forget(hexOf(1)), false);
  t.equal(await world.callbacks.lateReceipt(hexOf(1), 'delivered', undefined), false);
  t.equal(world.callbacks.numbers.records, 1);
  await world.restart();
  t.equal(world.callbacks.lateMessage(hexOf(1)), undefined);
  t.equal(world.callbacks.numbers.records, 1);
});

t.test('records end with the last status, or when receipts are waited for no more', async (t) => {
  const world = new World(t);
  const ends = ['delivered', 'expired', 'cancelled', 'sent', 'undelivered', 'failed'] as const;
  ends.forEach((end, at) => {
    world.tell(at + 1, [
      [at + 1, 'accepted'],
      [at + 1, end],
    ]);
  });
  world.tell(7, [[7, 'accepted']]);
  await world.told(0, 7);
  t.equal(world.callbacks.numbers.records, 4, 'sent, undelivered, failed, and one under way');
  world.nowMs += HOUR_MS / 2;
  // A dead letter that is replayed waits no more, and then anew.
  world.tell(8, [[6, 'queued']]);
  await world.told(0, 8);
  world.nowMs += HOUR_MS / 2 + 1;
  await world.callbacks.sweep();
  t.equal(world.callbacks.numbers.records, 2, 'the replayed one and the one under way');
  await world.restart();
  t.equal(world.callbacks.numbers.records, 2);
  world.tell(9, [
    [6, 'sent'],
    [4, 'delivered'],
  ]);
  await world.told(0, 9);
  t.equal(world.ids().at(-1), '6_4');
  t.equal(world.callbacks.numbers.unknown, 1, 'one came too late');
  t.equal(world.callbacks.numbers.dropped, 0);
  world.nowMs += 2 * HOUR_MS;
  await world.callbacks.sweep();
  t.equal(world.callbacks.numbers.records, 1);
  t.strictSame(world.fatal, []);
});

t.test('past the bound the oldest that only wait for a receipt go', async (t) => {
  const world = new World(t, { recordsMax: 10 });
  for (let message = 1; message <= 10; message += 1) {
    world.nowMs += 1;
    world.tell(
      message,
      message <= 6
        ? [
            [message, 'accepted'],
            [message, 'sent'],
          ]
        : [[message, 'accepted']],
    );
    await world.told(0, message);
  }
  t.match(world.callbacks.numbers, { records: 10, dropped: 0 });
  for (let message = 11; message <= 14; message += 1) {
    world.tell(message, [[message, 'accepted']]);
    await world.told(0, message);
  }
  t.match(world.callbacks.numbers, { records: 10, dropped: 4 });
  for (const [message, isKnown] of [
    [1, false],
    [4, false],
    [5, true],
    [6, true],
  ] as const) {
    t.equal(await world.callbacks.lateReceipt(hexOf(message), 'delivered', undefined), isKnown);
  }
  for (let message = 15; message <= 30; message += 1) {
    world.tell(message, [[message, 'accepted']]);
    await world.told(0, message);
  }
  t.match(world.callbacks.numbers, { records: 24, dropped: 6 }, 'those under way stay');
});

t.test('a damaged record ends the process', async (t) => {
  const world = new World(t);
  world.tell(1, [[1, 'accepted']]);
  await world.told(0, 1);
  const [entry] = [...world.environment.range(Uint8Array.of(3), Uint8Array.of(4))];
  if (entry === undefined) throw new Error('the record is stored');
  entry.value[20] = (entry.value[20] ?? 0) ^ 1;
  await world.environment.commitQueued((writes) => writes.put(entry.key, entry.value));
  world.environment.refresh();
  world.tell(2, [[1, 'sent']]);
  await until('it is fatal', () => world.fatal.length > 0);
  t.match(world.fatal[0], { message: /callback record is damaged/ });
  t.strictSame(world.taken.at(-1), [0, 1]);
});
