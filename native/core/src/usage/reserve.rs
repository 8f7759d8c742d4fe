//! Hard caps: what is reserved of them, shared by all threads of the process.
//!
//! A slot holds the limit of one cap and what is reserved of it in its current period and in the one
//! before. Shards take before they accept, so a cap holds exactly on any number of them; the counters
//! only see what was counted afterwards. It is a cache: at a start, the main thread sets the total of
//! the period as the base, and each shard adds what it holds that is not in that total.
//!
//! One mutex a slot, taken once for all messages of a frame and account. It is never held while
//! another is.

use super::calendar::{Period, PeriodKind};
use crate::limits::CAP_SLOTS;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

const CHUNK: usize = 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Reserved {
    period: u32,
    /// The total of the counter when the main thread set it.
    base: i128,
    /// Taken and not given back since.
    taken: i128,
}

impl Reserved {
    fn sum(&self) -> i128 {
        self.base.saturating_add(self.taken)
    }
}

#[derive(Debug, Default)]
struct Slot {
    /// None: not in use.
    kind: Option<PeriodKind>,
    /// None: not known yet.
    limit: Option<i128>,
    current: Reserved,
    before: Reserved,
    /// Which shards opened it, each with the last list of counts it had made by then.
    opened: Vec<(u16, u64)>,
}

impl Slot {
    fn open(&mut self, kind: PeriodKind) {
        if self.kind != Some(kind) {
            *self = Self {
                kind: Some(kind),
                ..Self::default()
            };
        }
    }

    /// What is reserved in the period of a time, which becomes the current one if it is newer.
    fn at(&mut self, at_ms: u64) -> Option<&mut Reserved> {
        let period = Period::of_ms(self.kind?, at_ms).id;
        if period > self.current.period {
            self.before = self.current;
            self.current = Reserved {
                period,
                ..Reserved::default()
            };
        }
        if period == self.current.period {
            Some(&mut self.current)
        } else {
            (period == self.before.period).then_some(&mut self.before)
        }
    }
}

/// How many of the amounts were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub fit: usize,
    /// When the period ends and there is room again, ms; `u64::MAX`: never.
    pub until_ms: u64,
}

/// A table of `CAP_SLOTS` slots; their memory comes as they are used.
pub struct Slots {
    chunks: [OnceLock<Box<[Mutex<Slot>]>>; CAP_SLOTS / CHUNK],
}

/// The one table of the process: all threads that load the library share it.
pub fn slots() -> &'static Slots {
    static SLOTS: Slots = Slots::new();
    &SLOTS
}

impl Slots {
    pub const fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CAP_SLOTS / CHUNK],
        }
    }

    /// Makes a slot a cap's: what is taken of it is counted from now on, and not limited until `set`.
    /// Another kind of period forgets what was reserved.
    ///
    /// Each shard opens the slot of a cap that it is told of, before it adds what waits; only then the
    /// main thread sets limit and base, so that no message lies between.
    pub fn open(&self, slot: u32, kind: PeriodKind) {
        self.with(slot, |slot| slot.open(kind));
    }

    /// The same of a shard at work: what its lists up to `sequence` say was counted before, so it is
    /// neither taken nor added here, and only its counter has it.
    pub fn open_after(&self, slot: u32, kind: PeriodKind, (shard, sequence): (u16, u64)) {
        self.with(slot, |slot| {
            slot.open(kind);
            slot.opened.push((shard, sequence));
        });
    }

    /// Which shards opened it at work, with their sequences; told once.
    pub fn take_opened(&self, slot: u32) -> Vec<(u16, u64)> {
        self.with(slot, |slot| std::mem::take(&mut slot.opened))
    }

    /// Gives the slot of a cap its limit, or another; opens it if nobody has.
    pub fn set(&self, slot: u32, kind: PeriodKind, limit: i128) {
        self.with(slot, |slot| {
            slot.open(kind);
            slot.limit = Some(limit);
        });
    }

    /// The cap is gone: its slot can be another's.
    pub fn clear(&self, slot: u32) {
        self.with(slot, |slot| *slot = Slot::default());
    }

    /// Takes amounts in order until one does not fit, and says how many did. A slot that is not in
    /// use has room for all. A time before the periods that are held counts as the current one.
    pub fn take(&self, slot: u32, at_ms: u64, amounts: impl Iterator<Item = i128>) -> Taken {
        self.with(slot, |slot| {
            let Some(kind) = slot.kind else {
                return Taken {
                    fit: amounts.count(),
                    until_ms: u64::MAX,
                };
            };
            let limit = slot.limit.unwrap_or(i128::MAX);
            if slot.at(at_ms).is_none() {
                return take_of(&mut slot.current, kind, limit, amounts);
            }
            let reserved = slot.at(at_ms).expect("it was there");
            take_of(reserved, kind, limit, amounts)
        })
    }

    /// Gives back what was taken for a message accepted at that time, when it ends without being
    /// counted. A period that is over for long has nothing to give back to.
    pub fn give_back(&self, slot: u32, accepted_ms: u64, amount: i128) {
        self.add(slot, accepted_ms, amount.saturating_neg());
    }

    /// Counts what a shard holds since before a start, without a limit.
    pub fn add(&self, slot: u32, accepted_ms: u64, amount: i128) {
        self.with(slot, |slot| {
            if let Some(reserved) = slot.at(accepted_ms) {
                reserved.taken = reserved.taken.saturating_add(amount);
            }
        });
    }

    /// Sets the counter's total of the period of a time, which what is taken comes on top of.
    pub fn set_base(&self, slot: u32, at_ms: u64, total: i128) {
        self.with(slot, |slot| {
            if let Some(reserved) = slot.at(at_ms) {
                reserved.base = total;
            }
        });
    }

    /// What is reserved in the period of a time, and the limit; none if the slot is not in use.
    pub fn read(&self, slot: u32, at_ms: u64) -> Option<(i128, Option<i128>)> {
        self.with(slot, |slot| {
            let limit = slot.limit;
            slot.at(at_ms).map(|reserved| (reserved.sum(), limit))
        })
    }

    fn with<T>(&self, slot: u32, act: impl FnOnce(&mut Slot) -> T) -> T {
        let at = slot as usize;
        assert!(at < CAP_SLOTS, "slot {slot} of a cap");
        let chunk = self.chunks[at / CHUNK]
            .get_or_init(|| (0..CHUNK).map(|_| Mutex::new(Slot::default())).collect());
        let mut guard: MutexGuard<'_, Slot> = chunk[at % CHUNK]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        act(&mut guard)
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::new()
    }
}

fn take_of(
    reserved: &mut Reserved,
    kind: PeriodKind,
    limit: i128,
    amounts: impl Iterator<Item = i128>,
) -> Taken {
    let mut fit = 0;
    for amount in amounts {
        let after = reserved.sum().saturating_add(amount);
        if after > limit {
            break;
        }
        reserved.taken = reserved.taken.saturating_add(amount);
        fit += 1;
    }
    let until_ms = Period {
        kind,
        id: reserved.period,
    }
    .end_ms();
    Taken { fit, until_ms }
}
