/**
 * Which addresses outgoing requests may reach: URLs come from tenants, and the daemon stands where
 * it can see what tenants cannot.
 *
 * Only public unicast addresses pass. IPv6 passes in 2000::/3 alone, without the forms in it that
 * carry an IPv4 address (6to4, Teredo), so no private address comes in disguise. Pure; the
 * connector asks for each address before each dial. The operator's list lets more through.
 */
import ipaddr from 'ipaddr.js';
import { LIMITS } from '../limits.ts';
import { OutboundError } from './outbound-error.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

export interface GuardOptions {
  /** CIDR ranges, addresses, hosts and host:port pairs that are let through beside what is public. */
  readonly allow: readonly string[];
  /** Whether `http:` may go to addresses that are not on the list. */
  readonly allowHttp: boolean;
}

/** What is about to be dialled. */
export interface Dial {
  /** As in the URL, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly address: string;
  readonly secure: boolean;
}

type Entry =
  | { readonly range: readonly [Address, number]; readonly port: number | undefined }
  | { readonly host: string; readonly port: number | undefined };

export class AddressGuard {
  readonly #entries: readonly Entry[];
  readonly #allowHttp: boolean;

  /** @throws Error when an entry of the list is none of the four forms */
  constructor({ allow, allowHttp }: GuardOptions) {
    this.#entries = allow.map(parseAllowEntry);
    this.#allowHttp = allowHttp;
  }

  /**
   * Checks what can be known of a URL without asking DNS.
   *
   * @returns the URL in its normal form, without a fragment
   * @throws OutboundError badUrl, blocked
   */
  checkUrl(text: string): URL {
    const url = parseUrl(text);
    const host = hostOf(url);
    const address = isAddress(host) ? host : undefined;
    const secure = url.protocol === 'https:';
    if (address !== undefined) this.check({ host, port: portOf(url), address, secure });
    else this.#checkName(host, portOf(url), secure);
    url.hash = '';
    return url;
  }

  /** @throws OutboundError blocked, when this address may not be dialled */
  check(dial: Dial): void {
    const refusal = this.#refusalOf(dial);
    if (refusal !== undefined) throw new OutboundError('blocked', refusal);
  }

  /** Whether the operator named this host, so that the system's own table of names counts for it. */
  isNamed(host: string): boolean {
    return this.#entries.some((entry) => 'host' in entry && entry.host === bareName(host));
  }

  #refusalOf({ host, port, address, secure }: Dial): string | undefined {
    const parsed = parseAddress(address);
    if (parsed === undefined) return `${address} is no address that is dialled`;
    if (this.#isListed(bareName(host), port, parsed)) return undefined;
    if (!isPublic(parsed)) {
      return `${host} leads to ${address}, which is not public (outbound.allow lets addresses through)`;
    }
    return secure || this.#allowHttp ? undefined : httpRefusal;
  }

  /** A name whose addresses are not known yet: those of `localhost` are. */
  #checkName(host: string, port: number, secure: boolean): void {
    const name = bareName(host);
    const isLocal = name === 'localhost' || name.endsWith('.localhost');
    if (!isLocal) {
      // A range of the list may let its address through, which only the dial knows.
      const mayBeListed = this.#entries.length > 0;
      if (!secure && !this.#allowHttp && !mayBeListed)
        throw new OutboundError('blocked', httpRefusal);
      return;
    }
    const loopbacks = ['127.0.0.1', '::1'].map((each) => ipaddr.parse(each));
    if (loopbacks.some((address) => this.#isListed(name, port, address))) return;
    throw new OutboundError('blocked', `${host} is this machine (outbound.allow lets it through)`);
  }

  #isListed(name: string, port: number, address: Address): boolean {
    return this.#entries.some((entry) => {
      if (entry.port !== undefined && entry.port !== port) return false;
      if ('host' in entry) return entry.host === name;
      const [base] = entry.range;
      return base.kind() === address.kind() && address.match([base, entry.range[1]] as never);
    });
  }
}

const httpRefusal =
  'the URL begins with http:, which would send messages in clear (outbound.allowHttp permits it)';

/** @throws OutboundError badUrl */
function parseUrl(text: string): URL {
  const bad = (why: string): OutboundError => new OutboundError('badUrl', `The URL ${why}.`);
  if (Buffer.byteLength(text) > LIMITS.callbackBytes) {
    throw bad(`is longer than ${LIMITS.callbackBytes} bytes`);
  }
  if (!URL.canParse(text)) throw bad('is no absolute URL');
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw bad('is neither https nor http');
  if (url.username !== '' || url.password !== '') throw bad('carries a user name or password');
  if (url.port === '0') throw bad('has the port 0');
  if (url.hostname === '') throw bad('has no host');
  return url;
}

/** Without the brackets of IPv6. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

export function portOf(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
}

/** Whether a host of a URL is an address: the URL's parser made every form of IPv4 a plain one. */
export function isAddress(host: string): boolean {
  return parseAddress(host) !== undefined;
}

const bareName = (host: string): string => host.toLowerCase().replace(/\.$/, '');

/** Four decimal parts or IPv6 without a zone; undefined for everything else. */
function parseAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  return ipaddr.IPv6.parse(text);
}

const GLOBAL_UNICAST: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3];

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast') return false;
  return address instanceof ipaddr.IPv4 || address.match(GLOBAL_UNICAST);
}

/** @throws Error when it is none of CIDR, address, host, host:port */
export function parseAllowEntry(text: string): Entry {
  if (text.includes('/')) {
    const [base, bits] = text.split('/') as [string, string];
    const address = parseAddress(base);
    const bitsMax = address?.kind() === 'ipv4' ? 32 : 128;
    if (address === undefined || !/^\d{1,3}$/.test(bits) || Number(bits) > bitsMax) {
      throw badEntry(text);
    }
    return { range: [address, Number(bits)], port: undefined };
  }
  const whole = parseAddress(text);
  if (whole !== undefined) return { range: rangeOf(whole), port: undefined };
  const [, host = '', digits] = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (host === '' || (port !== undefined && (port < 1 || port > 65_535))) throw badEntry(text);
  const address = parseAddress(host.replace(/^\[|\]$/g, ''));
  if (address !== undefined) return { range: rangeOf(address), port };
  if (!/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$/.test(host)) throw badEntry(text);
  return { host: bareName(host), port };
}

const rangeOf = (address: Address): readonly [Address, number] => [
  address,
  address.kind() === 'ipv4' ? 32 : 128,
];

const badEntry = (text: string): Error =>
  new Error(`${JSON.stringify(text)} is no CIDR range, address, host or host:port`);
