/** The rows of `--scope dispatch`, before they are measured. */
import type { Durability } from './daemon.ts';

export interface DispatchRow {
  readonly name: string;
  readonly durability: Durability;
  readonly payloadBytes: number;
  readonly messagesPerFrame: number;
  /** Messages published and not yet delivered. */
  readonly outstanding: number;
  /** Measured again, as an open loop, at half of the rate that the closed loop reached. */
  readonly halfLoad: boolean;
}

const DURABILITIES: readonly Durability[] = ['flushed', 'committed', 'memory'];
const PAYLOADS_BYTES = [160, 1024] as const;
const MESSAGES_PER_FRAME = [1, 100, 500] as const;

/** One message a frame: as many small requests of many clients have. */
const OUTSTANDING_SINGLE = 2_000;
/** Larger frames: enough to saturate, and within the publish window of 8 MiB (README). */
const OUTSTANDING_BYTES = 4 * 1024 * 1024;

export interface RowSelection {
  readonly quick: boolean;
  /** Part of a row's name; undefined: all rows. */
  readonly filter?: string | undefined;
}

export function dispatchRows({ quick, filter = '' }: RowSelection): DispatchRow[] {
  const rows: DispatchRow[] = [];
  for (const durability of DURABILITIES) {
    for (const payloadBytes of PAYLOADS_BYTES) {
      for (const messagesPerFrame of MESSAGES_PER_FRAME) {
        rows.push({
          name: `${durability}/${payloadBytes}B/${messagesPerFrame}`,
          durability,
          payloadBytes,
          messagesPerFrame,
          outstanding: outstandingOf(payloadBytes, messagesPerFrame),
          halfLoad: payloadBytes === 160 && messagesPerFrame <= 100,
        });
      }
    }
  }
  const isQuick = ({ durability, payloadBytes }: DispatchRow): boolean =>
    durability === 'flushed' && payloadBytes === 160;
  return rows.filter((row) => row.name.includes(filter) && (!quick || isQuick(row)));
}

function outstandingOf(payloadBytes: number, messagesPerFrame: number): number {
  if (messagesPerFrame === 1) return OUTSTANDING_SINGLE;
  const frames = Math.floor(OUTSTANDING_BYTES / (payloadBytes * messagesPerFrame));
  return messagesPerFrame * Math.max(2, frames);
}
