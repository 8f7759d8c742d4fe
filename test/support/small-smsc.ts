/**
 * A small SMSC on raw sockets, for faults that real ones cannot be asked for and for speed.
 *
 * Shares no code with what it tests: PDUs are read and written here. It answers binds, submits,
 * enquiries and unbinds; each of them can be told to do something else.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

export const COMMAND = {
  genericNack: 0x8000_0000,
  bindReceiver: 0x01,
  bindTransmitter: 0x02,
  submit: 0x04,
  deliver: 0x05,
  unbind: 0x06,
  bindTransceiver: 0x09,
  enquire: 0x15,
  data: 0x103,
} as const;

const ANSWER = 0x8000_0000;

export interface Pdu {
  readonly command: number;
  readonly status: number;
  readonly sequence: number;
  readonly body: Buffer;
}

export interface Submit {
  readonly sequence: number;
  readonly from: string;
  readonly fromTon: number;
  readonly fromNpi: number;
  readonly to: string;
  readonly toTon: number;
  readonly toNpi: number;
  readonly esmClass: number;
  readonly priority: number;
  readonly validity: string;
  readonly registered: number;
  readonly coding: number;
  readonly octets: Buffer;
}

/** `silent`: no answer. */
export type SubmitAnswer = { readonly status?: number; readonly id?: string } | 'silent';

export interface Delivery {
  readonly from?: string;
  readonly fromTon?: number;
  readonly to?: string;
  readonly toTon?: number;
  readonly esmClass?: number;
  readonly coding?: number;
  readonly octets: Buffer;
  /** Options as they stand on the wire. */
  readonly tlvs?: Buffer;
}

export interface SmallSmscOptions {
  readonly onBind?: (pdu: Pdu, session: SmscSession) => number | 'silent';
  readonly onSubmit?: (
    submit: Submit,
    session: SmscSession,
  ) => SubmitAnswer | Promise<SubmitAnswer>;
  /** False: enquire_link is not answered. */
  answersEnquiries?: boolean;
  readonly tls?: { readonly key: string; readonly cert: string };
}

export class SmallSmsc {
  readonly sessions: SmscSession[] = [];
  /** Every submit_sm, in order of arrival. */
  readonly submits: Submit[] = [];
  readonly options: SmallSmscOptions;
  readonly #server: Server;
  /** Sessions there have been. */
  accepted = 0;
  #ids = 0;

  private constructor(options: SmallSmscOptions) {
    this.options = options;
    const accept = (socket: Socket): void => {
      this.accepted += 1;
      this.sessions.push(new SmscSession(this, socket));
    };
    this.#server =
      options.tls === undefined ? createServer(accept) : createTlsServer(options.tls, accept);
  }

