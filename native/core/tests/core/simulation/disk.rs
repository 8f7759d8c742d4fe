//! The store of a shard: transactions become visible (committed) and then durable (flushed), in order.

use fairlead_core::record::{JournalEntry, JournalReader, JournalWriter};
use std::collections::BTreeMap;
use std::rc::Rc;

pub type Pages = BTreeMap<Vec<u8>, Rc<[u8]>>;

#[derive(Default)]
pub struct Disk {
    pub committed: Pages,
    pub flushed: Pages,
}

pub fn apply(pages: &mut Pages, journal: &[u8]) {
    for entry in JournalReader::new(journal).expect("a journal") {
        match entry.expect("a sound journal") {
            JournalEntry::Put { key, value } => {
                pages.insert(key.to_vec(), value.into());
            }
            JournalEntry::Delete { key } => {
                // Whether a batch has a state record is not always known; all else is.
                let known = pages.remove(key).is_some() || key[0] == 4;
                assert!(known, "{key:02x?} was deleted and not there");
            }
        }
    }
}

/// What recovery reads, cut into chunks of about `chunk_bytes`: meta, keys, events, usage, states,
/// log, batches.
pub fn chunks(pages: &Pages, chunk_bytes: usize) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut writer = JournalWriter::new();
    for first in [1, 5, 6, 10, 4, 3, 2] {
        for (key, value) in pages.range(vec![first]..vec![first + 1]) {
            writer.put(key, value);
            if writer.bytes().len() >= chunk_bytes {
                chunks.push(std::mem::take(&mut writer).into_bytes());
            }
        }
    }
    chunks.push(writer.into_bytes());
    chunks
}
