//! Status events: every change of the status of a message with a callback, stored with what made it
//! and told to the main thread until that has taken it.
//!
//! Owns the events records of the store: their sequences, which of them were told, and the bytes that
//! are not taken. An event says what `find` would say at that moment. At the bound of bytes messages
//! with a callback are refused; of those before nothing is left out.

use super::batches::{self, GIVEN_UP, Key};
use super::{Fatal, REASON_DUE, Shard, Want};
use crate::client_frame::{PublishItem, PublishOptions};
use crate::exchange::{EffectOp, begin_effect, end_effect};
use crate::limits;
use crate::message_id::MessageId;
use crate::record::{
    self, EventInfo, EventsRecord, Mark, StatusEvent, events_content, events_key,
    write_events_record, write_mark, write_status_event,
};
use std::collections::{BTreeMap, VecDeque};

const STATUS_ACCEPTED: u8 = 1;
const RECORD_BYTES: usize = 64 * 1024;
/// Sequences reserved ahead.
const RESERVE: u64 = 1 << 20;
/// Records deleted in one exchange: 500 deletes block the store's writer for 0.1–0.2 ms.
const DELETES_PER_STEP: usize = 2048;
const AT_HAND_BYTES: u64 = 1024 * 1024;

/// Bounds of what is stored and told; tests make them small.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct EventBounds {
    /// Stored and not taken; told and not taken; told in one exchange.
    pub stored_bytes: u64,
    pub told_bytes: u64,
    pub exchange_bytes: u64,
    /// A record is closed when its events are longer.
    pub record_bytes: usize,
    /// Records that wait to be told and can be read back stay in memory within this.
    pub at_hand_bytes: u64,
}

impl Default for EventBounds {
    fn default() -> Self {
        Self {
            stored_bytes: limits::STATUS_EVENT_BYTES,
            told_bytes: limits::STATUS_EVENT_TOLD_BYTES,
            exchange_bytes: limits::STATUS_EVENT_EXCHANGE_BYTES,
            record_bytes: RECORD_BYTES,
            at_hand_bytes: AT_HAND_BYTES,
        }
    }
}

/// Where a record that this exchange tells is.
#[derive(Debug)]
enum Source {
    AtHand(Box<[u8]>),
    Want(u32),
}

#[derive(Debug, Default)]
pub struct Events {
    bounds: EventBounds,
    next: u64,
    /// No sequence at or above it was ever used, as the store says.
    ceiling: u64,
    /// Records not yet deleted, ascending: sequence and bytes.
    stored: VecDeque<(u64, u32)>,
    /// How many of them, from the oldest, were told, and their bytes.
    told: usize,
    told_bytes: u64,
    /// Bytes of all of them.
    bytes: u64,
    /// Records up to it were taken.
    taken: u64,
    /// Records not yet told, with the exchange that wrote them.
    at_hand: BTreeMap<u64, (u64, Box<[u8]>)>,
    at_hand_bytes: u64,
    // Of the current exchange.
    open: Vec<u8>,
    open_count: usize,
    closed: Vec<(usize, Vec<u8>)>,
    telling: Vec<(u64, Source)>,
}

