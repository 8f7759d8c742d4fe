/**
 * The SMSC of the gateway runs: takes, refuses, loses its answers, and owes receipts, in all forms of
 * ids there are: the same in answer and receipt, hexadecimal and then decimal, and the other way round.
 */
import { COMMAND, SmallSmsc, type SmscSession, type Submit, tlv } from '../support/small-smsc.ts';
import { type Outcome, type OwedReceipt, OwedReceipts } from './gateway-receipts.ts';
import { numberOf, planned, type Said, type SeenAttempt } from './gateway-traffic.ts';
import { below, type Random } from './traffic.ts';

const SYSTEM_ERROR = 0x08;
const INVALID_DESTINATION = 0x0b;
const THROTTLED = 0x58;
/** Ids far from each other, so that no form of one is a form of another. */
const HEX_FROM = 0x1000_0000;
const DECIMAL_FROM = 3_000_000_000;
/** Answers of a session within this time before it broke may not have arrived. */
const MAYBE_LOST_MS = 2_000;
const TEXT_MODE = 0x40;
const RECEIPT_CLASS = 4;
const RECEIPT_TIMEOUT_MS = 15_000;
const LISTENERS_MAX = 200;

interface Part {
  readonly session: SmscSession;
  readonly answeredMs: number;
}

interface Attempt extends SeenAttempt {
  readonly total: number;
  /** The last word on each part: a later part that is refused for now is sent again by itself. */
  readonly words: Map<number, Said>;
  readonly parts: Part[];
}

