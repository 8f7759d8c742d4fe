//! What a step counted: gathered cell by cell, written as one log record, then folded into the dirty
//! cells.

use super::calendar::DAY_MS;
use super::caps::Told;
use super::counters::Kind;
use super::generation::ALL_TIME;
use super::price::PriceList;
use super::{Fatal, Usage};
use crate::exchange::decode_usage_deltas;
use crate::record::{BuiltIn, Category, Delta, DeltaReader, Sums, usage_log_key, write_usage_log};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The main thread's own counts: told once, so without a sequence.
pub(super) const OWN_SOURCE: u32 = 0;

/// The source that a shard is.
pub(super) const fn source_of(shard: u16) -> u32 {
    shard as u32 + 1
}

#[derive(Default)]
pub(super) struct Log {
    /// Sequence of the next record, and of the first that may be stored.
    pub next: u64,
    pub first: u64,
    /// Records up to this one are to be deleted.
    pub delete_through: u64,
    /// Of the records that are not in cells and in no checkpoint.
    pub bytes: u64,
    /// Which sequence each source was folded up to.
    pub sources: BTreeMap<u32, u64>,
    /// Of those that told something in this step.
    told: Vec<(u32, u64)>,
    order: Vec<u32>,
}

impl Usage {
    /// The counter exists from now on.
    pub(super) fn note_counter(&mut self, account: u32, kind: Kind<'_>) {
        if self.counters_of.note(account, kind) {
            self.accounts.get_mut(account).counters += 1;
        }
    }

    /// Adds to a cell of this step; its counter exists.
    #[inline]
    pub(super) fn fold(&mut self, (account, day): (u32, u32), kind: Kind<'_>, what: (&Sums, u64)) {
        let counter = self.counters_of.open(account, kind);
        self.fresh
            .add(&mut self.counters_of, (counter, day), day, what);
    }

    /// The total of an account's prices is a counter that only the machine keeps.
    pub(super) fn fold_price(&mut self, cell: (u32, u32), category: &[u8], price: i128) {
        if price == 0 {
            return;
        }
        self.add_to_caps(cell, category, price);
        let kind = Kind {
            category: BuiltIn::TotalPrice.name().as_bytes(),
            tag: b"",
        };
        self.note_counter(cell.0, kind);
        let sums = Sums {
            price,
            ..Sums::default()
        };
        self.fold(cell, kind, (&sums, 1));
    }

    /// The prices of a category: the account's own, or those of all.
    pub(super) fn price_of(&mut self, category: &[u8], account: &[u8]) -> Option<Arc<PriceList>> {
        if self.prices.is_empty() {
            return None;
        }
        self.key.clear();
        self.key.extend_from_slice(category);
        self.key.push(b'/');
        self.key.extend_from_slice(account);
        let own = self.prices.get(&*self.key);
        own.or_else(|| self.prices.get(category)).cloned()
    }

    /// What a source counted; skipped when it was folded before.
    pub(super) fn deltas_entry(&mut self, source: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let told = decode_usage_deltas(bytes)?;
        if source != OWN_SOURCE {
            let last = self.log.sources.entry(source).or_default();
            if told.sequence <= *last {
                self.counters.lists_repeated += 1;
                return Ok(());
            }
            *last = told.sequence;
            match self.log.told.iter_mut().find(|entry| entry.0 == source) {
                Some(entry) => entry.1 = told.sequence,
                None => self.log.told.push((source, told.sequence)),
            }
        }
        self.counters.lists += 1;
        let of = Told {
            source,
            sequence: told.sequence,
            again: told.again,
        };
        for delta in told.deltas.deltas() {
            self.fold_delta(of, &delta);
        }
        Ok(())
    }

