//! Status events: every change of the status of a message with a callback, stored with what made it
//! and told to the main thread until that has taken it.
//!
//! Owns the events of the current exchange; their records are told as `told` does. An event says what
//! `find` would say at that moment. At the bound of bytes messages with a callback are refused; of
//! those before nothing is left out.

use super::batches::{self, GIVEN_UP, Key};
use super::told::{Told, ToldBounds, ToldKind};
use super::{Fatal, REASON_DUE, Shard};
use crate::client_frame::{PublishItem, PublishOptions};
use crate::exchange::{EffectOp, begin_effect, end_effect};
use crate::limits;
use crate::message_id::MessageId;
use crate::record::{
    self, EventInfo, StatusEvent, events_content, write_events_record, write_status_event,
};

const STATUS_ACCEPTED: u8 = 1;
const RECORD_BYTES: usize = 64 * 1024;
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

impl EventBounds {
    const fn of_told(self) -> ToldBounds {
        ToldBounds {
            told_bytes: self.told_bytes,
            exchange_bytes: self.exchange_bytes,
            at_hand_bytes: self.at_hand_bytes,
        }
    }
}

#[derive(Debug)]
pub struct Events {
    bounds: EventBounds,
    pub(super) told: Told,
    // Of the current exchange.
    open: Vec<u8>,
    open_count: usize,
    closed: Vec<(usize, Vec<u8>)>,
}

impl Default for Events {
    fn default() -> Self {
        Self::with_bounds(EventBounds::default())
    }
}

impl Events {
    pub const fn with_bounds(bounds: EventBounds) -> Self {
        Self {
            bounds,
            told: Told::new(ToldKind::Events, bounds.of_told()),
            open: Vec::new(),
            open_count: 0,
            closed: Vec::new(),
        }
    }

    /// Whether messages with a callback are accepted.
    pub fn has_room(&self) -> bool {
        let closed: usize = self.closed.iter().map(|(_, events)| events.len()).sum();
        self.told.bytes() + (closed + self.open.len()) as u64 <= self.bounds.stored_bytes
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

    /// Stores the events of this exchange, deletes what was taken, and chooses what is told.
    pub(super) fn write_events(&mut self) {
        let (events, journal) = (&mut self.events, &mut self.journal);
        events.close();
        for (count, bytes) in std::mem::take(&mut events.closed) {
            let mut value = Vec::with_capacity(bytes.len() + 16);
            write_events_record(&mut value, count, &bytes);
            events.told.store(journal, self.exchange, value);
        }
        events.told.delete_taken(journal);
        events.told.choose(&mut self.wants);
    }

    /// Appends the entries of what is told; how many.
    pub(super) fn encode_events(&self, effects: &mut Vec<u8>) -> Result<u32, Fatal> {
        let told = &self.events.told;
        for record in told.telling(&self.provided) {
            let (sequence, _, value) = record?;
            let start = begin_effect(effects, EffectOp::StatusEvents, 0);
            effects.extend_from_slice(&sequence.to_le_bytes());
            effects.extend_from_slice(events_content(value));
            end_effect(effects, start);
        }
        Ok(told.telling_count())
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
        self.events.told.check_books();
    }
}
