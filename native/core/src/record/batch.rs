//! Batch records: the messages of one batch, in the order of their indexes.

use super::{BATCH_INDEXES_MAX, RecordError, RecordType, begin_record, check_record, end_record};
use crate::limits::RECORD_BYTES;
use crate::message_id::BATCH_END;

/// Header of the record and the fields before the destinations.
const FIXED_BYTES: usize = super::RECORD_HEADER_BYTES + FIELDS_BYTES;
const FIELDS_BYTES: usize = 24;
const MESSAGE_BYTES: usize = 8;
const DESTINATIONS_MAX: usize = 255;

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
#[derive(Debug, Default)]
pub struct BatchRecordBuilder {
    batch: u64,
    accepted_ms: u64,
    /// The caller's numbers of the destinations, by their position in the record.
    destination_ids: Vec<u32>,
    destination_names: Vec<u8>,
    /// Position of the destination used last: most often the next one too.
    destination_last: u8,
    messages: Vec<Slot>,
    bodies: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    index: u16,
    destination: u8,
    offset: u32,
}

impl BatchRecordBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the records of a batch; the builder is empty then.
    pub fn begin(&mut self, batch: u64, accepted_ms: u64) {
        assert!(
            self.messages.is_empty(),
            "batch {} was not finished",
            self.batch
        );
        assert!(batch < BATCH_END, "batch {batch} does not fit 48 bits");
        self.batch = batch;
        self.accepted_ms = accepted_ms;
    }

    /// Adds one message; `write_body` appends its four values. Indexes ascend. The destination is
    /// given by any number of the caller's that stands for it, and its name. Returns the record
    /// before this message if the message did not fit into it.
    #[inline]
    pub fn push(
        &mut self,
        index: u16,
        destination_id: u32,
        destination: &str,
        write_body: impl FnOnce(&mut Vec<u8>),
    ) -> Option<ClosedRecord> {
        assert!(
            usize::from(index) < BATCH_INDEXES_MAX
                && self.messages.last().is_none_or(|last| last.index < index),
            "index {index} of batch {} is too high or out of order",
            self.batch
        );
        let offset = self.bodies.len();
        write_body(&mut self.bodies);
        let known = self.destination_of(destination_id);
        let grown = MESSAGE_BYTES
            + if known.is_none() {
                1 + destination.len()
            } else {
                0
            };
        let full = self.bytes() + grown > RECORD_BYTES
            || (known.is_none() && self.destination_ids.len() == DESTINATIONS_MAX);
        let closed = if full { self.close(offset) } else { None };
        let offset = if closed.is_some() { 0 } else { offset };
        let known = if closed.is_some() { None } else { known };
        let destination = known.unwrap_or_else(|| self.add(destination_id, destination));
        self.destination_last = destination;
        self.messages.push(Slot {
            index,
            destination,
            offset: offset as u32,
        });
        closed
    }

    /// Ends the batch: returns its last record, none if nothing is in it.
    pub fn finish(&mut self) -> Option<ClosedRecord> {
        self.close(self.bodies.len())
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
        value.extend_from_slice(&self.destination_names);
        for slot in &self.messages {
            let [low, high] = slot.index.to_le_bytes();
            value.extend_from_slice(&[low, high, slot.destination, 0]);
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

/// One message of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMessage<'a> {
    pub index: u16,
    /// Position of its destination in the record.
    pub destination: u8,
    pub body: &'a [u8],
}

/// A batch record, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct BatchRecord<'a> {
    batch: u64,
    accepted_ms: u64,
    destinations: u16,
    names: &'a [u8],
    table: &'a [u8],
    bodies: &'a [u8],
}

impl<'a> BatchRecord<'a> {
    /// Checks everything: checksum, version, and that no accessor can go astray.
    pub fn parse(value: &'a [u8]) -> Result<Self, RecordError> {
        check_record(value, RecordType::Batch)?;
        let record = Self::split(value).ok_or(RecordError::Damaged)?;
        if record.is_sound() {
            Ok(record)
        } else {
            Err(RecordError::Damaged)
        }
    }

    /// Opens a record that this process built, or has parsed before, without checking it again.
    ///
    /// # Panics
    /// If it is no batch record after all, here or in an accessor.
    pub fn trusted(value: &'a [u8]) -> Self {
        Self::split(value).expect("a record of our own")
    }

