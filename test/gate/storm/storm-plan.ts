/** What clients, upstream and observer of the proxy's proof agree on: bodies, acts, outcomes, words. */

/** What the upstream does with a request, as the request says. */
export const ACTS = [
  'length',
  'chunked',
  'untilClose',
  'early',
  'status500',
  'resetBeforeHead',
  'closeBeforeHead',
  'resetAfterHead',
  'resetInBody',
  'shortBody',
  'badChunk',
  'badHead',
  'silent',
  'stall',
] as const;
export type Act = (typeof ACTS)[number];

/** Answers that have to arrive whole. */
export const WHOLE: ReadonlySet<Act> = new Set(['length', 'chunked', 'untilClose', 'early']);
/** What the proxy has to say 502 to: nothing of an answer came. */
export const FAILS: ReadonlySet<Act> = new Set(['resetBeforeHead', 'closeBeforeHead', 'badHead']);

/** Share of each, in per mille; `length` has what is left. */
export const PER_MILLE: Readonly<Partial<Record<Act, number>>> = {
  ...{ chunked: 250, untilClose: 40, early: 20, status500: 20, resetBeforeHead: 20 },
  ...{ closeBeforeHead: 20, resetAfterHead: 20, resetInBody: 20, shortBody: 20, badChunk: 10 },
  ...{ badHead: 10, silent: 4, stall: 4 },
};

export function actOf(perMille: number): Act {
  let rest = perMille;
  for (const act of ACTS) {
    rest -= PER_MILLE[act] ?? 0;
    if (act !== 'length' && rest < 0) return act;
  }
  return 'length';
}

/** Every piece of a body tells whose it is, and how long that one is. */
export function bodyOf(id: number, bytes: number): Buffer {
  return Buffer.alloc(bytes, `<${id}:${bytes}>`);
}

export const TENANT_HEADER = 'x-storm-tenant';
export const ID_HEADER = 'x-storm-id';
/** The last is refused where others wait. */
export const STORM_TENANTS = ['a', 'b', 'c', 'd', 'e'] as const;
export const RESOURCE = 'storm';
/** Limit of each tenant. */
export const LIMIT = 200;
/**
 * Time that the proxy gives the upstream to begin, and between two parts of an answer: of requests that get
 * none in time, and of the others, which no busy host may cut off.
 */
export const STUCK_MS = 1500;
export const PATIENT_MS = 60_000;
export const STUCK: ReadonlySet<Act> = new Set(['silent', 'stall']);
export const PATHS = { stuck: '/stuck', patient: '/storm' } as const;

/** How requests ended, as their client sees it. */
export interface Outcomes {
  /** Answered with all of the right body. */
  whole: number;
  /** 429. */
  impeded: number;
  /** 502 and 504. */
  failed: number;
  /** 500 of the upstream, passed on. */
  passedOn: number;
  /** Cut off, visibly. */
  broken: number;
  /** Left by their client. */
  left: number;
  connections: number;
}

export const NO_OUTCOMES: Readonly<Outcomes> = {
  ...{ whole: 0, impeded: 0, failed: 0, passedOn: 0, broken: 0, left: 0, connections: 0 },
};

export interface StormOptions {
  readonly port: number;
  readonly seed: number;
  readonly requests: number;
  readonly atOnce: number;
  /** Of the first request's id. */
  readonly firstId: number;
}

export interface StormSaid {
  readonly outcomes: Outcomes;
  readonly faults: readonly string[];
  readonly seconds: number;
}
