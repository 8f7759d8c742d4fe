//! Reads counters: the stored cells of one category and tag, over some accounts, and what is dirty.

use super::Fatal;
use super::Usage;
use super::accounts::Accounts;
use super::counters::{Counters, Kind};
use super::generation::{ALL_TIME, Cell};
use super::wants::Answers;
use crate::limits::{USAGE_READ_DAYS, USAGE_READ_RANGES};
use crate::record::{Sums, UsageCell, usage_all_time_key, usage_day_key};
use std::collections::BTreeMap;

/// Days that a range without a bound is taken to have.
const DAYS_OF_UNBOUNDED: usize = 1024;

/// What may still be read in this step.
pub(super) struct Budget {
    ranges: usize,
    days: usize,
}

impl Budget {
    pub const fn new() -> Self {
        Self {
            ranges: USAGE_READ_RANGES,
            days: USAGE_READ_DAYS,
        }
    }

    pub const fn is_spent(&self) -> bool {
        self.ranges == 0 || self.days == 0
    }

    pub fn spend(&mut self, days: usize) {
        self.ranges = self.ranges.saturating_sub(1);
        self.days = self.days.saturating_sub(days);
    }
}

/// A sum over all days, and the first and last of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Total {
    pub sums: Sums,
    pub days: Option<(u32, u32)>,
}

impl Total {
    pub fn add(&mut self, sums: &Sums, (first, last): (u32, u32)) {
        self.sums.add(sums);
        let (before, after) = self.days.unwrap_or((first, last));
        self.days = Some((before.min(first), after.max(last)));
    }
}

pub(super) struct Reading {
    pub category: Box<[u8]>,
    /// Empty: none.
    pub tag: Box<[u8]>,
    /// Accounts, ascending.
    sources: Vec<u32>,
    /// Of these: read, and wanted in this step.
    read: usize,
    wanted: usize,
    /// Whether all-time cells are read, and which days.
    all_time: bool,
    range: Option<(u32, u32)>,
    pub total: Total,
    pub days: BTreeMap<u32, Sums>,
}

impl Reading {
    pub fn new(
        (category, tag): (&[u8], &[u8]),
        sources: Vec<u32>,
        all_time: bool,
        range: Option<(u32, u32)>,
    ) -> Self {
        Self {
            category: category.into(),
            tag: tag.into(),
            sources,
            read: 0,
            wanted: 0,
            all_time,
            range,
            total: Total::default(),
            days: BTreeMap::new(),
        }
    }

    pub fn is_done(&self) -> bool {
        self.read == self.sources.len()
    }

    pub fn kind(&self) -> Kind<'_> {
        Kind {
            category: &self.category,
            tag: &self.tag,
        }
    }

    /// What an account counted that was read in a step before.
    pub fn add_if_read(&mut self, account: u32, cell: &Cell) {
        let is_read = self
            .sources
            .binary_search(&account)
            .is_ok_and(|at| at < self.read);
        if is_read {
            self.total.add(&cell.sums, (cell.first_day, cell.last_day));
            if self
                .range
                .is_some_and(|(from, to)| from <= cell.day && cell.day <= to)
            {
                self.days.entry(cell.day).or_default().add(&cell.sums);
            }
        }
    }
}

impl Usage {
    /// Wants what of a reading fits the budget.
    pub(super) fn want_reading(&mut self, reading: &mut Reading, budget: &mut Budget) {
        reading.wanted = reading.read;
        while reading.wanted < reading.sources.len() && !budget.is_spent() {
            let account = reading.sources[reading.wanted];
            reading.wanted += 1;
            if !self.counters_of.is_known(account, reading.kind()) {
                continue;
            }
            let name = &self.accounts.get(account).name;
            if reading.all_time {
                self.key.clear();
                usage_all_time_key(&mut self.key, name, &reading.category, &reading.tag);
                self.wants.key(&self.key);
                budget.spend(1);
            }
            if let Some((from, to)) = reading.range {
                self.key.clear();
                usage_day_key(&mut self.key, name, &reading.category, &reading.tag, from);
                self.bytes.clear();
                usage_day_key(&mut self.bytes, name, &reading.category, &reading.tag, to);
                // The end is not part of a range; a byte more is the next key.
                self.bytes.push(0);
                self.wants.range(&self.key, &self.bytes);
                let days = to.saturating_sub(from) as usize + 1;
                budget.spend(days.min(DAYS_OF_UNBOUNDED));
            }
        }
    }

