/**
 * What the peer delivers: receipts and messages from phones, to the handlers and answered after them.
 *
 * Its answer tells the peer that it may forget: 0 once the handler's promise is fulfilled, a temporary
 * error when it is rejected or when too many wait. A part of a longer message is answered at once, since
 * many peers send the next only then; parts wait in memory.
 *
 * Receipts stand in no line: one may wait for the answer to its message, and others behind it would
 * wait for nothing. They cost little, and their writes go together.
 */
import type { Logger } from '../../base/logger.ts';
import { LIMITS } from '../../limits.ts';
import { numberField, octetsField, type SmppPdu, textField } from './library.ts';
import { type Joined, type Part, PartJoiner } from './part-joiner.ts';
import { kindOf, readReceipt } from './receipt.ts';
import { STATUS_LATER, STATUS_OK } from './session.ts';
import { addressText } from './submit-fields.ts';
import { INVALID_LENGTH } from './submit-status.ts';
import type { SmppClock, SmppCounts, SmppHandlers, SmppInboundMessage } from './types.ts';
import { concatenation, readUserData, textOf } from './user-data.ts';

const UDH_INDICATOR = 0x40;

export interface InboundContext {
  readonly clock: SmppClock;
  readonly counts: SmppCounts;
  readonly handlers: SmppHandlers;
  readonly log: Logger;
}

export class SmppInbound {
  readonly #context: InboundContext;
  readonly #joiner: PartJoiner;
  #running = 0;
  /** Receipts whose handlers run. */
  #receipts = 0;
  /** Turns of those that wait, oldest first. */
  readonly #turns: (() => void)[] = [];
  readonly #handedOver = new Set<Promise<void>>();

  constructor(context: InboundContext) {
    this.#context = context;
    this.#joiner = new PartJoiner(context.clock, (joined) => {
      const handed = this.#handOver(joined).finally(() => this.#handedOver.delete(handed));
      this.#handedOver.add(handed);
    });
  }

  take(pdu: SmppPdu, answer: (status: number) => void): void {
    this.#statusOf(pdu).then(answer);
  }

  /** Hands over what waits for more parts, and resolves when the handlers are done with it. */
  async flush(): Promise<void> {
    this.#joiner.flush();
    await Promise.all(this.#handedOver);
  }

  async #statusOf(pdu: SmppPdu): Promise<number> {
    const { counts } = this.#context;
    const kind = kindOf(pdu);
    if (kind === 'notice') {
      counts.ignored += 1;
      return STATUS_OK;
    }
    const isReceipt = kind === 'receipt';
    const isFull = isReceipt
      ? this.#receipts >= LIMITS.smppReceiptsMax
      : this.#turns.length >= LIMITS.smppInboundWaiting;
    if (isFull) {
      counts.refused += 1;
      return STATUS_LATER;
    }
    return isReceipt ? this.#takeReceipt(pdu) : this.#takeMessage(pdu);
  }

  async #takeReceipt(pdu: SmppPdu): Promise<number> {
    const { counts, handlers, log } = this.#context;
    const receipt = readReceipt(pdu);
    if (typeof receipt === 'string') {
      if (receipt === 'unreadable') log.warn({}, 'SMPP receipt without an id or a state');
      counts.ignored += 1;
      return STATUS_OK;
    }
    counts.receipts += 1;
    this.#receipts += 1;
    const isTaken = await this.#handle(() => handlers.onReceipt(receipt));
    this.#receipts -= 1;
    return isTaken ? STATUS_OK : STATUS_LATER;
  }

  async #takeMessage(pdu: SmppPdu): Promise<number> {
    const { counts, handlers } = this.#context;
    const part = partOf(pdu);
    if (part === undefined) {
      counts.malformed += 1;
      return INVALID_LENGTH;
    }
    const joined = part.count === 1 ? { parts: [part], complete: true } : this.#joiner.add(part);
    if (joined === undefined) return STATUS_OK;
    counts.inbound += 1;
    if (await this.#run(() => handlers.onInbound(messageOf(joined)))) return STATUS_OK;
    if (part.count > 1) this.#joiner.putBack(joined, part);
    return STATUS_LATER;
  }

  /** Parts that were answered for already: nobody repeats them, so the handler is asked more than once. */
  async #handOver(joined: Joined): Promise<void> {
    const { counts, handlers, log, clock } = this.#context;
    counts.inbound += 1;
    for (let attempt = 1; attempt <= LIMITS.smppPartsAttempts; attempt += 1) {
      if (attempt > 1) {
        await new Promise<void>((resolve) => clock.after(LIMITS.smppPartsRetryMs, resolve));
      }
      if (await this.#run(() => handlers.onInbound(messageOf(joined)))) return;
    }
    const [{ from, to, count }] = joined.parts as readonly [Part];
    log.error({ from, to, count, parts: joined.parts.length }, 'SMPP parts of a message are lost');
  }

  /** Runs a handler, in its turn where as many run as may. False: it did not take what there is. */
  async #run(handle: () => Promise<void>): Promise<boolean> {
    if (this.#running < LIMITS.smppInboundMax) this.#running += 1;
    else await new Promise<void>((turn) => this.#turns.push(turn));
    const isTaken = await this.#handle(handle);
    // The place goes on to the next one.
    const turn = this.#turns.shift();
    if (turn === undefined) this.#running -= 1;
    else turn();
    return isTaken;
  }

  async #handle(handle: () => Promise<void>): Promise<boolean> {
    try {
      await handle();
      return true;
    } catch (error) {
      this.#context.counts.refused += 1;
      this.#context.log.warn({ err: error }, 'SMPP delivery was not taken');
      return false;
    }
  }
}

