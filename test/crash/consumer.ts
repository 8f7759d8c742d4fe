/**
 * The consumer's process. argv: log file, seed.
 *
 * Its log, in the order of what it saw:
 *   d CONNECTION DELIVERY ATTEMPT FLAGS ID FRAME INDEX AT ACCEPTED EXPIRES
 *                                        DELIVERY is SUBSCRIPTION/NUMBER; times in ms since the
 *                                        epoch; FRAME is -1 when the payload is damaged
 *   s CONNECTION REQUEST DELIVERY,OUTCOME,CODE …   settlement sent
 *   k CONNECTION REQUEST APPLIED UNKNOWN   and acknowledged
 *   e CONNECTION REQUEST CODE
 *   c CONNECTION                         connection ended
 */
import {
  type Delivery,
  encodeCredit,
  encodeSettle,
  encodeSubscribe,
  readSettleOk,
  type SettleOutcome,
} from '../../src/protocol/frames.ts';
import { OUTCOME, THROTTLE_SCOPE } from '../../src/protocol/kinds.ts';
import { messageIdToText } from '../../src/protocol/message-id.ts';
import {
  below,
  DESTINATIONS,
  type FromClient,
  keyOf,
  LogFile,
  randomFrom,
  type ToClient,
} from './traffic.ts';
import { WireClient } from './wire-client.ts';

const CREDIT = 2_000;
const TICK_MS = 2;
/** A delivery that was given back so often is sent at last. */
const BOUNCES_MAX = 4;
/** Share of deliveries that are held, so that some are in flight at every kill, and for how long. */
const HELD_SHARE = 0.2;
const HELD_MS_MAX = 150;
/** Share of deliveries of `frail` that are to be tried again: some use up their attempts. */
const FRAIL_RETRY_SHARE = 0.35;
const FRAIL = DESTINATIONS.indexOf('frail');
const CODE_MAX = 1_000;

const [path = '', seed = '1'] = process.argv.slice(2);
const random = randomFrom(Number(seed));
const log = new LogFile(path);
const say = (message: FromClient): void => void process.send?.(message);

let connection = 0;
let request = 0;
let client: WireClient | undefined;
let draining = false;
let unanswered = 0;
let loaded = false;
/** Settlements to send, by subscription. */
let due: (number | SettleOutcome)[][] = [];
let held: { untilMs: number; subscription: number; outcome: number | SettleOutcome }[] = [];
const bounces = new Map<string, number>();

function outcomeOf(subscription: number, delivery: number, id: string): number | SettleOutcome {
  const dice = random();
  if (dice < 0.02) return { delivery, outcome: OUTCOME.delivered };
  if (dice < 0.025) return { delivery, outcome: OUTCOME.failed };
  if (dice < 0.03) return { delivery, outcome: OUTCOME.failed, code: 1 + below(random, CODE_MAX) };
  if (!draining && subscription === FRAIL && random() < FRAIL_RETRY_SHARE) {
    // Without a time: its destination's back-off.
    return { delivery, outcome: OUTCOME.retry };
  }
  if (draining || dice > 0.07) return delivery;
  const before = bounces.get(id) ?? 0;
  if (before >= BOUNCES_MAX) return delivery;
  bounces.set(id, before + 1);
  if (dice < 0.05) return { delivery, outcome: OUTCOME.retry, retryAfterMs: 1 + below(random, 60) };
  if (dice < 0.067) return { delivery, outcome: OUTCOME.notAttempted };
  const scope = random() < 0.5 ? THROTTLE_SCOPE.sender : THROTTLE_SCOPE.tenant;
  return { delivery, outcome: OUTCOME.throttled, retryAfterMs: 1 + below(random, 20), scope };
}

function delivered(subscription: number, deliveries: readonly Delivery[]): void {
  if (!loaded) say({ is: 'loaded' });
  loaded = true;
  const atMs = Date.now();
  for (const each of deliveries) {
    const { delivery, messageId, payload, attempt, flags, acceptedMs, expiresMs } = each;
    const id = messageIdToText(messageId);
    const { frame, index } = keyOf(payload) ?? { frame: -1, index: -1 };
    const what = `${connection} ${subscription}/${delivery} ${attempt} ${flags} ${id}`;
    log.add(`d ${what} ${frame} ${index} ${atMs} ${acceptedMs} ${expiresMs ?? 0}`);
    const outcome = outcomeOf(subscription, delivery, id);
    if (!draining && random() < HELD_SHARE) {
      const untilMs = performance.now() + random() * HELD_MS_MAX;
      held.push({ untilMs, subscription, outcome });
    } else {
      due[subscription]?.push(outcome);
    }
  }
}

function settle(): void {
  const nowMs = performance.now();
  held = held.filter(({ untilMs, subscription, outcome }) => {
    if (untilMs > nowMs) return true;
    due[subscription]?.push(outcome);
    return false;
  });
  due.forEach((outcomes, subscription) => {
    if (outcomes.length === 0) return;
    due[subscription] = [];
    request += 1;
    const words = outcomes.map((each) =>
      typeof each === 'number'
        ? `${subscription}/${each},0,0`
        : `${subscription}/${each.delivery},${each.outcome},${each.code ?? 0}`,
    );
    log.add(`s ${connection} ${request} ${words.join(' ')}`);
    unanswered += 1;
    client?.send(encodeSettle({ id: request, subscription, outcomes }));
    client?.send(encodeCredit({ id: 0, subscription, add: outcomes.length }));
  });
}

async function connect(url: string, token: string): Promise<void> {
  connection += 1;
  due = DESTINATIONS.map(() => []);
  held = [];
  loaded = false;
  unanswered = 0;
  const own = connection;
  client = await WireClient.open(url, token, {
    ok: (frame) => {
      // That of a subscription says nothing.
      if (frame.result.length === 0) return;
      const { applied, unknown } = readSettleOk(frame);
      unanswered -= 1;
      log.add(`k ${own} ${frame.id} ${applied} ${unknown}`);
    },
    error: ({ id, code }) => log.add(`e ${own} ${id} ${code}`),
    deliver: delivered,
    closed: () => {
      log.add(`c ${own}`);
      due = [];
      held = [];
    },
  });
  DESTINATIONS.forEach((destination, subscription) => {
    request += 1;
    client?.send(encodeSubscribe({ id: request, subscription, destination, credit: CREDIT }));
  });
}

const tick = setInterval(settle, TICK_MS);

async function obey(message: ToClient): Promise<void> {
  if (message.do === 'connect') {
    await connect(message.url, message.token);
    say({ is: 'connected' });
  } else if (message.do === 'drain') {
    draining = true;
    say({ is: 'drained' });
  } else {
    while (unanswered > 0 || held.length > 0 || due.some(({ length }) => length > 0)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    clearInterval(tick);
    log.end();
    client?.close();
    say({ is: 'finished' });
    process.disconnect();
  }
}

process.on('message', (message) => void obey(message as ToClient));
process.on('disconnect', () => setImmediate(() => process.exit()));
