// What is asked for: found wrong before it shares a frame with asks of other callers.
import type { AcquireEntry } from '../protocol/frames.ts';
import { GATE_MODE } from '../protocol/gate-frames.ts';
import { checkName } from './check-text.ts';
import { FairleadClientError } from './error.ts';
import type { AcquireOptions } from './gate-types.ts';

const WEIGHT_MAX = 1000;
const LEASE_MS = [1000, 3_600_000] as const;
const WAIT_MS_MAX = 3_600_000;

/** @throws FairleadClientError invalidName, invalidOption */
export function checkAcquire(resource: string, options: AcquireOptions): AcquireEntry {
  const { tenant, weight, leaseMs, waitMs, mode } = options;
  checkName('resource', resource);
  if (tenant !== undefined) checkName('tenant', tenant);
  if ((weight ?? leaseMs ?? waitMs ?? mode) === undefined) return { resource, tenant };
  const wire = {
    ...(weight !== undefined && { weight: whole('weight', weight, [1, WEIGHT_MAX]) }),
    ...(leaseMs !== undefined && { leaseMs: whole('leaseMs', leaseMs, LEASE_MS) }),
    ...(waitMs !== undefined && { waitMs: whole('waitMs', waitMs, [0, WAIT_MS_MAX]) }),
    ...(mode !== undefined && { mode: modeNumber(mode) }),
  };
  return { resource, tenant, options: wire };
}

function whole(option: string, value: unknown, [min, max]: readonly [number, number]): number {
  const isRight = Number.isSafeInteger(value) && min <= Number(value) && Number(value) <= max;
  if (isRight) return value as number;
  throw invalid(option, `a whole number from ${min} to ${max}`, value);
}

function modeNumber(mode: unknown): (typeof GATE_MODE)[keyof typeof GATE_MODE] {
  const names = Object.keys(GATE_MODE);
  if (typeof mode === 'string' && names.includes(mode)) {
    return GATE_MODE[mode as keyof typeof GATE_MODE];
  }
  throw invalid('mode', `one of ${names.join(', ')}`, mode);
}

function invalid(option: string, expected: string, value: unknown): FairleadClientError {
  const message = `${option} has to be ${expected}; it is ${String(value).slice(0, 160)}.`;
  return new FairleadClientError('invalidOption', message);
}
