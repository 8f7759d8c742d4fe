/**
 * One session with the peer: a connection from its first octet to its last.
 *
 * States: connecting (TCP, TLS, bind) → bound → unbinding (one side asked; nothing new is sent, answers
 * are waited for) → closed. A closed session is never used again; its lane makes a new one. Every
 * request ends with an answer, in doubt, or unwritten. Owns no retry and no meaning of messages.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { LIMITS } from '../../limits.ts';
import {
  decodePdu,
  encodeAnswer,
  encodeRequest,
  MalformedBodyError,
  type SmppFields,
  type SmppPdu,
} from './library.ts';
import { type Answer, Outstanding, UNWRITTEN } from './outstanding.ts';
import { MalformedLengthError, PduStream } from './pdu-stream.ts';
import { encodeSubmit, readSubmitAnswer, type SubmitFields } from './submit-codec.ts';
import { INVALID_BIND_STATUS } from './submit-status.ts';
import type { SmppClock, SmppCounts, SmppRole, SmppSettings } from './types.ts';

/** Answers of ours. */
export const STATUS_OK = 0;
const STATUS_INVALID_LENGTH = 0x02;
const STATUS_UNKNOWN_COMMAND = 0x03;
/** Temporary application error: the peer tries again. */
export const STATUS_LATER = 0x64;
const INTERFACE_VERSION = 0x34;
const PDUS_PER_WRITE = 8;

export interface SessionEvents {
  onBound(): void;
  /** Once, after everything outstanding has ended. */
  onClosed(reason: string): void;
  /** So many messages more may begin here than a moment ago. */
  onPlaces(count: number): void;
  /** deliver_sm and data_sm; `answer` may be called once, whenever. */
  onDelivery(pdu: SmppPdu, answer: (status: number) => void): void;
}

export interface SessionContext {
  readonly settings: SmppSettings;
  readonly clock: SmppClock;
  readonly counts: SmppCounts;
}

type State = 'connecting' | 'bound' | 'unbinding' | 'closed';

export class SmppSession {
  readonly role: SmppRole;
  readonly #context: SessionContext;
  readonly #events: SessionEvents;
  readonly #outstanding: Outstanding;
  readonly #stream = new PduStream();
  readonly #socket: Socket;
  #state: State = 'connecting';
  #places = 0;
  readonly #unwritten: Buffer[] = [];
  /** A PDU went unanswered and nothing has come since. */
  #silent = false;
  #enquiring = false;
  #misses = 0;
  /** Who asked to unbind; our own unbind is sent when nothing is under way, the peer's was answered. */
  #leaving: { readonly reason: string; readonly byPeer: boolean; told: boolean } | undefined;
  /** Incoming that is not answered yet. */
  #deliveries = 0;
  #receivedMs: number;
  #cancelTimer: () => void;

