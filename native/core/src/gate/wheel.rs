//! A hierarchical timing wheel over small numbers (slots of permits, of waiters, of keys): one time
//! for each, put, moved and taken out in constant time.
//!
//! 300,000 leases a second that are nearly all released early would leave millions of dead entries
//! in a heap; here a released one leaves nothing. A time is never early, and at most one tick late.

use super::NONE;

/// µs of a tick, as a shift.
const TICK_SHIFT: u32 = 10;
const LEVELS: usize = 3;
const BUCKETS: usize = 256;
const OUT: u16 = u16::MAX;

#[derive(Clone, Copy)]
struct Link {
    prev: u32,
    next: u32,
    at_tick: u64,
    /// level × 256 + bucket, or `OUT`.
    bucket: u16,
}

pub(super) struct Wheel {
    heads: Box<[u32]>,
    /// A bit for each bucket that holds something.
    occupied: [[u64; BUCKETS / 64]; LEVELS],
    links: Vec<Link>,
    now_tick: u64,
}

impl Wheel {
    pub fn new(now_us: u64) -> Self {
        Self {
            heads: vec![NONE; LEVELS * BUCKETS].into(),
            occupied: [[0; BUCKETS / 64]; LEVELS],
            links: Vec::new(),
            now_tick: now_us >> TICK_SHIFT,
        }
    }

    /// Sets the time of `id`, in place of the one it had.
    pub fn set(&mut self, id: u32, at_us: u64) {
        self.clear(id);
        let tick = at_us
            .div_ceil(1 << TICK_SHIFT)
            .max(self.now_tick.saturating_add(1));
        self.insert(id, tick);
    }

    /// Takes the time of `id` away, if it has one.
    #[inline]
    pub fn clear(&mut self, id: u32) {
        let Some(&link) = self.links.get(id as usize) else {
            return;
        };
        if link.bucket == OUT {
            return;
        }
        self.links[id as usize].bucket = OUT;
        if link.next != NONE {
            self.links[link.next as usize].prev = link.prev;
        }
        if link.prev != NONE {
            self.links[link.prev as usize].next = link.next;
            return;
        }
        self.heads[usize::from(link.bucket)] = link.next;
        if link.next == NONE {
            let (level, bucket) = (
                usize::from(link.bucket) / BUCKETS,
                usize::from(link.bucket) % BUCKETS,
            );
            self.occupied[level][bucket / 64] &= !(1 << (bucket % 64));
        }
    }

    fn insert(&mut self, id: u32, tick: u64) {
        let mut level = 0;
        while level + 1 < LEVELS
            && (tick >> (8 * level)) - (self.now_tick >> (8 * level)) >= BUCKETS as u64
        {
            level += 1;
        }
        // Beyond the last level: its furthest bucket, from which it is put in anew.
        let place = (tick >> (8 * level)).min((self.now_tick >> (8 * level)) + BUCKETS as u64 - 1);
        let bucket = (place % BUCKETS as u64) as usize;
        let at = level * BUCKETS + bucket;
        if self.links.len() <= id as usize {
            let empty = Link {
                prev: NONE,
                next: NONE,
                at_tick: 0,
                bucket: OUT,
            };
            self.links.resize(id as usize + 1, empty);
        }
        let next = self.heads[at];
        self.links[id as usize] = Link {
            prev: NONE,
            next,
            at_tick: tick,
            bucket: at as u16,
        };
        if next != NONE {
            self.links[next as usize].prev = id;
        }
        self.heads[at] = id;
        self.occupied[level][bucket / 64] |= 1 << (bucket % 64);
    }

    /// Goes on to `now_us` and appends whose time has come, in order of time.
    pub fn advance(&mut self, now_us: u64, due: &mut Vec<u32>) {
        let to = now_us >> TICK_SHIFT;
        while self.now_tick < to {
            if self.occupied[0] == [0; BUCKETS / 64] {
                // Nothing until the next bucket of the level above is spread out.
                let boundary = (self.now_tick | (BUCKETS as u64 - 1)) + 1;
                self.now_tick = boundary.min(to);
            } else {
                self.now_tick += 1;
            }
            if self.now_tick.is_multiple_of(BUCKETS as u64) {
                if (self.now_tick >> 8).is_multiple_of(BUCKETS as u64) {
                    self.spread(2);
                }
                self.spread(1);
            }
            self.fire(due);
        }
    }

    /// Puts the entries of a level's current bucket into the levels below.
    fn spread(&mut self, level: usize) {
        let bucket = ((self.now_tick >> (8 * level)) % BUCKETS as u64) as usize;
        let mut id = std::mem::replace(&mut self.heads[level * BUCKETS + bucket], NONE);
        self.occupied[level][bucket / 64] &= !(1 << (bucket % 64));
        while id != NONE {
            let link = self.links[id as usize];
            self.insert(id, link.at_tick.max(self.now_tick));
            id = link.next;
        }
    }

    fn fire(&mut self, due: &mut Vec<u32>) {
        let bucket = (self.now_tick % BUCKETS as u64) as usize;
        let mut id = std::mem::replace(&mut self.heads[bucket], NONE);
        self.occupied[0][bucket / 64] &= !(1 << (bucket % 64));
        let start = due.len();
        while id != NONE {
            let link = &mut self.links[id as usize];
            link.bucket = OUT;
            due.push(id);
            id = link.next;
        }
        // Those set first were put first and stand last in the list.
        due[start..].reverse();
    }

    /// When to look again, µs: not after the earliest time; `u64::MAX` if there is none.
    pub fn next_us(&self) -> u64 {
        (0..LEVELS)
            .filter_map(|level| self.next_of(level))
            .min()
            .map_or(u64::MAX, |tick| tick << TICK_SHIFT)
    }

    fn next_of(&self, level: usize) -> Option<u64> {
        let now = self.now_tick >> (8 * level);
        let bits = &self.occupied[level];
        if *bits == [0; BUCKETS / 64] {
            return None;
        }
        (1..=BUCKETS as u64)
            .map(|ahead| now + ahead)
            .find(|place| {
                let bucket = (place % BUCKETS as u64) as usize;
                bits[bucket / 64] & 1 << (bucket % 64) != 0
            })
            .map(|place| place << (8 * level))
    }
}

#[cfg(test)]
mod tests {
    use super::Wheel;
    use std::collections::BTreeMap;

    #[test]
    fn fires_each_once_in_its_tick() {
        let mut seed = 7_u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let mut now = 1_790_000_000_000_123_u64;
        let mut wheel = Wheel::new(now);
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        let spans = [3_000, 400_000, 40_000_000, 4_000_000_000, 90_000_000_000];
        let mut fired = 0;
        for _ in 0..200_000 {
            let id = random(500) as u32;
            match random(4) {
                0 => {
                    wheel.clear(id);
                    model.remove(&id);
                }
                1 | 2 => {
                    let span = spans[random(5) as usize];
                    let at = now + random(span);
                    wheel.set(id, at);
                    model.insert(id, at);
                }
                _ => {
                    let next = wheel.next_us();
                    let first = model.values().min().copied();
                    assert!(first.is_none() == (next == u64::MAX));
                    assert!(first.is_none_or(|first| next <= first + 2048));
                    let span = spans[random(4) as usize];
                    now += random(span);
                    let mut due = Vec::new();
                    wheel.advance(now, &mut due);
                    for id in due {
                        fired += 1;
                        let at = model.remove(&id).expect("it was set");
                        assert!(at <= now, "not early");
                    }
                    assert!(model.values().all(|at| *at + 2048 > now), "not late");
                }
            }
        }
        assert!(fired > 1000);
    }
}
