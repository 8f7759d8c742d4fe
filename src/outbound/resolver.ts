/**
 * Names to addresses, for the connector alone.
 *
 * Names are asked of the DNS servers over sockets, not of the system's library: that one works on
 * the threads that LMDB writes with, and a tenant's name server that never answers would hold
 * them. Names without a dot, `localhost` and names that the operator listed are the system's.
 * Answers are kept nowhere: sockets are kept, so a name is asked once a connection.
 */
import { lookup, Resolver } from 'node:dns/promises';
import { LIMITS } from '../limits.ts';
import { OutboundError } from './outbound-error.ts';

/** Addresses of a name, in the order to try them; rejects with OutboundError dns. */
export type Resolve = (host: string) => Promise<readonly string[]>;

export interface ResolverOptions {
  /** Whether the operator named this host. */
  readonly isNamed: (host: string) => boolean;
  /** `ip:port` of name servers; those of the system unless given. */
  readonly servers?: readonly string[];
}

const TRIES = 2;

export function createResolver({ isNamed, servers }: ResolverOptions): Resolve {
  const resolver = new Resolver({ timeout: LIMITS.outboundDnsMs / TRIES, tries: TRIES });
  if (servers !== undefined) resolver.setServers(servers);
  /** One question a name at a time. */
  const asking = new Map<string, Promise<readonly string[]>>();
  return (host) => {
    const name = host.toLowerCase();
    let answer = asking.get(name);
    if (answer === undefined) {
      const isSystem = !name.replace(/\.$/, '').includes('.') || isNamed(name);
      const question = isSystem ? askSystem(name) : askServers(resolver, name);
      answer = question.finally(() => asking.delete(name));
      asking.set(name, answer);
    }
    return answer;
  };
}

async function askSystem(name: string): Promise<readonly string[]> {
  try {
    const found = await lookup(name, { all: true });
    return found.map(({ address }) => address);
  } catch (error) {
    throw noAddress(name, error);
  }
}

async function askServers(resolver: Resolver, name: string): Promise<readonly string[]> {
  const [four, six] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  const addresses = [four, six].flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  if (addresses.length > 0) return addresses;
  throw noAddress(name, four.status === 'rejected' ? four.reason : undefined);
}

function noAddress(name: string, cause: unknown): OutboundError {
  const { code = 'no address' } = (cause ?? {}) as { code?: string };
  return new OutboundError('dns', `The name ${name} has no address (${code}).`, { cause });
}
