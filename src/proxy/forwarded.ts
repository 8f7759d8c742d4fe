/**
 * Who a request comes from, as backends are told it: `Forwarded` (RFC 7239) and the `X-Forwarded-`
 * headers. Of peers that are no trusted fronts nothing of it is believed: theirs is dropped, so that a
 * client cannot say who it is. A trusted front's list is kept, and the front itself added to it.
 */
import { BlockList, isIP, isIPv6, SocketAddress } from 'node:net';
import { LIMITS } from '../limits.ts';

/** What a front said, by name in lower case; several lines of one name are joined. */
export interface SaidByFront {
  readonly forwarded: string | undefined;
  readonly for: string | undefined;
  readonly proto: string | undefined;
  readonly host: string | undefined;
}

export interface Peer {
  /** In its usual form; one of IPv4 also where the socket is of IPv6. */
  readonly address: string;
  /** The same as `Forwarded` writes it. */
  readonly node: string;
  readonly isTrusted: boolean;
}

export class Fronts {
  readonly #list = new BlockList();
  readonly #peers = new Map<string, Peer>();

  /** @throws Error when an entry is neither an address nor a range */
  constructor(trusted: readonly string[]) {
    for (const entry of trusted) this.#add(entry);
  }

  /** What is known of an address as the socket shows it. */
  peer(text: string): Peer {
    let peer = this.#peers.get(text);
    if (peer !== undefined) return peer;
    const address = usualForm(text);
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    const isTrusted = isIP(address) !== 0 && this.#list.check(address, family);
    peer = { address, node: nodeOf(address), isTrusted };
    if (this.#peers.size >= LIMITS.proxyAddresses) this.#peers.clear();
    this.#peers.set(text, peer);
    return peer;
  }

  #add(entry: string): void {
    const [address = '', bits, more] = entry.split('/');
    const version = isIP(address);
    const bitsMax = version === 4 ? 32 : 128;
    const isRange = bits !== undefined && /^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax;
    if (version === 0 || more !== undefined || (bits !== undefined && !isRange)) {
      throw new Error(`${JSON.stringify(entry)} is neither an address nor a range of addresses`);
    }
    const family = version === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) this.#list.addAddress(address, family);
    else this.#list.addSubnet(address, Number(bits), family);
  }
}

const MAPPED = /^(?:0{1,4}:){5}ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i;

function usualForm(text: string): string {
  const mapped = MAPPED.exec(text);
  if (mapped !== null) {
    const [high, low] = [mapped[1], mapped[2]].map((part) => Number.parseInt(part as string, 16));
    const parts = [high as number, low as number].flatMap((part) => [part >> 8, part & 0xff]);
    return parts.join('.');
  }
  if (!isIPv6(text)) return text;
  return new SocketAddress({ address: text, family: 'ipv6' }).address;
}

export interface Hop {
  readonly peer: Peer;
  /** As the client named it. */
  readonly host: string;
  readonly isSecure: boolean;
  /** Undefined: nothing, or nothing that is believed. */
  readonly said: SaidByFront | undefined;
}

/** The four headers, as lines with their ends. */
export function forwardedLines({ peer, host, isSecure, said }: Hop): string {
  const proto = isSecure ? 'https' : 'http';
  const own = `for=${peer.node};host=${quoted(host)};proto=${proto}`;
  if (said === undefined) return linesOf(own, peer.address, host, proto);
  const before = said.forwarded ?? listOf(said.for);
  return linesOf(
    before === undefined ? own : `${before}, ${own}`,
    said.for === undefined ? peer.address : `${said.for}, ${peer.address}`,
    said.host ?? host,
    said.proto ?? proto,
  );
}

function linesOf(forwarded: string, address: string, host: string, proto: string): string {
  return `forwarded: ${forwarded}\r\nx-forwarded-for: ${address}\r\nx-forwarded-host: ${host}\r\nx-forwarded-proto: ${proto}\r\n`;
}

/** The older list in the newer form (RFC 7239, 7.4); what is no address is `unknown`. */
function listOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  return text
    .split(',')
    .map((each) => `for=${nodeOf(each.trim())}`)
    .join(', ');
}

function nodeOf(address: string): string {
  const version = isIP(address);
  if (version === 0) return 'unknown';
  return version === 6 ? `"[${address}]"` : address;
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** A host has no quote and no backslash. */
const quoted = (host: string): string => (TOKEN.test(host) ? host : `"${host}"`);
