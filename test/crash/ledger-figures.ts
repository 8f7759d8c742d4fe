/** What the ledger counts. */
import { NamedFigures } from './figures.ts';

const COUNTS = {
  published: 0,
  /** Known to be accepted: acknowledged, or of a frame of which something came. */
  accepted: 0,
  maybeAccepted: 0,
  refused: 0,
  delivered: 0,
  /** Delivered again although the consumer had not given it back. */
  duplicates: 0,
  returned: 0,
  /** Repeated idempotency keys that were answered with the id of the first message. */
  repeats: 0,
  /** Deliveries of messages with a time, and of messages with a validity of their own. */
  scheduled: 0,
  shortLived: 0,
  /** Cancels of messages that were in flight or had ended. */
  cancelsRefused: 0,
  /** Dead letters that were put back. */
  replayed: 0,
};

/** How the accepted ones ended; dead letters are not among the failed. */
const ENDED = { sent: 0, settledDelivered: 0, failed: 0, expired: 0, cancelled: 0, dead: 0 };

/** All of these have to be 0. */
const ZERO_WRONG = {
  /** Acknowledged, and never delivered, or given back and not delivered again. */
  lost: 0,
  /** Of the duplicates: after an acknowledged settlement, without flag 1, or without a kill between. */
  duplicatesNotInFlight: 0,
  orderErrors: 0,
  /** Messages that are unknown, of frames unanswered at a kill of which others are known. */
  partialFrames: 0,
  /** Deliveries of what was never published, was refused, or is damaged; ids or times that differ. */
  strange: 0,
  /** Settlements of a live connection whose delivery the daemon did not know. */
  unknownSettles: 0,
  /** Repeated keys that made another message, or were answered with another id than the first. */
  repeatsWrong: 0,
  /** Delivered before its time. */
  early: 0,
  /** Delivered after its validity. */
  late: 0,
  deliveredAfterCancel: 0,
  /** Cancels of which the daemon did not know the message. */
  cancelsWrong: 0,
  /** Statuses at the end that do not follow from what was seen, or differ after a restart. */
  statusWrong: 0,
  /** Accepted, and still not ended when nothing waited any more. */
  notEnded: 0,
};

export type Count = keyof typeof COUNTS;
export type Ended = keyof typeof ENDED;
export type Wrong = keyof typeof ZERO_WRONG;
export type LedgerResult = Readonly<Record<Count | Ended | Wrong, number>>;

/** Names of the figures that have to be 0. */
export const WRONG = Object.keys(ZERO_WRONG) as Wrong[];

export class Figures extends NamedFigures<Count, Ended, Wrong> {
  constructor() {
    super({ counts: COUNTS, ended: ENDED, wrong: ZERO_WRONG });
  }
}

const sumOf = (names: object, result: LedgerResult): number =>
  Object.keys(names).reduce((sum, name) => sum + result[name as keyof LedgerResult], 0);

/** What has to be 0, added up. */
export const wrongOf = (result: LedgerResult): number => sumOf(ZERO_WRONG, result);

/** Whether everything accepted ended in one of the ways there are. */
export const isConserved = (result: LedgerResult): boolean =>
  sumOf(ENDED, result) === result.accepted;