  static async listen(options: SmallSmscOptions = {}, port = 0): Promise<SmallSmsc> {
    const smsc = new SmallSmsc(options);
    smsc.#server.listen(port, '127.0.0.1');
    await once(smsc.#server, 'listening');
    return smsc;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  nextId(): string {
    this.#ids += 1;
    return this.#ids.toString(16).padStart(8, '0');
  }

  async close(): Promise<void> {
    for (const session of this.sessions) session.socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export class SmscSession {
  readonly socket: Socket;
  readonly #smsc: SmallSmsc;
  #rest: Buffer = Buffer.alloc(0);
  #sequence = 0;
  readonly #answers = new Map<number, (pdu: Pdu) => void>();
  bound = false;
  /** Requests that came, by command. */
  readonly requests: number[] = [];

  constructor(smsc: SmallSmsc, socket: Socket) {
    this.#smsc = smsc;
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('error', () => {});
    socket.on('close', () => smsc.sessions.splice(smsc.sessions.indexOf(this), 1));
  }

  /** Sends deliver_sm (or data_sm) and resolves with the answer. */
  deliver(delivery: Delivery): Promise<Pdu> {
    return this.request(COMMAND.deliver, deliverBody(delivery));
  }

  /** Sends any request and resolves with the answer. */
  request(command: number, body: Buffer = Buffer.alloc(0)): Promise<Pdu> {
    this.#sequence += 1;
    const sequence = this.#sequence;
    this.send(command, 0, sequence, body);
    return new Promise((resolve) => this.#answers.set(sequence, resolve));
  }

  send(command: number, status: number, sequence: number, body: Buffer = Buffer.alloc(0)): void {
    this.socket.write(pduOctets(command, status, sequence, body));
  }

  #onData(chunk: Buffer): void {
    const octets = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    this.socket.cork();
    while (octets.length - at >= 16) {
      const length = octets.readUInt32BE(at);
      if (octets.length - at < length) break;
      this.#onPdu({
        command: octets.readUInt32BE(at + 4),
        status: octets.readUInt32BE(at + 8),
        sequence: octets.readUInt32BE(at + 12),
        body: octets.subarray(at + 16, at + length),
      });
      at += length;
    }
    this.#rest = Buffer.from(octets.subarray(at));
    process.nextTick(() => this.socket.uncork());
  }

  #onPdu(pdu: Pdu): void {
    const { command, sequence } = pdu;
    if (command >= ANSWER) {
      this.#answers.get(sequence)?.(pdu);
      this.#answers.delete(sequence);
      return;
    }
    this.requests.push(command);
    if (command === COMMAND.submit) this.#onSubmit(pdu);
    else if (command === COMMAND.enquire) {
      if (this.#smsc.options.answersEnquiries ?? true) this.send(command + ANSWER, 0, sequence);
    } else if (command === COMMAND.unbind) {
      this.send(command + ANSWER, 0, sequence);
    } else {
      this.#onBind(pdu);
    }
  }

  #onBind(pdu: Pdu): void {
    const status = this.#smsc.options.onBind?.(pdu, this) ?? 0;
    if (status === 'silent') return;
    this.bound = status === 0;
    const body = status === 0 ? Buffer.from('small\0') : Buffer.alloc(0);
    this.send(pdu.command + ANSWER, status, pdu.sequence, body);
  }

  #onSubmit(pdu: Pdu): void {
    const submit = readSubmit(pdu);
    this.#smsc.submits.push(submit);
    const answer = this.#smsc.options.onSubmit?.(submit, this) ?? {};
    if (answer instanceof Promise) answer.then((later) => this.#answerSubmit(pdu, later));
    else this.#answerSubmit(pdu, answer);
  }

  #answerSubmit({ sequence }: Pdu, answer: SubmitAnswer): void {
    if (answer === 'silent') return;
    const status = answer.status ?? 0;
    const id = answer.id ?? this.#smsc.nextId();
    const body = status === 0 ? Buffer.from(`${id}\0`) : Buffer.alloc(0);
    this.send(COMMAND.submit + ANSWER, status, sequence, body);
  }
}

export function pduOctets(command: number, status: number, sequence: number, body: Buffer): Buffer {
  const octets = Buffer.alloc(16 + body.length);
  octets.writeUInt32BE(octets.length, 0);
  octets.writeUInt32BE(command, 4);
  octets.writeUInt32BE(status, 8);
  octets.writeUInt32BE(sequence, 12);
  body.copy(octets, 16);
  return octets;
}

export function tlv(tag: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(tag, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value]);
}

export function deliverBody(delivery: Delivery): Buffer {
  const { from = '15550001', to = '15550002', octets } = delivery;
  return Buffer.concat([
    Buffer.from([0, delivery.fromTon ?? 1, 1]),
    Buffer.from(`${from}\0`),
    Buffer.from([delivery.toTon ?? 1, 1]),
    Buffer.from(`${to}\0`),
    Buffer.from([delivery.esmClass ?? 0, 0, 0, 0, 0, 0, 0, delivery.coding ?? 0, 0, octets.length]),
    octets,
    delivery.tlvs ?? Buffer.alloc(0),
  ]);
}

/** The fields of a submit_sm. */
export function readSubmit({ sequence, body }: Pdu): Submit {
  let at = body.indexOf(0) + 1;
  const octet = (): number => body.readUInt8(at++);
  const text = (): string => {
    const end = body.indexOf(0, at);
    const value = body.toString('latin1', at, end);
    at = end + 1;
    return value;
  };
  const [fromTon, fromNpi, from] = [octet(), octet(), text()];
  const [toTon, toNpi, to] = [octet(), octet(), text()];
  const [esmClass, , priority] = [octet(), octet(), octet()];
  text();
  const validity = text();
  const [registered, , coding, , length] = [octet(), octet(), octet(), octet(), octet()];
  const octets = Buffer.from(body.subarray(at, at + length));
  return {
    sequence,
    from,
    fromTon,
    fromNpi,
    to,
    toTon,
    toNpi,
    esmClass,
    priority,
    validity,
    registered,
    coding,
    octets,
  };
}
