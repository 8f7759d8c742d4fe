/**
 * Where callbacks of triggers come to: a real server that takes most of them, refuses some, drops some and lets
 * some hang, and remembers what each token came with.
 */
import type { ServerResponse } from 'node:http';
import { below, type Random } from '../crash/traffic.ts';
import { type HttpPeer, httpPeer, type Received } from '../support/http-peer.ts';
import { amountOf, type Triggers } from './triggers.ts';
import { CATEGORIES } from './world.ts';

/** Endpoints, so that one that rests does not hold up all. */
const ENDPOINTS = 12;
const REFUSED_SHARE = 0.05;
const DROPPED_SHARE = 0.01;
const HUNG_SHARE = 0.01;

/** What one callback of a firing said, the first time. */
export interface Told {
  readonly content: string;
  readonly value: number;
  readonly currentValue: number;
  times: number;
  /** It was once answered by 2xx. */
  isTaken: boolean;
}

interface Fields {
  readonly token: string;
  readonly trigger: string;
  readonly period: string;
  readonly value: string;
  readonly currentValue: string;
}

export class Callbacks {
  /** By token, then by the place of the callback. */
  readonly told = new Map<string, Map<number, Told>>();
  readonly faults: string[] = [];
  readonly counts = { came: 0, again: 0, differing: 0, below: 0, ahead: 0, refused: 0, hung: 0 };
  /** Called at each arrival, before it is answered. */
  onArrival: () => void = () => {};
  readonly #random: Random;
  readonly #triggers: Triggers;
  readonly #peer: HttpPeer;

  private constructor(random: Random, triggers: Triggers, peer: HttpPeer) {
    this.#random = random;
    this.#triggers = triggers;
    this.#peer = peer;
  }

  static async start(random: Random, triggers: Triggers): Promise<Callbacks> {
    const late: { callbacks?: Callbacks } = {};
    const peer = await httpPeer((response, request) => {
      // It would grow with the run.
      peer.received.length = 0;
      late.callbacks?.take(response, request);
    });
    late.callbacks = new Callbacks(random, triggers, peer);
    return late.callbacks;
  }

  /** The URL of a callback by its place. */
  url(trigger: number, place: number): string {
    return `${this.#peer.url}/${(trigger + place) % ENDPOINTS}?place=${place}`;
  }

  async close(): Promise<void> {
    await this.#peer.close();
  }

  take(response: ServerResponse, request: Received): void {
    const { searchParams } = new URL(request.url, this.#peer.url);
    const place = Number(searchParams.get('place'));
    const fields = fieldsOf(request, searchParams);
    const told = this.#tell(fields, place, request.body === '' ? request.url : request.body);
    this.onArrival();
    const dice = this.#random();
    if (dice < HUNG_SHARE) {
      this.counts.hung += 1;
      return;
    }
    if (dice < HUNG_SHARE + DROPPED_SHARE) {
      response.destroy();
      return;
    }
    const isRefused = dice < HUNG_SHARE + DROPPED_SHARE + REFUSED_SHARE;
    this.counts.refused += Number(isRefused);
    told.isTaken ||= !isRefused;
    response.statusCode = isRefused ? ([500, 503][below(this.#random, 2)] ?? 503) : 204;
    response.end();
  }

  #tell(fields: Fields, place: number, content: string): Told {
    this.counts.came += 1;
    const places = this.told.get(fields.token) ?? new Map<number, Told>();
    this.told.set(fields.token, places);
    const known = places.get(place);
    if (known === undefined) return this.#first(fields, places, { place, content });
    known.times += 1;
    this.counts.again += 1;
    if (known.content !== content) {
      this.counts.differing += 1;
      this.faults.push(`${fields.token} came as ${known.content} and as ${content}`);
    }
    return known;
  }

  /** Its value is reached, and not beyond what was asked so far. */
  #first(
    { token, trigger: sid, period, ...texts }: Fields,
    places: Map<number, Told>,
    { place, content }: { readonly place: number; readonly content: string },
  ): Told {
    const trigger = this.#triggers.bySid.get(sid);
    if (trigger === undefined) throw new Error(`a callback of ${sid}, which nobody made`);
    const value = amountOf(trigger, texts.value);
    const currentValue = amountOf(trigger, texts.currentValue);
    const told = { content, value, currentValue, times: 1, isTaken: false };
    places.set(place, told);
    if (currentValue < value) {
      this.counts.below += 1;
      this.faults.push(`${token} came at ${currentValue}, below ${value}`);
    }
    const asked = (trigger.asked.get(period)?.[trigger.by] ?? 0) - trigger.base;
    const isAsked = (CATEGORIES as readonly string[]).includes(trigger.category);
    if (isAsked && currentValue > asked) {
      this.counts.ahead += 1;
      this.faults.push(`${token} came at ${currentValue}, and only ${asked} was asked`);
    }
    return told;
  }
}

function fieldsOf({ method, body, headers }: Received, query: URLSearchParams): Fields {
  const isJson = headers['content-type']?.startsWith('application/json') === true;
  if (method === 'POST' && isJson) return (JSON.parse(body) as { data: Fields }).data;
  const fields = method === 'POST' ? new URLSearchParams(body) : query;
  const of = (name: string): string => fields.get(name) ?? '';
  const token = of('token') || of('IdempotencyToken');
  // The form has no field for it.
  const period = /-FIRES-UT[0-9a-f]{32}-(.*)-\d+-\d+$/.exec(token)?.[1] ?? '';
  return {
    ...{ token, period },
    trigger: of('trigger') || of('UsageTriggerSid'),
    value: of('value') || of('TriggerValue'),
    currentValue: of('currentValue') || of('CurrentValue'),
  };
}