  constructor(role: SmppRole, context: SessionContext, events: SessionEvents) {
    this.role = role;
    this.#context = context;
    this.#events = events;
    const { settings, clock } = context;
    this.#receivedMs = clock.nowMs();
    this.#outstanding = new Outstanding(clock, settings.pduTimeoutMs, (command) =>
      this.#onTimeout(command),
    );
    this.#socket = this.#connect();
    this.#cancelTimer = clock.after(settings.pduTimeoutMs, () =>
      this.#close(`connecting took longer than ${settings.pduTimeoutMs} ms`),
    );
  }

  get state(): State {
    return this.#state;
  }

  get silent(): boolean {
    return this.#silent;
  }

  get placesTaken(): number {
    return this.#places;
  }

  /** Messages that may begin here now. */
  get free(): number {
    if (this.#state !== 'bound' || this.#silent || this.role === 'receiver') return 0;
    return Math.max(0, this.#context.settings.window - this.#places);
  }

  /** Takes the place of one message; its parts go one after another. */
  take(): void {
    this.#places += 1;
  }

  release(): void {
    this.#places -= 1;
    if (this.free > 0) this.#events.onPlaces(1);
    this.#closeWhenEmpty();
  }

  /** Writes one submit_sm. Answers `unwritten` where the session cannot take it. */
  async submit(fields: SubmitFields): Promise<Answer> {
    if (this.#state !== 'bound' || this.#silent) return UNWRITTEN;
    this.#context.counts.submitted += 1;
    const answer = await this.#ask('submit_sm', (sequence) => encodeSubmit(sequence, fields));
    if (answer.kind === 'answered' && answer.status === INVALID_BIND_STATUS) {
      // The others that are under way get their answers, most likely the same.
      if (this.#state === 'bound')
        this.#leave('the peer says that this session is not bound', true);
    }
    return answer;
  }

  /** Ends the session in good order: waits for answers, says so, closes. */
  unbind(): void {
    if (this.#state === 'connecting') this.#close('ended');
    if (this.#state === 'bound') this.#leave('ended', false);
  }

  /** Ends the session at once. */
  destroy(reason: string): void {
    this.#close(reason);
  }

  #connect(): Socket {
    const { host, port, tls, ca } = this.#context.settings;
    // `noDelay`: an answer that waits for an acknowledgement would cost the peer's 40 ms each.
    const options = { host, port, noDelay: true, keepAlive: true };
    const socket = tls
      ? connectTls({ ...options, ...(ca && { ca }), ...(isIP(host) === 0 && { servername: host }) })
      : connectTcp(options);
    socket.on(tls ? 'secureConnect' : 'connect', () => this.#bind());
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('error', (error) => this.#close(error.message));
    socket.on('end', () => this.#close('the peer closed the connection'));
    socket.on('close', () => this.#close('the connection closed'));
    return socket;
  }

  async #bind(): Promise<void> {
    const { settings, clock } = this.#context;
    const { systemId, password, systemType } = settings;
    const answer = await this.#request(`bind_${this.role}`, {
      system_id: systemId,
      password,
      system_type: systemType,
      interface_version: INTERFACE_VERSION,
    });
    if (this.#state !== 'connecting') return;
    if (answer.kind !== 'answered') return this.#close('bind: no answer');
    if (answer.status !== STATUS_OK) {
      return this.#close(`bind: refused with 0x${answer.status.toString(16).padStart(8, '0')}`);
    }
    this.#cancelTimer();
    this.#cancelTimer = clock.after(settings.enquireMs, () => this.#watch());
    this.#state = 'bound';
    this.#events.onBound();
  }

  #request(command: string, fields: SmppFields): Promise<Answer> {
    return this.#ask(command, (sequence) => encodeRequest(command, sequence, fields));
  }

  #ask(command: string, encode: (sequence: number) => Buffer): Promise<Answer> {
    if (this.#state === 'closed') return Promise.resolve(UNWRITTEN);
    return new Promise((settle) => {
      const sequence = this.#outstanding.nextSequence();
      const octets = encode(sequence);
      this.#outstanding.add(sequence, command, settle);
      this.#write(octets);
    });
  }

  /** PDUs of one turn leave together, but not so many that the peer waits for the first of them. */
  #write(octets: Buffer): void {
    if (this.#unwritten.push(octets) === 1) process.nextTick(() => this.#flush());
    if (this.#unwritten.length >= PDUS_PER_WRITE) this.#flush();
  }

  #flush(): void {
    if (this.#unwritten.length === 0 || this.#socket.destroyed) return;
    this.#socket.write(Buffer.concat(this.#unwritten));
    this.#unwritten.length = 0;
  }

  #answer(command: string, sequence: number, status: number): void {
    if (this.#state !== 'closed') this.#write(encodeAnswer(command, sequence, status));
  }

  #onData(chunk: Buffer): void {
    try {
      this.#stream.push(chunk, (frame) => this.#onFrame(frame));
    } catch (error) {
      if (!(error instanceof MalformedLengthError)) throw error;
      this.#close(error.message);
    }
  }

  #onFrame(frame: Buffer): void {
    if (this.#state === 'closed') return;
    this.#heard();
    const pdu = this.#decode(frame);
    if (pdu === undefined) return;
    if (!pdu.isAnswer) this.#onRequest(pdu);
    else if (this.#outstanding.answer(pdu)) this.#closeWhenEmpty();
    else this.#context.counts.strayAnswers += 1;
  }

  /** A body that cannot be read is refused; the next PDU is where the length says. */
  #decode(frame: Buffer): SmppPdu | undefined {
    try {
      return readSubmitAnswer(frame) ?? decodePdu(frame);
    } catch (error) {
      if (!(error instanceof MalformedBodyError)) throw error;
      this.#context.counts.malformed += 1;
      if (error.isAnswer) this.#outstanding.unreadable(error.sequence);
      else this.#answer('generic_nack', error.sequence, STATUS_INVALID_LENGTH);
      return undefined;
    }
  }

  #onRequest(pdu: SmppPdu): void {
    const { command, sequence } = pdu;
    if (command === 'deliver_sm' || command === 'data_sm') {
      this.#deliveries += 1;
      this.#events.onDelivery(pdu, (status) => {
        this.#deliveries -= 1;
        this.#answer(`${command}_resp`, sequence, status);
        this.#closeWhenEmpty();
      });
    } else if (command === 'enquire_link') {
      this.#answer('enquire_link_resp', sequence, STATUS_OK);
    } else if (command === 'unbind') {
      this.#answer('unbind_resp', sequence, STATUS_OK);
      if (this.#state === 'bound') this.#leave('the peer unbound', true);
    } else if (command !== 'alert_notification' && command !== 'outbind') {
      this.#answer('generic_nack', sequence, STATUS_UNKNOWN_COMMAND);
    }
  }

  /** The peer is there. */
  #heard(): void {
    this.#receivedMs = this.#context.clock.nowMs();
    this.#misses = 0;
    if (!this.#silent) return;
    this.#silent = false;
    if (this.free > 0) this.#events.onPlaces(this.free);
  }

  /** Asks a peer that said nothing for `enquireMs`. */
  #watch(): void {
    const { clock, settings } = this.#context;
    const restMs = this.#receivedMs + settings.enquireMs - clock.nowMs();
    if (restMs <= 0) this.#enquire();
    const nextMs = restMs <= 0 ? settings.enquireMs : restMs;
    this.#cancelTimer = clock.after(nextMs, () => this.#watch());
  }

  /**
   * A PDU went unanswered: until the peer says anything, no message is put at risk here. Enquiries
   * follow one another; the last miss ends the session.
   */
  #onTimeout(command: string): void {
    if (this.#state !== 'bound') return;
    this.#silent = true;
    if (command === 'enquire_link') {
      this.#enquiring = false;
      this.#misses += 1;
      if (this.#misses >= LIMITS.smppEnquireMisses) {
        this.#close(`silent: ${this.#misses} enquiries without an answer`);
        return;
      }
    }
    this.#enquire();
  }

  async #enquire(): Promise<void> {
    if (this.#enquiring || this.#state !== 'bound') return;
    this.#enquiring = true;
    const answer = await this.#request('enquire_link', {});
    if (answer.kind === 'answered') this.#enquiring = false;
  }

  /** No new message; what is under way has the time of one PDU. */
  #leave(reason: string, byPeer: boolean): void {
    const { clock, settings } = this.#context;
    this.#state = 'unbinding';
    this.#leaving = { reason, byPeer, told: false };
    this.#cancelTimer();
    this.#cancelTimer = clock.after(settings.pduTimeoutMs, () => this.#close(reason));
    this.#closeWhenEmpty();
  }

  async #closeWhenEmpty(): Promise<void> {
    const leaving = this.#leaving;
    if (this.#state !== 'unbinding' || leaving === undefined || leaving.told) return;
    if (this.#outstanding.size > 0 || this.#deliveries > 0) return;
    leaving.told = true;
    if (!leaving.byPeer) await this.#request('unbind', {});
    // What was written last still leaves.
    this.#flush();
    this.#socket.setTimeout(this.#context.settings.pduTimeoutMs, () => this.#socket.destroy());
    this.#socket.destroySoon();
    this.#close(leaving.reason, false);
  }

  #close(reason: string, destroy = true): void {
    if (destroy) this.#socket.destroy();
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#cancelTimer();
    this.#outstanding.end();
    this.#events.onClosed(reason);
  }
}
