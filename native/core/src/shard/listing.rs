//! Jobs that find out as they go which messages they look at: pages of messages, dead letters, the
//! erasure of a tenant, and cancelling or replaying by name.

use super::batches::{self, Key};
use super::lookup::{Found, Look};
use super::message_json::status_of_state;
use super::timers::Kind;
use super::{OUTCOME_CANCELLED, Shard};
use crate::record::{BatchRecord, redact_record};
use crate::tree::NodeId;
use std::collections::HashSet;
use std::fmt::Write;

/// Cells looked at in one exchange, and messages or records read for one page.
const CELLS_PER_STEP: usize = 1 << 20;
const READ_PER_PAGE: usize = 8192;
/// Messages looked at in one exchange, however few are asked for.
const LOOKED_AT_MIN: usize = 64;
/// Bytes of one page's text.
const PAGE_BYTES: usize = 1024 * 1024;
/// Messages cancelled in one exchange.
const CANCELS_PER_STEP: usize = 16_384;

/// Names to compare with; empty: all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub destination: Box<[u8]>,
    pub tenant: Box<[u8]>,
    pub sender: Box<[u8]>,
}

#[derive(Debug)]
pub enum Mode {
    /// Messages of these statuses (bits; 0: all) accepted from one time up to, and without, another.
    Messages {
        statuses: u32,
        from_ms: u64,
        to_ms: u64,
        newest_first: bool,
    },
    DeadLetters,
    Replay,
    Purge,
    Erase,
    Cancel,
}

#[derive(Debug)]
pub struct Listing {
    mode: Mode,
    filter: Filter,
    /// Where it goes on.
    cursor: Key,
    /// Items of the page at most, and those there are.
    limit: usize,
    items: usize,
    read: usize,
    text: String,
    /// Nothing is behind the cursor.
    at_end: bool,
    /// The page is complete.
    done: bool,
    /// It is so before all that was read is in it: the rest comes with the next page.
    cut: bool,
    /// Messages that were redacted, replayed, purged or cancelled, and those that could not be.
    changed: usize,
    left: usize,
    waiting: usize,
}

impl Listing {
    pub fn new(mode: Mode, filter: Filter, cursor: &str, limit: usize) -> Self {
        let is_back = matches!(
            mode,
            Mode::Messages {
                newest_first: true,
                ..
            }
        );
        let first = if is_back { Key::MAX } else { 0 };
        Self {
            mode,
            filter,
            cursor: Key::from_str_radix(cursor, 16).unwrap_or(first),
            limit: limit.max(1),
            items: 0,
            read: 0,
            text: String::new(),
            at_end: false,
            done: false,
            cut: false,
            changed: 0,
            left: 0,
            waiting: 0,
        }
    }

    /// It goes from the newest to the oldest: what is below the cursor comes next.
    const fn is_back(&self) -> bool {
        matches!(
            self.mode,
            Mode::Messages {
                newest_first: true,
                ..
            }
        )
    }

    pub fn is_done(&self) -> bool {
        self.done && self.waiting == 0
    }

    pub fn next(&mut self, shard: &mut Shard, left: usize, looks: &mut Vec<Look>) {
        if self.done {
            return;
        }
        let before = looks.len();
        match &mut self.mode {
            Mode::Cancel => {
                let cancelled = shard.cancel_some(&self.filter);
                self.changed += cancelled;
                self.done = cancelled < CANCELS_PER_STEP;
            }
            Mode::Messages {
                statuses,
                from_ms,
                to_ms,
                newest_first,
            } => {
                let (statuses, times) = (*statuses, *from_ms..*to_ms);
                let newest_first = *newest_first;
                let room = left.min(self.room());
                let fits = |state, accepted_ms| {
                    let bit = 1_u32 << status_of_state(state);
                    (statuses == 0 || statuses & bit != 0) && times.contains(&accepted_ms)
                };
                if newest_first {
                    self.scan_back(shard, room, looks, fits);
                } else {
                    self.scan(shard, room, looks, fits);
                }
            }
            Mode::DeadLetters | Mode::Replay | Mode::Purge => self.scan_dead(shard, left, looks),
            Mode::Erase => self.scan_records(shard, left, looks),
        }
        self.waiting = looks.len() - before;
        self.read += self.waiting;
        let is_page = matches!(
            self.mode,
            Mode::Messages { .. } | Mode::DeadLetters | Mode::Erase
        );
        self.done |= self.at_end || (is_page && self.read >= READ_PER_PAGE);
    }

