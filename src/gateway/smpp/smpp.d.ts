/**
 * What this project uses of npm `smpp`, which has no types: its codec (PDU) and its tables. Its sessions
 * are typed for tests and benchmarks only.
 */
declare module 'smpp' {
  import type { Duplex } from 'node:stream';

  type Value = string | number | Buffer | undefined;
  type Fields = Readonly<Record<string, Value>>;

  interface Filter {
    encode(value: unknown): unknown;
    decode(value: unknown): unknown;
  }
  /** How one form of field is read; only those that this project replaces are named. */
  interface FieldType<T> {
    read(buffer: Buffer, offset: number, length: number): T;
  }
  interface Parameter {
    filter?: Filter;
    type: FieldType<unknown>;
  }
  interface Command {
    readonly id: number;
    readonly command: string;
    readonly params?: Record<string, Parameter>;
  }

  interface Pdu {
    readonly command: string;
    readonly command_id: number;
    readonly command_status: number;
    sequence_number: number;
    readonly [field: string]: unknown;
    toBuffer(): Buffer;
    response(fields?: Fields): Pdu;
  }

  interface Session {
    on(event: 'error' | 'close' | 'connect' | 'pdu', listener: (value: Pdu & Error) => void): this;
    send(pdu: Pdu, answered?: (answer: Pdu) => void): boolean;
    bind_transceiver(fields: Fields, answered?: (answer: Pdu) => void): boolean;
    submit_sm(fields: Fields, answered?: (answer: Pdu) => void): boolean;
    destroy(): void;
  }

  interface Smpp {
    readonly PDU: {
      new (command: string, fields?: Fields): Pdu;
      new (octets: Buffer): Pdu;
      maxLength: number;
    };
    readonly commands: Record<string, Command>;
    readonly tlvs: Record<string, Parameter>;
    readonly types: {
      readonly buffer: FieldType<Buffer>;
      readonly tlv: { readonly buffer: FieldType<Buffer>; readonly string: FieldType<string> };
    };
    readonly gsmCoder: {
      encode(text: string, table: number): Buffer;
      decode(octets: Buffer, table: number): string;
    };
    connect(options: { host?: string; port: number; socket?: Duplex }): Session;
  }

  const smpp: Smpp;
  export default smpp;
}
