/**
 * The permits of a client: renews them, takes them along to the next connection, and tells their
 * holders when to stop.
 *
 * One timer for all: at each look what is due within a twelfth of its lease is renewed in one frame.
 * A holder is told to stop when its lease ends soon and was not renewed, when the daemon says that
 * the permit is gone, and when the client closes; from then on the lease is the last one, so that the
 * permit counts while the holder ends. On a new connection all permits are claimed before anything
 * else is sent: the daemon would end those of the dropped connection.
 */
import { encodeRenew, readRenewOk } from '../protocol/frames.ts';
import { RENEW_FLAG } from '../protocol/gate-frames.ts';
import { FairleadClientError } from './error.ts';
import { type GateLink, nowMs } from './gate-link.ts';
import type { Lease } from './lease.ts';
import { OncePerTurn } from './next-turn.ts';
import { Releases } from './releases.ts';

const PER_FRAME = 1000;
/** Longest sleep of a timer that hosts allow. */
const SLEEP_MS_MAX = 2 ** 31 - 1;

export class PermitKeeper {
  readonly releases: Releases;
  readonly #error: (error: FairleadClientError) => void;
  readonly #leases = new Set<Lease>();
  /** Holders that were told to stop in this turn. */
  #ending: Lease[] = [];
  readonly #tellEnding = new OncePerTurn(() => {
    const ending = this.#ending.filter(({ state, isAsked }) => state === 'ending' && !isAsked);
    this.#ending = [];
    this.#renew(ending, RENEW_FLAG.finishing);
  });
  /** Not kept yet: whether they count has to be asked. */
  #unsure: Lease[] = [];
  readonly #askUnsure = new OncePerTurn(() => {
    const unsure = this.#unsure;
    this.#unsure = [];
    if (this.#link !== undefined) this.#renew(unsure, 0);
    else this.#notRenewed(unsure, new FairleadClientError('connectionLost'));
  });
  #link: GateLink | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #watchers: (() => void)[] = [];

  constructor(error: (error: FairleadClientError) => void) {
    this.#error = error;
    this.releases = new Releases(error);
  }

  /** Permits whose holders have not ended. */
  get held(): number {
    return this.#leases.size;
  }

  add(lease: Lease): void {
    this.#leases.add(lease);
    this.#wakeFor(lease);
  }

  /** Asks whether a permit that was told late still counts; it is kept if so. @throws the reason why not */
  confirm(lease: Lease): Promise<void> {
    return new Promise((resolve, reject) => {
      lease.changed = () => {
        lease.changed = undefined;
        if (lease.state === 'held') resolve();
        else reject(lease.signal.reason);
      };
      this.#unsure.push(lease);
      this.#askUnsure.ask();
    });
  }

  /** The holder has ended: once; resolves when the permit counts no more, or no answer can come. */
  release(lease: Lease, failed = false): Promise<void> {
    if (lease.state === 'gone' || lease.state === 'released') return Promise.resolve();
    this.#remove(lease, 'released');
    return this.releases.permit(lease.id, lease.endMs, failed);
  }

  /** Tells the holder to stop. The permit counts until it has, but no longer than one lease. */
  end(lease: Lease, reason: unknown): void {
    if (lease.state !== 'held') return;
    lease.state = 'ending';
    this.#ending.push(lease);
    this.#tellEnding.ask();
    this.#wakeFor(lease);
    lease.abort(reason);
    lease.changed?.();
  }

  endAll(reason: unknown): void {
    for (const lease of this.#leases) this.end(lease, reason);
  }

  /** Resolves when no permit is held. */
  async idle(): Promise<void> {
    while (this.#leases.size > 0) {
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  /** Takes the permits along to a new connection. */
  attach(link: GateLink): void {
    this.#link = link;
    const leases = [...this.#leases];
    for (const lease of leases) lease.isAsked = false;
    const { claim, finishing } = RENEW_FLAG;
    this.#renew(
      leases.filter(({ state }) => state === 'held'),
      claim,
    );
    this.#renew(
      leases.filter(({ state }) => state === 'ending'),
      claim | finishing,
    );
    this.releases.attach(link);
  }

  detach(): void {
    this.#link = undefined;
    this.releases.detach();
  }

  /** The client is closed: nothing is renewed any more. */
  fail(reason: unknown): void {
    this.detach();
    for (const lease of this.#leases) this.#lose(lease, 'over', reason);
    clearTimeout(this.#timer);
  }

  /** Frames of permits with one lease and one wish. */
  #renew(leases: readonly Lease[], flags: number): void {
    const link = this.#link;
    if (link === undefined || leases.length === 0) return;
    const groups = new Map<number, Lease[]>();
    for (const lease of leases) {
      lease.isAsked = true;
      const group = groups.get(lease.wishMs);
      if (group === undefined) groups.set(lease.wishMs, [lease]);
      else group.push(lease);
    }
    for (const [leaseMs, group] of groups) {
      for (let start = 0; start < group.length; start += PER_FRAME) {
        const some = group.slice(start, start + PER_FRAME);
        const permits = some.map(({ id }) => id);
        link.request((id) => encodeRenew({ id, permits, leaseMs, flags }), {
          ok: (answer, sentMs) => this.#renewed(some, readRenewOk(answer), { sentMs, flags }),
          failed: (error) => this.#notRenewed(some, error),
        });
      }
    }
  }

  #renewed(
    leases: readonly Lease[],
    leasesMs: readonly number[],
    { sentMs, flags }: { readonly sentMs: number; readonly flags: number },
  ): void {
    leases.forEach((lease, at) => {
      lease.isAsked = false;
      if (lease.state !== 'held' && lease.state !== 'ending') return;
      const leaseMs = leasesMs[at] ?? 0;
      if (leaseMs === 0) {
        this.#lose(lease, 'gone', new FairleadClientError('permitGone', GONE));
        return;
      }
      lease.renewed(leaseMs, sentMs);
      // One that was unsure is kept from now on.
      this.#leases.add(lease);
      // It was told to stop while it was renewed.
      if (lease.state === 'ending' && (flags & RENEW_FLAG.finishing) === 0) this.#later(lease);
      this.#wakeFor(lease);
      lease.changed?.();
    });
  }

  #notRenewed(leases: readonly Lease[], error: FairleadClientError): void {
    for (const lease of leases) {
      lease.isAsked = false;
      if (this.#leases.has(lease) || lease.state !== 'held') continue;
      // It was unsure, and nobody has it yet: if it counts, it need not.
      this.#lose(lease, 'over', error);
      void this.releases.permit(lease.id, nowMs() + lease.wishMs);
    }
    // On the next connection they are claimed.
    if (error.error === 'connectionLost') return;
    if (!error.retryable) this.#error(error);
    const atMs = nowMs();
    for (const lease of leases) {
      if (!this.#leases.has(lease)) continue;
      lease.renewLater(atMs + Math.max(error.retryAfterMs ?? 0, 2 * lease.gatherMs));
      this.#wakeFor(lease);
    }
  }

  #later(lease: Lease): void {
    this.#ending.push(lease);
    this.#tellEnding.ask();
  }

  /** Renews what is due, and ends what was not renewed in time. */
  #look(): void {
    const atMs = nowMs();
    const due: Lease[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const lease of this.#leases) {
      if (lease.state === 'held' && atMs >= lease.abortAtMs) {
        this.end(lease, new FairleadClientError('leaseOver'));
      }
      if (lease.state === 'ending') {
        if (atMs >= lease.endMs) this.#remove(lease, 'over');
        else nextMs = Math.min(nextMs, lease.endMs);
        continue;
      }
      nextMs = Math.min(nextMs, lease.abortAtMs);
      if (lease.isAsked || this.#link === undefined) continue;
      if (lease.renewAtMs <= atMs + lease.gatherMs) due.push(lease);
      else nextMs = Math.min(nextMs, lease.renewAtMs);
    }
    this.#wakeAt(nextMs);
    this.#renew(due, 0);
  }

  /** Whoever holds it holds nothing. */
  #lose(lease: Lease, state: 'over' | 'gone', reason: unknown): void {
    this.#remove(lease, state);
    lease.abort(reason);
    lease.changed?.();
  }

  #remove(lease: Lease, state: 'over' | 'gone' | 'released'): void {
    lease.ended(state);
    this.#leases.delete(lease);
    if (this.#leases.size > 0) return;
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  #wakeFor(lease: Lease): void {
    this.#wakeAt(lease.state === 'held' ? Math.min(lease.renewAtMs, lease.abortAtMs) : lease.endMs);
  }

  #wakeAt(timeMs: number): void {
    if (timeMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = timeMs;
    const afterMs = Math.min(Math.max(0, timeMs - nowMs()), SLEEP_MS_MAX);
    this.#timer = setTimeout(() => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#look();
    }, afterMs);
  }
}

const GONE = 'The daemon counts the permit no more.';
