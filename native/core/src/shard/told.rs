//! Records that are stored with what made them, told to the main thread behind the flush, and
//! deleted once it has taken them: status events, and usage.
//!
//! Owns their sequences, which of them were told, and the bytes that are not taken. What is told and
//! not taken is bounded; the rest waits in the store. After a start all of them are told again.

use super::{Fatal, Want};
use crate::record::{
    EventsRecord, JournalWriter, Mark, RecordError, events_key, parse_usage_record, usage_key,
    write_mark,
};
use std::collections::{BTreeMap, VecDeque};

/// Sequences reserved ahead.
const RESERVE: u64 = 1 << 20;
/// Records deleted in one exchange: 500 deletes block the store's writer for 0.1–0.2 ms.
const DELETES_PER_STEP: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldKind {
    Events,
    Usage,
}

impl ToldKind {
    fn key(self, sequence: u64) -> [u8; 9] {
        match self {
            Self::Events => events_key(sequence),
            Self::Usage => usage_key(sequence),
        }
    }

    const fn mark(self) -> Mark {
        match self {
            Self::Events => Mark::Events,
            Self::Usage => Mark::Usage,
        }
    }

    const fn want(self, sequence: u64) -> Want {
        match self {
            Self::Events => Want::Events(sequence),
            Self::Usage => Want::Usage(sequence),
        }
    }

    fn check(self, value: &[u8]) -> Result<(), RecordError> {
        match self {
            Self::Events => EventsRecord::parse(value).map(|_| ()),
            Self::Usage => parse_usage_record(value).map(|_| ()),
        }
    }

    fn name(self, sequence: u64) -> String {
        match self {
            Self::Events => format!("the events record {sequence}"),
            Self::Usage => format!("the usage record {sequence}"),
        }
    }
}

#[allow(clippy::struct_field_names, reason = "all of them are bounds of bytes")]
#[derive(Clone, Copy, Debug)]
pub struct ToldBounds {
    /// Told and not taken; told in one exchange.
    pub told_bytes: u64,
    pub exchange_bytes: u64,
    /// Records that wait to be told and can be read back stay in memory within this.
    pub at_hand_bytes: u64,
}

/// Where a record that this exchange tells is.
#[derive(Debug)]
enum Source {
    AtHand(Box<[u8]>),
    Want(u32),
}

#[allow(
    clippy::struct_field_names,
    reason = "stored, told and taken are what happens to it"
)]
#[derive(Debug)]
pub struct Told {
    kind: ToldKind,
    bounds: ToldBounds,
    next: u64,
    /// No sequence at or above it was ever used, as the store says.
    ceiling: u64,
    /// Records up to it were stored before the start.
    recovered: u64,
    /// Records not yet deleted, ascending: sequence and bytes.
    stored: VecDeque<(u64, u32)>,
    /// How many of them, from the oldest, were told, and their bytes.
    told: usize,
    told_bytes: u64,
    /// Bytes of all of them.
    bytes: u64,
    /// Records up to it were taken.
    taken: u64,
    /// Records up to it are not written anew.
    sealed: u64,
    /// Records not yet told, with the exchange that wrote them.
    at_hand: BTreeMap<u64, (u64, Box<[u8]>)>,
    at_hand_bytes: u64,
    /// Of the current exchange.
    telling: Vec<(u64, Source)>,
}

impl Told {
    pub const fn new(kind: ToldKind, bounds: ToldBounds) -> Self {
        Self {
            kind,
            bounds,
            next: 0,
            ceiling: 0,
            recovered: 0,
            stored: VecDeque::new(),
            told: 0,
            told_bytes: 0,
            bytes: 0,
            taken: 0,
            sealed: 0,
            at_hand: BTreeMap::new(),
            at_hand_bytes: 0,
            telling: Vec::new(),
        }
    }