/** A message, or one part of it; undefined where the PDU has no user data. */
function partOf(pdu: SmppPdu): Part | undefined {
  const octets = octetsField(pdu, 'message_payload') ?? octetsField(pdu, 'short_message');
  if (octets === undefined && pdu.command === 'deliver_sm') return undefined;
  // A copy: what was read is not kept for the sake of a part.
  const copy = Uint8Array.from(octets ?? []);
  const hasHeader = ((numberField(pdu, 'esm_class') ?? 0) & UDH_INDICATOR) !== 0;
  const { body, header, concatenation } = hasHeader
    ? readUserData(copy)
    : { body: copy, header: null, concatenation: undefined };
  const from = addressText(numberField(pdu, 'source_addr_ton') ?? 0, textField(pdu, 'source_addr'));
  const to = addressText(
    numberField(pdu, 'dest_addr_ton') ?? 0,
    textField(pdu, 'destination_addr'),
  );
  const place = concatenation ?? segmentOf(pdu);
  return {
    key: `${from}\n${to}\n${place?.reference}\n${place?.count}`,
    count: place?.count ?? 1,
    number: place?.number ?? 1,
    payload: body,
    dataCoding: numberField(pdu, 'data_coding') ?? 0,
    header,
    from,
    to,
  };
}

/** The same told by fields in place of a header (sar_*). */
const segmentOf = (pdu: SmppPdu) =>
  concatenation(
    numberField(pdu, 'sar_msg_ref_num') ?? 0,
    numberField(pdu, 'sar_total_segments') ?? 0,
    numberField(pdu, 'sar_segment_seqnum') ?? 0,
  );

function messageOf({ parts, complete }: Joined): SmppInboundMessage {
  const [first] = parts as readonly [Part];
  const payload = Uint8Array.from(Buffer.concat(parts.map((part) => part.payload)));
  return {
    from: first.from,
    to: first.to,
    payload,
    dataCoding: first.dataCoding,
    text: textOf(payload, first.dataCoding),
    header: first.header,
    parts: parts.length,
    complete,
  };
}
