//! Event keys: an event whose key came within the window is not counted again.
//!
//! The table is in memory, whole; on disk the keys of a step are one record in the bucket of their
//! hour, so that an hour is forgotten by deleting its records.

use super::accounts::Accounts;
use super::{Fatal, Usage};
use crate::key_table::{KeyHash, KeyTable};
use crate::limits::USAGE_DELETES;
use crate::record::{
    RecordError, read_usage_event_keys, usage_event_keys_key, write_usage_event_keys,
};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::collections::VecDeque;
use std::hash::Hasher;

pub(super) const HOUR_MS: u64 = 3_600_000;
const SLOTS_PER_STEP: usize = 8192;

/// The records of one hour: first and last sequence.
#[derive(Clone, Copy, Debug)]
struct Hour {
    at: u32,
    first: u64,
    last: u64,
}

pub(super) struct EventKeys {
    hasher: SipHasher13,
    window_hours: u32,
    table: KeyTable,
    hours: VecDeque<Hour>,
    /// Hours that left the window; their records are still to be deleted.
    leaving: VecDeque<Hour>,
    next: u64,
    /// Keys of the current step, with their accounts.
    new: Vec<(u32, KeyHash)>,
    /// Scratch: a group's account, and where it ends in `hashes`.
    groups: Vec<(u32, usize)>,
    hashes: Vec<KeyHash>,
}

/// Hour (high) and account (low), so that a key's age can be told; never 0.
fn given(hour: u32, account: u32) -> u64 {
    u64::from(hour) << 32 | u64::from(account)
}

impl EventKeys {
    pub fn new(hash_key: &[u8; 16], window_hours: u32) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(hash_key),
            window_hours,
            table: KeyTable::default(),
            hours: VecDeque::new(),
            leaving: VecDeque::new(),
            next: 1,
            new: Vec::new(),
            groups: Vec::new(),
            hashes: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn has_work(&self) -> bool {
        !self.leaving.is_empty() || self.table.is_sweeping()
    }

    /// 128 bits for account and key; names have no byte 0.
    #[inline]
    pub fn hash(&self, account: &[u8], key: &[u8]) -> KeyHash {
        let mut hasher = self.hasher;
        hasher.write(account);
        hasher.write_u8(0);
        hasher.write(key);
        hasher.finish128().as_bytes()
    }

    #[inline]
    pub fn has(&self, hash: &KeyHash) -> bool {
        self.table.find(hash).is_some()
    }

    /// The hour that is written now: a clock that was set back does not lead into a former one.
    fn hour(&self, now_ms: u64) -> u32 {
        let hour = (now_ms / HOUR_MS) as u32;
        self.hours.back().map_or(hour, |last| hour.max(last.at))
    }

    /// Adds a key that `has` does not know, and counts it as its account's.
    #[inline]
    pub fn insert(&mut self, now_ms: u64, account: u32, hash: KeyHash, accounts: &mut Accounts) {
        let hour = self.hour(now_ms);
        // One that left the window and was not yet taken out is counted already.
        let is_new = self.table.insert(hash, given(hour, account));
        accounts.get_mut(account).event_keys += u32::from(is_new);
        self.new.push((account, hash));
    }

    /// When the oldest keys leave the window, ms from now.
    pub fn room_after_ms(&self, now_ms: u64) -> u64 {
        // Those of the first step of all are written at its end.
        let first = self.hours.front().map_or(self.hour(now_ms), |hour| hour.at);
        let leaves = u64::from(first) + u64::from(self.window_hours) + 1;
        (leaves * HOUR_MS).saturating_sub(now_ms).max(1)
    }

    /// When something is to be forgotten, ms since 1970.
    pub fn next_ms(&self) -> Option<u64> {
        let first = self.hours.front()?;
        Some((u64::from(first.at) + u64::from(self.window_hours) + 1) * HOUR_MS)
    }

    fn note(&mut self, hour: u32, sequence: u64) {
        match self.hours.back_mut() {
            Some(last) if last.at >= hour => last.last = last.last.max(sequence),
            _ => self.hours.push_back(Hour {
                at: hour,
                first: sequence,
                last: sequence,
            }),
        }
        self.next = self.next.max(sequence + 1);
    }

    /// Takes a stored record; they come in order.
    pub fn recover(
        &mut self,
        (hour, sequence): (u32, u64),
        value: &[u8],
        accounts: &mut Accounts,
    ) -> Result<(), RecordError> {
        let table = &mut self.table;
        read_usage_event_keys(value, |account, hashes| {
            let account = accounts.open(account);
            for hash in hashes {
                let is_new = table.insert(*hash, given(hour, account));
                accounts.get_mut(account).event_keys += u32::from(is_new);
            }
        })?;
        self.note(hour, sequence);
        Ok(())
    }

    /// Sequences of stored records ascend with their hours.
    pub fn check_recovered(&self) -> Result<(), Fatal> {
        let is_sound = self
            .hours
            .iter()
            .zip(self.hours.iter().skip(1))
            .all(|(one, next)| one.last < next.first);
        if is_sound {
            Ok(())
        } else {
            Err(Fatal::State(
                "records of event keys are not in order".to_owned(),
            ))
        }
    }

    /// Puts the keys of this step into groups of one account.
    fn group(&mut self) {
        self.new.sort_by_key(|(account, _)| *account);
        self.groups.clear();
        self.hashes.clear();
        for &(account, hash) in &self.new {
            self.hashes.push(hash);
            let end = self.hashes.len();
            match self.groups.last_mut() {
                Some(last) if last.0 == account => last.1 = end,
                _ => self.groups.push((account, end)),
            }
        }
        self.new.clear();
    }
}

impl Usage {
    pub(super) fn write_event_keys(&mut self) {
        let keys = &mut self.event_keys;
        if keys.new.is_empty() {
            return;
        }
        keys.group();
        let hour = keys.hour(self.now_us / 1000);
        let sequence = keys.next;
        keys.note(hour, sequence);
        let (keys, accounts) = (&self.event_keys, &self.accounts);
        let mut start = 0;
        let groups = keys.groups.iter().map(|&(account, end)| {
            let hashes = &keys.hashes[std::mem::replace(&mut start, end)..end];
            (&*accounts.get(account).name, hashes)
        });
        self.journal
            .put_with(&usage_event_keys_key(hour, sequence), |out| {
                write_usage_event_keys(out, groups);
            });
    }

    /// Keys of hours that left the window are unknown from now on.
    pub(super) fn forget_hours(&mut self) {
        let now_hour = (self.now_us / 1000 / HOUR_MS) as u32;
        let keys = &mut self.event_keys;
        while let Some(first) = keys.hours.front()
            && first.at + keys.window_hours < now_hour
        {
            let gone = keys.hours.pop_front().expect("just seen");
            keys.table.forget_below(given(gone.at + 1, 0));
            keys.leaving.push_back(gone);
        }
    }

    /// What is forgotten leaves memory and disk, in small steps.
    pub(super) fn sweep_event_keys(&mut self) {
        let keys = &mut self.event_keys;
        let accounts = &mut self.accounts;
        keys.table.sweep(SLOTS_PER_STEP, |given| {
            accounts.get_mut(given as u32).event_keys -= 1;
        });
        let mut left = USAGE_DELETES;
        while left > 0
            && let Some(first) = keys.leaving.front_mut()
        {
            self.journal
                .delete(&usage_event_keys_key(first.at, first.first));
            left -= 1;
            if first.first == first.last {
                keys.leaving.pop_front();
            } else {
                first.first += 1;
            }
        }
    }
}