    pub const fn batch(&self) -> u64 {
        self.batch
    }

    pub const fn accepted_ms(&self) -> u64 {
        self.accepted_ms
    }

    pub const fn len(&self) -> usize {
        self.table.len() / MESSAGE_BYTES
    }

    /// A record that was parsed has at least one message.
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The message at a position, 0 … `len` − 1.
    #[inline]
    pub fn message(&self, position: usize) -> BatchMessage<'a> {
        let next = position + 1;
        let end = if next < self.len() {
            self.offset(next)
        } else {
            self.bodies.len()
        };
        BatchMessage {
            index: self.index(position),
            destination: self.table[position * MESSAGE_BYTES + 2],
            body: &self.bodies[self.offset(position)..end],
        }
    }

    /// Position of the message with this index.
    #[inline]
    pub fn find(&self, index: u16) -> Option<usize> {
        // Refused messages leave gaps, so a message stands at most that far from the first.
        let distance = usize::from(index.checked_sub(self.index(0))?);
        let highest = distance.min(self.len() - 1);
        if self.index(highest) == index {
            return Some(highest);
        }
        let (mut low, mut high) = (0, highest);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.index(middle) < index {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (self.index(low) == index).then_some(low)
    }

    /// Names of the destinations by position: 1 to 255.
    pub fn destinations(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut names = self.names;
        std::iter::from_fn(move || {
            let (name, rest) = split_name(names)?;
            names = rest;
            Some(name)
        })
    }

    /// Name of one destination; walks over those before it.
    pub fn destination(&self, position: u8) -> Option<&'a str> {
        self.destinations().nth(position.into())
    }

    /// Messages with their position, in order.
    pub fn messages(&self) -> impl Iterator<Item = BatchMessage<'a>> + use<'a> {
        let record = *self;
        (0..record.len()).map(move |position| record.message(position))
    }

    fn split(value: &'a [u8]) -> Option<Self> {
        let fields: &[u8; FIELDS_BYTES] = value.get(super::RECORD_HEADER_BYTES..)?.first_chunk()?;
        let count = usize::from(u16_at(fields, 18));
        let destinations = u16_at(fields, 20);
        let rest = &value[FIXED_BYTES..];
        let mut after = rest;
        for _ in 0..destinations {
            let length = usize::from(*after.first()?);
            after = after.get(1 + length..)?;
        }
        let names = &rest[..rest.len() - after.len()];
        let (table, after) = after.split_at_checked(count * MESSAGE_BYTES)?;
        let (length, bodies) = after.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*length) as usize != bodies.len() {
            return None;
        }
        let batch = u64_at(fields, 0);
        Some(Self {
            batch,
            accepted_ms: u64_at(fields, 8),
            destinations,
            names,
            table,
            bodies,
        })
        .filter(|record| !record.is_empty() && record.index(0) == u16_at(fields, 16))
    }

    fn is_sound(&self) -> bool {
        let last = self.len() - 1;
        let ascending = (0..last).all(|at| {
            self.index(at) < self.index(at + 1) && self.offset(at) <= self.offset(at + 1)
        });
        let references = self
            .table
            .chunks_exact(MESSAGE_BYTES)
            .all(|slot| u16::from(slot[2]) < self.destinations && slot[3] == 0);
        self.batch < BATCH_END
            && ascending
            && references
            && self.offset(0) == 0
            && self.offset(last) <= self.bodies.len()
            && usize::from(self.index(last)) < BATCH_INDEXES_MAX
            && usize::from(self.destinations) <= DESTINATIONS_MAX
            && self.destinations().count() == usize::from(self.destinations)
    }

    #[inline]
    fn index(&self, position: usize) -> u16 {
        u16_at(self.table, position * MESSAGE_BYTES)
    }

    #[inline]
    fn offset(&self, position: usize) -> usize {
        let at = position * MESSAGE_BYTES + 4;
        let bytes = self.table[at..].first_chunk().expect("a slot has 8 bytes");
        u32::from_le_bytes(*bytes) as usize
    }
}

/// A str8 and what follows it; none at the end, or if it is no UTF-8.
fn split_name(names: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = names.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(name).ok()?, rest))
}

#[inline]
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(
        *bytes[at..]
            .first_chunk()
            .expect("8 bytes of a fixed layout"),
    )
}
