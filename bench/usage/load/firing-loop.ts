/**
 * The load of `usage/firing-latency`: events that each cross a step of their tenant's trigger, and the endpoint
 * that its callbacks come to, in one process and so by one clock. The time from an event's answer to the
 * arrival of its callback is what is measured; each token has to come once, under the value of its event.
 */
import uWS from 'uWebSockets.js';
import { encodeHistogram, newHistogram } from '../../load/latency.ts';
import type { FiringSender } from './firing-sender.ts';
import { useTenant } from './use-frames.ts';

export interface FiringRun {
  readonly firings: number;
  readonly seconds: number;
  /** Histograms of µs: from sending to the answer, and from the answer to the callback. */
  readonly answer: string;
  readonly callback: string;
}

interface Firing {
  readonly data: { readonly tenant: string; readonly value: string; readonly token: string };
}

const STALL_MS = 10_000;
const MS_PER_SEC = 1000;

export class FiringLoop {
  readonly #tenants: number;
  readonly #sender: FiringSender;
  readonly #tokens = new Set<string>();
  #sentMs: number[] = [];
  #answeredMs: number[] = [];
  #arrivedMs: number[] = [];
  /** Number of the next event; the first ones of a run before are below. */
  #next = 0;
  #arrived = 0;
  #fault: string | undefined;
  #changed: (() => void) | undefined;

  constructor(tenants: number, sender: FiringSender) {
    this.#tenants = tenants;
    this.#sender = sender;
  }

  /** One after another: the next event is sent when the callback of the one before is here. */
  async oneByOne(firings: number): Promise<FiringRun> {
    return await this.#run(firings, async () => {
      for (let left = firings; left > 0; left -= 1) {
        await this.#send();
        await this.#until(() => this.#arrived === this.#next);
      }
    });
  }

  /** By the clock, whatever the daemon does. */
  async clocked(firings: number, perSec: number): Promise<FiringRun> {
    return await this.#run(firings, async () => {
      const startMs = performance.now();
      const answers: Promise<void>[] = [];
      while (answers.length < firings) {
        const due = Math.floor(((performance.now() - startMs) * perSec) / MS_PER_SEC);
        while (answers.length < Math.min(due, firings)) answers.push(this.#send());
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await Promise.all(answers);
    });
  }

  take(text: string): void {
    const nowMs = performance.now();
    const { tenant, value, token } = (JSON.parse(text) as Firing).data;
    const event = (Number(value) - 1) * this.#tenants + Number(tenant.split('-')[1]);
    if (this.#tokens.has(token)) this.#fault ??= `${token} came twice`;
    else if (event >= this.#next) this.#fault ??= `${token} is of an event that was not sent`;
    this.#tokens.add(token);
    this.#arrivedMs[event] = nowMs;
    this.#arrived += 1;
    this.#changed?.();
  }

  async #run(firings: number, send: () => Promise<void>): Promise<FiringRun> {
    const first = this.#next;
    const startMs = performance.now();
    await send();
    await this.#until(() => this.#arrived === this.#next);
    const seconds = (performance.now() - startMs) / MS_PER_SEC;
    const [answer, callback] = [newHistogram(), newHistogram()];
    const record = (to: typeof answer, ms: number): void => {
      to.recordValue(Math.max(1, Math.round(ms * 1000)));
    };
    for (let event = first; event < this.#next; event += 1) {
      const answeredMs = this.#answeredMs[event] as number;
      const arrivedMs = this.#arrivedMs[event];
      if (arrivedMs === undefined) throw new Error(`the callback of event ${event} did not come`);
      record(answer, answeredMs - (this.#sentMs[event] as number));
      record(callback, arrivedMs - answeredMs);
    }
    const encoded = { answer: encodeHistogram(answer), callback: encodeHistogram(callback) };
    return { firings, seconds, ...encoded };
  }

  async #send(): Promise<void> {
    const event = this.#next;
    this.#next += 1;
    this.#sentMs[event] = performance.now();
    const tenant = useTenant(event % this.#tenants);
    await this.#sender.send(tenant, Math.floor(event / this.#tenants) + 1);
    this.#answeredMs[event] = performance.now();
  }

  async #until(isSo: () => boolean): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const stalled = () => {
      this.#fault ??= `${this.#next - this.#arrived} callbacks did not come`;
      this.#changed?.();
    };
    while (!isSo()) {
      if (this.#fault !== undefined) throw new Error(this.#fault);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
        timer = setTimeout(stalled, STALL_MS);
      });
      clearTimeout(timer);
      this.#changed = undefined;
    }
    if (this.#fault !== undefined) throw new Error(this.#fault);
  }
}

/** The endpoint of callbacks. @returns its port */
export async function listen(take: (text: string) => void): Promise<number> {
  const app = uWS.App().post('/*', (response) => {
    const chunks: Buffer[] = [];
    response.onAborted(() => undefined);
    response.onData((chunk, isLast) => {
      chunks.push(Buffer.from(chunk.slice(0)));
      if (!isLast) return;
      take(Buffer.concat(chunks).toString());
      response.writeStatus('204 No Content').endWithoutBody();
    });
  });
  return await new Promise((resolve, reject) => {
    app.listen('127.0.0.1', 0, (socket) => {
      if (socket) resolve(uWS.us_socket_local_port(socket));
      else reject(new Error('the endpoint got no port'));
    });
  });
}
