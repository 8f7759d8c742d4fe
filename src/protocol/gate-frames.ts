// The frames of permits, kinds 10–12: encodes them, reads their answers and the event that ends a
// wait, and finds the resources that an acquire names. The native core decodes the frames.
import type { EventFrame, OkFrame } from './daemon-frames.ts';
import { HeaderReader } from './header-reader.ts';
import { KIND } from './kinds.ts';
import { pack } from './msgpack.ts';
import { array, BadFrameError, binary, optional, uint } from './read-fields.ts';

export const PERMIT_ID_BYTES = 16;

/** Topic of the event that tells what became of waiters. */
export const PERMIT_TOPIC = 'permit';

/** What is not allowed at once; a wish may only be stricter than the policy. */
export const GATE_MODE = { reject: 0, queue: 1, delay: 2 } as const;
export type GateMode = (typeof GATE_MODE)[keyof typeof GATE_MODE];

export const RENEW_FLAG = {
  /** The holder was told to stop and is ending: the lease is the last one. */
  finishing: 1,
  /** Takes over permits of a connection that dropped, or from before a restart. */
  claim: 2,
} as const;

export interface AcquireOptions {
  /** Seats of the permit, 1 to 1,000. */
  readonly weight?: number;
  readonly leaseMs?: number;
  /** 0: does not wait. */
  readonly waitMs?: number;
  readonly mode?: GateMode;
}

export interface AcquireEntry {
  readonly resource: string;
  /** Left out by a tenant's own token; of the platform: its own permits. */
  readonly tenant?: string | undefined;
  readonly options?: AcquireOptions | undefined;
}

/** Seats of the key. */
interface KeyCounts {
  readonly used: number;
  /** Undefined: it has no limit of its own. */
  readonly limit: number | undefined;
}

export interface GrantedPermit extends KeyCounts {
  readonly kind: 'granted';
  readonly permit: Uint8Array;
  readonly leaseMs: number;
}

export interface WaitingPermit extends KeyCounts {
  readonly kind: 'waiting';
  /** Counts from 1 on each connection. */
  readonly ticket: number;
  /** 1 is the head. */
  readonly position: number;
  /** 0: not known. */
  readonly estimateMs: number;
}

export interface ImpededPermit extends KeyCounts {
  readonly kind: 'impeded';
  readonly code: number;
  readonly retryAfterMs: number | undefined;
  readonly estimateMs: number | undefined;
}

export type AcquireAnswer = GrantedPermit | WaitingPermit | ImpededPermit;

/** The end of a wait. */
export type PermitNews =
  | { readonly ticket: number; readonly permit: Uint8Array; readonly leaseMs: number }
  | {
      readonly ticket: number;
      readonly permit: undefined;
      readonly code: number;
      readonly retryAfterMs: number | undefined;
    };

/** At most 1,000 entries. */
export function encodeAcquire({
  id,
  entries,
}: {
  readonly id: number;
  readonly entries: readonly AcquireEntry[];
}): Uint8Array<ArrayBuffer> {
  const fields = entries.map(({ resource, tenant, options }) => {
    const named = [resource, tenant ?? null];
    return options === undefined ? named : [...named, options];
  });
  return pack([KIND.acquire, id, fields]);
}

/** Permits are given back, waiters given up: by permit or by ticket. */
export function encodeRelease({
  id,
  permits,
  failed = [],
}: {
  readonly id: number;
  readonly permits: readonly (Uint8Array | number)[];
  /** Indexes of the permits whose work failed. */
  readonly failed?: readonly number[];
}): Uint8Array<ArrayBuffer> {
  const fields = [KIND.release, id, permits];
  return pack(failed.length === 0 ? fields : [...fields, failed]);
}

export function encodeRenew({
  id,
  permits,
  leaseMs,
  flags = 0,
}: {
  readonly id: number;
  readonly permits: readonly Uint8Array[];
  readonly leaseMs: number;
  /** `RENEW_FLAG` bits. */
  readonly flags?: number;
}): Uint8Array<ArrayBuffer> {
  const fields = [KIND.renew, id, permits, leaseMs];
  return pack(flags === 0 ? fields : [...fields, flags]);
}