    /// Bytes that are stored.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is something to tell or to delete without new input.
    pub fn has_work(&self) -> bool {
        let can_tell = self.told < self.stored.len() && self.told_bytes < self.bounds.told_bytes;
        can_tell || self.has_deletes()
    }

    fn has_deletes(&self) -> bool {
        self.stored
            .front()
            .is_some_and(|&(sequence, _)| sequence <= self.taken)
    }

    /// The main thread has stored what the records up to this one say.
    pub fn take(&mut self, sequence: u64) {
        self.taken = self.taken.max(sequence.min(self.next - 1));
    }

    /// Begins an exchange: what can be read back and is too much leaves the memory. The newest
    /// stays, since it may be written anew.
    pub fn begin(&mut self, committed: u64) {
        self.telling.clear();
        while self.at_hand_bytes > self.bounds.at_hand_bytes
            && self.at_hand.len() > 1
            && let Some(first) = self.at_hand.first_entry()
            && first.get().0 <= committed
        {
            self.at_hand_bytes -= first.remove().1.len() as u64;
        }
    }

    /// Stores a new record.
    pub fn store(&mut self, journal: &mut JournalWriter, exchange: u64, value: Vec<u8>) {
        let sequence = self.next;
        self.next += 1;
        if sequence >= self.ceiling {
            let ceiling = sequence + RESERVE;
            self.ceiling = ceiling;
            let mark = self.kind.mark();
            journal.put_with(&mark.key(), |out| write_mark(out, mark, ceiling));
        }
        journal.put(&self.kind.key(sequence), &value);
        self.stored.push_back((sequence, value.len() as u32));
        self.bytes += value.len() as u64;
        self.keep(sequence, exchange, value);
    }

    fn keep(&mut self, sequence: u64, exchange: u64, value: Vec<u8>) {
        self.at_hand_bytes += value.len() as u64;
        let kept = (exchange, value.into_boxed_slice());
        if let Some((_, old)) = self.at_hand.insert(sequence, kept) {
            self.at_hand_bytes -= old.len() as u64;
        }
    }

    /// The newest record, if this run wrote it and nobody was told of it yet.
    pub fn untold(&self) -> Option<&[u8]> {
        let &(sequence, _) = self.stored.back()?;
        let is_told = self.told >= self.stored.len();
        let kept = self.recovered.max(self.taken).max(self.sealed);
        if is_told || sequence <= kept {
            return None;
        }
        self.at_hand.get(&sequence).map(|(_, value)| &**value)
    }

    /// What comes from now on is in records after the one returned.
    pub const fn seal(&mut self) -> u64 {
        self.sealed = self.next - 1;
        self.sealed
    }

    /// Writes that record anew.
    pub fn replace_untold(&mut self, journal: &mut JournalWriter, exchange: u64, value: Vec<u8>) {
        let last = self.stored.back_mut().expect("there is one");
        self.bytes += value.len() as u64;
        self.bytes -= u64::from(std::mem::replace(&mut last.1, value.len() as u32));
        let sequence = last.0;
        journal.put(&self.kind.key(sequence), &value);
        self.keep(sequence, exchange, value);
    }

    /// Deletes what was taken, as much as one exchange does.
    pub fn delete_taken(&mut self, journal: &mut JournalWriter) {
        for _ in 0..DELETES_PER_STEP {
            if !self.has_deletes() {
                return;
            }
            let Some((sequence, bytes)) = self.stored.pop_front() else {
                return;
            };
            journal.delete(&self.kind.key(sequence));
            self.bytes -= u64::from(bytes);
            if self.told > 0 {
                self.told -= 1;
                self.told_bytes -= u64::from(bytes);
            }
            if let Some((_, value)) = self.at_hand.remove(&sequence) {
                self.at_hand_bytes -= value.len() as u64;
            }
        }
    }

