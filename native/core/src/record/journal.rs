//! The journal buffer: the puts and deletes of one step, applied by the worker in one transaction.

use super::RecordError;

const OP_PUT: u8 = 1;
const OP_DELETE: u8 = 2;
const COUNT_BYTES: usize = 4;
/// What a store of pages of 4 KiB takes as a key.
const KEY_BYTES_MAX: usize = 511;

/// Collects puts and deletes; its bytes are a complete journal at any time.
#[derive(Clone, Debug)]
pub struct JournalWriter {
    bytes: Vec<u8>,
    entries: u32,
}

impl Default for JournalWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl JournalWriter {
    pub fn new() -> Self {
        Self {
            bytes: vec![0; COUNT_BYTES],
            entries: 0,
        }
    }

    /// An empty journal with room for about `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut room = Vec::with_capacity(bytes.max(COUNT_BYTES));
        room.extend_from_slice(&[0; COUNT_BYTES]);
        Self {
            bytes: room,
            entries: 0,
        }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Forgets everything but the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; COUNT_BYTES]);
        self.entries = 0;
    }

    pub const fn entries(&self) -> u32 {
        self.entries
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.entry(OP_PUT, key, value.len());
        self.bytes.extend_from_slice(value);
    }

    /// Puts a value that `write` appends in place; it must leave the bytes before alone.
    pub fn put_with(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let length_at = self.bytes.len() + 4;
        self.entry(OP_PUT, key, 0);
        let start = self.bytes.len();
        write(&mut self.bytes);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    pub fn delete(&mut self, key: &[u8]) {
        self.entry(OP_DELETE, key, 0);
    }

    fn entry(&mut self, op: u8, key: &[u8], value_bytes: usize) {
        assert!(
            !key.is_empty() && key.len() <= KEY_BYTES_MAX,
            "a key of {} bytes",
            key.len()
        );
        let key_bytes = (key.len() as u16).to_le_bytes();
        self.entries += 1;
        self.bytes[..COUNT_BYTES].copy_from_slice(&self.entries.to_le_bytes());
        self.bytes
            .extend_from_slice(&[op, key_bytes[0], key_bytes[1], 0]);
        self.bytes
            .extend_from_slice(&(value_bytes as u32).to_le_bytes());
        self.bytes.extend_from_slice(key);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalEntry<'a> {
    Put { key: &'a [u8], value: &'a [u8] },
    Delete { key: &'a [u8] },
}

/// Iterates over a journal, as the worker does: for simulations and tests.
#[derive(Clone, Debug)]
pub struct JournalReader<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> JournalReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let (count, rest) = bytes.split_first_chunk().ok_or(RecordError::Damaged)?;
        Ok(Self {
            rest,
            left: u32::from_le_bytes(*count),
        })
    }

    fn entry(&mut self) -> Option<JournalEntry<'a>> {
        let (header, rest) = self.rest.split_first_chunk::<8>()?;
        let [op, low, high, 0, length @ ..] = *header else {
            return None;
        };
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(length) as usize)?;
        self.rest = rest;
        match op {
            OP_PUT => Some(JournalEntry::Put { key, value }),
            OP_DELETE if value.is_empty() => Some(JournalEntry::Delete { key }),
            _ => None,
        }
    }
}

impl<'a> Iterator for JournalReader<'a> {
    type Item = Result<JournalEntry<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let trailing = !std::mem::take(&mut self.rest).is_empty();
            return trailing.then_some(Err(RecordError::Damaged));
        }
        self.left -= 1;
        let entry = self.entry().ok_or(RecordError::Damaged);
        if entry.is_err() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(entry)
    }
}