    pub(super) fn give_reading(
        &mut self,
        reading: &mut Reading,
        answers: &mut Answers<'_>,
    ) -> Result<(), Fatal> {
        while reading.read < reading.wanted {
            let account = reading.sources[reading.read];
            reading.read += 1;
            if !self.counters_of.is_known(account, reading.kind()) {
                continue;
            }
            let slot = self.counters_of.find(account, reading.kind());
            if reading.all_time {
                let base = answers.one()?;
                self.add_total(reading, slot, base);
            }
            if reading.range.is_some() {
                self.add_days(reading, slot, answers)?;
            }
            self.counters.records_read += 1;
        }
        Ok(())
    }

    fn add_total(&self, reading: &mut Reading, slot: Option<u32>, base: Option<UsageCell>) {
        if let Some(base) = base {
            match base.days {
                Some(days) => reading.total.add(&base.sums, days),
                None => reading.total.sums.add(&base.sums),
            }
        }
        let as_of = base.map_or(0, |base| base.as_of);
        let Some(slot) = slot else { return };
        for cell in [
            self.frozen_cell(slot, ALL_TIME, as_of),
            self.dirty.get(slot, ALL_TIME),
        ]
        .into_iter()
        .flatten()
        {
            reading
                .total
                .add(&cell.sums, (cell.first_day, cell.last_day));
        }
    }

    /// A cell of A, unless the stored one has it already.
    fn frozen_cell(&self, slot: u32, day: u32, as_of: u64) -> Option<&Cell> {
        let counts = self.checkpoint.has_frozen() && as_of < self.checkpoint.as_of;
        counts.then(|| self.frozen.get(slot, day)).flatten()
    }

    fn add_days(
        &self,
        reading: &mut Reading,
        slot: Option<u32>,
        answers: &mut Answers<'_>,
    ) -> Result<(), Fatal> {
        let (from, to) = reading.range.expect("days are read");
        let mut merged = Vec::new();
        let days = &mut reading.days;
        answers.each(|key, cell| {
            let day = key.day.unwrap_or(from);
            days.entry(day).or_default().add(&cell.sums);
            if cell.as_of >= self.checkpoint.as_of {
                merged.push(day);
            }
        })?;
        let Some(slot) = slot else { return Ok(()) };
        let within = |days: Option<(u32, u32)>| {
            let (first, last) = days.unwrap_or((1, 0));
            first.max(from)..=last.min(to)
        };
        if self.checkpoint.has_frozen() {
            for day in within(self.frozen.days()) {
                if let Some(cell) = self.frozen.get(slot, day)
                    && merged.binary_search(&day).is_err()
                {
                    reading.days.entry(day).or_default().add(&cell.sums);
                }
            }
        }
        for day in within(self.dirty.days()) {
            if let Some(cell) = self.dirty.get(slot, day) {
                reading.days.entry(day).or_default().add(&cell.sums);
            }
        }
        Ok(())
    }
}

/// Which of some accounts have a counter.
pub(super) fn with_counter(
    family: &[u32],
    kind: Kind<'_>,
    (counters, accounts): (&Counters, &Accounts),
) -> Vec<u32> {
    let has =
        |account: &&u32| accounts.get(**account).counters > 0 && counters.is_known(**account, kind);
    family.iter().filter(has).copied().collect()
}