impl Events {
    pub fn with_bounds(bounds: EventBounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Whether messages with a callback are accepted.
    pub fn has_room(&self) -> bool {
        let closed: usize = self.closed.iter().map(|(_, events)| events.len()).sum();
        self.bytes + (closed + self.open.len()) as u64 <= self.bounds.stored_bytes
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

    /// Begins an exchange: what can be read back and is too much leaves the memory.
    pub fn begin(&mut self, committed: u64) {
        self.telling.clear();
        while self.at_hand_bytes > self.bounds.at_hand_bytes
            && let Some(first) = self.at_hand.first_entry()
            && first.get().0 <= committed
        {
            self.at_hand_bytes -= first.remove().1.len() as u64;
        }
    }

    fn add(&mut self, event: &StatusEvent<'_>) {
        write_status_event(&mut self.open, event);
        self.open_count += 1;
        if self.open.len() >= self.bounds.record_bytes {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.open_count > 0 {
            let events = std::mem::take(&mut self.open);
            self.closed
                .push((std::mem::take(&mut self.open_count), events));
        }
    }

    /// Takes a stored record at recovery, in order.
    pub fn recover(&mut self, sequence: u64, value: &[u8]) -> Result<(), Fatal> {
        EventsRecord::parse(value)?;
        let last = self.stored.back().map_or(0, |last| last.0);
        if sequence <= last {
            let text = format!("the events record {sequence} came after {last}");
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
            return Err(Fatal::State(format!(
                "the events record {last} is at or above the ceiling {ceiling}"
            )));
        }
        (self.next, self.ceiling) = (ceiling, ceiling);
        Ok(())
    }

    pub fn memory_bytes(&self) -> usize {
        self.stored.capacity() * size_of::<(u64, u32)>() + self.at_hand_bytes as usize
    }
}

impl Shard {
    /// The message's status is now another. Called where that happens, for messages with a callback.
    pub(super) fn note_status(&mut self, key: Key) {
        let standing = self.standing(key);
        let event = StatusEvent {
            id: self.message_id(key),
            status: standing.status,
            code: standing.code,
            at_ms: self.now_us / 1000,
            attempts: standing.attempts,
            info: None,
        };
        self.events.add(&event);
    }

    /// The same of any message: one without a callback has no events.
    pub(super) fn note_status_if_asked(&mut self, key: Key) {
        if self.has_callback(key) {
            self.note_status(key);
        }
    }

    pub(super) fn has_callback(&self, key: Key) -> bool {
        let batch = self.batches.get(batches::batch_of(key));
        batch.is_some_and(|batch| batch.has_callback(batches::index_of(key)))
    }

    /// Whether the end of a message is an event: a dead letter that is purged has failed before.
    pub(super) const fn is_told(state: u8) -> bool {
        state != GIVEN_UP
    }

    /// The first two events of a message that is accepted now.
    pub(super) fn note_accepted_status(
        &mut self,
        id: MessageId,
        place: u32,
        (frame, item, own): (&[u8], &PublishItem, &[u8]),
        options: &PublishOptions<'_>,
        status: u8,
    ) {
        let accepted = StatusEvent {
            id,
            status: STATUS_ACCEPTED,
            code: None,
            at_ms: self.now_us / 1000,
            attempts: 0,
            info: Some(EventInfo {
                destination: self.destinations[place as usize].name.as_bytes(),
                tenant: item.tenant(frame).unwrap_or(own),
                sender: item.sender(frame),
                recipient: item.recipient(frame),
                callback: options.callback.unwrap_or_default().as_bytes(),
                mask: options.callback_events,
                tag: options.tag,
                cost: options.cost,
            }),
        };
        self.events.add(&accepted);
        let event = StatusEvent {
            status,
            info: None,
            ..accepted
        };
        self.events.add(&event);
    }

    /// Notes in the log that a scheduled message with a callback is due: recovery has to know that its
    /// event was told.
    pub(super) fn note_due(&mut self, key: Key) {
        let extra = self.extras.get(&key).copied().unwrap_or_default();
        self.returns.push(record::Return {
            key,
            reason: REASON_DUE,
            attempts: extra.attempts,
            due_ms: 0,
            flags: extra.flags,
        });
        self.note_status(key);
    }

    /// Stores the events of this exchange, and deletes what was taken.
    pub(super) fn write_events(&mut self) {
        self.events.close();
        for (count, events) in std::mem::take(&mut self.events.closed) {
            let sequence = self.events.next;
            self.events.next += 1;
            if sequence >= self.events.ceiling {
                let ceiling = sequence + RESERVE;
                self.events.ceiling = ceiling;
                self.journal.put_with(&Mark::Events.key(), |out| {
                    write_mark(out, Mark::Events, ceiling);
                });
            }
            let mut value = Vec::with_capacity(events.len() + 16);
            write_events_record(&mut value, count, &events);
            self.journal.put(&events_key(sequence), &value);
            let events = &mut self.events;
            events.stored.push_back((sequence, value.len() as u32));
            events.bytes += value.len() as u64;
            events.at_hand_bytes += value.len() as u64;
            let kept = (self.exchange, value.into_boxed_slice());
            events.at_hand.insert(sequence, kept);
        }
        for _ in 0..DELETES_PER_STEP {
            if !self.events.has_deletes() {
                break;
            }
            self.delete_event();
        }
        self.tell_events();
    }

    fn delete_event(&mut self) {
        let events = &mut self.events;
        let Some((sequence, bytes)) = events.stored.pop_front() else {
            return;
        };
        self.journal.delete(&events_key(sequence));
        events.bytes -= u64::from(bytes);
        if events.told > 0 {
            events.told -= 1;
            events.told_bytes -= u64::from(bytes);
        }
        if let Some((_, value)) = events.at_hand.remove(&sequence) {
            events.at_hand_bytes -= value.len() as u64;
        }
    }

    /// Chooses what this exchange tells: the oldest, as much as may be told and not taken.
    fn tell_events(&mut self) {
        let events = &mut self.events;
        let mut left = events.bounds.exchange_bytes;
        while let Some(&(sequence, bytes)) = events.stored.get(events.told) {
            let bytes = u64::from(bytes);
            if sequence <= events.taken
                || events.told_bytes >= events.bounds.told_bytes
                || (bytes > left && !events.telling.is_empty())
            {
                return;
            }
            left = left.saturating_sub(bytes);
            events.told += 1;
            events.told_bytes += bytes;
            let source = if let Some((_, value)) = events.at_hand.remove(&sequence) {
                events.at_hand_bytes -= bytes;
                Source::AtHand(value)
            } else {
                self.wants.push(Want::Events(sequence));
                Source::Want(self.wants.len() as u32 - 1)
            };
            events.telling.push((sequence, source));
        }
    }

    /// Appends the entries of what is told; how many.
    pub(super) fn encode_events(&self, effects: &mut Vec<u8>) -> Result<u32, Fatal> {
        for (sequence, source) in &self.events.telling {
            let value = match source {
                Source::AtHand(value) => value,
                Source::Want(want) => {
                    let value = self.provided.get(*want as usize).and_then(Option::as_ref);
                    value.ok_or_else(|| {
                        Fatal::State(format!("the events record {sequence} was not provided"))
                    })?
                }
            };
            if matches!(source, Source::Want(_)) {
                EventsRecord::parse(value).map_err(|error| Fatal::Stored {
                    name: format!("the events record {sequence}"),
                    error,
                })?;
            }
            let start = begin_effect(effects, EffectOp::StatusEvents, 0);
            effects.extend_from_slice(&sequence.to_le_bytes());
            effects.extend_from_slice(events_content(value));
            end_effect(effects, start);
        }
        Ok(self.events.telling.len() as u32)
    }

    /// Messages that were redacted have no callback any more.
    pub(super) fn forget_callbacks(&mut self, number: u64, indexes: &[u16]) {
        if let Some(batch) = self.batches.get_mut(number) {
            for &index in indexes {
                batch.clear_callback(index);
            }
        }
    }

    /// The books of what is stored, for tests.
    #[doc(hidden)]
    pub fn check_events(&self) {
        let events = &self.events;
        let sum = |range: std::ops::Range<usize>| -> u64 {
            let entries = events.stored.range(range);
            entries.map(|&(_, bytes)| u64::from(bytes)).sum()
        };
        assert_eq!(events.bytes, sum(0..events.stored.len()), "bytes of events");
        assert_eq!(events.told_bytes, sum(0..events.told), "bytes told");
        let at_hand: usize = events.at_hand.values().map(|(_, value)| value.len()).sum();
        assert_eq!(events.at_hand_bytes, at_hand as u64, "bytes at hand");
        let first = events.stored.get(events.told).map_or(u64::MAX, |at| at.0);
        assert!(events.at_hand.keys().all(|&sequence| sequence >= first));
        let last = events.stored.back().map_or(0, |last| last.0);
        assert!(last < events.next && events.next <= events.ceiling);
    }
}
