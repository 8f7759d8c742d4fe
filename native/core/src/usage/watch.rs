//! Joins counters and triggers: tells triggers what was counted, and reads for them what they watch.

use super::generation::Cell;
use super::reading::{Budget, Reading};
use super::trigger::Load;
use super::wants::{Answers, Asker};
use super::{Fatal, Usage};

/// Loads that are open at once.
const LOADS: usize = 64;

/// A watched counter whose sums are being read. Each load is answered once, also one that nobody needs
/// any more.
pub(super) struct Loading {
    load: Load,
    /// None: not begun.
    reading: Option<Reading>,
}

impl Usage {
    /// Tells who watches a counter what this step added to a cell of it. Parts of a load that were read
    /// before get it, too: what is loaded holds everything.
    pub(super) fn tell_watches(&mut self, cell: &Cell) {
        // Both only grow, so the sum changes with either.
        let epoch = self.triggers.watches_epoch().wrapping_add(self.families);
        if self.counters_of.get(cell.counter).watches_epoch != epoch {
            self.find_watches(cell.counter, epoch);
        }
        let counter = self.counters_of.get(cell.counter);
        for &watch in &counter.watches {
            for loading in &mut self.loading {
                if let Some(reading) = &mut loading.reading
                    && loading.load.watch == watch
                {
                    reading.add_if_read(counter.account, cell);
                }
            }
            self.triggers
                .counted(watch, cell.day, &cell.sums, cell.events);
        }
    }

    fn find_watches(&mut self, slot: u32, epoch: u32) {
        let mut watches = std::mem::take(&mut self.counters_of.get_mut(slot).watches);
        watches.clear();
        let counter = self.counters_of.get(slot);
        let (account, kind) = (counter.account, counter.kind());
        let name = |account| &*self.accounts.get(account).name;
        let mut look = |account: u32, sub: bool| {
            let found = self
                .triggers
                .watch(name(account), kind.category, kind.tag, sub);
            watches.extend(found);
        };
        look(account, false);
        look(account, true);
        for ancestor in self.accounts.ancestors(account) {
            look(ancestor, true);
        }
        let counter = self.counters_of.get_mut(slot);
        counter.watches = watches;
        counter.watches_epoch = epoch;
    }

    /// Takes loads that triggers ask for.
    pub(super) fn open_loads(&mut self) {
        while self.loading.len() < LOADS
            && let Some(load) = self.triggers.next_load()
        {
            let reading = None;
            self.loading.push(Loading { load, reading });
        }
    }

    fn reading_of(&self, load: &Load) -> Reading {
        // Also accounts without the counter: they may get it before all are read.
        let sources = match self.accounts.find(&load.account) {
            Some(account) if load.sub => self.accounts.family(account),
            Some(account) => vec![account],
            None => Vec::new(),
        };
        let range = (load.days.0 <= load.days.1).then_some(load.days);
        Reading::new((&load.category, &load.tag), sources, true, range)
    }

    /// Called when the step has folded what it counted: a load has all of it, or gets it told.
    pub(super) fn want_loads(&mut self, budget: &mut Budget) {
        let mut loading = std::mem::take(&mut self.loading);
        for loading in &mut loading {
            let mut reading = loading
                .reading
                .take()
                .unwrap_or_else(|| self.reading_of(&loading.load));
            self.want_reading(&mut reading, budget);
            loading.reading = Some(reading);
        }
        if !loading.is_empty() {
            self.wants.ask(Asker::Loading);
        }
        self.loading = loading;
    }

    pub(super) fn give_loads(&mut self, answers: &mut Answers<'_>) -> Result<(), Fatal> {
        let mut loading = std::mem::take(&mut self.loading);
        for loading in &mut loading {
            if let Some(reading) = &mut loading.reading {
                self.give_reading(reading, answers)?;
            }
        }
        loading.retain(|Loading { load, reading }| {
            let Some(reading) = reading.as_ref().filter(|reading| reading.is_done()) else {
                return true;
            };
            let days = reading.days.iter();
            let cells: Vec<_> = days.map(|(day, sums)| (*day, *sums)).collect();
            self.triggers
                .loaded(load.watch, load.days, &reading.total.sums, &cells);
            false
        });
        self.loading = loading;
        Ok(())
    }
}
