//! The table of all cells of the process: found by the hash of a name, bounded, shared by threads.
//!
//! Owns the slots and the lives of their cells; does not know names, tenants or permits. Open
//! addressing: a name has `CELL_PLACES` neighbouring slots from its hash on. Finding and counting take
//! no lock. Making a cell, and changing a floor, go through one lock, so no name gets two cells.
//! A cell that nobody refers to stays, with its cap, until its slot is needed for another name.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::atomic::Atomic;
use super::cell::{CLOSED, Cell, CellId, Counts, generation, life, references};
use super::slots::Slots;
use super::word::Word;
use crate::limits::{CELL_PLACES, SEATS_PER_CELL};

/// All slots that a name may have hold cells in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The floors of a cell's keys would come to more than `SEATS_PER_CELL`; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloorsFull;

pub struct Table<A = AtomicU64> {
    slots: Slots<A>,
    /// 1 while a cell is made or a floor changed.
    changing: A,
}

impl Table<AtomicU64> {
    /// A table for `capacity` cells in use at once: 64 to 128 bytes each, which the system hands out
    /// as they are touched.
    pub fn new(capacity: usize) -> Table {
        Table {
            slots: Slots::zeroed(slots_for(capacity)),
            changing: AtomicU64::new(0),
        }
    }
}

impl<A: Atomic> Table<A> {
    /// As `new`, with any kind of atomics.
    pub fn with_atomics(capacity: usize) -> Table<A> {
        let slots: Box<[Cell<A>]> = (0..slots_for(capacity)).map(|_| Cell::default()).collect();
        Table {
            slots: slots.into(),
            changing: A::default(),
        }
    }

    /// Finds or makes the cell of a name and adds a reference to it.
    ///
    /// `hash` is the name: two names of one hash are one cell, so it comes from 64 bits of a good hash,
    /// and is never 0. A new cell is without cap, floor and use; one that was found keeps its own.
    pub fn open(&self, hash: u64) -> Result<CellId, Full> {
        assert!(hash != 0, "0 marks a slot that was never used");
        match self.find(hash) {
            Some(id) => Ok(id),
            None => self.locked(|| self.make(hash)),
        }
    }

    /// Drops one reference of `open`. Without any, and idle, a cell may become another's.
    pub fn release(&self, id: CellId) {
        let cell = self.cell(id);
        let mut found = cell.life.load(Relaxed);
        loop {
            assert!(
                references(found) > 0,
                "released more often than opened: {id:?}"
            );
            // Release: who closes the cell sees all that was done under this reference.
            match cell
                .life
                .compare_exchange(found, found - 1, Release, Relaxed)
            {
                Ok(_) => return,
                Err(now) => found = now,
            }
        }
    }

    /// Sets the cap, seats; `None`: no cap but `SEATS_PER_CELL`. Gives the counts just after.
    ///
    /// Cap and use are one word: every take ordered before this is in the counts given, every later
    /// one keeps to the new cap. Lowering aborts nobody: use may be above the cap until it drains.
    pub fn set_cap(&self, id: CellId, cap: Option<u32>) -> Counts {
        self.change(id, |word| word.with_cap(cap))
    }

    /// Sets whether somebody waits for room in the cell. Gives the counts just after: room that was
    /// made before shows in them, whoever makes room later sees the flag (`give`).
    pub fn set_waiters(&self, id: CellId, waiters: bool) -> Counts {
        self.change(id, |word| word.with_waiters(waiters))
    }

    pub fn read(&self, id: CellId) -> Counts {
        self.cell(id).counts()
    }

    /// Keeps `floor` seats of `parent` free for `key` while it uses fewer; 0: none.
    ///
    /// A floor above what is free fills up as others give. The same parent as long as the floor is not
    /// 0; a parent has no floor of its own. Waits for a take of the key that is half done.
    pub fn set_floor(&self, key: CellId, parent: CellId, floor: u32) -> Result<(), FloorsFull> {
        let (cell, above) = (self.cell(key), self.cell(parent));
        assert!(
            key.index != parent.index,
            "a floor is kept free in another cell"
        );
        self.locked(|| {
            let found = cell.read();
            let floor = u64::from(floor);
            let old = cell.parent(found).map_or(0, |to| {
                assert!(to == parent.index, "a floor stays in one cell");
                found.floors()
            });
            assert!(
                found.floors() == old,
                "a cell that keeps floors free has none itself"
            );
            // Relaxed: changed under the lock only.
            let above_floors = above.floors.load(Relaxed);
            assert!(above_floors as u32 == 0, "a key keeps no floors free");
            let sum = (above_floors >> 32) - old + floor;
            if sum > u64::from(SEATS_PER_CELL) {
                return Err(FloorsFull);
            }
            if floor > 0 {
                // Before the floor itself, which is swapped in with release.
                cell.floors.store(u64::from(parent.index) + 1, Relaxed);
            }
            above.floors.store(sum << 32, Relaxed);
            // From here on this has the key to itself: no take, give or part moves between.
            let before = cell.swap_when(
                |word| word.halves() > 0,
                |word| Ok::<_, FloorsFull>(word.with_floors(floor).with_half()),
            )?;
            let after = before.with_floors(floor);
            above.update(|word| word.with_part(before.unfilled(), after.unfilled()));
            cell.settle();
            Ok(())
        })
    }

