/**
 * One client of the mass run: a connection with lists of acquires under way, what they got, and everything
 * that can go wrong at a client. Its thread calls `tick` every millisecond or so.
 */
import { WebSocketClient } from '../../../bench/load/web-socket-client.ts';
import { decodeDaemonFrame } from '../../../src/protocol/daemon-frames.ts';
import { KIND } from '../../../src/protocol/kinds.ts';
import { below } from '../../crash/traffic.ts';
import type { ClientParts, List, Waiter } from './client-parts.ts';
import { HeldPermits } from './held-permits.ts';
import { entryOf, FrameReader, FrameWriter, ID, ID_MASK } from './mass-frames.ts';
import {
  capName,
  GRACE_MS,
  LEASE_MS,
  LIST_MAX,
  MARGIN_MS,
  randomKey,
  SEATS_MAX,
  SHORT_LEASE_MS,
} from './mass-plan.ts';
import { nowMs, type OnOver } from './shared-counts.ts';

const WAITERS_MAX = 200;
const ABORT_MS_MAX = 30;
const RECONNECT_MS_MAX = 150;
const WAIT_CHOICES = 3;
/** Of `holdMsMax`; the others leave in the tick after they came. */
const HELD_SHARE = 0.7;
const GO_ON_MS = 1500;

export class MassClient {
  readonly #of: ClientParts;
  readonly #lists: List[];
  readonly #held: HeldPermits[] = [];
  readonly #free: HeldPermits[] = [];
  readonly #waiters = new Map<number, Waiter>();
  readonly #writer = new FrameWriter();
  readonly #reader = new FrameReader();
  readonly #onOver: OnOver;
  #socket: WebSocketClient | undefined;
  #connectMs = 0;
  #isConnecting = false;
  #granted = 0;
  /** Waiters of the read under way that were let in. */
  #admitted: HeldPermits | undefined;

