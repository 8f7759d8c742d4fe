//! What tenants are counted for: permits that connections were given, how long they held them, and who
//! was not let in.
//!
//! Gathered, and told in one list of deltas, behind the journal of the step where the gate is strict: the
//! first at the end of its step, those that follow a moment behind the list before, because each list
//! costs the counters a step and a flush. Callers within the process are counted by who lets them ask. What is less than a second of a
//! tenant's held time waits for its next permit.

use super::Gate;
use super::names::Tenant;
use crate::exchange::EffectOp;
use crate::limits::{GATE_COUNTED_TENANTS, GATE_COUNTS_GATHER_MS, GATE_COUNTS_LIST};
use crate::name_map::{NameHash, NameMap};
use crate::record::{BuiltIn, DeltaWriter, Sums};
use crate::usage::calendar::day_of_ms;

const SECOND_US: u64 = 1_000_000;

#[derive(Default)]
struct Tally {
    permits: u32,
    impeded: u32,
    ended: u32,
    /// Told as whole seconds.
    held_us: u64,
}

pub(super) struct Counts {
    all: Vec<(Box<[u8]>, Tally)>,
    at: NameMap<u32>,
    /// Those that counted something since the last list.
    touched: Vec<u32>,
    /// When that was told.
    told_us: u64,
    /// In which they counted.
    day: u32,
    writer: DeltaWriter,
}

impl Counts {
    pub fn new(names: NameHash) -> Self {
        Self {
            all: Vec::new(),
            at: NameMap::with_hasher(names),
            touched: Vec::new(),
            told_us: 0,
            day: 0,
            writer: DeltaWriter::new(),
        }
    }

    pub fn granted(&mut self, tenant: &mut Tenant) {
        if let Some(tally) = self.of_tenant(tenant) {
            tally.permits += 1;
        }
    }

    pub fn impeded(&mut self, tenant: &[u8]) {
        if let Some(tally) = self.of(tenant) {
            tally.impeded += 1;
        }
    }

    pub fn ended(&mut self, tenant: &mut Tenant, held_us: u64) {
        if let Some(tally) = self.of_tenant(tenant) {
            tally.ended += 1;
            tally.held_us = tally.held_us.saturating_add(held_us);
        }
    }

    /// As `of`, without a look for the name where the tenant knows its place.
    fn of_tenant(&mut self, Tenant { name, tally, .. }: &mut Tenant) -> Option<&mut Tally> {
        // All places may have been given up since.
        let known = self.all.get(*tally as usize);
        if known.is_none_or(|known| known.0 != *name) {
            *tally = self.place_of(name)?;
        }
        Some(self.tally(*tally))
    }

    fn of(&mut self, tenant: &[u8]) -> Option<&mut Tally> {
        let at = self.place_of(tenant)?;
        Some(self.tally(at))
    }

    /// Of the platform, whose name is empty, nothing is counted.
    fn place_of(&mut self, tenant: &[u8]) -> Option<u32> {
        if tenant.is_empty() {
            return None;
        }
        Some(if let Some(&at) = self.at.get(tenant) {
            at
        } else {
            let at = self.all.len() as u32;
            self.all.push((tenant.into(), Tally::default()));
            self.at.insert(tenant.into(), at);
            at
        })
    }

    fn tally(&mut self, at: u32) -> &mut Tally {
        let tally = &mut self.all[at as usize].1;
        if (tally.permits, tally.impeded, tally.ended) == (0, 0, 0) {
            self.touched.push(at);
        }
        tally
    }

    /// When the next list is told at the latest.
    pub fn next_us(&self) -> u64 {
        if self.touched.is_empty() {
            u64::MAX
        } else if self.touched.len() >= GATE_COUNTS_LIST {
            0
        } else {
            self.told_us + GATE_COUNTS_GATHER_MS * 1000
        }
    }

    /// Appends the list of what was counted since the last one.
    fn take(&mut self, out: &mut Vec<u8>) {
        for at in self.touched.drain(..) {
            let (name, tally) = &mut self.all[at as usize];
            let counts = [tally.permits, tally.ended, tally.impeded];
            let cells = counts.iter().filter(|count| **count > 0).count();
            self.writer.account(name, cells as u32);
            let seconds = tally.held_us / SECOND_US;
            let cells = [
                (BuiltIn::Permits, tally.permits, tally.permits.into()),
                (BuiltIn::PermitSeconds, tally.ended, seconds),
                (BuiltIn::PermitsImpeded, tally.impeded, tally.impeded.into()),
            ];
            for (category, count, usage) in cells.into_iter().filter(|cell| cell.1 > 0) {
                let sums = Sums {
                    count: count.into(),
                    usage: usage.into(),
                    price: 0,
                };
                self.writer.cell(category, self.day, &sums);
            }
            *tally = Tally {
                held_us: tally.held_us % SECOND_US,
                ..Tally::default()
            };
        }
        self.writer.finish(out);
        if self.all.len() >= GATE_COUNTED_TENANTS {
            self.all.clear();
            self.at.clear();
        }
    }
}

impl Gate {
    /// What was counted on another day is told apart.
    pub(super) fn begin_counts(&mut self) {
        let day = day_of_ms(self.now_us / 1000);
        if day != self.counts.day {
            self.tell_counts();
            self.counts.day = day;
        }
    }

    /// Tells what was counted, if it is time.
    pub(super) fn end_counts(&mut self) {
        if self.draining || self.counts.next_us() <= self.now_us {
            self.tell_counts();
        }
    }

    fn tell_counts(&mut self) {
        if self.counts.touched.is_empty() {
            return;
        }
        self.counts.told_us = self.now_us;
        let replies = &mut self.effects.replies;
        let start = replies.start();
        let out = replies.bytes();
        // Never told again, so without a number.
        out.extend_from_slice(&0_u64.to_le_bytes());
        self.counts.take(out);
        replies.push(EffectOp::Usage, 0, start);
    }
}
