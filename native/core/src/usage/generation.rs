//! A generation of dirty cells: what was counted and is not yet in the store.

use super::counters::Counters;
use crate::record::Sums;
use rustc_hash::FxHashMap;

/// Stands for the day of an all-time cell.
pub(super) const ALL_TIME: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub counter: u32,
    pub day: u32,
    pub sums: Sums,
    /// First and last day that was counted here.
    pub first_day: u32,
    pub last_day: u32,
    /// Events that were counted; corrections are none.
    pub events: u64,
}

/// Cells in the order in which they came. Kept over clearing, so that a steady load allocates nothing.
#[derive(Default)]
pub(super) struct Generation {
    places: FxHashMap<u64, u32>,
    cells: Vec<Cell>,
    /// Of the day cells.
    days: Option<(u32, u32)>,
}

#[inline]
fn name_of(counter: u32, day: u32) -> u64 {
    u64::from(counter) << 32 | u64::from(day)
}

impl Generation {
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// First and last day that has a cell.
    pub const fn days(&self) -> Option<(u32, u32)> {
        self.days
    }

    pub fn get(&self, counter: u32, day: u32) -> Option<&Cell> {
        let place = self.places.get(&name_of(counter, day))?;
        Some(&self.cells[*place as usize])
    }

    /// Adds to a cell what was counted on `on`; a new cell holds its counter.
    #[inline]
    pub fn add(&mut self, counters: &mut Counters, cell: (u32, u32), on: u32, what: (&Sums, u64)) {
        let (counter, day) = cell;
        let place = *self.places.entry(name_of(counter, day)).or_insert_with(|| {
            counters.hold(counter);
            self.cells.push(Cell {
                counter,
                day,
                sums: Sums::default(),
                first_day: on,
                last_day: on,
                events: 0,
            });
            if day != ALL_TIME {
                let (first, last) = self.days.unwrap_or((day, day));
                self.days = Some((first.min(day), last.max(day)));
            }
            (self.cells.len() - 1) as u32
        });
        let cell = &mut self.cells[place as usize];
        cell.sums.add(what.0);
        cell.events += what.1;
        cell.first_day = cell.first_day.min(on);
        cell.last_day = cell.last_day.max(on);
    }

    /// Forgets all but the room. The cells' counters have to be released.
    pub fn clear(&mut self) {
        self.places.clear();
        self.cells.clear();
        self.days = None;
    }
}