export class CrashSmsc {
  readonly #random: Random;
  readonly #answered: () => void;
  readonly #last = new Map<number, Attempt>();
  readonly #attempts: Attempt[] = [];
  readonly owed = new OwedReceipts((receipt) => this.#deliver(receipt));
  #smsc: SmallSmsc | undefined;
  #ids = 0;
  submits = 0;
  isDraining = false;
  readonly strange: string[] = [];

  private constructor(random: Random, answered: () => void) {
    this.#random = random;
    this.#answered = answered;
  }

  static async start(random: Random, answered: () => void): Promise<CrashSmsc> {
    const crash = new CrashSmsc(random, answered);
    crash.#smsc = await SmallSmsc.listen({
      onSubmit: (submit, session) => crash.#submit(submit, session),
    });
    return crash;
  }

  get port(): number {
    return this.#smsc?.port ?? 0;
  }

  get attempts(): readonly SeenAttempt[] {
    return this.#attempts.map(({ total, words, parts, ...seen }) => seen);
  }

  async #submit(
    submit: Submit,
    session: SmscSession,
  ): Promise<'silent' | { readonly status?: number; readonly id?: string }> {
    this.submits += 1;
    const attempt = this.#attemptOf(submit);
    const { index } = partOf(submit);
    if (attempt === undefined) return { status: INVALID_DESTINATION };
    const dice = this.isDraining ? 1 : this.#random();
    if (dice < 0.003) return 'silent';
    if (dice < 0.006) {
      this.#break(session);
      return 'silent';
    }
    const delayMs = this.#random() < 0.1 ? 20 + below(this.#random, 130) : below(this.#random, 8);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    setImmediate(this.#answered);
    if (dice < 0.03)
      return this.#say(attempt, session, { index, said: 'refused', status: SYSTEM_ERROR });
    if (dice < 0.033)
      return this.#say(attempt, session, { index, said: 'refused', status: THROTTLED });
    if (planned(attempt.number).fate === 'rejected') {
      return this.#say(attempt, session, { index, said: 'rejected', status: INVALID_DESTINATION });
    }
    this.#note(attempt, session, { index, said: 'taken' });
    return { id: this.#nextId(attempt.number) };
  }

  #attemptOf(submit: Submit): Attempt | undefined {
    const number = numberOf(submit.to);
    const { index, total, text } = partOf(submit);
    if (number === undefined || !planned(number).text.includes(text)) {
      this.strange.push(`submit to ${submit.to}: ${text.slice(0, 40)}`);
      return undefined;
    }
    if (index > 1) return this.#last.get(number);
    const attempt: Attempt = {
      ...{ number, gateway: 'smpp', atMs: Date.now(), attempt: 0, id: undefined, total },
      ...{ flagged: undefined, said: 'open', answeredMs: 0, maybeLost: false },
      ...{ words: new Map(), parts: [] },
    };
    this.#last.set(number, attempt);
    this.#attempts.push(attempt);
    return attempt;
  }

  #say(
    attempt: Attempt,
    session: SmscSession,
    { status, ...word }: { index: number; said: Said; status: number },
  ): { status: number } {
    this.#note(attempt, session, word);
    return { status };
  }

  #note(
    attempt: Attempt,
    session: SmscSession,
    { index, said }: { readonly index: number; readonly said: Said },
  ): void {
    attempt.answeredMs = Date.now();
    attempt.parts.push({ session, answeredMs: attempt.answeredMs });
    // A session that is gone heard nothing.
    if (session.socket.destroyed) attempt.maybeLost = true;
    const { words, total } = attempt;
    words.set(index, said);
    const all = [...words.values()];
    const worst = all.find((each) => each === 'rejected') ?? all.find((each) => each === 'refused');
    attempt.said = worst ?? (words.size === total ? 'taken' : 'open');
  }

  /** @returns the id of the answer; its receipt is owed from now on */
  #nextId(number: number): string {
    this.#ids += 1;
    const { answer, receipt } = this.#idForms();
    const { fate } = planned(number);
    if (fate === 'delivered' || fate === 'undelivered') {
      this.owed.add(number, receipt, afterMs(this.#random, this.isDraining));
    }
    return answer;
  }

  #idForms(): { readonly answer: string; readonly receipt: string } {
    const form = below(this.#random, 3);
    if (form === 0) {
      const id = HEX_FROM + this.#ids;
      return { answer: id.toString(16).padStart(8, '0'), receipt: String(id).padStart(10, '0') };
    }
    if (form === 1) {
      const id = DECIMAL_FROM + this.#ids;
      return { answer: String(id), receipt: id.toString(16).toUpperCase() };
    }
    const same = `q-${this.#ids}`;
    return { answer: same, receipt: same };
  }

  /** What it answered shortly before may be lost with it. */
  #break(session: SmscSession): void {
    const sinceMs = Date.now() - MAYBE_LOST_MS;
    for (const attempt of this.#attempts) {
      const isLost = attempt.parts.some((part) => {
        return part.session === session && part.answeredMs > sinceMs;
      });
      if (isLost) attempt.maybeLost = true;
    }
    session.socket.destroy();
  }

  async #deliver({ number, id }: OwedReceipt): Promise<Outcome> {
    const sessions = this.#smsc?.sessions.filter(({ bound }) => bound) ?? [];
    const session = sessions[below(this.#random, sessions.length)];
    if (session === undefined) return 'unsent';
    const { fate, recipient } = planned(number);
    const isGood = fate === 'delivered';
    const word = isGood ? 'DELIVRD' : 'UNDELIV';
    const text = `id:${id} sub:001 dlvrd:001 stat:${word} err:${isGood ? '000' : '042'} text:`;
    const hasFields = this.#random() < 0.3;
    const tlvs = Buffer.concat([
      tlv(0x001e, Buffer.from(`${id}\0`)),
      tlv(0x0427, Buffer.from([isGood ? 2 : 5])),
    ]);
    const octets = Buffer.from(text);
    const fields = { esmClass: RECEIPT_CLASS, from: recipient.slice(1), octets };
    const answer = session.deliver({ ...fields, ...(hasFields && { tlvs }) });
    const pdu = await Promise.race([answer, endOf(session)]);
    const isTaken = pdu?.command === COMMAND.deliver + 0x8000_0000 && pdu.status === 0;
    return isTaken ? 'taken' : 'refused';
  }
}

/** Resolves when the session ends, or an answer has been waited for long enough. */
function endOf({ socket }: SmscSession): Promise<undefined> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      socket.off('close', end);
      resolve(undefined);
    };
    const timer = setTimeout(end, RECEIPT_TIMEOUT_MS);
    socket.once('close', end).setMaxListeners(LISTENERS_MAX);
  });
}

/** 0: before the answer to its message. */
export function afterMs(random: Random, isDraining: boolean): number {
  const dice = random();
  if (dice < 0.2) return 0;
  if (dice < 0.7 || isDraining) return 1 + below(random, 40);
  return 100 + below(random, 2_500);
}

function partOf(submit: Submit): { index: number; total: number; text: string } {
  const { esmClass, octets } = submit;
  if ((esmClass & TEXT_MODE) === 0) return { index: 1, total: 1, text: octets.toString('latin1') };
  const text = octets.subarray(1 + (octets[0] ?? 0)).toString('latin1');
  return { index: octets[5] ?? 1, total: octets[4] ?? 1, text };
}
