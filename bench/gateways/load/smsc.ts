/**
 * The SMSC that all SMPP senders are measured against, in a process of its own and on bare sockets:
 * takes every bind, and answers every submit at once, all of one read together.
 */
import { createServer, type Socket } from 'node:net';
import { answerParent } from '../child.ts';
import { nextMarker, readMarker } from './marker.ts';
import { Round, type RoundResult } from './round.ts';
import { COMMAND, HEAD_BYTES, readSubmit, responseTo, type SeenSubmit } from './smsc-pdu.ts';

const PDU_BYTES_MAX = 4096;
const SMSC_NAME = 'bench';

let round: Round | undefined;
let seen: SeenSubmit | undefined;
let lastId = 0;

export const questions = {
  listen,
  /** Begins a round of so many messages, numbered from 0. */
  expect(messages: number, senderPid: number): void {
    round = new Round(messages, senderPid);
    seen = undefined;
  },
  /** Resolves when all have come. */
  async result(): Promise<RoundResult> {
    if (round === undefined) throw new Error('no round');
    return await round.result();
  },
  /** The first submit of the round. */
  first(): SeenSubmit {
    if (seen === undefined) throw new Error('no submit came');
    return seen;
  },
};

export type SmscQuestions = typeof questions;

async function listen(): Promise<number> {
  const server = createServer({ noDelay: true }, serve);
  return await new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('no port'));
      else resolve(address.port);
    });
  });
}

function serve(socket: Socket): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const answers: Buffer[] = [];
    let at = 0;
    while (bytes.length - at >= HEAD_BYTES) {
      const length = bytes.readUInt32BE(at);
      if (length < HEAD_BYTES || length > PDU_BYTES_MAX) {
        round?.log.fail(`a PDU of ${length} octets`);
        socket.destroy();
        return;
      }
      if (bytes.length - at < length) break;
      const answer = answerTo(bytes, at, length);
      if (answer !== undefined) answers.push(answer);
      at += length;
    }
    // A copy: the chunk is part of a buffer that is used again.
    rest = Buffer.from(bytes.subarray(at));
    if (answers.length > 0) socket.write(Buffer.concat(answers));
  });
}

function answerTo(bytes: Buffer, at: number, length: number): Buffer | undefined {
  const command = bytes.readUInt32BE(at + 4);
  const sequence = bytes.readUInt32BE(at + 12);
  switch (command) {
    case COMMAND.submit:
      takeSubmit(bytes, at, length);
      lastId += 1;
      return responseTo(command, sequence, lastId.toString(16).padStart(8, '0'));
    case COMMAND.bindReceiver:
    case COMMAND.bindTransmitter:
    case COMMAND.bindTransceiver:
      return responseTo(command, sequence, SMSC_NAME);
    case COMMAND.unbind:
    case COMMAND.enquireLink:
      return responseTo(command, sequence);
    default:
      return undefined;
  }
}

function takeSubmit(bytes: Buffer, start: number, length: number): void {
  if (round === undefined) return;
  seen ??= readSubmit(bytes, start);
  round.requests += 1;
  const at = nextMarker(bytes, start + HEAD_BYTES);
  if (at === -1 || at >= start + length) round.log.fail('a submit without a message');
  else round.log.take(readMarker(bytes, at));
}

answerParent(questions);
