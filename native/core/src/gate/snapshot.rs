//! Keeps the log short: writes all permits as a snapshot, one piece a step, then deletes the log
//! before it.
//!
//! A snapshot's number is the sequence that the log had when it began; from there on the log is read
//! again over it, whenever its pieces were written. It counts once the mark `through` has its number.

use super::permit::{FINISHING, LOCAL_PERMIT};
use super::{Gate, NONE};
use crate::limits::{GATE_DELETES, GATE_LOG_RECORDS, SNAPSHOT_PERMITS};
use crate::record::{GateGrant, GateMark, gate_log_key, gate_piece_key, write_gate_piece};
use std::collections::VecDeque;

/// Slots looked at in one step.
const SLOTS_PER_STEP: usize = 65_536;

#[derive(Default)]
pub(super) struct Snapshot {
    running: Option<Running>,
    /// Snapshot and pieces of the one that counts.
    last: Option<(u64, u32)>,
    /// Pieces to delete, of snapshots that do not count.
    old: VecDeque<(u64, u32)>,
    /// Log records before this sequence are to be deleted.
    log_until: u64,
}

struct Running {
    number: u64,
    next_slot: u32,
    pieces: u32,
    /// Bytes of the log when it began.
    log_bytes: u64,
}

impl Snapshot {
    pub fn recovered(&mut self, last: Option<(u64, u32)>, old: Vec<(u64, u32)>, through: u64) {
        self.last = last;
        self.old = old.into();
        self.log_until = through;
    }
}

impl Gate {
    pub(super) fn snapshot_has_work(&self) -> bool {
        self.snapshot.running.is_some()
            || !self.snapshot.old.is_empty()
            || self.log.first < self.snapshot.log_until
    }

    pub(super) fn write_snapshot(&mut self) {
        self.delete_old();
        if self.snapshot.running.is_none() {
            let records = self.log.next - self.log.first.max(self.snapshot.log_until);
            let is_long = self.log.bytes > self.options.log_bytes_max || records > GATE_LOG_RECORDS;
            if !is_long || self.snapshot_has_work() {
                return;
            }
            self.snapshot.running = Some(Running {
                number: self.log.next,
                next_slot: 0,
                pieces: 0,
                log_bytes: self.log.bytes,
            });
        }
        let mut running = self.snapshot.running.take().expect("just made");
        self.write_piece(&mut running);
        if (running.next_slot as usize) < self.permits.slots() {
            self.snapshot.running = Some(running);
            return;
        }
        self.put_mark(GateMark::Through, running.number);
        self.log.bytes -= running.log_bytes;
        self.snapshot.log_until = running.number;
        let last = (running.number, running.pieces);
        if let Some((number, pieces)) = self.snapshot.last.replace(last) {
            let old = (0..pieces).map(|piece| (number, piece));
            self.snapshot.old.extend(old);
        }
        self.delete_old();
    }

    fn write_piece(&mut self, running: &mut Running) {
        self.log.parts.clear();
        self.log.mark += 1;
        let end = (running.next_slot as usize + SLOTS_PER_STEP).min(self.permits.slots()) as u32;
        let mut written = 0;
        while running.next_slot < end && written < SNAPSHOT_PERMITS {
            let slot = running.next_slot;
            running.next_slot += 1;
            let permit = *self.permits.get(slot);
            if permit.key == NONE || permit.flags & LOCAL_PERMIT != 0 {
                continue;
            }
            written += 1;
            let key = self.mark_key(permit.key);
            self.log.parts.standing(&GateGrant {
                slot,
                generation: permit.generation,
                key,
                seats: permit.seats,
                lease_ms: permit.lease_ms,
                finishing: permit.flags & FINISHING != 0,
                lease_end_us: permit.lease_end_us,
            });
        }
        if written > 0 {
            let parts = &self.log.parts;
            let key = gate_piece_key(running.number, running.pieces);
            self.journal
                .put_with(&key, |out| write_gate_piece(out, parts));
            running.pieces += 1;
        }
    }

    fn delete_old(&mut self) {
        let mut left = GATE_DELETES;
        while left > 0
            && let Some((snapshot, piece)) = self.snapshot.old.pop_front()
        {
            self.journal.delete(&gate_piece_key(snapshot, piece));
            left -= 1;
        }
        while left > 0 && self.log.first < self.snapshot.log_until {
            self.journal.delete(&gate_log_key(self.log.first));
            self.log.first += 1;
            left -= 1;
        }
    }
}
