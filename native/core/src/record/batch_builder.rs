//! Builds batch records: collects the messages of one batch and cuts them into records.

use super::batch::{
    DESTINATIONS_MAX, FIELDS_BYTES, MESSAGE_BYTES, MESSAGE_OPTIONS, MESSAGE_REDACTED,
};
use super::options::MessageOptions;
use super::{BATCH_INDEXES_MAX, RECORD_HEADER_BYTES, RecordType, begin_record, end_record};
use crate::limits::RECORD_BYTES;
use crate::message_id::BATCH_END;

/// Header of the record and the fields before the destinations.
const FIXED_BYTES: usize = RECORD_HEADER_BYTES + FIELDS_BYTES;

/// A record that is complete: its bytes go to the journal and may stay in a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedRecord {
    pub batch: u64,
    pub first_index: u16,
    pub last_index: u16,
    pub count: u16,
    pub value: Vec<u8>,
}

impl ClosedRecord {
    pub fn key(&self) -> [u8; 9] {
        super::batch_key(self.batch, self.first_index)
    }
}

/// Collects the messages of one batch at a time and cuts them into records.
///
/// Between `begin` and `finish` it is open; `push` may close one record on the way.
#[derive(Debug)]
pub struct BatchRecordBuilder {
    batch: u64,
    accepted_ms: u64,
    log: u64,
    /// The caller's numbers of the destinations, by their position in the record.
    destination_ids: Vec<u32>,
    destination_names: Vec<u8>,
    /// Position of the destination used last: most often the next one too.
    destination_last: u8,
    messages: Vec<Slot>,
    bodies: Vec<u8>,
    /// Bytes at which a record is cut.
    record_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    index: u16,
    destination: u8,
    flags: u8,
    offset: u32,
}

impl Default for BatchRecordBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchRecordBuilder {
    pub const fn new() -> Self {
        Self::cut_at(RECORD_BYTES)
    }

    /// Makes one record, however long it becomes.
    pub(super) const fn uncut() -> Self {
        Self::cut_at(usize::MAX)
    }

    const fn cut_at(record_bytes: usize) -> Self {
        Self {
            batch: 0,
            accepted_ms: 0,
            log: 0,
            destination_ids: Vec::new(),
            destination_names: Vec::new(),
            destination_last: 0,
            messages: Vec::new(),
            bodies: Vec::new(),
            record_bytes,
        }
    }

    /// Starts the records of a batch; the builder is empty then. `log` is the sequence that the next
    /// log record will have.
    pub fn begin(&mut self, batch: u64, accepted_ms: u64, log: u64) {
        assert!(
            self.messages.is_empty(),
            "batch {} was not finished",
            self.batch
        );
        assert!(batch < BATCH_END, "batch {batch} does not fit 48 bits");
        self.batch = batch;
        self.accepted_ms = accepted_ms;
        self.log = log;
    }

    /// Adds one message; `write_body` appends its four values. Indexes ascend. The destination is
    /// given by any number of the caller's that stands for it, and its name. Options that are the
    /// defaults take no place. Returns the record before this message if the message did not fit
    /// into it.
    #[inline]
    pub fn push(
        &mut self,
        index: u16,
        destination_id: u32,
        destination: &str,
        options: Option<&MessageOptions<'_>>,
        write_body: impl FnOnce(&mut Vec<u8>),
    ) -> Option<ClosedRecord> {
        assert!(
            usize::from(index) < BATCH_INDEXES_MAX
                && self.messages.last().is_none_or(|last| last.index < index),
            "index {index} of batch {} is too high or out of order",
            self.batch
        );
        let offset = self.bodies.len();
        let flags = options.map_or(0, |options| self.write_options(options));
        write_body(&mut self.bodies);
        let known = self.destination_of(destination_id);
        let grown = MESSAGE_BYTES
            + if known.is_none() {
                1 + destination.len()
            } else {
                0
            };
        let full = self.bytes() + grown > self.record_bytes
            || (known.is_none() && self.destination_ids.len() == DESTINATIONS_MAX);
        let closed = if full { self.close(offset) } else { None };
        let offset = if closed.is_some() { 0 } else { offset };
        let known = if closed.is_some() { None } else { known };
        let destination = known.unwrap_or_else(|| self.add(destination_id, destination));
        self.destination_last = destination;
        self.messages.push(Slot {
            index,
            destination,
            flags,
            offset: offset as u32,
        });
        closed
    }

    /// Marks the message pushed last.
    pub(super) fn mark_redacted(&mut self) {
        self.messages.last_mut().expect("a message").flags |= MESSAGE_REDACTED;
    }

    /// Ends the batch: returns its last record, none if nothing is in it.
    pub fn finish(&mut self) -> Option<ClosedRecord> {
        self.close(self.bodies.len())
    }

    /// Appends options, if any differs from its default; returns the flags that say so.
    fn write_options(&mut self, options: &MessageOptions<'_>) -> u8 {
        if options.is_default() {
            return 0;
        }
        options.write_with_length(&mut self.bodies);
        MESSAGE_OPTIONS
    }

    /// Bytes of the record as it stands.
    fn bytes(&self) -> usize {
        FIXED_BYTES
            + self.destination_names.len()
            + MESSAGE_BYTES * self.messages.len()
            + 4
            + self.bodies.len()
    }

    #[inline]
    fn destination_of(&self, id: u32) -> Option<u8> {
        if self.destination_ids.get(usize::from(self.destination_last)) == Some(&id) {
            return Some(self.destination_last);
        }
        self.destination_ids
            .iter()
            .position(|known| *known == id)
            .map(|position| position as u8)
    }

    fn add(&mut self, id: u32, name: &str) -> u8 {
        assert!(name.len() < 256, "a destination's name fits a str8");
        self.destination_ids.push(id);
        self.destination_names.push(name.len() as u8);
        self.destination_names.extend_from_slice(name.as_bytes());
        (self.destination_ids.len() - 1) as u8
    }

    /// Makes a record of all messages so far, whose bodies end at `bodies_end`; later bytes stay.
    fn close(&mut self, bodies_end: usize) -> Option<ClosedRecord> {
        let first = self.messages.first()?.index;
        let last = self.messages.last()?.index;
        let count = self.messages.len() as u16;
        let mut value = Vec::with_capacity(self.bytes() - (self.bodies.len() - bodies_end));
        let start = begin_record(&mut value, RecordType::Batch);
        value.extend_from_slice(&self.batch.to_le_bytes());
        value.extend_from_slice(&self.accepted_ms.to_le_bytes());
        value.extend_from_slice(&first.to_le_bytes());
        value.extend_from_slice(&count.to_le_bytes());
        value.extend_from_slice(&(self.destination_ids.len() as u16).to_le_bytes());
        value.extend_from_slice(&[0, 0]);
        value.extend_from_slice(&self.log.to_le_bytes());
        value.extend_from_slice(&self.destination_names);
        for slot in &self.messages {
            let [low, high] = slot.index.to_le_bytes();
            value.extend_from_slice(&[low, high, slot.destination, slot.flags]);
            value.extend_from_slice(&slot.offset.to_le_bytes());
        }
        value.extend_from_slice(&(bodies_end as u32).to_le_bytes());
        value.extend_from_slice(&self.bodies[..bodies_end]);
        end_record(&mut value, start);
        self.bodies.drain(..bodies_end);
        self.messages.clear();
        self.destination_ids.clear();
        self.destination_names.clear();
        self.destination_last = 0;
        let batch = self.batch;
        Some(ClosedRecord {
            batch,
            first_index: first,
            last_index: last,
            count,
            value,
        })
    }
}
