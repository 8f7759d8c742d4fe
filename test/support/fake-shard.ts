// A shard as the ingress sees it: records what it is told, answers only what a test makes it answer.
import type { ShardPort } from '../../src/ingress/shard-port.ts';

export interface FakeOperation {
  readonly op: 'connect' | 'disconnect' | 'park' | 'unpark' | 'frame';
  readonly connection: number;
  /** Of a frame, a copy; of connect, `scopes tenant`. */
  readonly bytes?: Uint8Array;
  readonly who?: string;
}

export class FakeShard implements ShardPort {
  operations: FakeOperation[] = [];
  /** Its input is full: frames are not taken. */
  full = false;
  /** Called after a frame was recorded. */
  onFrame: ((connection: number, bytes: Uint8Array) => void) | undefined;
  /** What `request` answers. */
  answer: (op: number, body: Uint8Array) => Promise<string> = async () => '{}';

  connect(connection: number, scopes: number, tenant: string): void {
    this.operations.push({ op: 'connect', connection, who: `${scopes} ${tenant}` });
  }

  disconnect(connection: number): void {
    this.operations.push({ op: 'disconnect', connection });
  }

  park(connection: number): void {
    this.operations.push({ op: 'park', connection });
  }

  unpark(connection: number): void {
    this.operations.push({ op: 'unpark', connection });
  }

  frame(connection: number, bytes: Uint8Array): boolean {
    if (this.full) return false;
    this.operations.push({ op: 'frame', connection, bytes: bytes.slice() });
    this.onFrame?.(connection, bytes);
    return true;
  }

  request(op: number, body: Uint8Array): Promise<string> {
    return this.answer(op, body);
  }

  /** The names of what was done, in order, such as `connect 1`. */
  get log(): string[] {
    return this.operations.map(({ op, connection }) => `${op} ${connection}`);
  }

  get frames(): Uint8Array[] {
    return this.operations.flatMap(({ bytes }) => (bytes === undefined ? [] : [bytes]));
  }
}