    pub(super) fn cell(&self, id: CellId) -> &Cell<A> {
        let cell = self.slot(id.index);
        // Relaxed: whoever has a reference got it with acquire, and it keeps the generation.
        assert!(
            generation(cell.life.load(Relaxed)) == id.generation,
            "a dead cell: {id:?}"
        );
        cell
    }

    pub(super) fn slot(&self, index: u32) -> &Cell<A> {
        &self.slots[index as usize]
    }

    fn change(&self, id: CellId, change: impl Fn(Word) -> Word) -> Counts {
        let cell = self.cell(id);
        let before = cell.update(&change);
        cell.counts_of(change(before))
    }

    /// The slots that a name may have, nearest first.
    fn places(&self, hash: u64) -> impl Iterator<Item = (u32, &Cell<A>)> {
        let mask = self.slots.len() - 1;
        let home = hash as usize & mask;
        let places = CELL_PLACES.min(self.slots.len());
        (home..home + places).map(move |at| ((at & mask) as u32, &self.slots[at & mask]))
    }

    /// A live cell of the name, with one more reference. One that is being made is not seen.
    fn find(&self, hash: u64) -> Option<CellId> {
        for (index, cell) in self.places(hash) {
            // Relaxed: a hint. A name just made may be missed, then the lock is taken; one that is no
            // longer there is noticed when the reference is added.
            match cell.hash.load(Relaxed) {
                0 => return None,
                found if found == hash => {
                    let generation = refer(cell, hash)?;
                    return Some(CellId { index, generation });
                }
                _ => {}
            }
        }
        None
    }

    /// Under the lock: finds the cell once more, or makes it in the first slot that is free.
    fn make(&self, hash: u64) -> Result<CellId, Full> {
        if let Some(id) = self.find(hash) {
            return Ok(id);
        }
        for (index, cell) in self.places(hash) {
            let Some(generation) = close(cell) else {
                continue;
            };
            cell.word.store(Word::FRESH.0, Relaxed);
            cell.floors.store(0, Relaxed);
            cell.hash.store(hash, Relaxed);
            let generation = generation.wrapping_add(1);
            // Release: who adds a reference sees the cell as made, and its new name.
            cell.life.store(life(generation, 1), Release);
            return Ok(CellId { index, generation });
        }
        Err(Full)
    }

    /// One at a time; the others wait. Acquire and release: each sees what the one before did.
    fn locked<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut spins = 0;
        while self
            .changing
            .compare_exchange(0, 1, Acquire, Relaxed)
            .is_err()
        {
            A::pause(spins);
            spins += 1;
        }
        let done = work();
        self.changing.store(0, Release);
        done
    }
}

/// Adds a reference if the cell is live and still of that name; gives its generation.
fn refer<A: Atomic>(cell: &Cell<A>, hash: u64) -> Option<u32> {
    let mut found = cell.life.load(Relaxed);
    loop {
        if references(found) == CLOSED {
            return None;
        }
        assert!(
            references(found) + 1 < CLOSED,
            "references are bounded by memory"
        );
        // Acquire: sees the making of the cell. AcqRel, so that one let go below shows as any other.
        match cell
            .life
            .compare_exchange(found, found + 1, AcqRel, Relaxed)
        {
            Ok(_) => break,
            Err(now) => found = now,
        }
    }
    // It cannot be closed now; but it may have been, and made for another name, just before.
    if cell.hash.load(Relaxed) == hash {
        return Some(generation(found));
    }
    let mut found = cell.life.load(Relaxed);
    while let Err(now) = cell
        .life
        .compare_exchange(found, found - 1, Release, Relaxed)
    {
        found = now;
    }
    None
}

/// Under the lock: closes a slot for finders if nothing is lost by it; gives its generation.
fn close<A: Atomic>(cell: &Cell<A>) -> Option<u32> {
    let found = cell.life.load(Relaxed);
    if references(found) != 0 {
        return None;
    }
    let generation = generation(found);
    // Acquire: sees what was done under the references that were dropped. With none left and none to
    // be had, the word stands still.
    cell.life
        .compare_exchange(found, life(generation, CLOSED), Acquire, Relaxed)
        .ok()?;
    let never_used = cell.hash.load(Relaxed) == 0;
    if never_used || cell.read().idle() {
        return Some(generation);
    }
    cell.life.store(found, Release);
    None
}

/// Twice the cells: in a table at most half full, runs of `CELL_PLACES` cells in use do not come up.
fn slots_for(capacity: usize) -> usize {
    (capacity.max(1) * 2).next_power_of_two()
}
