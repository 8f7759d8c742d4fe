// The boundary between the main thread and the gate, TypeScript side, as far as it is not that of a
// shard: entities, questions, counters, and the end of a wait. The tables are in docs/exchange.md.
import { pack, unpack } from './msgpack.ts';
import { uint } from './read-fields.ts';

/** Questions that only the gate is asked, as operations of an input. */
export const GATE_OP = { list: 30, explain: 31, top: 32 } as const;
export type GateOp = (typeof GATE_OP)[keyof typeof GATE_OP];

/** Counters of the effects header, in the places of a shard's. */
export const GATE_COUNTER_NAMES = [
  'granted',
  'released',
  'expired',
  'orphaned',
  'claimed',
  'renewed',
  'admitted',
  'queued',
  'gaveUp',
  'unknownResource',
  'concurrencyLimit',
  'wouldWaitTooLong',
  'waitersFull',
  'tooManyGateKeys',
  'waitOver',
  'tooManyPermits',
  'gateRecovering',
  'waiting',
  'permits',
  'seats',
  'keys',
  'resources',
  'tenants',
  'logBytes',
  'entered',
  'recoveringUntilMs',
  'localPermits',
  'gone',
] as const;
export type GateCounters = Record<(typeof GATE_COUNTER_NAMES)[number], number>;

const KIND_NUMBER = { tenant: 3, resource: 12, policy: 13 } as const;
const MODE = { reject: 0, queue: 1, delay: 2 } as const;

export type GateModeName = keyof typeof MODE;

interface Waits {
  readonly ratePerSec: number | null;
}

export interface GateResourceFields extends Waits {
  readonly limit: number | null;
  readonly tenantLimit: number | null;
  readonly mode: GateModeName;
  readonly waitersMax: number;
  readonly waitMs: number;
  readonly leaseMs: number;
  readonly adaptive: {
    readonly min: number;
    readonly max: number;
    readonly tolerance: number;
  } | null;
}

/** Null: as the resource says. */
export interface GatePolicyFields extends Waits {
  readonly limit: number | null;
  readonly floor: number;
  readonly weight: number | null;
  readonly mode: GateModeName | null;
  readonly waitersMax: number | null;
  readonly waitMs: number | null;
}

export interface GateTenantFields {
  readonly concurrencyMax: number | null;
  readonly weight: number;
}

interface FieldsOf {
  readonly tenant: GateTenantFields;
  readonly resource: GateResourceFields;
  readonly policy: GatePolicyFields;
}

/** What the gate is told; fields of null delete. A policy's name is `resource/tenant`. */
export type GateChange = {
  [K in keyof FieldsOf]: {
    readonly kind: K;
    readonly name: string;
    readonly fields: FieldsOf[K] | null;
  };
}[keyof FieldsOf];

/** Bytes of `configure`. */
export function encodeGateConfigure(change: GateChange): Uint8Array {
  return pack([KIND_NUMBER[change.kind], change.name, fieldsInOrder(change)]);
}

function fieldsInOrder(change: GateChange): unknown[] | null {
  if (change.fields === null) return null;
  switch (change.kind) {
    case 'tenant':
      return [change.fields.concurrencyMax, change.fields.weight];
    case 'resource': {
      const { limit, tenantLimit, mode, waitersMax, waitMs, ratePerSec } = change.fields;
      const { leaseMs, adaptive } = change.fields;
      const follows = adaptive === null ? null : [adaptive.min, adaptive.max, adaptive.tolerance];
      const waits = [MODE[mode], waitersMax, waitMs, ratePerSec];
      return [limit, tenantLimit, ...waits, leaseMs, follows];
    }
    case 'policy': {
      const { limit, floor, weight, mode, waitersMax, waitMs, ratePerSec } = change.fields;
      const number = mode === null ? null : MODE[mode];
      return [limit, floor, weight, number, waitersMax, waitMs, ratePerSec];
    }
  }
}

/** Bytes of `gateList`: a page of the keys that are open. */
export function encodeGateList(page: {
  readonly resource: string | undefined;
  readonly tenant: string | undefined;
  /** Empty: the first page. */
  readonly cursor: string;
  readonly limit: number;
}): Uint8Array {
  return pack([page.resource ?? null, page.tenant ?? null, page.cursor, page.limit]);
}

/** Bytes of `gateExplain`; a tenant that is empty is the platform. */
export function encodeGateExplain(resource: string, tenant: string): Uint8Array {
  return pack([resource, tenant]);
}

/** Bytes of `inUse` of a resource. */
export function encodeGateInUse(resource: string): Uint8Array {
  return pack([KIND_NUMBER.resource, resource]);
}

/** Bytes of `gateTop`. */
export function encodeGateTop(by: string, limit: number): Uint8Array {
  return pack([by, limit]);
}

/** How the wait of a caller in this process ended. */
export interface EnteredEffect {
  /** Undefined: it may not pass. */
  readonly permit: number | undefined;
  /** Why not; 0 when it passes. */
  readonly code: number;
  readonly retryAfterMs: number;
}

/** Reads the bytes of the effect `entered`. */
export function readEntered(bytes: Uint8Array): EnteredEffect {
  const [permit, code, retryAfterMs] = unpack(bytes) as unknown[];
  return {
    permit: permit === null ? undefined : uint(permit, 'permit'),
    code: uint(code, 'code'),
    retryAfterMs: uint(retryAfterMs, 'retryAfterMs'),
  };
}