/** Reads the result of an acquire, an answer for each entry. @throws BadFrameError */
export function readAcquireOk({ result }: OkFrame): AcquireAnswer[] {
  return array(result[0], 'entries').map((entry) => {
    const fields = array(entry, 'entry');
    if (fields[0] !== null) {
      const [permit, leaseMs, used, limit] = fields;
      return {
        kind: 'granted',
        permit: permitId(permit),
        leaseMs: uint(leaseMs, 'leaseMs'),
        ...counts(used, limit),
      };
    }
    const code = uint(fields[1], 'code');
    const [, , third, used, limit, fifth, sixth] = fields;
    if (code !== 0) {
      return {
        kind: 'impeded',
        code,
        retryAfterMs: optional(third, 'retryAfterMs', uint),
        ...counts(used, limit),
        estimateMs: optional(fifth, 'estimateMs', uint),
      };
    }
    return {
      kind: 'waiting',
      ticket: uint(third, 'ticket'),
      ...counts(used, limit),
      position: uint(fifth, 'position'),
      estimateMs: uint(sixth, 'estimateMs'),
    };
  });
}

/** Reads the result of a release. @throws BadFrameError */
export function readReleaseOk({ result }: OkFrame): { released: number; gone: number } {
  return { released: uint(result[0], 'released'), gone: uint(result[1], 'gone') };
}

/** Reads the result of a renew: the lease of each in ms, 0 of one that is gone. @throws BadFrameError */
export function readRenewOk({ result }: OkFrame): number[] {
  return array(result[0], 'leases').map((leaseMs) => uint(leaseMs, 'leaseMs'));
}

/** Reads an event whose topic is `PERMIT_TOPIC`. @throws BadFrameError */
export function readPermitEvent({ fields }: EventFrame): PermitNews[] {
  return array(fields[0], 'entries').map((entry) => {
    const [ticket, permit, third, fourth] = array(entry, 'entry');
    const number = uint(ticket, 'ticket');
    if (permit !== null) {
      return { ticket: number, permit: permitId(permit), leaseMs: uint(third, 'leaseMs') };
    }
    return {
      ticket: number,
      permit: undefined,
      code: uint(third, 'code'),
      retryAfterMs: optional(fourth, 'retryAfterMs', uint),
    };
  });
}

/**
 * The resources that an acquire frame names, each once; undefined for what is no such frame, which
 * the core then says. Peers write these bytes: nothing is allocated from an unchecked number.
 */
export function resourcesOf(
  bytes: Uint8Array,
  bounds: { readonly entries: number; readonly nameBytes: number },
): ReadonlySet<string> | undefined {
  const reader = new HeaderReader();
  reader.begin(bytes);
  if (reader.arrayLength() < 3 || reader.uint32() !== KIND.acquire || reader.uint32() < 0) {
    return undefined;
  }
  const count = reader.arrayLength();
  if (count < 0 || count > bounds.entries) return undefined;
  const names = new Set<string>();
  for (let index = 0; index < count; index += 1) {
    const fields = reader.arrayLength();
    const name = fields < 1 ? undefined : reader.text(bounds.nameBytes);
    if (name === undefined) return undefined;
    names.add(name);
    for (let field = 1; field < fields; field += 1) {
      if (!reader.skip()) return undefined;
    }
  }
  return names;
}

function counts(used: unknown, limit: unknown): KeyCounts {
  return { used: uint(used, 'used'), limit: optional(limit, 'limit', uint) };
}

function permitId(value: unknown): Uint8Array {
  const id = binary(value, 'permit');
  if (id.length === PERMIT_ID_BYTES) return id;
  throw new BadFrameError(`permit is not ${PERMIT_ID_BYTES} bytes; received ${id.length}`);
}
