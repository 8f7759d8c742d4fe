/**
 * Endpoints of the bench, each an origin of its own: addresses of 127.0.0.0/8, which Linux has all
 * without being told. Some of them accept requests and never answer.
 */

const FIRST_BLOCK = 10;
const HOSTS_PER_NET = 250;
const NETS_PER_BLOCK = 250;

/** Address of endpoint 0…: 127.10.0.1, 127.10.0.2, … */
export function endpointHost(endpoint: number): string {
  const net = Math.floor(endpoint / HOSTS_PER_NET);
  const block = FIRST_BLOCK + Math.floor(net / NETS_PER_BLOCK);
  return `127.${block}.${net % NETS_PER_BLOCK}.${1 + (endpoint % HOSTS_PER_NET)}`;
}

/** Which endpoint an address is. @throws Error when it is none */
export function endpointOf(host: string): number {
  const [first, block = 0, net = 0, last = 0] = host.split('.').map(Number);
  const endpoint = ((block - FIRST_BLOCK) * NETS_PER_BLOCK + net) * HOSTS_PER_NET + last - 1;
  if (first !== 127 || !(endpoint >= 0)) throw new Error(`${host} is no endpoint`);
  return endpoint;
}

/** Every so many-th endpoint: it hangs in the rounds that have such endpoints, and is measured in none. */
export function isHanging(endpoint: number, endpoints: number, hanging: number): boolean {
  const step = Math.floor(endpoints / hanging);
  return endpoint % step === 0 && endpoint / step < hanging;
}

/** The endpoint of an item: steps through all of them in an order that has no neighbours in it. */
export function endpointOfItem(item: number, endpoints: number): number {
  return (item * STRIDE) % endpoints;
}

/** A prime, and so without a common factor with any number of endpoints that is not its multiple. */
const STRIDE = 7919;

/** Microseconds of the clock that all processes of the host share. */
export function sharedNowUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

/** What an item says: its number, and when it should have been put. */
export function itemBody(item: number, dueUs: number): string {
  return JSON.stringify({ type: 'message.status', item, dueUs: Math.round(dueUs) });
}

/** @throws Error when it is not such a body */
export function readItemBody(text: string): { readonly item: number; readonly dueUs: number } {
  const { item, dueUs } = JSON.parse(text) as { item: unknown; dueUs: unknown };
  if (typeof item !== 'number' || typeof dueUs !== 'number') throw new Error(`a body of ${text}`);
  return { item, dueUs };
}
