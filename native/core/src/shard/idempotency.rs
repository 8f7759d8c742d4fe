//! Idempotency keys: a key that comes again within the window gets the message it was first given to.
//!
//! The table is in memory, whole; on disk the keys of a batch are one record in the bucket of their
//! hour, so that an hour is forgotten by deleting its records.

use super::batches;
use super::{OpenBatch, Shard};
use crate::key_table::{KeyHash, KeyTable};
use crate::limits;
use crate::record::{KeysRecord, RecordError, keys_key, write_keys_record};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::collections::VecDeque;
use std::hash::Hasher;

const HOUR_MS: u64 = 3_600_000;
/// Whole hours that the window spans at least.
const WINDOW_HOURS: u64 = limits::IDEMPOTENCY_WINDOW_MS / HOUR_MS;
const DELETES_PER_STEP: usize = 500;
const SLOTS_PER_STEP: usize = 8192;

/// The keys of one hour on disk.
#[derive(Debug)]
struct Hour {
    hour: u64,
    /// Batches with a record, ascending.
    batches: Vec<u64>,
}

#[derive(Debug, Default)]
pub struct Idempotency {
    pub table: KeyTable,
    hours: VecDeque<Hour>,
    /// Records of hours that left the window.
    deleting: Vec<(u32, u64)>,
}

impl Idempotency {
    fn note(&mut self, hour: u64, batch: u64) {
        match self.hours.back_mut() {
            Some(last) if last.hour >= hour => last.batches.push(batch),
            _ => self.hours.push_back(Hour {
                hour,
                batches: vec![batch],
            }),
        }
    }

    /// Takes a stored record.
    pub fn recover(&mut self, hour: u32, batch: u64, value: &[u8]) -> Result<(), RecordError> {
        for (hash, index) in KeysRecord::parse(value)?.iter() {
            self.table.insert(hash, batches::key(batch, index));
        }
        self.note(u64::from(hour), batch);
        Ok(())
    }

    pub fn is_working(&self) -> bool {
        !self.deleting.is_empty() || self.table.is_sweeping()
    }
}

impl Shard {
    /// 128 bits for destination, tenant and key; names have no byte 0.
    pub(super) fn key_hash(&self, destination: &str, tenant: &[u8], key: &[u8]) -> KeyHash {
        let mut hasher = SipHasher13::new_with_key(&self.options.hash_key);
        hasher.write(destination.as_bytes());
        hasher.write_u8(0);
        hasher.write(tenant);
        hasher.write_u8(0);
        hasher.write(key);
        hasher.finish128().as_bytes()
    }

    /// Writes the keys of the batch that is being closed.
    pub(super) fn write_keys(&mut self, open: &OpenBatch) {
        if open.keys.is_empty() {
            return;
        }
        let hour = self.now_us / 1000 / HOUR_MS;
        self.idempotency.note(hour, open.number);
        let key = keys_key(hour as u32, open.number);
        self.journal
            .put_with(&key, |out| write_keys_record(out, &open.keys));
    }

    /// Keys of hours that left the window are unknown from now on.
    pub(super) fn forget_hours(&mut self) {
        let now_hour = self.now_us / 1000 / HOUR_MS;
        let known = &mut self.idempotency;
        while let Some(first) = known.hours.front() {
            if first.hour + WINDOW_HOURS >= now_hour {
                break;
            }
            let gone = known.hours.pop_front().expect("just seen");
            let hour = gone.hour as u32;
            known
                .deleting
                .extend(gone.batches.iter().map(|&batch| (hour, batch)));
            let next = known
                .hours
                .front()
                .and_then(|next| next.batches.first().copied());
            let first = next.unwrap_or(self.next_batch);
            known.table.forget_below(batches::key(first, 0));
        }
    }

    /// What is forgotten leaves memory and disk, in small steps.
    pub(super) fn forget_keys(&mut self) {
        let known = &mut self.idempotency;
        known.table.sweep(SLOTS_PER_STEP, |_| ());
        let keep = known.deleting.len().saturating_sub(DELETES_PER_STEP);
        for (hour, batch) in known.deleting.drain(keep..) {
            self.journal.delete(&keys_key(hour, batch));
        }
        self.counters.idempotency_keys = known.table.len() as u64;
    }
}