    /// Messages to look at next: more than are asked for, as names may fit few of them.
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.items).max(LOOKED_AT_MIN)
    }

    /// Looks for messages from the cursor on, by their states alone.
    fn scan(
        &mut self,
        shard: &Shard,
        room: usize,
        looks: &mut Vec<Look>,
        fits: impl Fn(u8, u64) -> bool,
    ) {
        let (mut cells, mut found) = (0, 0);
        for number in shard.batches.numbers_from(batches::batch_of(self.cursor)) {
            let Some(batch) = shard.batches.get(number) else {
                continue;
            };
            let first = if number == batches::batch_of(self.cursor) {
                batches::index_of(self.cursor)
            } else {
                0
            };
            for index in usize::from(first)..batch.len() {
                let key = batches::key(number, index as u16);
                if found == room || cells >= CELLS_PER_STEP {
                    self.cursor = key;
                    return;
                }
                cells += 1;
                let state = batch.state(index as u16);
                if state != batches::GONE && fits(state, batch.accepted_ms) {
                    looks.push(Look::Message(key));
                    found += 1;
                }
            }
            self.cursor = batches::key(number + 1, 0);
        }
        self.at_end = true;
    }

    /// The same from the newest message before the cursor back.
    fn scan_back(
        &mut self,
        shard: &Shard,
        room: usize,
        looks: &mut Vec<Look>,
        fits: impl Fn(u8, u64) -> bool,
    ) {
        let (mut cells, mut found) = (0, 0);
        let last = batches::batch_of(self.cursor);
        for number in shard.batches.numbers_back_from(last) {
            let Some(batch) = shard.batches.get(number) else {
                continue;
            };
            let end = if number == last {
                batch.len().min(batches::index_of(self.cursor).into())
            } else {
                batch.len()
            };
            for index in (0..end).rev() {
                let key = batches::key(number, index as u16);
                if found == room || cells >= CELLS_PER_STEP {
                    self.cursor = key + 1;
                    return;
                }
                cells += 1;
                let state = batch.state(index as u16);
                if state != batches::GONE && fits(state, batch.accepted_ms) {
                    looks.push(Look::Message(key));
                    found += 1;
                }
            }
            self.cursor = batches::key(number, 0);
        }
        self.at_end = true;
    }

    fn scan_dead(&mut self, shard: &Shard, left: usize, looks: &mut Vec<Look>) {
        let room = left.min(self.room());
        let mut keys = shard.dead.range(self.cursor..);
        for _ in 0..room {
            let Some((&key, dead)) = keys.next() else {
                self.at_end = true;
                return;
            };
            self.cursor = key + 1;
            let name = &shard.destinations[dead.destination as usize].name;
            if self.filter.destination.is_empty() || name.as_bytes() == &*self.filter.destination {
                looks.push(Look::Message(key));
            }
        }
    }

    fn scan_records(&mut self, shard: &Shard, left: usize, looks: &mut Vec<Look>) {
        let mut found = 0;
        for number in shard.batches.numbers_from(batches::batch_of(self.cursor)) {
            let Some(batch) = shard.batches.get(number) else {
                continue;
            };
            for record in batch.records.iter().filter(|record| record.bytes > 0) {
                let first = batches::key(number, record.first);
                if first < self.cursor {
                    continue;
                }
                if found == left {
                    self.cursor = first;
                    return;
                }
                found += 1;
                looks.push(Look::Record(first));
            }
            self.cursor = batches::key(number + 1, 0);
        }
        self.at_end = true;
    }

    pub fn take(&mut self, shard: &mut Shard, tenant: &[u8], found: Found) {
        self.waiting -= 1;
        match found {
            Found::Record(first, bytes) => self.erase(shard, first, &bytes),
            Found::Message(message) => {
                let filter = &self.filter;
                let name = message.destination.as_bytes();
                let fits = message.is_of(tenant)
                    && message.is_of(&filter.tenant)
                    && (filter.destination.is_empty() || *name == *filter.destination);
                if !fits || self.cut {
                    return;
                }
                match self.mode {
                    Mode::Replay => {
                        let done = shard.replay_message(Some(&message));
                        self.changed += usize::from(done);
                        self.left += usize::from(!done);
                    }
                    Mode::Purge => self.changed += usize::from(shard.purge_one(message.key)),
                    _ => {
                        if self.items > 0 {
                            self.text.push(',');
                        }
                        self.text.push_str(&shard.message_json(&message));
                        self.items += 1;
                        if self.text.len() > PAGE_BYTES || self.items >= self.limit {
                            self.done = true;
                            // What follows in this page was read and is left out: it comes again.
                            self.cut(message.key);
                        }
                    }
                }
            }
            Found::Nothing | Found::Log(_) => {}
        }
    }

    /// The page ends behind this message.
    fn cut(&mut self, last: Key) {
        if self.waiting > 0 {
            (self.at_end, self.cut) = (false, true);
            self.cursor = if self.is_back() { last } else { last + 1 };
        }
    }

    fn erase(&mut self, shard: &mut Shard, first: Key, bytes: &[u8]) {
        let record = BatchRecord::trusted(bytes);
        let mut indexes = Vec::new();
        for message in record.messages() {
            let key = batches::key(record.batch(), message.index);
            let state = shard.state_of(key);
            if state == batches::GONE
                || !super::recovery::is_tenant(message.body, &self.filter.tenant)
            {
                continue;
            }
            if batches::is_live(state) {
                self.left += 1;
            } else if message.flags & crate::record::MESSAGE_REDACTED == 0 {
                indexes.push(message.index);
            }
        }
        if indexes.is_empty() {
            return;
        }
        let done = redact_record(bytes, &indexes).is_ok_and(|value| shard.rewrite(first, value));
        if done {
            shard.forget_callbacks(record.batch(), &indexes);
            self.changed += indexes.len();
        } else {
            // Changed by another in this exchange: whoever erases asks again.
            self.left += indexes.len();
        }
    }

    pub fn answer(self) -> String {
        let mut cursor = String::from("null");
        if !self.at_end {
            cursor.clear();
            let _ = write!(cursor, r#""{:x}""#, self.cursor);
        }
        match self.mode {
            Mode::Messages { .. } | Mode::DeadLetters => {
                format!(r#"{{"items":[{}],"cursor":{cursor}}}"#, self.text)
            }
            Mode::Replay => format!(r#"{{"replayed":{},"unknown":{}}}"#, self.changed, self.left),
            Mode::Purge => format!(r#"{{"purged":{},"unknown":0}}"#, self.changed),
            Mode::Cancel => format!(r#"{{"cancelled":{}}}"#, self.changed),
            Mode::Erase => format!(
                r#"{{"cancelled":0,"redacted":{},"left":{},"cursor":{cursor}}}"#,
                self.changed, self.left
            ),
        }
    }
}

impl Shard {
    /// The queues that names fit.
    pub(super) fn queues_of(&self, filter: &Filter) -> Vec<(u32, NodeId)> {
        let mut queues = Vec::new();
        for (place, destination) in self.destinations.iter().enumerate() {
            let name = destination.name.as_bytes();
            if !filter.destination.is_empty() && *name != *filter.destination {
                continue;
            }
            for (node, owner) in destination.owners.iter().enumerate() {
                let super::destination::Owner::Queue { tenant, name, .. } = owner else {
                    continue;
                };
                let of_sender =
                    filter.sender.is_empty() || (!name.ordered && name.sender == filter.sender);
                let of_tenant =
                    filter.tenant.is_empty() || destination.tenant(*tenant).name == filter.tenant;
                if of_sender && of_tenant {
                    queues.push((place as u32, node as NodeId));
                }
            }
        }
        queues
    }

    /// Cancels messages that wait in queues of these names, up to a bound. The queues are looked for
    /// each time: nodes of empty ones are freed and used again.
    fn cancel_some(&mut self, filter: &Filter) -> usize {
        let queues = self.queues_of(filter);
        let mut found = Vec::new();
        for &(place, queue) in &queues {
            let left = CANCELS_PER_STEP - found.len();
            let waiting = self.keys_in(place, queue).take(left);
            found.extend(waiting.map(|key| (place, queue, key)));
        }
        let left = CANCELS_PER_STEP - found.len();
        let queues: HashSet<(u32, NodeId)> = queues.into_iter().collect();
        let timed = self.timers.entries().filter(|timer| {
            let waits = || {
                matches!(
                    self.state_of(timer.key),
                    batches::TIMED | batches::SCHEDULED
                )
            };
            timer.kind() == Kind::Due && queues.contains(&(timer.place, timer.queue)) && waits()
        });
        found.extend(
            timed
                .take(left)
                .map(|timer| (timer.place, timer.queue, timer.key)),
        );
        for &(place, queue, key) in &found {
            self.end_waiting(place, queue, key, OUTCOME_CANCELLED);
        }
        found.len()
    }

    /// Messages that wait in a queue.
    fn keys_in(&self, place: u32, queue: NodeId) -> impl Iterator<Item = Key> {
        let owner = &self.destinations[place as usize].owners[queue as usize];
        let entries = match owner {
            super::destination::Owner::Queue { queue, .. } => Some(queue.entries()),
            _ => None,
        };
        let entries = entries.into_iter().flatten();
        entries.filter(|&key| self.state_of(key) == batches::WAITING)
    }

    /// Stores another value for a record; false: it was changed in this exchange already, and the
    /// value rests on what it was before.
    pub(super) fn rewrite(&mut self, first: Key, value: Vec<u8>) -> bool {
        if self.rewritten.contains(&first) {
            return false;
        }
        let (number, index) = (batches::batch_of(first), batches::index_of(first));
        let Some(batch) = self.batches.get_mut(number) else {
            return false;
        };
        let place = batch.record_of(index);
        let record = &mut batch.records[place];
        if record.first != index || record.bytes == 0 {
            return false;
        }
        self.rewritten.push(first);
        let bytes = batches::remembered_bytes(&value);
        if record.live == 0 {
            self.ended_bytes = self.ended_bytes + u64::from(bytes) - u64::from(record.bytes);
        }
        record.bytes = bytes;
        self.journal
            .put(&crate::record::batch_key(number, index), &value);
        if record.cache != batches::NONE {
            self.cache.remove(record.cache);
        }
        record.cache = self
            .cache
            .insert(first, self.exchange, value.into_boxed_slice());
        true
    }
}