  constructor(of: ClientParts) {
    this.#of = of;
    this.#lists = Array.from({ length: of.plan.lists }, () => ({
      keys: new Uint16Array(LIST_MAX),
      seats: new Uint8Array(LIST_MAX),
      ...{ count: 0, askedMs: 0, leaseMs: 0, stage: 'idle', isAborted: false },
    }));
    this.#onOver = (cap, seats, bound) =>
      of.fault(`${capName(cap)}: ${seats} seats of at most ${bound}`);
  }

  get isDone(): boolean {
    const { plan } = this.#of;
    return (
      this.#granted >= plan.pairs &&
      this.#waiters.size === 0 &&
      this.#held.length === this.#free.length &&
      this.#lists.every(({ stage }) => stage === 'idle') &&
      !this.#isConnecting
    );
  }

  async connect(): Promise<void> {
    this.#isConnecting = true;
    const socket: WebSocketClient = await WebSocketClient.open(this.#of.target, {
      frame: (bytes, _, start, end) => this.#take(bytes, start, end),
      readEnd: () => this.#readEnd(),
      failed: (error) => this.#of.fault(error.message),
    });
    this.#isConnecting = false;
    this.#socket = socket;
    this.#claim();
  }

  /** Cuts the connection; `claims`: comes back for what it holds. */
  cut(claims: boolean): void {
    const { totals, random } = this.#of;
    if (this.#socket === undefined) return;
    const cutMs = nowMs();
    this.#socket.close();
    this.#socket = undefined;
    this.#writer.clear();
    totals.drops += 1;
    totals.lostAsks += this.#waiters.size;
    this.#waiters.clear();
    for (const list of this.#lists) {
      if (list.stage === 'asked') totals.lostAsks += list.count;
      list.stage = 'idle';
    }
    const endMs = cutMs + GRACE_MS;
    const leavesAtOnce = random() < 0.3;
    for (const held of this.#held) {
      held.list = -1;
      if (held.stage === 'givenBack') this.#end(held, 'unanswered');
      if (held.stage === 'claimed' && !held.isCounted) this.#end(held, 'leftToEnd');
      if (held.stage === 'free') continue;
      held.endMs = Math.min(held.endMs, endMs);
      held.stage = 'held';
      held.leaveMs = !claims && leavesAtOnce ? cutMs : this.#lastMs(held.endMs);
      held.claimSentMs = claims && !held.isForgotten ? Number.POSITIVE_INFINITY : 0;
      held.isForgotten = true;
    }
    this.#connectMs = cutMs + random() * RECONNECT_MS_MAX;
  }

  close(): void {
    this.#socket?.close();
  }

  tick(atMs: number): void {
    for (const held of this.#held) {
      const isDue = held.isCounted && held.leaveMs <= atMs;
      if (isDue) this.#leave(held, atMs);
    }
    if (this.#socket === undefined) {
      if (!this.#isConnecting && atMs >= this.#connectMs) {
        this.connect().catch((error: Error) => this.#of.fault(error.message));
      }
      return;
    }
    for (const [ticket, waiter] of this.#waiters) {
      if (waiter.giveUpMs > atMs) continue;
      waiter.giveUpMs = Number.POSITIVE_INFINITY;
      this.#of.totals.aborted += 1;
      this.#writer.giveUp(ID.giveUp + ticket, ticket);
    }
    if (this.#granted < this.#of.plan.pairs) {
      this.#lists.forEach((list, index) => {
        if (list.stage === 'idle') this.#ask(list, index);
      });
    }
    this.#flush();
  }

  #flush(): void {
    if (!this.#writer.isEmpty) this.#socket?.write(this.#writer.take());
  }

  #ask(list: List, index: number): void {
    const { plan, random, totals } = this.#of;
    const isShort = random() < plan.forgetShare;
    const mayWait = this.#waiters.size < WAITERS_MAX;
    const entries: Uint8Array[] = [];
    list.count = 1 + below(random, LIST_MAX);
    for (let at = 0; at < list.count; at += 1) {
      const key = randomKey(random);
      const seats = random() < 0.9 ? 1 : 1 + below(random, SEATS_MAX);
      const waits = mayWait && random() < plan.waitShare;
      list.keys[at] = key;
      list.seats[at] = seats;
      entries.push(entryOf(key, seats, isShort, waits ? 1 + below(random, WAIT_CHOICES) : 0));
    }
    list.leaseMs = isShort ? SHORT_LEASE_MS : LEASE_MS;
    list.isAborted = random() < plan.abortShare;
    list.stage = 'asked';
    totals.acquires += 1;
    list.askedMs = nowMs();
    this.#writer.acquire(ID.acquire + index, entries);
  }

  #take(bytes: Buffer, start: number, end: number): void {
    const reader = this.#reader;
    const kind = reader.begin(bytes, start);
    if (kind === KIND.event) {
      this.#takeNews();
    } else if (kind === KIND.ok) {
      const id = reader.uint();
      const index = id & ~ID_MASK;
      if ((id & ID_MASK) === ID.acquire) this.#takePermits(this.#lists[index] as List, index);
      else if ((id & ID_MASK) === ID.claim) this.#takeClaim(this.#held[index] as HeldPermits);
      else if ((id & ID_MASK) === ID.release) this.#takeRelease(this.#held[index] as HeldPermits);
      // Who is gone was let in or refused before, and hears or heard of it.
      else if (reader.uint() === 1) this.#waiters.delete(index);
    } else if (kind !== KIND.hello) {
      const frame = decodeDaemonFrame(Buffer.from(bytes.subarray(start, end)));
      this.#of.fault(`the daemon answered ${JSON.stringify(frame)}`);
    }
  }

  #takePermits(list: List, index: number): void {
    const { plan, totals, random, counts } = this.#of;
    const reader = this.#reader;
    const entries = reader.array();
    if (entries !== list.count) this.#of.fault(`${entries} answers for ${list.count} entries`);
    const held = this.#hold();
    for (let at = 0; at < entries; at += 1) {
      const fields = reader.array();
      if (!reader.nil()) {
        reader.permit(held.permits, held.count);
        held.add(list.keys[at] as number, list.seats[at] as number, list.askedMs);
      } else if (reader.uint() === 0) {
        this.#wait(reader.uint(), list, at);
        totals.queued += 1;
      } else {
        totals.impeded += 1;
        reader.optional();
      }
      const rest = fields === 4 ? 3 : fields - 3;
      for (let field = 0; field < rest; field += 1) reader.optional();
    }
    list.stage = 'holding';
    held.list = index;
    held.isForgotten = list.leaseMs === SHORT_LEASE_MS;
    held.endMs = list.askedMs + list.leaseMs;
    this.#granted += held.count;
    totals.granted += held.count;
    const atMs = nowMs();
    if (held.count === 0) {
      this.#end(held);
    } else if (list.isAborted || atMs > held.endMs - MARGIN_MS) {
      totals.aborted += held.count;
      this.#giveBack(held);
    } else {
      held.come(counts, this.#onOver);
      held.leaveMs = random() < HELD_SHARE ? atMs + random() * plan.holdMsMax : atMs;
      if (held.isForgotten) held.leaveMs = this.#lastMs(held.endMs);
    }
  }

  #wait(ticket: number, list: List, at: number): void {
    const { plan, random } = this.#of;
    const aborts = list.isAborted || random() < plan.abortShare;
    this.#waiters.set(ticket, {
      key: list.keys[at] as number,
      seats: list.seats[at] as number,
      ...{ askedMs: list.askedMs, leaseMs: list.leaseMs },
      giveUpMs: aborts ? nowMs() + random() * ABORT_MS_MAX : Number.POSITIVE_INFINITY,
    });
  }

  #takeNews(): void {
    const { totals } = this.#of;
    const reader = this.#reader;
    reader.uint();
    reader.text();
    for (let left = reader.array(); left > 0; left -= 1) {
      reader.array();
      const ticket = reader.uint();
      const waiter = this.#waiters.get(ticket);
      this.#waiters.delete(ticket);
      if (reader.nil()) {
        totals.impeded += 1;
        reader.uint();
        reader.optional();
        continue;
      }
      if (waiter === undefined) throw new Error(`news of ticket ${ticket}, which nobody has`);
      const held = this.#admitted ?? this.#hold();
      this.#admitted = held;
      reader.permit(held.permits, held.count);
      reader.uint();
      held.add(waiter.key, waiter.seats, waiter.askedMs);
      const endMs = waiter.askedMs + waiter.leaseMs;
      held.endMs = held.count === 1 ? endMs : Math.min(held.endMs, endMs);
      totals.granted += 1;
      totals.admitted += 1;
      this.#granted += 1;
      if (held.isFull) this.#comeAdmitted();
    }
  }

  #comeAdmitted(): void {
    const { counts, random, plan } = this.#of;
    const held = this.#admitted;
    if (held === undefined) return;
    this.#admitted = undefined;
    const atMs = nowMs();
    if (atMs > held.endMs - MARGIN_MS) {
      this.#giveBack(held);
    } else {
      held.come(counts, this.#onOver);
      held.leaveMs = atMs + random() * plan.holdMsMax;
    }
  }

  #readEnd(): void {
    this.#comeAdmitted();
    this.#flush();
  }

  #takeRelease(held: HeldPermits): void {
    const released = this.#reader.uint();
    const gone = this.#reader.uint();
    const { totals, fault, counts } = this.#of;
    // A permit that is back before its lease ended was there: each ends once, and not before.
    if (gone > 0 && nowMs() < held.endMs) {
      totals.lost += gone;
      fault(`${gone} of ${held.count} permits had ended before their lease`);
    }
    totals.leftToEnd += gone;
    held.count = released;
    held.go(counts);
    this.#end(held, 'released');
  }

  /** What is held when a connection is back. */
  #claim(): void {
    const atMs = nowMs();
    for (const held of this.#held) {
      if (held.stage !== 'held' || held.claimSentMs !== Number.POSITIVE_INFINITY) continue;
      held.claimSentMs = atMs;
      if (!held.isCounted) continue;
      held.stage = 'claimed';
      this.#writer.claim(ID.claim + held.index, held.permits, held.count);
    }
    this.#flush();
  }

  #takeClaim(held: HeldPermits): void {
    const { totals, fault, random, plan } = this.#of;
    let kept = 0;
    for (let left = this.#reader.array(); left > 0; left -= 1) {
      if (this.#reader.uint() > 0) kept += 1;
    }
    const atMs = nowMs();
    const gone = held.count - kept;
    if (gone > 0 && atMs < held.endMs) {
      totals.lost += gone;
      fault(`${gone} of ${held.count} permits could not be claimed in time`);
    }
    if (gone > 0 || !held.isCounted) {
      // Its holder has stopped meanwhile, or has to.
      this.#stop(held);
      this.#end(held, 'leftToEnd');
      return;
    }
    totals.claimed += kept;
    held.stage = 'held';
    held.isForgotten = false;
    held.endMs = held.claimSentMs + LEASE_MS;
    held.leaveMs = atMs + random() * plan.holdMsMax;
  }

  #leave(held: HeldPermits, atMs: number): void {
    const { plan, totals } = this.#of;
    if (atMs > held.endMs && !plan.goOn) totals.late += held.count;
    if (held.stage === 'claimed') {
      this.#stop(held);
    } else if (held.isForgotten) {
      this.#stop(held);
      this.#end(held, 'leftToEnd');
    } else {
      this.#giveBack(held);
    }
  }

  #stop(held: HeldPermits): void {
    held.go(this.#of.counts);
  }

  #giveBack(held: HeldPermits): void {
    if (!this.#of.plan.releaseFirst) this.#stop(held);
    held.stage = 'givenBack';
    held.leaveMs = Number.POSITIVE_INFINITY;
    this.#writer.release(ID.release + held.index, held.permits, held.count);
  }

  /** When one stops whose lease ends. */
  #lastMs(endMs: number): number {
    return this.#of.plan.goOn ? endMs + GO_ON_MS : endMs - MARGIN_MS;
  }

  #hold(): HeldPermits {
    let held = this.#free.pop();
    if (held === undefined) {
      held = new HeldPermits(this.#held.length);
      this.#held.push(held);
    }
    held.stage = 'held';
    return held;
  }

  #end(held: HeldPermits, as?: 'released' | 'leftToEnd' | 'unanswered'): void {
    if (as !== undefined) this.#of.totals[as] += held.count;
    this.#stop(held);
    const list = this.#lists[held.list];
    if (list !== undefined) list.stage = 'idle';
    held.list = -1;
    held.count = 0;
    held.stage = 'free';
    held.isForgotten = false;
    held.claimSentMs = 0;
    this.#free.push(held);
  }
}
