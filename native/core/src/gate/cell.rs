//! A cell: the seats in use of one key, tenant or resource, and its life as a slot of the table.
//!
//! ```text
//! never used ──make──▶ live (references > 0) ◀──open / release──▶ unreferenced
//!                        ▲                                            │ idle and its slot is needed
//!                        └──────────── make, generation + 1 ◀── closed
//! ```
//! Any thread. What takes and gives change is the one word (word.rs); the rest changes under the
//! table's lock, except references.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::atomic::Atomic;
use super::word::{HALF, HALVES_MAX, Word};

/// Names a cell for as long as it lives: its slot and how often that was made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CellId {
    pub index: u32,
    pub generation: u32,
}

/// What a cell holds at one moment, in seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub used: u32,
    /// Of a key: what it lacks of its own floor. Else: what its keys lack of theirs.
    pub unfilled: u32,
    pub cap: Option<u32>,
    pub waiters: bool,
}

/// References while the slot is being made anew; no such count is ever reached.
pub(super) const CLOSED: u32 = u32::MAX;

/// Two to a cache line; all zero is a slot that was never used.
#[derive(Default)]
#[repr(align(32))]
pub(super) struct Cell<A> {
    /// Of the key's name; 0: never used.
    pub hash: A,
    /// Generation (high), references (low).
    pub life: A,
    pub word: A,
    /// Seats of all floors of this cell's keys (high; changed under the table's lock), and for a key
    /// with a floor 1 + slot of the cell its floor is kept free in (low).
    pub floors: A,
}

/// Why a step into a cell was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// What is fully taken leaves no room.
    Full,
    /// Some of what is taken may yet be undone.
    Contested,
}

impl<A: Atomic> Cell<A> {
    /// Acquire: whoever reads that a key has a floor also sees where (see `link`).
    pub fn read(&self) -> Word {
        Word(self.word.load(Acquire))
    }

    /// Changes the word until no other thread came between; gives what was before.
    ///
    /// Success is `AcqRel`: who takes a seat sees what its last holder did before giving it, who gives
    /// sees what the setter of the waiters flag did before. The order within one cell needs neither:
    /// all its changes are swaps of one word, and each meets the newest.
    pub fn swap<E>(&self, mut change: impl FnMut(Word) -> Result<Word, E>) -> Result<Word, E> {
        let mut before = self.read();
        loop {
            let after = change(before)?;
            match self
                .word
                .compare_exchange(before.0, after.0, AcqRel, Acquire)
            {
                Ok(_) => return Ok(before),
                Err(found) => before = Word(found),
            }
        }
    }

    pub fn update(&self, mut change: impl FnMut(Word) -> Word) -> Word {
        let done = self.swap(|word| Ok::<_, std::convert::Infallible>(change(word)));
        done.unwrap_or_else(|never| match never {})
    }

    /// As `swap`, but waits while `busy`; what it waits for is never more than the few steps of
    /// another thread, which waits for nothing that this one holds.
    pub fn swap_when<E>(
        &self,
        busy: impl Fn(Word) -> bool,
        mut change: impl FnMut(Word) -> Result<Word, E>,
    ) -> Result<Word, E> {
        let mut spins = 0;
        loop {
            let swapped = self.swap(|word| {
                if busy(word) {
                    Err(None)
                } else {
                    change(word).map_err(Some)
                }
            });
            match swapped {
                Ok(before) => return Ok(before),
                Err(Some(error)) => return Err(error),
                Err(None) => A::pause(spins),
            }
            spins += 1;
        }
    }

    /// 1 + slot of the cell in which a key's floor is kept free; 0: none. Relaxed: it was stored
    /// before the floor was swapped in with release, and the word was read with acquire.
    fn link(&self) -> u32 {
        self.floors.load(Relaxed) as u32
    }

    /// Slot of the cell in which this key's floor is kept free, if `word` holds a floor of its own.
    pub fn parent(&self, word: Word) -> Option<u32> {
        if word.floors() == 0 {
            None
        } else {
            self.link().checked_sub(1)
        }
    }

    /// Takes seats of a cell that is not a key with a floor.
    ///
    /// `own`: the part of this cell's unfilled floors that the taker's key had, and what it has after.
    pub fn enter(&self, seats: u64, own: (u64, u64), half: bool) -> Result<(), Stop> {
        let entered = self.swap_when(
            |word| half && word.halves() == HALVES_MAX,
            |word| {
                debug_assert!(own.0 <= word.floors(), "the key's part is in");
                if !word.has_room(seats, word.floors().saturating_sub(own.0)) {
                    return Err(if word.halves() > 0 {
                        Stop::Contested
                    } else {
                        Stop::Full
                    });
                }
                let word = word.with_more(seats).with_part(own.0, own.1);
                Ok(if half { word.with_half() } else { word })
            },
        );
        entered.map(|_| ())
    }

    /// The take that held this cell has all of its chain. Release: the next to have a key with a floor
    /// to itself sees this take's steps in the other cells.
    pub fn settle(&self) {
        let before = self.word.fetch_sub(HALF, Release);
        debug_assert!(Word(before).halves() > 0, "no half take is left");
    }

    /// Until no half take could be undone, or the cell changed to have room for `seats`.
    pub fn wait_settled(&self, seats: u64) {
        let mut spins = 0;
        loop {
            let word = self.read();
            if word.halves() == 0 || word.has_room(seats, word.floors()) {
                return;
            }
            A::pause(spins);
            spins += 1;
        }
    }

    pub fn counts(&self) -> Counts {
        self.counts_of(self.read())
    }

    pub fn counts_of(&self, word: Word) -> Counts {
        let of_key = self.parent(word).is_some();
        Counts {
            used: word.used() as u32,
            unfilled: if of_key {
                word.unfilled()
            } else {
                word.floors()
            } as u32,
            cap: word.cap(),
            waiters: word.waiters(),
        }
    }
}

/// Generation and references of a cell.
pub(super) fn life(generation: u32, references: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(references)
}

pub(super) fn generation(life: u64) -> u32 {
    (life >> 32) as u32
}

pub(super) fn references(life: u64) -> u32 {
    life as u32
}
