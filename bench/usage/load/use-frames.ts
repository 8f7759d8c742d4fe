/**
 * Use frames of one row, encoded once: every slot has a frame of its own, whose keys alone are written again
 * for each sending. Events take tenants in turn, then categories; so every frame counts the same sums.
 */
import { pack } from '../../../src/protocol/msgpack.ts';
import { encodeUse, type UseEntry } from '../../../src/protocol/usage-frames.ts';
import { binaryFrame } from '../../load/web-socket-frame.ts';

export interface UseShape {
  readonly tenants: number;
  readonly categories: number;
  readonly eventsPerFrame: number;
  /** Whether each event has a key of its own. */
  readonly keyed: boolean;
  /** Frames under way, spread over the connections. */
  readonly slots: number;
  readonly connections: number;
}

/** What one frame counts for a tenant and category. */
export interface FrameSum {
  readonly tenant: string;
  readonly category: string;
  readonly count: number;
  readonly usage: number;
}

/** Bytes of a key: an `e` and the event's number in 15 digits. */
const KEY_DIGITS = 15;
const ZERO = 0x30;

export function useTenant(index: number): string {
  return `tenant-${String(index).padStart(4, '0')}`;
}

export function useCategory(index: number): string {
  return `category-${String(index).padStart(4, '0')}`;
}

export function keyText(event: number): string {
  return `e${String(event).padStart(KEY_DIGITS, '0')}`;
}

/** The event at a place of every frame. */
export function eventAt({ tenants, categories }: UseShape, place: number): UseEntry {
  return {
    tenant: useTenant(place % tenants),
    category: useCategory(Math.floor(place / tenants) % categories),
    quantity: 1 + (place % 9),
  };
}

export function frameSums(shape: UseShape): FrameSum[] {
  const sums = new Map<string, FrameSum>();
  for (let place = 0; place < shape.eventsPerFrame; place += 1) {
    const { tenant = '', category, quantity } = eventAt(shape, place);
    const name = `${tenant}/${category}`;
    const { count, usage } = sums.get(name) ?? { count: 0, usage: 0 };
    sums.set(name, { tenant, category, count: count + 1, usage: usage + quantity });
  }
  return [...sums.values()];
}

export class UseFrames {
  readonly #shape: UseShape;
  readonly #frames: readonly Buffer[];
  /** Where the digits of each key begin in a frame. */
  readonly #keysAt: readonly number[];

  constructor(shape: UseShape) {
    this.#shape = shape;
    const events = Array.from({ length: shape.eventsPerFrame }, (_, place) => ({
      ...eventAt(shape, place),
      ...(shape.keyed && { key: keyText(place) }),
    }));
    this.#frames = Array.from({ length: shape.slots }, (_, slot) =>
      binaryFrame(encodeUse({ id: slot + 1, events })),
    );
    this.#keysAt = shape.keyed ? placesOfKeys(this.#frames, shape.eventsPerFrame) : [];
  }

  /** The frame of a slot whose keys are those of the events from `first` on; written again by the next call. */
  frame(slot: number, first: number): Buffer {
    const frame = this.#frames[slot] as Buffer;
    if (!this.#shape.keyed) return frame;
    for (const [place, at] of this.#keysAt.entries()) {
      let rest = first + place;
      for (let digit = at + KEY_DIGITS - 1; digit >= at; digit -= 1) {
        const tens = Math.floor(rest / 10);
        frame[digit] = ZERO + rest - 10 * tens;
        rest = tens;
      }
    }
    return frame;
  }
}

/** Ids are as long in every frame, or the places would differ. */
function placesOfKeys(frames: readonly Buffer[], events: number): number[] {
  const [first] = frames as readonly [Buffer];
  if (frames.some(({ length }) => length !== first.length)) {
    throw new RangeError('frames of a keyed row have ids of one length');
  }
  const places: number[] = [];
  let at = 0;
  for (let place = 0; place < events; place += 1) {
    const key = Buffer.from(pack(keyText(place)));
    const found = first.indexOf(key, at);
    if (found < 0) throw new Error(`the frame has no key ${keyText(place)}`);
    at = found + key.length;
    places.push(at - KEY_DIGITS);
  }
  return places;
}