    /// Chooses what this exchange tells: the oldest, as much as may be told and not taken.
    pub(super) fn choose(&mut self, wants: &mut Vec<Want>) {
        let mut left = self.bounds.exchange_bytes;
        while let Some(&(sequence, bytes)) = self.stored.get(self.told) {
            let bytes = u64::from(bytes);
            if sequence <= self.taken
                || self.told_bytes >= self.bounds.told_bytes
                || (bytes > left && !self.telling.is_empty())
            {
                return;
            }
            left = left.saturating_sub(bytes);
            self.told += 1;
            self.told_bytes += bytes;
            let source = if let Some((_, value)) = self.at_hand.remove(&sequence) {
                self.at_hand_bytes -= bytes;
                Source::AtHand(value)
            } else {
                wants.push(self.kind.want(sequence));
                Source::Want(wants.len() as u32 - 1)
            };
            self.telling.push((sequence, source));
        }
    }

    /// What this exchange tells: sequence, whether that was stored before the start, and the record.
    pub(super) fn telling<'a>(
        &'a self,
        provided: &'a [Option<Box<[u8]>>],
    ) -> impl Iterator<Item = Result<(u64, bool, &'a [u8]), Fatal>> + 'a {
        self.telling.iter().map(move |(sequence, source)| {
            let value = match source {
                Source::AtHand(value) => value,
                Source::Want(want) => {
                    let value = provided.get(*want as usize).and_then(Option::as_ref);
                    let name = || self.kind.name(*sequence);
                    let value = value
                        .ok_or_else(|| Fatal::State(format!("{} was not provided", name())))?;
                    self.kind.check(value).map_err(|error| Fatal::Stored {
                        name: name(),
                        error,
                    })?;
                    value
                }
            };
            Ok((*sequence, *sequence <= self.recovered, &**value))
        })
    }

    /// How many records this exchange tells.
    pub fn telling_count(&self) -> u32 {
        self.telling.len() as u32
    }

    /// Takes a stored record at recovery, in order.
    pub fn recover(&mut self, sequence: u64, value: &[u8]) -> Result<(), Fatal> {
        self.kind.check(value)?;
        let last = self.stored.back().map_or(0, |last| last.0);
        if sequence <= last {
            let text = format!("{} came after {last}", self.kind.name(sequence));
            return Err(Fatal::State(text));
        }
        self.stored.push_back((sequence, value.len() as u32));
        self.bytes += value.len() as u64;
        Ok(())
    }

    /// Ends recovery: sequences go on at the stored ceiling.
    pub fn recover_finish(&mut self, ceiling: u64) -> Result<(), Fatal> {
        let ceiling = ceiling.max(1);
        if let Some(&(last, _)) = self.stored.back().filter(|last| last.0 >= ceiling) {
            let name = self.kind.name(last);
            return Err(Fatal::State(format!(
                "{name} is at or above the ceiling {ceiling}"
            )));
        }
        (self.next, self.ceiling, self.recovered) = (ceiling, ceiling, ceiling - 1);
        Ok(())
    }

    pub fn memory_bytes(&self) -> usize {
        self.stored.capacity() * size_of::<(u64, u32)>() + self.at_hand_bytes as usize
    }

    /// The books of what is stored, for tests.
    pub fn check_books(&self) {
        let sum = |range: std::ops::Range<usize>| -> u64 {
            let entries = self.stored.range(range);
            entries.map(|&(_, bytes)| u64::from(bytes)).sum()
        };
        assert_eq!(self.bytes, sum(0..self.stored.len()), "bytes stored");
        assert_eq!(self.told_bytes, sum(0..self.told), "bytes told");
        let at_hand: usize = self.at_hand.values().map(|(_, value)| value.len()).sum();
        assert_eq!(self.at_hand_bytes, at_hand as u64, "bytes at hand");
        let first = self.stored.get(self.told).map_or(u64::MAX, |at| at.0);
        assert!(self.at_hand.keys().all(|&sequence| sequence >= first));
        let last = self.stored.back().map_or(0, |last| last.0);
        assert!(last < self.next && self.next <= self.ceiling);
    }
}
