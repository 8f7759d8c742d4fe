/** A sender of ours beside the bare library that it is built on, in the same run. */
import { significant } from '../statistics.ts';
import type { SideResult } from './sides.ts';

export interface Pace {
  /** Of one round. */
  readonly messages: number;
  readonly rounds: number;
}

export const PAYLOAD_BYTES = 160;

export interface BesideBare {
  /** Of a round. */
  readonly messages: number;
  readonly payloadBytes: number;
  readonly rounds: number;
  readonly daemon: SideResult;
  readonly bare: SideResult;
  /** Daemon ÷ bare. */
  readonly ratio: number;
  /** The library used in another way: undici's `dispatch`, without promises; `smpp` given texts. */
  readonly bareOther: SideResult;
  readonly ratioToOther: number;
}

export function besideBare(
  results: Pick<BesideBare, 'daemon' | 'bare' | 'bareOther'>,
  { messages, rounds }: Pace,
): BesideBare {
  const { daemon, bare, bareOther } = results;
  return {
    messages,
    payloadBytes: PAYLOAD_BYTES,
    rounds,
    daemon,
    bare,
    ratio: significant(daemon.perSec / bare.perSec),
    bareOther,
    ratioToOther: significant(daemon.perSec / bareOther.perSec),
  };
}
