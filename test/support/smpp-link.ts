/** A link for tests: settings that fit a peer on loopback, handlers that note what comes. */
import { silentLogger } from '../../src/base/logger.ts';
import { processClock, SmppLink } from '../../src/gateway/smpp/link.ts';
import type {
  SmppClock,
  SmppHandlers,
  SmppInboundMessage,
  SmppMessage,
  SmppReceipt,
  SmppSettings,
} from '../../src/gateway/smpp/types.ts';

export interface OpenLink {
  readonly link: SmppLink;
  readonly receipts: SmppReceipt[];
  readonly inbound: SmppInboundMessage[];
  /** `up`, `down: reason` and `free`, in order. */
  readonly events: string[];
}

export interface LinkSetup {
  readonly port: number;
  readonly settings?: Partial<SmppSettings>;
  readonly clock?: SmppClock;
  readonly onReceipt?: SmppHandlers['onReceipt'];
  readonly onInbound?: SmppHandlers['onInbound'];
}

/** A new session follows at once: tests need not wait for chance. */
export const eagerClock: SmppClock = { ...processClock, random: () => 0 };

/** Time that runs `factor` times as fast, so that back-off and time-outs pass in a test. */
export const fastClock = (factor: number): SmppClock => ({
  nowMs: () => performance.now() * factor,
  after: (ms, fire) => processClock.after(ms / factor, fire),
  random: () => 0,
});

export function openLink({ port, settings, clock, ...handle }: LinkSetup): OpenLink {
  const receipts: SmppReceipt[] = [];
  const inbound: SmppInboundMessage[] = [];
  const events: string[] = [];
  const link = new SmppLink({
    settings: {
      host: '127.0.0.1',
      port,
      systemId: 'j',
      password: 'jpwd',
      systemType: '',
      bind: 'transceiver',
      sessions: 1,
      window: 10,
      tls: false,
      enquireMs: 30_000,
      pduTimeoutMs: 5_000,
      defaultDataCoding: 0,
      ...settings,
    },
    handlers: {
      async onReceipt(receipt) {
        receipts.push(receipt);
        await handle.onReceipt?.(receipt);
      },
      async onInbound(message) {
        inbound.push(message);
        await handle.onInbound?.(message);
      },
      onUp: () => events.push('up'),
      onDown: (reason) => events.push(`down: ${reason}`),
      onFree: () => events.push('free'),
    },
    log: silentLogger,
    clock: clock ?? eagerClock,
  });
  return { link, receipts, inbound, events };
}

/** A message to send; `index` makes its recipient. */
export const smsTo = (index: number, fields: Partial<SmppMessage> = {}): SmppMessage => ({
  from: '+15550000',
  to: `+1555${String(index).padStart(6, '0')}`,
  content: `message ${index}`,
  receipt: false,
  validityMs: null,
  priority: 0,
  ...fields,
});

/** Resolves when `condition` holds; rejects after `ms`. */
export async function until(condition: () => boolean, what: string, ms = 10_000): Promise<void> {
  const endMs = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
