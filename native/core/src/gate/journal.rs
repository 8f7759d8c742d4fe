//! What a step writes: the marks, one log record, a piece of the snapshot.

use super::Gate;
use super::permit::{FINISHING, FRESH, RENEWED};
use crate::record::{
    GateGrant, GateLogWriter, GateMark, GateRenewal, gate_log_key, write_gate_log, write_gate_mark,
};

/// Generations reserved ahead at every start, and again when half of them are used.
const GENERATION_RESERVE: u64 = 1 << 20;

#[derive(Default)]
pub(super) struct Log {
    /// Slots of permits granted, slots and generations of those that ended, slots of those renewed in
    /// this step.
    pub granted: Vec<u32>,
    pub ended: Vec<(u32, u32)>,
    pub renewed: Vec<u32>,
    /// Sequence of the next record, and of the first that is stored.
    pub next: u64,
    pub first: u64,
    /// Of the records since the last snapshot was begun.
    pub bytes: u64,
    /// Generations: first of this start, and the stored bound.
    pub base: u64,
    pub ceiling: u64,
    /// Longest lease that is stored, and of this start, ms.
    pub lease_ms: u64,
    pub longest_ms: u64,
    lease_changed: bool,
    /// The mark of an orderly end is in the store.
    pub clean_stored: bool,
    /// An orderly end was asked for.
    pub ends: bool,
    pub parts: GateLogWriter,
    /// Counts writings, for the places of keys.
    pub mark: u64,
}

impl Gate {
    /// A relaxed gate answers before its journal is flushed; how long it may have to wait after a
    /// crash has to be in the store before.
    #[inline]
    pub(super) fn lease_granted(&mut self, lease_ms: u64) {
        if !self.options.relaxed {
            return;
        }
        self.log.longest_ms = self.log.longest_ms.max(lease_ms);
        if lease_ms > self.log.lease_ms {
            self.log.lease_ms = lease_ms;
            self.log.lease_changed = true;
        }
    }

    /// The leases that an unclean end may have lost are over.
    pub(super) fn open_again(&mut self) {
        if self.closed_until_us > 0 && self.closed_until_us <= self.now_us {
            self.closed_until_us = 0;
            self.log.lease_ms = self.log.longest_ms;
            self.log.lease_changed = true;
        }
    }

    pub(super) fn write_journal(&mut self) {
        self.write_marks();
        self.write_log();
        self.write_snapshot();
    }

    fn write_marks(&mut self) {
        if std::mem::take(&mut self.log.clean_stored) {
            self.journal.delete(&GateMark::Clean.key());
            self.flush = true;
        }
        let used = self.log.base + u64::from(self.permits.advance);
        if used + GENERATION_RESERVE / 2 > self.log.ceiling {
            self.log.ceiling = used + GENERATION_RESERVE;
            let ceiling = self.log.ceiling;
            self.put_mark(GateMark::Generations, ceiling);
            self.flush = true;
        }
        if std::mem::take(&mut self.log.lease_changed) {
            let lease_ms = self.log.lease_ms;
            self.put_mark(GateMark::Lease, lease_ms);
            self.flush = true;
        }
        if std::mem::take(&mut self.log.ends) {
            let now_us = self.now_us;
            self.put_mark(GateMark::Clean, now_us);
            self.flush = true;
        }
    }

    pub(super) fn forget_lease_mark(&mut self) {
        self.log.lease_changed = self.log.lease_ms > 0;
        self.log.lease_ms = 0;
    }

    pub(super) fn put_mark(&mut self, mark: GateMark, value: u64) {
        self.journal
            .put_with(&mark.key(), |out| write_gate_mark(out, mark, value));
    }

    /// The place of a key in the record that is being written.
    pub(super) fn mark_key(&mut self, key: u32) -> u32 {
        let entry = &mut self.keys[key as usize];
        if entry.mark != self.log.mark {
            let resource = &self.resources[entry.resource as usize].name;
            let tenant = &self.tenants[entry.tenant as usize].name;
            entry.mark = self.log.mark;
            entry.mark_index = self.log.parts.key(resource, tenant);
        }
        entry.mark_index
    }

    fn write_log(&mut self) {
        self.log.parts.clear();
        self.log.mark += 1;
        let granted = std::mem::take(&mut self.log.granted);
        for &slot in &granted {
            let permit = *self.permits.get(slot);
            // Ended in the same step, or its slot comes twice.
            if permit.flags & FRESH == 0 {
                continue;
            }
            self.permits.get_mut(slot).flags &= !FRESH;
            let key = self.mark_key(permit.key);
            self.log.parts.granted(&GateGrant {
                slot,
                generation: permit.generation,
                key,
                seats: permit.seats,
                lease_ms: permit.lease_ms,
                finishing: permit.flags & FINISHING != 0,
                lease_end_us: 0,
            });
        }
        let renewed = std::mem::take(&mut self.log.renewed);
        for &slot in &renewed {
            let permit = self.permits.get_mut(slot);
            if permit.flags & RENEWED != 0 {
                permit.flags &= !RENEWED;
                self.log.parts.renewed(&GateRenewal {
                    slot,
                    generation: permit.generation,
                    lease_ms: permit.lease_ms,
                    finishing: permit.flags & FINISHING != 0,
                });
            }
        }
        let ended = std::mem::take(&mut self.log.ended);
        for &(slot, generation) in &ended {
            self.log.parts.ended(slot, generation);
        }
        (self.log.granted, self.log.renewed, self.log.ended) = (granted, renewed, ended);
        self.log.granted.clear();
        self.log.renewed.clear();
        self.log.ended.clear();
        if self.log.parts.is_empty() {
            return;
        }
        let before = self.journal.bytes().len();
        let (at_us, parts) = (self.now_us, &self.log.parts);
        self.journal.put_with(&gate_log_key(self.log.next), |out| {
            write_gate_log(out, at_us, parts);
        });
        self.log.bytes += (self.journal.bytes().len() - before) as u64;
        self.log.next += 1;
    }
}
