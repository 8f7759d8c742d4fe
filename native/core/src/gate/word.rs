//! The one u64 of a cell, and what may be done with it in one compare-and-swap.
//!
//! ```text
//! bit 63        62…60       59…40             39…20                     19…0
//! waiters | half takes |  cap, seats  |  floors, seats            |  used, seats
//!         |            |  all 1: none |  of a key: its own        |
//!         |            |              |  else: unfilled of keys   |
//! ```
//! The cap is in the word that counts, so a take is decided against the cap it is counted under: once
//! a change of cap is in, every later take's swap meets the new cap or fails.

use crate::limits::SEATS_PER_CELL;

const FIELD: u64 = (1 << 20) - 1;
const FLOORS_AT: u32 = 20;
const CAP_AT: u32 = 40;
const HALVES_AT: u32 = 60;
const NO_CAP: u64 = FIELD;
const WAITERS: u64 = 1 << 63;
/// One take that holds this cell and not yet the rest of its chain.
pub(super) const HALF: u64 = 1 << HALVES_AT;
pub(super) const HALVES_MAX: u64 = 7;
const SEATS: u64 = SEATS_PER_CELL as u64;
const _: () = assert!(
    SEATS < NO_CAP,
    "a cell full of seats, or a cap of as many, is no mark"
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub u64);

impl Word {
    /// Nothing used, no floor, no cap.
    pub const FRESH: Word = Word(NO_CAP << CAP_AT);

    pub fn used(self) -> u64 {
        self.0 & FIELD
    }

    /// Of a key its own floor; of another cell what its keys' floors lack.
    pub fn floors(self) -> u64 {
        self.0 >> FLOORS_AT & FIELD
    }

    pub fn cap(self) -> Option<u32> {
        let cap = self.0 >> CAP_AT & FIELD;
        (cap != NO_CAP).then_some(cap as u32)
    }

    pub fn halves(self) -> u64 {
        self.0 >> HALVES_AT & HALVES_MAX
    }

    pub fn waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    /// No seat, floor, half take or waiter: nothing is lost if the cell goes.
    pub fn idle(self) -> bool {
        self.0 & !(FIELD << CAP_AT) == 0
    }

    /// What a key lacks of its own floor.
    pub fn unfilled(self) -> u64 {
        self.floors().saturating_sub(self.used())
    }

    /// Whether `seats` more fit, with `others` seats kept free for others.
    pub fn has_room(self, seats: u64, others: u64) -> bool {
        let used = self.used() + seats;
        used <= SEATS && self.cap().is_none_or(|cap| used + others <= u64::from(cap))
    }

    /// Only after `has_room`: the field does not run over.
    pub fn with_more(self, seats: u64) -> Word {
        debug_assert!(self.used() + seats <= SEATS, "room was looked at");
        Word(self.0 + seats)
    }

    /// Giving more than is used is a programmer's error; without checks it stops at 0.
    pub fn with_less(self, seats: u64) -> Word {
        debug_assert!(
            seats <= self.used(),
            "more seats given than taken: {self:?}, {seats}"
        );
        Word(self.0 - seats.min(self.used()))
    }

    pub fn with_floors(self, seats: u64) -> Word {
        debug_assert!(seats <= SEATS, "floors of one cell are bounded");
        Word(self.0 & !(FIELD << FLOORS_AT) | seats << FLOORS_AT)
    }

    /// A key's part of the floors moved: `less` was in, `more` is now.
    pub fn with_part(self, less: u64, more: u64) -> Word {
        debug_assert!(
            less <= self.floors(),
            "a part that was never in: {self:?}, {less}"
        );
        self.with_floors(self.floors().saturating_sub(less) + more)
    }

    /// A cap above what a cell can hold binds no earlier than that bound.
    pub fn with_cap(self, cap: Option<u32>) -> Word {
        let cap = cap.map_or(NO_CAP, |cap| u64::from(cap).min(SEATS));
        Word(self.0 & !(FIELD << CAP_AT) | cap << CAP_AT)
    }

    pub fn with_half(self) -> Word {
        debug_assert!(self.halves() < HALVES_MAX, "half takes are counted to 7");
        Word(self.0 + HALF)
    }

    pub fn without_half(self) -> Word {
        debug_assert!(self.halves() > 0, "no half take is left");
        Word(self.0 - HALF)
    }

    pub fn with_waiters(self, waiters: bool) -> Word {
        Word(self.0 & !WAITERS | u64::from(waiters) << 63)
    }
}
