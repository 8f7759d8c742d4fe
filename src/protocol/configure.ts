// The `configure` operation of an exchange: the fields of each kind of entity, in their order; and
// `gatewayUp`.
// The table is in docs/exchange.md.
import { pack } from './msgpack.ts';
import { type CapFields, capInOrder, type PriceFields, priceInOrder } from './usage-exchange.ts';

export const ENTITY_KIND = {
  destination: 1,
  set: 2,
  tenant: 3,
  sender: 4,
  pool: 5,
  gateway: 6,
  price: 14,
  cap: 15,
} as const;
export type EntityKind = keyof typeof ENTITY_KIND;

const ON_DOUBT = { redeliver: 0, fail: 1 } as const;
const FAIR_BY = { auto: 0, cost: 1, time: 2 } as const;
const SET_ORDER = { fifo: 0, strict: 1 } as const;
const ADMISSION = { off: 0, shadow: 1, on: 2 } as const;
const SET_POLICY = { fair: 0, shuffle: 1 } as const;
const GATEWAY_TYPE = { pull: 0, webhook: 1, smpp: 2 } as const;

interface Limits {
  readonly ratePerSec: number | null;
  readonly burst: number;
}

interface Quota extends Limits {
  readonly inFlightMax: number | null;
}

export interface DestinationFields extends Quota {
  readonly leaseMs: number;
  readonly attemptsMax: number;
  readonly onDoubt: keyof typeof ON_DOUBT;
  readonly fairBy: keyof typeof FAIR_BY;
  readonly paused: boolean;
}

/** Of the later fields a change has all or none; without them the shard takes its defaults. */
export interface DestinationLife {
  readonly retryBaseMs: number;
  readonly retryMaxMs: number;
  readonly retryJitter: number;
  readonly validityMs: number;
  readonly refuseNew: boolean;
  readonly admission: keyof typeof ADMISSION;
}

export interface SetFields extends Quota {
  readonly weight: number;
  readonly order: keyof typeof SET_ORDER;
}

export interface SetLife {
  readonly borrowMax: number | null;
  readonly paused: boolean;
  readonly refuseNew: boolean;
  readonly policy: keyof typeof SET_POLICY;
  readonly slots: number;
  readonly hand: number;
}

export interface TenantFields extends Quota {
  readonly set: string;
  readonly weight: number;
  readonly paused: boolean;
}

/** What a tenant's new work may be refused with: refusingNew, capReached. */
export const REFUSE_CODES = [3022, 5006] as const;
export type RefuseCode = (typeof REFUSE_CODES)[number];

export interface TenantLife {
  readonly refuseNew: boolean;
  /** Null: refusingNew. */
  readonly refuseCode?: RefuseCode | null;
  readonly levelFloors: readonly number[] | null;
  readonly waitingMax: number | null;
  readonly waitingBytesMax: number | null;
}

export interface SenderFields extends Quota {
  readonly pool: string | null;
  readonly paused: boolean;
  readonly refuseNew: boolean;
}

export type PoolFields = Limits;

/** Its rate and its cap hold over all its destinations. */
export interface GatewayFields extends Quota {
  readonly type: keyof typeof GATEWAY_TYPE;
  readonly destinations: readonly string[];
  readonly weight: number;
  readonly paused: boolean;
}

interface FieldsOf {
  readonly destination: DestinationFields | (DestinationFields & DestinationLife);
  readonly set: SetFields | (SetFields & SetLife);
  readonly tenant: TenantFields | (TenantFields & TenantLife);
  readonly sender: SenderFields;
  readonly pool: PoolFields;
  readonly gateway: GatewayFields;
  readonly price: PriceFields;
  readonly cap: CapFields;
}

/** What `configure` sets; fields of `null` delete, back to the defaults. A sender's name is `tenant/sender`. */
export type Configure = {
  [K in keyof FieldsOf]: {
    readonly kind: K;
    readonly name: string;
    readonly fields: FieldsOf[K] | null;
  };
}[keyof FieldsOf];

/** Bytes of `configure`. */
export function encodeConfigure(change: Configure): Uint8Array {
  return pack([ENTITY_KIND[change.kind], change.name, fieldsInOrder(change)]);
}

function fieldsInOrder(change: Configure): unknown[] | null {
  if (change.fields === null) return null;
  switch (change.kind) {
    case 'destination':
      return destinationInOrder(change.fields);
    case 'set':
      return setInOrder(change.fields);
    case 'tenant':
      return tenantInOrder(change.fields);
    case 'sender': {
      const { ratePerSec, burst, inFlightMax, pool, paused, refuseNew } = change.fields;
      return [ratePerSec, burst, inFlightMax, pool, paused, refuseNew];
    }
    case 'pool':
      return [change.fields.ratePerSec, change.fields.burst];
    case 'gateway': {
      const { type, destinations, weight, ratePerSec, burst, inFlightMax, paused } = change.fields;
      return [GATEWAY_TYPE[type], destinations, weight, ratePerSec, burst, inFlightMax, paused];
    }
    case 'price':
      return priceInOrder(change.fields);
    case 'cap':
      return capInOrder(change.fields);
  }
}

/** What a message has to come to before it is counted as one to be paid for. */
const BILLABLE = { accepted: 0, sent: 1, delivered: 2 } as const;
export type Billable = keyof typeof BILLABLE;
const BILLABLE_KIND = 16;

/** Bytes of `configure` of that. */
export function encodeBillable(billable: Billable): Uint8Array {
  return pack([BILLABLE_KIND, '', [BILLABLE[billable]]]);
}

/** Bytes of `gatewayUp`: whether a gateway can be reached; one that cannot gets nothing. */
export function encodeGatewayUp(name: string, up: boolean): Uint8Array {
  return pack([name, up]);
}

function destinationInOrder(fields: FieldsOf['destination']): unknown[] {
  const { ratePerSec, burst, inFlightMax, leaseMs, attemptsMax } = fields;
  const { onDoubt, fairBy, paused } = fields;
  const policies = [ON_DOUBT[onDoubt], FAIR_BY[fairBy], paused];
  const first = [ratePerSec, burst, inFlightMax, leaseMs, attemptsMax, ...policies];
  if (!('retryBaseMs' in fields)) return first;
  const { retryBaseMs, retryMaxMs, retryJitter, validityMs, refuseNew, admission } = fields;
  const retry = [retryBaseMs, retryMaxMs, retryJitter];
  return [...first, ...retry, validityMs, refuseNew, ADMISSION[admission]];
}

function setInOrder(fields: FieldsOf['set']): unknown[] {
  const { weight, ratePerSec, burst, inFlightMax, order } = fields;
  const first = [weight, ratePerSec, burst, inFlightMax, SET_ORDER[order]];
  if (!('borrowMax' in fields)) return first;
  const { borrowMax, paused, refuseNew, policy, slots, hand } = fields;
  return [...first, borrowMax, paused, refuseNew, SET_POLICY[policy], slots, hand];
}

function tenantInOrder(fields: FieldsOf['tenant']): unknown[] {
  const { set, weight, ratePerSec, burst, inFlightMax, paused } = fields;
  const first = [set, weight, ratePerSec, burst, inFlightMax, paused];
  if (!('refuseNew' in fields)) return first;
  const { refuseNew, levelFloors, waitingMax, waitingBytesMax, refuseCode } = fields;
  const all = [...first, refuseNew, levelFloors, waitingMax, waitingBytesMax];
  return typeof refuseCode === 'number' ? [...all, refuseCode] : all;
}
