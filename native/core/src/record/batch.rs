//! Batch records: the messages of one batch, in the order of their indexes.

use super::options::MessageOptions;
use super::{BATCH_INDEXES_MAX, RECORD_HEADER_BYTES, RecordError, RecordType, check_record};
use crate::message_id::BATCH_END;

/// Fields before the destinations in version 2, and in version 1, which has no `log`.
pub(super) const FIELDS_BYTES: usize = 32;
const FIELDS_BYTES_V1: usize = 24;
pub(super) const MESSAGE_BYTES: usize = 8;
pub(super) const DESTINATIONS_MAX: usize = 255;

/// The message's bytes begin with its options.
pub const MESSAGE_OPTIONS: u8 = 1;
/// What the message said was removed; that it was there stays known.
pub const MESSAGE_REDACTED: u8 = 2;
const MESSAGE_FLAGS: u8 = MESSAGE_OPTIONS | MESSAGE_REDACTED;

/// One message of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMessage<'a> {
    pub index: u16,
    /// Position of its destination in the record.
    pub destination: u8,
    /// `MESSAGE_OPTIONS` and `MESSAGE_REDACTED`.
    pub flags: u8,
    /// As they are stored; empty: all of them have their defaults.
    pub options: &'a [u8],
    /// Tenant, sender, recipient and payload as msgpack.
    pub body: &'a [u8],
}

impl<'a> BatchMessage<'a> {
    /// # Panics
    /// If its record was never parsed.
    pub fn options(&self) -> MessageOptions<'a> {
        if self.flags & MESSAGE_OPTIONS == 0 {
            return MessageOptions::default();
        }
        MessageOptions::parse(self.options).expect("options of a sound record")
    }
}

/// A batch record, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct BatchRecord<'a> {
    batch: u64,
    accepted_ms: u64,
    log: u64,
    destinations: u16,
    names: &'a [u8],
    table: &'a [u8],
    bodies: &'a [u8],
}

impl<'a> BatchRecord<'a> {
    /// Checks everything: checksum, version, and that no accessor can go astray.
    pub fn parse(value: &'a [u8]) -> Result<Self, RecordError> {
        let (version, _) = check_record(value, RecordType::Batch)?;
        let record = Self::split(value).ok_or(RecordError::Damaged)?;
        if record.is_sound(version) {
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

    /// Sequence of the first log record that can speak of these messages; 0 (any) in version 1.
    pub const fn log(&self) -> u64 {
        self.log
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
        let stored = self.stored(position);
        let flags = self.flags(position);
        let (options, body) = if flags & MESSAGE_OPTIONS == 0 {
            (&stored[..0], stored)
        } else {
            split_options(stored).expect("options of a sound record")
        };
        BatchMessage {
            index: self.index(position),
            destination: self.table[position * MESSAGE_BYTES + 2],
            flags,
            options,
            body,
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
        let content = value.get(RECORD_HEADER_BYTES..)?;
        let fixed = if value[2] == 1 {
            FIELDS_BYTES_V1
        } else {
            FIELDS_BYTES
        };
        let (fields, rest) = content.split_at_checked(fixed)?;
        let log = if value[2] == 1 { 0 } else { u64_at(fields, 24) };
        let count = usize::from(u16_at(fields, 18));
        let destinations = u16_at(fields, 20);
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
            log,
            destinations,
            names,
            table,
            bodies,
        })
        .filter(|record| !record.is_empty() && record.index(0) == u16_at(fields, 16))
    }

    fn is_sound(&self, version: u8) -> bool {
        let last = self.len() - 1;
        let ascending = (0..last).all(|at| {
            self.index(at) < self.index(at + 1) && self.offset(at) <= self.offset(at + 1)
        });
        let flags = if version == 1 { 0 } else { MESSAGE_FLAGS };
        let references = self
            .table
            .chunks_exact(MESSAGE_BYTES)
            .all(|slot| u16::from(slot[2]) < self.destinations && slot[3] & !flags == 0);
        self.batch < BATCH_END
            && ascending
            && references
            && self.offset(0) == 0
            && self.offset(last) <= self.bodies.len()
            && usize::from(self.index(last)) < BATCH_INDEXES_MAX
            && usize::from(self.destinations) <= DESTINATIONS_MAX
            && self.destinations().count() == usize::from(self.destinations)
            && (0..=last).all(|at| self.has_sound_options(at))
    }

    fn has_sound_options(&self, position: usize) -> bool {
        self.flags(position) & MESSAGE_OPTIONS == 0
            || split_options(self.stored(position))
                .is_some_and(|(options, _)| MessageOptions::parse(options).is_some())
    }

    /// Options and body of a message as they lie.
    #[inline]
    fn stored(&self, position: usize) -> &'a [u8] {
        let next = position + 1;
        let end = if next < self.len() {
            self.offset(next)
        } else {
            self.bodies.len()
        };
        &self.bodies[self.offset(position)..end]
    }

    #[inline]
    fn flags(&self, position: usize) -> u8 {
        self.table[position * MESSAGE_BYTES + 3]
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

/// Options and what follows them; none if their length leads too far.
fn split_options(stored: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = stored.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_le_bytes(*length).into())
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
