/**
 * The main thread's own end of the gate; when steps are made and their effects leave, main-port.ts says.
 * The ends of waits of callers in this process leave at once: their permits end with the process.
 */

import type { FrameSink } from '../exchange/frame-sink.ts';
import type { Journal } from '../exchange/journal.ts';
import { MainPort } from '../exchange/main-port.ts';
import { LIMITS } from '../limits.ts';
import { EFFECT_OP } from '../protocol/exchange.ts';
import { GATE_COUNTER_NAMES } from '../protocol/gate-exchange.ts';
import type { GateMachine } from './machine.ts';

/** Before a list of deltas; 0, for it is never told again. */
const SEQUENCE_BYTES = 8;

export interface GatePortOptions {
  readonly machine: GateMachine;
  readonly journal: Pick<Journal, 'stage'>;
  readonly strict: boolean;
  readonly nowUs: () => number;
  readonly sink: FrameSink;
  /** The wait of a caller of this process has ended; the bytes are valid during the call only. */
  readonly entered: (ticket: number, bytes: Uint8Array) => void;
  /** Tenants were counted for permits of connections; a list of deltas, valid during the call only. */
  readonly counted: (deltas: Uint8Array) => void;
  /** Called once: nothing of the gate can be trusted any more. */
  readonly onFatal: (error: Error) => void;
}

export class GatePort extends MainPort<(typeof GATE_COUNTER_NAMES)[number]> {
  constructor({ entered, counted, ...options }: GatePortOptions) {
    super({
      ...options,
      counterNames: GATE_COUNTER_NAMES,
      inputBytesMax: LIMITS.gateInputBytes,
      stepsInFlightMax: LIMITS.gateStepsInFlight,
      atOnce: { [EFFECT_OP.entered]: entered },
      behindFlush: { [EFFECT_OP.usage]: (_, bytes) => counted(bytes.subarray(SEQUENCE_BYTES)) },
    });
  }
}
