// The state machine of usage as the native core gives it (native/node/src/usage.rs).
import type { TwoPhaseMachine } from '../exchange/wanting-machine.ts';

/** Times in µs since 1970. */
export interface UsageMachine extends TwoPhaseMachine {
  configure(nowUs: number, entries: Uint8Array): void;
  recover(nowUs: number, chunk: Uint8Array): void;
  recoverFinish(nowUs: number): void;
}
