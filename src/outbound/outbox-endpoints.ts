/**
 * The endpoints of the outbox by URL and by place. One with items is always here; of those without,
 * as many as `outboxEndpoints` are remembered, with their pace and with what they said for good.
 */
import { LIMITS } from '../limits.ts';
import { OutboxEndpoint } from './outbox-endpoint.ts';
import type { OutboxIndex } from './outbox-index.ts';

export interface OutboxEndpointsOptions {
  readonly index: OutboxIndex;
  readonly concurrency: number;
  /** A disabled endpoint is forgotten, so its record has to go. */
  readonly onForgetDisabled: (endpoint: OutboxEndpoint) => void;
}

export class OutboxEndpoints {
  readonly #options: OutboxEndpointsOptions;
  readonly #byUrl = new Map<string, OutboxEndpoint>();
  /** By place; a place that is free is used again. */
  readonly #places: (OutboxEndpoint | undefined)[] = [];
  readonly #freePlaces: number[] = [];
  /** Those without items, the one without them for longest first. */
  readonly #unused = new Set<OutboxEndpoint>();
  #disabled = 0;

  constructor(options: OutboxEndpointsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byUrl.size;
  }

  get disabled(): number {
    return this.#disabled;
  }

  /** The endpoint of a URL, made when it is new. */
  of(url: string): OutboxEndpoint {
    const known = this.find(url);
    if (known !== undefined) return known;
    const place = this.#freePlaces.pop() ?? this.#places.length;
    const { index, concurrency } = this.#options;
    const endpoint = new OutboxEndpoint({ url: endpointUrl(url), place, index, concurrency });
    this.#places[place] = endpoint;
    this.#byUrl.set(endpoint.url, endpoint);
    this.#isUnused(endpoint);
    return endpoint;
  }

  /** The endpoint of a URL; undefined: it is not known. */
  find(url: string): OutboxEndpoint | undefined {
    return this.#byUrl.get(endpointUrl(url));
  }

  at(place: number): OutboxEndpoint {
    return this.#places[place] as OutboxEndpoint;
  }

  /** Endpoints from a place on, in order of their places. */
  *from(place: number): Generator<OutboxEndpoint, void> {
    for (let at = place; at < this.#places.length; at += 1) {
      const endpoint = this.#places[at];
      if (endpoint !== undefined) yield endpoint;
    }
  }

  /** The endpoint of a new item. */
  hasOneMore(url: string): OutboxEndpoint {
    const endpoint = this.of(url);
    endpoint.waiting += 1;
    this.#unused.delete(endpoint);
    return endpoint;
  }

  /** An item of the endpoint is gone. */
  lostOne(endpoint: OutboxEndpoint): void {
    if (endpoint.waiting === 0 && endpoint.failed === 0) this.#isUnused(endpoint);
  }

  disable(endpoint: OutboxEndpoint, atMs: number): void {
    if (endpoint.disabledMs === 0) this.#disabled += 1;
    endpoint.disabledMs = atMs;
  }

  enable(endpoint: OutboxEndpoint): void {
    if (endpoint.disabledMs !== 0) this.#disabled -= 1;
    endpoint.enable();
  }

  #isUnused(endpoint: OutboxEndpoint): void {
    this.#unused.add(endpoint);
    if (this.#unused.size <= LIMITS.outboxEndpoints) return;
    const [oldest] = this.#unused as Iterable<OutboxEndpoint>;
    if (oldest === undefined || oldest === endpoint) return;
    this.#unused.delete(oldest);
    this.#byUrl.delete(oldest.url);
    this.#places[oldest.place] = undefined;
    this.#freePlaces.push(oldest.place);
    if (oldest.disabledMs === 0) return;
    this.#disabled -= 1;
    this.#options.onForgetDisabled(oldest);
  }
}

/** All before the query. */
export function endpointUrl(url: string): string {
  const query = url.indexOf('?');
  const bare = query === -1 ? url : url.slice(0, query);
  const fragment = bare.indexOf('#');
  return fragment === -1 ? bare : bare.slice(0, fragment);
}
