/**
 * How a connection is made: the name is resolved here, each address is checked, and what is dialled
 * is the address that was checked. No name is ever handed to the network, so nothing resolves it a
 * second time. Hosts that are addresses take the same way.
 */
import { buildConnector } from 'undici';
import { LIMITS } from '../limits.ts';
import { type AddressGuard, isAddress } from './address-guard.ts';
import { withoutContinue } from './continue-filter.ts';
import { OutboundError, outboundErrorOf } from './outbound-error.ts';
import type { Resolve } from './resolver.ts';

export interface ConnectorOptions {
  readonly guard: AddressGuard;
  readonly resolve: Resolve;
  /** For resolving, connecting and the TLS handshake together. */
  readonly connectTimeoutMs: number;
  /** Certificates that are trusted, PEM; undefined: those of Node. */
  readonly ca?: readonly string[] | undefined;
}

type Connector = buildConnector.connector;
type Target = Parameters<Connector>[0];
type Connected = Parameters<buildConnector.Callback>[1];

/** A connector for undici. */
export function guardedConnector(options: ConnectorOptions): Connector {
  const { ca } = options;
  const dial = buildConnector({
    timeout: 0,
    allowH2: false,
    ...(ca === undefined ? {} : { ca: [...ca] }),
  });
  return (target, callback) => {
    connect(target, dial, options).then(
      (socket) => callback(null, withoutContinue(socket as NonNullable<Connected>)),
      (error: unknown) => callback(error as Error, null),
    );
  };
}

async function connect(
  target: Target,
  dial: Connector,
  { guard, resolve, connectTimeoutMs }: ConnectorOptions,
): Promise<Connected> {
  const untilMs = performance.now() + connectTimeoutMs;
  const host = target.hostname;
  const secure = target.protocol === 'https:';
  const port = target.port === '' ? (secure ? 443 : 80) : Number(target.port);
  const found = isAddress(host)
    ? [host]
    : await within(resolve(host), connectTimeoutMs, new OutboundError('dns', slowName(host)));
  const addresses = found.slice(0, LIMITS.outboundAddressesMax);
  let refusal = new OutboundError('dns', `The name ${host} has no address.`);
  for (const [index, address] of addresses.entries()) {
    try {
      guard.check({ host, port, address, secure });
      // What is left is shared with the addresses that come after it.
      const timeoutMs = (untilMs - performance.now()) / (addresses.length - index);
      return await dialOne({ ...target, hostname: address }, dial, timeoutMs);
    } catch (error) {
      refusal = outboundErrorOf(error, false);
    }
  }
  throw refusal;
}

const slowName = (host: string): string => `The name ${host} was not resolved in time.`;

function dialOne(target: Target, dial: Connector, timeoutMs: number): Promise<Connected> {
  return new Promise((resolve, reject) => {
    let settled = false;
    const timer = setTimeout(
      () => {
        settled = true;
        socket?.destroy();
        reject(new OutboundError('timeout', `${target.hostname} took no connection in time.`));
      },
      Math.max(1, timeoutMs),
    );
    // It returns the socket, which its type does not say.
    const socket = dial(target, (error, connected) => {
      clearTimeout(timer);
      if (settled) connected?.destroy();
      else if (error !== null) reject(error);
      else resolve(connected);
      settled = true;
    }) as unknown as { destroy(): void } | undefined;
  });
}

async function within<T>(work: Promise<T>, timeoutMs: number, late: Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late), timeoutMs);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}
