/** The coded answers that the ingress gives to frames by itself. */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { HeaderFault } from '../protocol/frame-header.ts';
import { BOUNDS } from './bounds.ts';
import type { MainPorts } from './shard-port.ts';

/** A header that cannot be read, or asks for what this daemon does not serve. */
export function faulty(fault: HeaderFault, kind: number): FairleadError {
  if (fault === 'notYetSupported') {
    return new FairleadError(fault, `Frames of kind ${kind} are not served yet.`, { kind });
  }
  if (fault === 'unknownKind') {
    return new FairleadError(fault, `There is no frame kind ${kind}.`, { kind });
  }
  if (fault === 'invalidValue') {
    const message = 'All message ids of a frame have to lie in one shard: their first two bytes.';
    return new FairleadError(fault, message);
  }
  return new FairleadError(fault);
}

export function windowFull(unansweredBytes: number): FairleadError {
  return new FairleadError(
    'overloaded',
    `At most ${LIMITS.publishWindowBytes} bytes of publish frames may be unanswered, ${unansweredBytes} are.`,
    { retryAfterMs: BOUNDS.windowRetryAfterMs },
  );
}

export function unknownDestination(destination: string): FairleadError {
  return new FairleadError('unknownDestination', `There is no destination ${destination}.`);
}

export function gatewayOfPlatform(): FairleadError {
  const message = 'A tenant subscribes without the name of a gateway.';
  return new FairleadError('unknownGateway', message);
}

export function inputFull(): FairleadError {
  const details = { retryAfterMs: BOUNDS.inputRetryAfterMs };
  return new FairleadError('overloaded', 'The shard has too much unread input.', details);
}

export function mainFull(which: keyof MainPorts): FairleadError {
  const details = { retryAfterMs: BOUNDS.inputRetryAfterMs };
  const whose = which === 'gate' ? 'The gate' : 'Usage';
  return new FairleadError('overloaded', `${whose} has too much unread input.`, details);
}

export function waitingFull(): FairleadError {
  const message = 'Too much waits for destinations that are being made.';
  const details = { retryAfterMs: BOUNDS.windowRetryAfterMs };
  return new FairleadError('overloaded', message, details);
}

export function tooManySubscriptions(): FairleadError {
  const message = `A connection has at most ${LIMITS.subscriptionsPerConnection} subscriptions.`;
  return new FairleadError('tooManySubscriptions', message);
}

export function unknownSubscription(subscription: number): FairleadError {
  const message = `The connection has no subscription ${subscription}.`;
  return new FairleadError('unknownSubscription', message);
}

export function scopeMissing(kind: number, scope: string): FairleadError {
  const message = `Frames of kind ${kind} need the scope ${scope}.`;
  return new FairleadError('scopeMissing', message, { scope });
}

export function frameTooLarge(bytes: number): FairleadError {
  const message = `A frame has at most ${LIMITS.frameBytes} bytes, received ${bytes}.`;
  return new FairleadError('frameTooLarge', message);
}
