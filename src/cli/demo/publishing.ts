import type { Client, FairleadClientError } from '../../client/index.ts';
import { type FromChild, hostMs, PAYLOAD_BYTES } from './messages.ts';

/** So often what is due is published, in ms; the timers of the runtime know no finer step. */
const TICK_MS = 1;
const REPORT_MS = 50;
/** Publishes under way at most; past it what is due waits, and catches up later. */
const UNANSWERED_MAX = 50_000;

/** Publishes messages of several tenants at steady rates and reports the ids that came back. */
export class Publishing {
  readonly #client: Client;
  readonly #destination: string;
  readonly #tenants: readonly string[];
  readonly #say: (message: FromChild) => void;
  readonly #report: NodeJS.Timeout;
  #tick: NodeJS.Timeout | undefined;
  #perSec: readonly number[] = [];
  #startMs = 0;
  #published: number[] = [];
  #unanswered = 0;
  #ids: string[] = [];
  #ofTenant: number[] = [];
  #acceptedAt: number[] = [];
  readonly #refused = new Map<string, number>();

  constructor(
    client: Client,
    start: { readonly destination: string; readonly tenants: readonly string[] },
    say: (message: FromChild) => void,
  ) {
    this.#client = client;
    this.#destination = start.destination;
    this.#tenants = start.tenants;
    this.#say = say;
    this.#report = setInterval(() => this.#tell(), REPORT_MS);
  }

  ready(): Promise<void> {
    return this.#client.whenConnected();
  }

  publish(perSec: readonly number[]): void {
    this.#perSec = perSec;
    // Steady tenants begin at different moments of their interval, not all at once.
    this.#published = perSec.map((_, index) => -((index * 0.618) % 1));
    this.#startMs = hostMs();
    this.#tick ??= setInterval(() => this.#publishDue(), TICK_MS);
  }

  async finish(): Promise<void> {
    clearInterval(this.#tick);
    while (this.#unanswered > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    clearInterval(this.#report);
    this.#tell();
  }

  #publishDue(): void {
    const nowMs = hostMs();
    const seconds = (nowMs - this.#startMs) / 1000;
    this.#perSec.forEach((rate, tenant) => {
      const due = Math.floor(rate * seconds - (this.#published[tenant] ?? 0));
      const room = UNANSWERED_MAX - this.#unanswered;
      const count = Math.min(due, room);
      if (count <= 0) return;
      this.#published[tenant] = (this.#published[tenant] ?? 0) + count;
      for (let i = 0; i < count; i += 1) this.#publishOne(tenant, nowMs);
    });
  }

  #publishOne(tenant: number, nowMs: number): void {
    const payload = Buffer.allocUnsafe(PAYLOAD_BYTES).fill(0x2e);
    payload.writeDoubleLE(nowMs, 0);
    this.#unanswered += 1;
    const name = this.#tenants[tenant] ?? '';
    this.#client.publish(this.#destination, { tenant: name, sender: name, payload }).then(
      ({ id }) => {
        this.#unanswered -= 1;
        this.#ids.push(id);
        this.#ofTenant.push(tenant);
        this.#acceptedAt.push(hostMs());
      },
      ({ error }: FairleadClientError) => {
        this.#unanswered -= 1;
        this.#refused.set(error, (this.#refused.get(error) ?? 0) + 1);
      },
    );
  }

  #tell(): void {
    for (const [error, count] of this.#refused) this.#say({ is: 'refused', error, count });
    this.#refused.clear();
    if (this.#ids.length === 0) return;
    const ids = Buffer.from(this.#ids.join(''), 'hex');
    const tenants = Uint8Array.from(this.#ofTenant);
    const acceptedAt = Float64Array.from(this.#acceptedAt);
    this.#say({ is: 'accepted', block: { tenants, ids, acceptedAt } });
    this.#ids = [];
    this.#ofTenant = [];
    this.#acceptedAt = [];
  }
}
