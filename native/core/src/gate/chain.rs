//! Takes and gives of a whole chain of cells, key → tenant → resource: all of it or nothing.
//!
//! A take goes through its cells in the order of the chain. Until it has the last, it stands in each as
//! a *half take*. Where there is no room it is undone in reverse. Whether seats of half takes stay is
//! open, so a take that only they are in the way of is not refused: it lets go, waits until they are
//! settled, and tries again. It holds nothing then, so nobody waits for it.
//!
//! **Floors.** A cell counts what its keys lack of their floors, and a take keeps free what the others
//! lack. A key's part moves in the same swap as its seats, and how far is told by the key's own cell;
//! so a key with a floor is used by one take or give at a time, and its half mark says by whom. Other
//! keys never wait for it.

use super::atomic::Atomic;
use super::cell::{Cell, CellId, Stop};
use super::table::Table;
use super::word::HALVES_MAX;
use crate::limits::{CELLS_PER_CHAIN, TAKE_TRIES_MAX};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Take {
    Taken,
    /// Nothing is taken; the cell `at` of the chain had no room.
    Refused {
        at: usize,
    },
}

/// A move of a key's unfilled floor, in seats, within the cell in which it is kept free.
#[derive(Clone, Copy)]
struct Part {
    parent: u32,
    before: u64,
    after: u64,
}

/// The cells of one take or give.
struct Chain<'a, A> {
    cells: [&'a Cell<A>; CELLS_PER_CHAIN],
    ids: &'a [CellId],
}

impl<A: Atomic> Chain<'_, A> {
    fn key(&self) -> &Cell<A> {
        self.cells[0]
    }

    /// What a move of the key's part means for cell `at`: seats before and after.
    fn part_at(&self, at: usize, part: Option<Part>) -> (u64, u64) {
        match part {
            Some(part) if part.parent == self.ids[at].index => (part.before, part.after),
            _ => (0, 0),
        }
    }

    fn part(&self, parent: u32, before: u64, after: u64) -> Part {
        let above = &self.ids[1..];
        assert!(
            above.iter().any(|id| id.index == parent),
            "a key with a floor is taken with the cell its floor is kept free in"
        );
        Part {
            parent,
            before,
            after,
        }
    }

    /// The first cell of a take.
    fn enter_key(&self, seats: u64) -> Result<Option<Part>, Stop> {
        let (key, half) = (self.key(), self.ids.len() > 1);
        let mut part = None;
        key.swap_when(
            |word| {
                let owned = key.parent(word).is_some() && word.halves() > 0;
                owned || half && word.halves() == HALVES_MAX
            },
            |word| {
                let parent = key.parent(word);
                let others = if parent.is_some() { 0 } else { word.floors() };
                if !word.has_room(seats, others) {
                    return Err(if word.halves() > 0 {
                        Stop::Contested
                    } else {
                        Stop::Full
                    });
                }
                let after = word.with_more(seats);
                part = parent.map(|to| self.part(to, word.unfilled(), after.unfilled()));
                Ok(if half { after.with_half() } else { after })
            },
        )?;
        Ok(part)
    }

    /// One try of a take; nothing is left of it if it stops.
    fn enter(&self, seats: u64) -> Result<(), (usize, Stop)> {
        let last = self.ids.len() - 1;
        let part = self.enter_key(seats).map_err(|stop| (0, stop))?;
        for at in 1..=last {
            let own = self.part_at(at, part);
            if let Err(stop) = self.cells[at].enter(seats, own, at < last) {
                self.undo(at, seats, part);
                return Err((at, stop));
            }
        }
        for cell in &self.cells[..last] {
            cell.settle();
        }
        Ok(())
    }

    /// Takes the seats and marks of the cells before `end` back. A key with a floor was this take's
    /// own meanwhile, so its part goes back to just what it was.
    fn undo(&self, end: usize, seats: u64, part: Option<Part>) {
        for at in (0..end).rev() {
            let (before, after) = if at == 0 {
                (0, 0)
            } else {
                self.part_at(at, part)
            };
            self.cells[at].update(|word| {
                let word = if at == 0 {
                    word
                } else {
                    word.with_part(after, before)
                };
                word.with_less(seats).without_half()
            });
        }
    }

    /// Has the key to itself if it has a floor, and says how far its part will move.
    fn own_key(&self, seats: u64) -> Option<Part> {
        let key = self.key();
        key.parent(key.read())?;
        let mut part = None;
        let owned = key.swap_when(
            |word| key.parent(word).is_some() && word.halves() > 0,
            |word| {
                let Some(parent) = key.parent(word) else {
                    return Err(());
                };
                let after = word.with_less(seats);
                part = Some(self.part(parent, word.unfilled(), after.unfilled()));
                Ok(word.with_half())
            },
        );
        // The floor was taken away just now.
        owned.ok().and(part)
    }
}