    fn fold_delta(&mut self, told: Told, delta: &Delta<'_>) {
        if delta.category == Category::BuiltIn(BuiltIn::TotalPrice) {
            return;
        }
        let kind = Kind {
            category: delta.category.name(),
            tag: delta.tag,
        };
        let account = self.accounts.open(delta.account);
        if !kind.tag.is_empty()
            && !self.has_room_for(Some(account), 1)
            && !self.counters_of.is_known(account, kind)
        {
            // What it counted is in the cell without a tag, too.
            self.counters.tags_dropped += 1;
            return;
        }
        let mut sums = delta.sums;
        if told.source == OWN_SOURCE && sums.price == 0 {
            // Who counts on the main thread knows no prices.
            let at_ms = self
                .now_ms()
                .min(u64::from(delta.day) * DAY_MS + DAY_MS - 1);
            let price = self.price_of(kind.category, delta.account);
            sums.price = price.map_or(0, |list| list.amount(at_ms, sums.count, sums.usage));
        }
        self.note_counter(account, kind);
        let cell = (account, delta.day);
        if told.source != OWN_SOURCE && !self.caps_of.is_empty() {
            self.tell_caps(cell, kind, &sums, told);
        }
        self.fold(cell, kind, (&sums, sums.count.unsigned_abs().max(1)));
        if kind.tag.is_empty() {
            self.fold_price(cell, kind.category, sums.price);
        }
    }

    /// Writes what this step counted as one record of the log.
    pub(super) fn write_log(&mut self) {
        if self.fresh.is_empty() && self.log.told.is_empty() {
            return;
        }
        let (cells, counters) = (self.fresh.cells(), &self.counters_of);
        let order = &mut self.log.order;
        order.clear();
        order.extend(0..cells.len() as u32);
        order.sort_by_key(|at| counters.get(cells[*at as usize].counter).account);
        for &at in &*order {
            let cell = &cells[at as usize];
            let counter = counters.get(cell.counter);
            self.list.add(&Delta {
                account: &self.accounts.get(counter.account).name,
                category: counter.category(),
                tag: counter.kind().tag,
                day: cell.day,
                sums: cell.sums,
            });
        }
        self.bytes.clear();
        self.list.finish(&mut self.bytes);
        let before = self.journal.bytes().len();
        let (told, list) = (&self.log.told, &self.bytes);
        self.journal.put_with(&usage_log_key(self.log.next), |out| {
            write_usage_log(out, told, list);
        });
        self.log.bytes += (self.journal.bytes().len() - before) as u64;
        self.log.next += 1;
        self.log.told.clear();
    }

    /// Moves what this step counted into the dirty cells, and tells who watches.
    pub(super) fn fold_fresh(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        for cell in fresh.cells() {
            let what = (&cell.sums, cell.events);
            let (counter, day, counters) = (cell.counter, cell.day, &mut self.counters_of);
            self.dirty.add(counters, (counter, day), day, what);
            self.dirty.add(counters, (counter, ALL_TIME), day, what);
            self.tell_watches(cell);
            self.counters_of.release(counter);
        }
        self.counters.folded += fresh.len() as u64;
        fresh.clear();
        self.fresh = fresh;
    }

    /// Folds a log record again: into A when a checkpoint had begun with it, otherwise into B.
    pub(super) fn replay(&mut self, deltas: &DeltaReader<'_>, is_frozen: bool) {
        for delta in deltas.deltas() {
            let account = self.accounts.open(delta.account);
            let kind = Kind {
                category: delta.category.name(),
                tag: delta.tag,
            };
            self.note_counter(account, kind);
            let counter = self.counters_of.open(account, kind);
            let generation = if is_frozen {
                &mut self.frozen
            } else {
                &mut self.dirty
            };
            let (counters, what) = (&mut self.counters_of, (&delta.sums, 0));
            generation.add(counters, (counter, delta.day), delta.day, what);
            generation.add(counters, (counter, ALL_TIME), delta.day, what);
        }
    }

    pub(super) fn dirty_cells(&self) -> usize {
        self.dirty.len() + self.frozen.len()
    }
}
