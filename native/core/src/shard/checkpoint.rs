//! Checkpoint: states of changed batches replace the log, in small steps.
//!
//! It begins when the log has grown to its bound or on request, and covers the log up to the last
//! record then written. Each step writes the states of some changed batches, each `asOf` the log
//! record of its own step, so that a crash in between replays right. When all are written, `through`
//! moves and the log up to it is deleted, 500 records a step.

use super::batches::{self, GONE, Key};
use super::dead::Dead;
use super::events::EventBounds;
use super::recovery::DEAD_IN_DOUBT;
use super::usage::UsageBounds;
use super::{REASON_DEAD_IN_DOUBT, Shard};
use crate::limits;
use crate::record::{Mark, StateExtra, log_key, state_key, write_mark, write_state_record};
use std::collections::{BTreeMap, VecDeque};

/// State records of one step, and bytes of them at most (roughly): steps stay under a millisecond.
const BATCHES_PER_STEP: usize = 256;
const BYTES_PER_STEP: usize = 256 * 1024;
/// Deletes of one step: 500 keys block LMDB's writer for 0.1–0.2 ms, 10,000 for 8 ms.
const DELETES_PER_STEP: u64 = 500;

/// Bounds that tests make small, so that a short run meets them.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub cache_bytes: usize,
    /// A checkpoint begins when the log has grown to it.
    pub log_bytes: u64,
    /// Log kept behind checkpoints.
    pub log_kept_bytes: u64,
    /// State records and deletes of one step of a checkpoint.
    pub batches_per_step: usize,
    pub deletes_per_step: u64,
    pub events: EventBounds,
    pub usage: UsageBounds,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            cache_bytes: limits::CACHE_BYTES,
            log_bytes: limits::LOG_BYTES,
            log_kept_bytes: limits::LOG_KEPT_BYTES,
            batches_per_step: BATCHES_PER_STEP,
            deletes_per_step: DELETES_PER_STEP,
            events: EventBounds::default(),
            usage: UsageBounds::default(),
        }
    }
}

#[derive(Debug, Default)]
pub struct Checkpoint {
    /// Batches that changed since their last state record.
    pub dirty: Vec<u64>,
    /// Those the running checkpoint still has to write.
    work: Vec<u64>,
    running: bool,
    /// Log record that the running checkpoint covers.
    target: u64,
    /// Log records up to it are contained in state records.
    pub through: u64,
    /// Log records up to it are deleted from disk.
    pub deleted: u64,
    /// Log records up to it may be: those behind it are kept for traces.
    deletable: u64,
    /// Parts of the log that are kept: last record, bytes, when it was covered.
    kept: VecDeque<(u64, u64, u64)>,
    kept_bytes: u64,
    /// Bytes of the log that the running checkpoint covers.
    target_bytes: u64,
    /// Request ids that wait for a whole checkpoint.
    requests: Vec<u32>,
    /// Those among them that the running one answers.
    answering: usize,
}

impl Checkpoint {
    /// Batches that changed and are not written.
    pub fn pending(&self) -> impl Iterator<Item = u64> {
        self.dirty.iter().chain(&self.work).copied()
    }

    pub fn has_work(&self) -> bool {
        self.running || self.deleted < self.deletable || !self.requests.is_empty()
    }

    /// A part of the log is covered, and kept for a while.
    pub fn keep(&mut self, through: u64, bytes: u64, now_ms: u64) {
        if through > self.deleted {
            self.kept.push_back((through, bytes, now_ms));
            self.kept_bytes += bytes;
        }
    }

    /// Lets go of parts that are too old or too much.
    fn let_go(&mut self, bytes_max: u64, before_ms: u64) {
        while let Some(&(last, bytes, at_ms)) = self.kept.front() {
            if self.kept_bytes <= bytes_max && at_ms > before_ms {
                return;
            }
            self.kept.pop_front();
            self.kept_bytes -= bytes;
            self.deletable = last;
        }
    }
}

