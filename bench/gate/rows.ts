/** `--scope gate`: the table of permits, permits over the protocol beside Redis, and the proxy. */
import type { Observer } from '../dispatch.ts';
import { GATE_DURABILITIES } from './daemon-gate.ts';
import {
  LISTS,
  measurePairs,
  measureRoundTrip,
  observePairs,
  observeRoundTrip,
  type PairsResult,
  type RoundTripResult,
} from './pairs.ts';
import { measureProxy, observeProxy, type ProxyResult } from './proxy.ts';
import { PROXY_SHAPES } from './proxy-shapes.ts';
import type { GatePace } from './sides.ts';
import { measureTable, type TableResult } from './table.ts';

export type GateResult = TableResult | PairsResult | RoundTripResult | ProxyResult;

export interface GateOptions {
  readonly quick: boolean;
  readonly pace: GatePace;
  /** Part of a row's name; undefined: all rows. */
  readonly filter?: string | undefined;
}

const TABLE = 'gate/table';

type Measure = (pace: GatePace) => Promise<GateResult>;
type Observed = (pace: GatePace, observer: Observer) => Promise<number>;

/** Every row that has a daemon, and the same with one that looks at that daemon alone. */
const ROWS: readonly (readonly [name: string, measure: Measure, observe: Observed])[] = [
  ...LISTS.flatMap((list) =>
    GATE_DURABILITIES.map(
      (durability) =>
        [
          `gate/pairs/${list}/${durability}`,
          (pace: GatePace) => measurePairs(list, durability, pace),
          (pace: GatePace, observer: Observer) => observePairs(list, durability, pace, observer),
        ] as const,
    ),
  ),
  ...GATE_DURABILITIES.map(
    (durability) =>
      [
        `gate/roundtrip/${durability}`,
        (pace: GatePace) => measureRoundTrip(durability, pace),
        (pace: GatePace, observer: Observer) => observeRoundTrip(durability, pace, observer),
      ] as const,
  ),
  ...PROXY_SHAPES.map(
    (shape) =>
      [
        shape.name,
        (pace: GatePace) => measureProxy(shape, pace),
        (pace: GatePace, observer: Observer) => observeProxy(shape, pace, observer),
      ] as const,
  ),
];

/** For bench/profile.ts; each resolves with pairs or requests a second. */
export const OBSERVED_GATE_ROWS: ReadonlyMap<string, Observed> = new Map(
  ROWS.map(([name, , observe]) => [name, observe]),
);

/** Measures the rows one after another, each on processes of its own. */
export async function* measureGate(options: GateOptions): AsyncGenerator<GateResult, void> {
  const { quick, pace, filter = '' } = options;
  if (`${TABLE}/1`.includes(filter) || `${TABLE}/3`.includes(filter)) {
    for (const row of measureTable(quick)) if (row.name.includes(filter)) yield row;
  }
  for (const [name, measure] of ROWS) if (name.includes(filter)) yield await measure(pace);
}
