/** What the ledger of the gateway runs counts. */
import { NamedFigures } from './figures.ts';

const COUNTS = {
  accepted: 0,
  /** Publishes that were answered with the id of an earlier one. */
  repeatedPublishes: 0,
  webhookRequests: 0,
  submits: 0,
  attempts: 0,
  /** Attempts after one that was in doubt, or was refused for now. */
  againInDoubt: 0,
  againRefused: 0,
  receipts: 0,
  receiptsEarly: 0,
  receiptsRepeated: 0,
  callbacks: 0,
  /** Of the callbacks: those of an event that had come before. */
  callbackRepeats: 0,
  events: 0,
};

/** How the accepted ones ended; what was in doubt and not sent again is not among the failed. */
const ENDED = { sent: 0, delivered: 0, undelivered: 0, failed: 0, inDoubt: 0 };

/** All of these have to be 0. */
const ZERO_WRONG = {
  /** Ended as sent, and no peer took it; or not known any more. */
  lost: 0,
  /** Sent again although its outcome was on disk, or without a kill; or again and not flagged so. */
  duplicatesNotInDoubt: 0,
  /** Sent again in doubt where that is forbidden. */
  duplicatesAfterFail: 0,
  /** Another end than its peer and its receipt said, or another one after a restart. */
  statusWrong: 0,
  /** Events that were never taken by the callback server, or that a history cannot do without. */
  callbacksMissing: 0,
  callbacksOutOfOrder: 0,
  /** One id for two events, two bodies under one id, an id of another message. */
  callbackIdsWrong: 0,
  signaturesWrong: 0,
  /** Sent, and its receipt is not in its status. */
  receiptsLost: 0,
  notEnded: 0,
  /** What came to the URL of another tenant or of another message. */
  misdirected: 0,
  /** Requests that nobody should have made, payloads that differ, answers that refuse. */
  strange: 0,
};

export type Count = keyof typeof COUNTS;
export type Ended = keyof typeof ENDED;
export type Wrong = keyof typeof ZERO_WRONG;
export type GatewayFigures = Readonly<Record<Count | Ended | Wrong, number>>;

/** Names of the figures that have to be 0. */
export const GATEWAY_WRONG = Object.keys(ZERO_WRONG) as Wrong[];

export class Figures extends NamedFigures<Count, Ended, Wrong> {
  constructor() {
    super({ counts: COUNTS, ended: ENDED, wrong: ZERO_WRONG });
  }
}