/// A dead letter's reason, as its extra is stored.
fn dead_flag(dead: &BTreeMap<Key, Dead>, batch: u64, index: u16) -> u8 {
    match dead.get(&batches::key(batch, index)) {
        Some(dead) if dead.reason == REASON_DEAD_IN_DOUBT => DEAD_IN_DOUBT,
        _ => 0,
    }
}

impl Shard {
    pub(super) fn request_checkpoint(&mut self, request: u32) {
        self.checkpoint.requests.push(request);
    }

    pub(super) fn write_checkpoint(&mut self) {
        let wanted =
            self.log_bytes >= self.bounds.log_bytes || !self.checkpoint.requests.is_empty();
        if !self.checkpoint.running && wanted {
            self.checkpoint.running = true;
            self.checkpoint.target = self.next_log - 1;
            self.checkpoint.answering = self.checkpoint.requests.len();
            self.checkpoint.work = std::mem::take(&mut self.checkpoint.dirty);
            self.checkpoint.target_bytes = self.log_bytes;
            self.log_bytes = 0;
        }
        if self.checkpoint.running {
            self.write_states();
        }
        self.delete_log();
    }

    fn write_states(&mut self) {
        let before = self.journal.bytes().len();
        let mut written = 0;
        let batches = self.bounds.batches_per_step;
        while written < batches && self.journal.bytes().len() - before < BYTES_PER_STEP {
            let Some(number) = self.checkpoint.work.pop() else {
                break;
            };
            written += usize::from(self.write_state(number));
        }
        if !self.checkpoint.work.is_empty() {
            return;
        }
        self.checkpoint.running = false;
        self.checkpoint.through = self.checkpoint.target;
        let through = self.checkpoint.through;
        let bytes = self.checkpoint.target_bytes;
        self.checkpoint.keep(through, bytes, self.now_us / 1000);
        self.journal.put_with(&Mark::Through.key(), |out| {
            write_mark(out, Mark::Through, through);
        });
        let answered: Vec<u32> = self
            .checkpoint
            .requests
            .drain(..self.checkpoint.answering)
            .collect();
        for request in answered {
            self.reply_json(request, &format!(r#"{{"ok":true,"through":{through}}}"#));
        }
    }

    /// Writes a batch's states, if it still has a live message.
    fn write_state(&mut self, number: u64) -> bool {
        let Some(batch) = self.batches.get_mut(number) else {
            return false;
        };
        if !batch.dirty {
            return false;
        }
        batch.dirty = false;
        batch.stored = true;
        let mut extras = Vec::new();
        if !self.extras.is_empty() {
            for (index, state) in batch.states().enumerate() {
                if state == GONE {
                    continue;
                }
                if let Some(extra) = self.extras.get(&batches::key(number, index as u16)) {
                    extras.push(StateExtra {
                        index: index as u16,
                        attempts: extra.attempts,
                        due_ms: extra.detail,
                        flags: extra.flags | dead_flag(&self.dead, number, index as u16),
                    });
                }
            }
        }
        let as_of = self.next_log - 1;
        let (states, ended_ms) = (batch.states(), batch.ended_ms);
        self.journal.put_with(&state_key(number), |out| {
            write_state_record(out, as_of, ended_ms, states, &extras);
        });
        true
    }

    fn delete_log(&mut self) {
        let retention_ms = self.options.memory.retention_ms;
        let before_ms = (self.now_us / 1000).saturating_sub(retention_ms);
        self.checkpoint
            .let_go(self.bounds.log_kept_bytes, before_ms);
        let end = self
            .checkpoint
            .deletable
            .min(self.checkpoint.deleted + self.bounds.deletes_per_step);
        for sequence in self.checkpoint.deleted + 1..=end {
            self.journal.delete(&log_key(sequence));
        }
        self.checkpoint.deleted = end.max(self.checkpoint.deleted);
    }
}
