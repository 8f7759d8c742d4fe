// Shows a run while it goes on: a table that renews itself on a terminal, else a line now and then.
import type { Ledger } from './ledger.ts';
import { drawProgress, drawTable, type Row } from './picture.ts';
import { ownedBySet, TENANTS } from './plan.ts';
import { isQuiet } from './report.ts';
import { percentile } from './shares.ts';

const TABLE_MS = 500;
const LINE_MS = 2000;

export class Display {
  readonly #ledger: Ledger;
  readonly #out: NodeJS.WriteStream;
  readonly #timer: NodeJS.Timeout;
  #phase = 'starting';
  /** Where the present phase begins in the order of delivery. */
  #first = 0;
  #drawnLines = 0;

  constructor(ledger: Ledger, out: NodeJS.WriteStream) {
    this.#ledger = ledger;
    this.#out = out;
    this.#timer = setInterval(() => this.#draw(), out.isTTY ? TABLE_MS : LINE_MS);
  }

  phase(name: string): void {
    this.#phase = name;
    this.#first = this.#ledger.deliveries.length;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #draw(): void {
    const rows = this.#rows();
    if (!this.#out.isTTY) {
      const quiet = rows.flatMap(({ waitsMs }, index) => (isQuiet(index) ? [...waitsMs] : []));
      const totals = this.#ledger.totals();
      this.#out.write(`${drawProgress(this.#phase, totals, percentile(quiet, 0.99))}\n`);
      return;
    }
    const text = drawTable(`${this.#phase}: share of each tenant since it began`, rows);
    const up = this.#drawnLines > 0 ? `\u001b[${this.#drawnLines}A\u001b[J` : '';
    this.#out.write(`${up}${text}\n`);
    this.#drawnLines = text.split('\n').length;
  }

  #rows(): Row[] {
    const { deliveries, acceptedByTenant, deliveredByTenant } = this.#ledger;
    const waits: number[][] = TENANTS.map(() => []);
    for (let at = this.#first; at < deliveries.length; at += 1) {
      const each = deliveries[at];
      if (each !== undefined) waits[each.tenant]?.push(each.receivedAt - each.publishedAt);
    }
    const waiting = TENANTS.map((_, index) =>
      Math.max(0, (acceptedByTenant[index] ?? 0) - (deliveredByTenant[index] ?? 0)),
    );
    // What waits was there to be sent: so what it had to send is what it got and what waits.
    const demands = waits.map((own, index) => own.length + (waiting[index] ?? 0));
    const owed = ownedBySet(deliveries.length - this.#first, demands);
    return waits.map((waitsMs, index) => ({
      waiting: waiting[index] ?? 0,
      sent: acceptedByTenant[index] ?? 0,
      owed: owed[index] ?? 0,
      got: waitsMs.length,
      waitsMs,
    }));
  }
}
