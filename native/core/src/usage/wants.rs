//! What a step wants to read of the store, and what it is given.

use super::Fatal;
use crate::record::{
    JournalEntry, JournalReader, RecordError, UsageCell, UsageCellKey, UsageKey, parse_usage_cell,
    parse_usage_key,
};

const ONE: u8 = 0;
const RANGE: u8 = 1;
const COUNT_BYTES: usize = 4;

/// For whom something was wanted. Their wants stand together, in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    Loading,
    Caps,
    /// The first question.
    Question,
    Piece,
}

/// `u32 n × (u8 kind 0 one key, 1 range · u16 len · key [· u16 len · keyTo])`; a range ends before `keyTo`.
#[derive(Default)]
pub(super) struct Wants {
    bytes: Vec<u8>,
    count: u32,
    pub askers: Vec<Asker>,
}

impl Wants {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; COUNT_BYTES]);
        self.count = 0;
        self.askers.clear();
    }

    /// Empty when nothing is wanted.
    pub fn bytes(&self) -> &[u8] {
        if self.count == 0 { &[] } else { &self.bytes }
    }

    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The wants since the last time are this asker's.
    pub fn ask(&mut self, asker: Asker) {
        self.askers.push(asker);
    }

    pub fn key(&mut self, key: &[u8]) {
        self.begin(ONE);
        self.push(key);
    }

    pub fn range(&mut self, from: &[u8], to: &[u8]) {
        self.begin(RANGE);
        self.push(from);
        self.push(to);
    }

    fn begin(&mut self, kind: u8) {
        self.count += 1;
        self.bytes[..COUNT_BYTES].copy_from_slice(&self.count.to_le_bytes());
        self.bytes.push(kind);
    }

    fn push(&mut self, key: &[u8]) {
        self.bytes
            .extend_from_slice(&(key.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(key);
    }
}

/// What was given, want by want: puts, each want ended by an empty one.
pub(super) struct Answers<'a> {
    entries: Option<JournalReader<'a>>,
    left: u32,
}

impl<'a> Answers<'a> {
    /// Of as many wants. Without wants the bytes may be empty.
    pub fn new(bytes: &'a [u8], wants: u32) -> Result<Self, Fatal> {
        let entries = if wants == 0 && bytes.is_empty() {
            None
        } else {
            Some(JournalReader::new(bytes).map_err(|_| unfit("no list"))?)
        };
        Ok(Self {
            entries,
            left: wants,
        })
    }

    /// The cells of the next want.
    pub fn each(
        &mut self,
        mut take: impl FnMut(&UsageCellKey<'a>, &UsageCell),
    ) -> Result<(), Fatal> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| unfit("too few wants"))?;
        loop {
            let entry = self.entries.as_mut().and_then(Iterator::next);
            let Some(Ok(JournalEntry::Put { key, value })) = entry else {
                return Err(unfit("it ends within a want"));
            };
            if key.is_empty() && value.is_empty() {
                return Ok(());
            }
            let Some(UsageKey::Cell(cell)) = parse_usage_key(key) else {
                return Err(stored(key, RecordError::Damaged));
            };
            take(
                &cell,
                &parse_usage_cell(value).map_err(|error| stored(key, error))?,
            );
        }
    }

    /// The cell of the next want, which is one key.
    pub fn one(&mut self) -> Result<Option<UsageCell>, Fatal> {
        let mut found = None;
        self.each(|_, cell| found = Some(*cell))?;
        Ok(found)
    }

    pub fn end(mut self) -> Result<(), Fatal> {
        let is_over = self.entries.as_mut().and_then(Iterator::next).is_none();
        if is_over && self.left == 0 {
            Ok(())
        } else {
            Err(unfit("more than was wanted"))
        }
    }
}

fn unfit(what: &str) -> Fatal {
    Fatal::State(format!(
        "what was given does not fit what was wanted: {what}"
    ))
}

pub(super) fn stored(key: &[u8], error: RecordError) -> Fatal {
    Fatal::Stored {
        name: format!("the usage record {key:02x?}"),
        error,
    }
}