impl<A: Atomic> Table<A> {
    /// Takes `seats` of every cell of the chain, or of none.
    ///
    /// Allowed in a cell ⇔ used + seats + what other keys lack of their floors ≤ cap, and never more
    /// than `SEATS_PER_CELL`. The caller has a reference to each cell; every chain goes through cells
    /// that it shares with others in the same order; only the first may have a floor.
    ///
    /// Panics on a dead cell, a chain of none or more than three, and if a key with a floor comes
    /// without the cell that the floor is kept free in.
    pub fn take(&self, ids: &[CellId], seats: u32) -> Take {
        let chain = self.chain(ids);
        let seats = u64::from(seats);
        let mut at = 0;
        for _ in 0..TAKE_TRIES_MAX {
            match chain.enter(seats) {
                Ok(()) => return Take::Taken,
                Err((full, Stop::Full)) => return Take::Refused { at: full },
                Err((contested, Stop::Contested)) => at = contested,
            }
            chain.cells[at].wait_settled(seats);
        }
        Take::Refused { at }
    }

    /// Gives `seats` back to every cell of the chain, in reverse; true if one of them has waiters.
    ///
    /// The waiters flag is read in the same swap: a waiter that was told of no room before
    /// (`set_waiters`) is seen here, or saw this room. More than was taken is a programmer's error:
    /// checked builds panic, others stop at 0.
    pub fn give(&self, ids: &[CellId], seats: u32) -> bool {
        let chain = self.chain(ids);
        let seats = u64::from(seats);
        let part = chain.own_key(seats);
        let mut waiters = false;
        for at in (1..ids.len()).rev() {
            let (before, after) = chain.part_at(at, part);
            let found =
                chain.cells[at].update(|word| word.with_less(seats).with_part(before, after));
            waiters |= found.waiters();
        }
        let found = match part {
            Some(_) => chain
                .key()
                .update(|word| word.with_less(seats).without_half()),
            None => self.give_key(chain.key(), seats),
        };
        waiters || found.waiters()
    }

    /// The last step of a give whose key had no floor when it began. If it has one now, its seats
    /// counted as filling it, so its part grows.
    fn give_key(&self, key: &Cell<A>, seats: u64) -> super::word::Word {
        let mut part = None;
        let found = key.swap_when(
            |word| key.parent(word).is_some() && word.halves() > 0,
            |word| {
                let after = word.with_less(seats);
                let grown = |to| (to, word.unfilled(), after.unfilled());
                part = key.parent(word).map(grown);
                Ok::<_, Stop>(if part.is_some() {
                    after.with_half()
                } else {
                    after
                })
            },
        );
        if let Some((parent, before, after)) = part {
            self.slot(parent)
                .update(|word| word.with_part(before, after));
            key.settle();
        }
        found.unwrap_or_else(|_| unreachable!("a give is never stopped"))
    }

    fn chain<'a>(&'a self, ids: &'a [CellId]) -> Chain<'a, A> {
        assert!(
            (1..=CELLS_PER_CHAIN).contains(&ids.len()),
            "a chain of {} cells",
            ids.len()
        );
        let mut cells = [self.cell(ids[0]); CELLS_PER_CHAIN];
        for (cell, id) in cells.iter_mut().zip(ids).skip(1) {
            *cell = self.cell(*id);
        }
        Chain { cells, ids }
    }
}
