//! Keys records: the idempotency keys of one batch, so that they outlive its messages.

use super::{BATCH_INDEXES_MAX, RecordError, RecordType, begin_record, check_record, end_record};

const COUNT_BYTES: usize = 4;
const ENTRY_BYTES: usize = 18;

/// Appends a keys record: hashes of keys, each with the index of its message.
pub fn write_keys_record(out: &mut Vec<u8>, keys: &[([u8; 16], u16)]) {
    let start = begin_record(out, RecordType::Keys);
    let count = u32::try_from(keys.len()).expect("a batch has at most 65,535 messages");
    out.extend_from_slice(&count.to_le_bytes());
    for (hash, index) in keys {
        out.extend_from_slice(hash);
        out.extend_from_slice(&index.to_le_bytes());
    }
    end_record(out, start);
}

/// A keys record, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct KeysRecord<'a> {
    entries: &'a [u8],
}

impl<'a> KeysRecord<'a> {
    /// Checks everything, so that the iterator meets no damage.
    pub fn parse(value: &'a [u8]) -> Result<Self, RecordError> {
        let (_, content) = check_record(value, RecordType::Keys)?;
        let (count, entries) = content
            .split_first_chunk::<COUNT_BYTES>()
            .ok_or(RecordError::Damaged)?;
        let record = Self { entries };
        let counted = u64::from(u32::from_le_bytes(*count)) * ENTRY_BYTES as u64;
        let is_sound = counted == entries.len() as u64
            && record
                .iter()
                .all(|(_, index)| usize::from(index) < BATCH_INDEXES_MAX);
        is_sound.then_some(record).ok_or(RecordError::Damaged)
    }

    pub const fn len(&self) -> usize {
        self.entries.len() / ENTRY_BYTES
    }

    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Hash of a key and index of its message, as they were written.
    pub fn iter(&self) -> impl Iterator<Item = ([u8; 16], u16)> + use<'a> {
        self.entries.chunks_exact(ENTRY_BYTES).map(|entry| {
            let hash = *entry.first_chunk().expect("18 bytes an entry");
            (hash, u16::from_le_bytes([entry[16], entry[17]]))
        })
    }
}
