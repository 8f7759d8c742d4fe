/**
 * A stand-in for the daemon that costs as little as possible: answers a publish frame with its ok
 * and hands the same messages to the consumer, and does nothing else. With it the load generator's
 * own cost is measured. Prints one line `{"url","pid"}`.
 *
 * `node … sink.ts SHAPE`, where SHAPE is the message shape as JSON.
 */
import uWS from 'uWebSockets.js';
import { encodeHello } from '../../src/protocol/daemon-frames.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { bodyLayout, type MessageShape } from './message-shape.ts';

type Socket = uWS.WebSocket<object>;

const shape = JSON.parse(process.argv[2] ?? '') as MessageShape;
const { bodyBytes } = bodyLayout(shape);
const HEAD_BYTES = 7;
const MESSAGES_HEADER_BYTES = 3;
const messagesAt = HEAD_BYTES + 1 + shape.destination.length + MESSAGES_HEADER_BYTES;
const hello = encodeHello({ limits: {}, durability: 'memory' });

/** `[64, id u32, first message id, count u32, nil, nil]`. */
const ok = Buffer.concat([
  Buffer.from([0x96, KIND.ok, 0xce, 0, 0, 0, 0, 0xc4, 16]),
  Buffer.alloc(16),
  Buffer.from([0xce, 0, 0, 0, 0, 0xc0, 0xc0]),
]);
ok.writeUInt32BE(shape.messagesPerFrame, ok.length - 6);

/** `[delivery, message id` before and `attempt, accepted at, flags, expires at]` after a body. */
const before = Buffer.concat([Buffer.from([0x9a, 0xce, 0, 0, 0, 0, 0xc4, 16]), Buffer.alloc(16)]);
const time = Buffer.concat([Buffer.from([0xcf]), Buffer.alloc(8)]);
const after = Buffer.concat([Buffer.from([1]), time, Buffer.from([0]), time]);
const deliveryBytes = before.length + bodyBytes + after.length;
const DELIVER_HEAD_BYTES = 9;

let consumer: Socket | undefined;
/** Numbers that take five bytes from the begin on. */
let delivery = 0x1_0000;
/** What was published in this turn of the loop: goes out as one frame, as the daemon's exchange does. */
let waiting: Uint8Array[] = [];

const app = uWS.App();
app.ws<object>('/v1/stream', {
  maxPayloadLength: 4 * 1024 * 1024,
  maxBackpressure: 0,
  idleTimeout: 0,
  upgrade: (response, request, context) => {
    response.upgrade(
      {},
      request.getHeader('sec-websocket-key'),
      'fairlead.v1',
      request.getHeader('sec-websocket-extensions'),
      context,
    );
  },
  open: (socket) => {
    socket.send(hello, true);
  },
  message: (socket, message) => {
    const bytes = new Uint8Array(message);
    if (bytes[1] === KIND.subscribe) consumer = socket;
    if (bytes[1] !== KIND.publish) return;
    // The id takes five bytes in the frames of the generator.
    ok.set(bytes.subarray(3, 7), 3);
    socket.send(ok, true);
    if (waiting.length === 0) setImmediate(deliver);
    waiting.push(bytes.slice(messagesAt));
  },
});

function deliver(): void {
  const frames = waiting;
  waiting = [];
  const count = frames.length * shape.messagesPerFrame;
  const out = Buffer.allocUnsafe(DELIVER_HEAD_BYTES + count * deliveryBytes);
  out.set([0x94, KIND.deliver, 0, 1, 0xdd]);
  out.writeUInt32BE(count, 5);
  let at = DELIVER_HEAD_BYTES;
  for (const frame of frames) {
    for (let message = 0; message < shape.messagesPerFrame; message += 1) {
      const body = message * (1 + bodyBytes) + 1;
      out.set(before, at);
      out.writeUInt32BE(delivery, at + 2);
      delivery += 1;
      out.set(frame.subarray(body, body + bodyBytes), at + before.length);
      out.set(after, at + before.length + bodyBytes);
      at += deliveryBytes;
    }
  }
  consumer?.send(out, true);
}

app.listen('127.0.0.1', 0, (listener) => {
  if (listener === false) throw new Error('no port');
  const url = `http://127.0.0.1:${uWS.us_socket_local_port(listener)}`;
  console.log(JSON.stringify({ url, pid: process.pid }));
});
process.on('SIGTERM', () => process.exit());
