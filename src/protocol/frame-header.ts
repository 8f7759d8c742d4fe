// The first fields of a client frame, read by hand: all that ingress needs to route it to a shard.
// The native core checks the rest. Runs once a frame on the main thread and allocates nothing but
// the text of a destination that differs from the last one.
import { HeaderReader, NO_UINT } from './header-reader.ts';
import { SEVERAL_SHARDS, shardOfIds } from './ids-shard.ts';
import { isClientKind, KIND } from './kinds.ts';

/** Why a frame goes no further: names of errors. */
export type HeaderFault =
  | 'malformedFrame'
  | 'wrongType'
  | 'invalidId'
  | 'unknownKind'
  | 'notYetSupported'
  | 'fieldTooLong'
  | 'invalidName'
  | 'invalidValue';

const NAME_BYTES_MAX = 128;

const nameBytes = new Uint8Array(256);
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:+@-') {
  nameBytes[char.charCodeAt(0)] = 1;
}

/** Reads one frame after another; the fields hold what the last `read` found. */
export class FrameHeader {
  kind = 0;
  /** 0 if the frame is damaged before it. */
  id = 0;
  /** Of publish and subscribe; else empty. */
  destination = '';
  /** Of subscribe, credit and settle; else 0. */
  subscription = 0;
  /** Of receipt, cancel and status the shard that their message ids name, 0 if there are none; else 0. */
  idsShard = 0;

  readonly #reader = new HeaderReader();
  readonly #lastName = new Uint8Array(NAME_BYTES_MAX);
  #lastNameBytes = 0;
  #lastText = '';

  /** Reads the header of a frame; returns the error's name, `undefined` if it may be passed on. */
  read(bytes: Uint8Array): HeaderFault | undefined {
    this.kind = 0;
    this.id = 0;
    this.destination = '';
    this.subscription = 0;
    this.idsShard = 0;
    this.#reader.begin(bytes);
    const fields = this.#reader.arrayLength();
    if (fields < 0) return numberFault(fields);
    if (fields < 2) return 'wrongType';
    const kind = this.#reader.uint32();
    if (kind < 0) return numberFault(kind);
    this.kind = kind;
    const id = this.#reader.uint32();
    if (id < 0) return id === NO_UINT ? 'invalidId' : 'malformedFrame';
    this.id = id;
    return this.#fieldsOf(kind, fields);
  }

  #fieldsOf(kind: number, fields: number): HeaderFault | undefined {
    switch (kind) {
      case KIND.publish:
        return fields < 4 ? 'wrongType' : this.#readDestination();
      case KIND.subscribe:
        return fields < 5 ? 'wrongType' : (this.#readSubscription() ?? this.#readDestination());
      case KIND.credit:
      case KIND.settle:
        return fields < 4 ? 'wrongType' : this.#readSubscription();
      case KIND.receipt:
      case KIND.cancel:
      case KIND.status:
        return fields < 3 ? 'wrongType' : this.#readIds(kind === KIND.receipt);
      case KIND.inbound:
      case KIND.acquire:
      case KIND.release:
      case KIND.use:
        return fields < 3 ? 'wrongType' : undefined;
      case KIND.renew:
        return fields < 4 ? 'wrongType' : undefined;
      default:
        return isClientKind(kind) ? 'notYetSupported' : 'unknownKind';
    }
  }

  #readSubscription(): HeaderFault | undefined {
    const subscription = this.#reader.uint32();
    if (subscription < 0) return numberFault(subscription);
    this.subscription = subscription;
    return undefined;
  }

  #readIds(inEntries: boolean): HeaderFault | undefined {
    const shard = shardOfIds(this.#reader, inEntries);
    if (shard === SEVERAL_SHARDS) return 'invalidValue';
    this.idsShard = shard;
    return undefined;
  }

  #readDestination(): HeaderFault | undefined {
    const length = this.#reader.stringLength();
    if (length < 0) return numberFault(length);
    const { bytes, at: start } = this.#reader;
    if (start + length > bytes.length) return 'malformedFrame';
    if (length > NAME_BYTES_MAX) return 'fieldTooLong';
    if (length === 0) return 'invalidName';
    const last = this.#lastName;
    let same = length === this.#lastNameBytes;
    for (let at = 0; same && at < length; at += 1) same = bytes[start + at] === last[at];
    if (!same) {
      for (let at = start; at < start + length; at += 1) {
        if (nameBytes[bytes[at] as number] !== 1) return 'invalidName';
      }
      last.set(bytes.subarray(start, start + length));
      this.#lastNameBytes = length;
      this.#lastText = String.fromCharCode(...last.subarray(0, length));
    }
    this.destination = this.#lastText;
    return undefined;
  }
}

/** Whether a subscribe frame names a gateway, or something else in its place. */
export function namesGateway(frame: Uint8Array): boolean {
  const reader = new HeaderReader();
  reader.begin(frame);
  const fields = reader.arrayLength();
  if (fields <= GATEWAY_FIELD) return false;
  for (let field = 0; field < GATEWAY_FIELD; field += 1) if (!reader.skip()) return true;
  return frame[reader.at] !== NIL;
}

/** Place of the gateway in a subscribe frame. */
const GATEWAY_FIELD = 5;
const NIL = 0xc0;

function numberFault(result: number): HeaderFault {
  return result === NO_UINT ? 'wrongType' : 'malformedFrame';
}
