//! What a shard writes: records, their keys, and the journal buffer that carries them to the disk.
//!
//! The byte tables are in docs/exchange.md. To change a stored record: add a new version number,
//! keep the reader of the old one, write the new one only.

mod batch;
mod batch_builder;
mod events;
mod gate;
mod journal;
mod keys;
mod log;
mod options;
mod redact;
mod state;
mod usage;
mod usage_store;
mod varint;

pub use batch::{BatchMessage, BatchRecord, MESSAGE_OPTIONS, MESSAGE_REDACTED};
pub use batch_builder::{BatchRecordBuilder, ClosedRecord};
pub use events::{
    EventInfo, EventsRecord, StatusEvent, events_content, write_events_record, write_status_event,
};
pub use gate::{
    GateGrant, GateKey, GateLog, GateLogWriter, GateMark, GatePiece, GateRenewal, gate_log_key,
    gate_piece_key, parse_gate_key, parse_gate_mark, write_gate_log, write_gate_mark,
    write_gate_piece,
};
pub use journal::{JournalEntry, JournalReader, JournalWriter};
pub use keys::{KeysRecord, write_keys_record};
pub use log::{
    HandedTo, LogEntries, LogRecord, Return, Run, Runs, Settled, SettledRuns, message_key,
    write_log_record,
};
pub use options::MessageOptions;
pub use redact::redact_record;
pub use state::{
    STATE_CANCELLED, STATE_DEAD, STATE_DELIVERED, STATE_EXPIRED, STATE_FAILED, STATE_GIVEN_UP,
    STATE_GONE, STATE_IN_FLIGHT, STATE_SCHEDULED, STATE_SENT, STATE_TIMED, STATE_UNDELIVERED,
    STATE_WAITING, StateExtra, StateRecord, StateRun, write_state_record,
};
pub use usage::{
    BuiltIn, Category, Delta, DeltaReader, DeltaWriter, Deltas, Sums, parse_usage_record,
    usage_content, write_usage_record,
};
pub use usage_store::{
    USAGE_SOURCES_KEY, UsageCell, UsageCellKey, UsageKey, UsageLog, UsageMark, parse_usage_cell,
    parse_usage_key, parse_usage_mark, parse_usage_sources, read_usage_event_keys,
    usage_all_time_key, usage_all_time_range, usage_day_key, usage_event_keys_key,
    usage_firing_key, usage_log_key, usage_trigger_key, write_usage_cell, write_usage_event_keys,
    write_usage_log, write_usage_mark, write_usage_sources,
};

use crate::message_id::BATCH_END;

pub const RECORD_HEADER_BYTES: usize = 8;
/// A batch has at most this many indexes, so that its length fits the u16 of a state record.
pub const BATCH_INDEXES_MAX: usize = 65_535;

pub const META_IDENTITY: [u8; 2] = [1, 1];
pub const META_CEILING: [u8; 2] = [1, 2];
pub const META_THROUGH: [u8; 2] = [1, 3];
pub const META_EVENTS: [u8; 2] = [1, 4];
pub const META_USAGE: [u8; 2] = [1, 5];

const MAGIC: u8 = 0x46;

/// Why a record cannot be used. All of them end the start: nothing is guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes are not those that were written.
    Checksum,
    /// Written by a newer daemon.
    NewerVersion { version: u8, known: u8 },
    /// The checksum fits, the content does not; or there is no record header at all.
    Damaged,
}

/// Follows the record's name.
impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Checksum => f.write_str("is damaged: its checksum differs"),
            Self::NewerVersion { version, known } => write!(
                f,
                "has version {version}, this daemon knows up to {known}: a newer daemon wrote it"
            ),
            Self::Damaged => f.write_str("is damaged: its checksum fits, its content does not"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordType {
    Ceiling = 2,
    Through = 3,
    EventsCeiling = 4,
    UsageCeiling = 5,
    Batch = 16,
    Log = 17,
    State = 18,
    Keys = 19,
    Events = 20,
    Usage = 21,
    GateGenerations = 32,
    GateLease = 33,
    GateClean = 34,
    GateThrough = 35,
    GatePiece = 36,
    GateLog = 37,
    UsageThrough = 40,
    UsageBegun = 41,
    UsageSources = 42,
    UsageCell = 43,
    UsageLog = 44,
    UsageTrigger = 45,
    UsageFiring = 46,
    UsageEventKeys = 47,
}

impl RecordType {
    /// The version that is written; it and all before it are read.
    const fn version(self) -> u8 {
        match self {
            Self::Batch | Self::Log | Self::State => 2,
            _ => 1,
        }
    }
}

/// The records that hold one u64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// No batch number at or above it was ever used.
    Ceiling,
    /// Log records up to this sequence are contained in state records.
    Through,
    /// No sequence of an events record at or above it was ever used.
    Events,
    /// No sequence of a usage record at or above it was ever used.
    Usage,
}

impl Mark {
    pub const fn key(self) -> [u8; 2] {
        match self {
            Self::Ceiling => META_CEILING,
            Self::Through => META_THROUGH,
            Self::Events => META_EVENTS,
            Self::Usage => META_USAGE,
        }
    }

    const fn record_type(self) -> RecordType {
        match self {
            Self::Ceiling => RecordType::Ceiling,
            Self::Through => RecordType::Through,
            Self::Events => RecordType::EventsCeiling,
            Self::Usage => RecordType::UsageCeiling,
        }
    }
}

pub fn write_mark(out: &mut Vec<u8>, mark: Mark, value: u64) {
    let start = begin_record(out, mark.record_type());
    out.extend_from_slice(&value.to_le_bytes());
    end_record(out, start);
}

pub fn parse_mark(value: &[u8], mark: Mark) -> Result<u64, RecordError> {
    let (_, bytes) = check_record(value, mark.record_type())?;
    bytes
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(|_| RecordError::Damaged)
}

/// `02 batch first`
pub fn batch_key(batch: u64, first_index: u16) -> [u8; 9] {
    assert!(batch < BATCH_END, "batch {batch} does not fit 48 bits");
    key(2, batch << 16 | u64::from(first_index))
}

/// `03 sequence`
pub fn log_key(sequence: u64) -> [u8; 9] {
    key(3, sequence)
}

/// `04 batch`
pub fn state_key(batch: u64) -> [u8; 7] {
    assert!(batch < BATCH_END, "batch {batch} does not fit 48 bits");
    *key(4, batch << 16).first_chunk().expect("7 of 9 bytes")
}

/// `05 hour batch`; the hour is that of acceptance, since the epoch, so that old keys lie together.
pub fn keys_key(hour: u32, batch: u64) -> [u8; 11] {
    assert!(batch < BATCH_END, "batch {batch} does not fit 48 bits");
    let mut key = [5; 11];
    key[1..5].copy_from_slice(&hour.to_be_bytes());
    key[5..].copy_from_slice(&batch.to_be_bytes()[2..]);
    key
}

/// `06 sequence`
pub fn events_key(sequence: u64) -> [u8; 9] {
    key(6, sequence)
}

/// `0a sequence`
pub fn usage_key(sequence: u64) -> [u8; 9] {
    key(10, sequence)
}

fn key(first: u8, rest: u64) -> [u8; 9] {
    let mut key = [first; 9];
    key[1..].copy_from_slice(&rest.to_be_bytes());
    key
}

/// What a key of the store names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Identity,
    Mark(Mark),
    Batch { batch: u64, first_index: u16 },
    Log { sequence: u64 },
    State { batch: u64 },
    Keys { hour: u32, batch: u64 },
    Events { sequence: u64 },
    Usage { sequence: u64 },
}

pub fn parse_key(key: &[u8]) -> Option<Key> {
    let (first, rest) = key.split_first()?;
    let number = rest
        .iter()
        .take(8)
        .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    Some(match (first, rest.len()) {
        (1, 1) => match number {
            1 => Key::Identity,
            2 => Key::Mark(Mark::Ceiling),
            3 => Key::Mark(Mark::Through),
            4 => Key::Mark(Mark::Events),
            5 => Key::Mark(Mark::Usage),
            _ => return None,
        },
        (2, 8) => Key::Batch {
            batch: number >> 16,
            first_index: number as u16,
        },
        (3, 8) => Key::Log { sequence: number },
        (6, 8) => Key::Events { sequence: number },
        (10, 8) => Key::Usage { sequence: number },
        (4, 6) => Key::State { batch: number },
        (5, 10) => Key::Keys {
            hour: (number >> 32) as u32,
            batch: (number & 0xffff_ffff) << 16 | u64::from(u16::from_be_bytes([rest[8], rest[9]])),
        },
        _ => return None,
    })
}

/// Appends a record's header and returns where it begins; `end_record` completes it.
pub(crate) fn begin_record(out: &mut Vec<u8>, record_type: RecordType) -> usize {
    let start = out.len();
    out.extend_from_slice(&[
        MAGIC,
        record_type as u8,
        record_type.version(),
        0,
        0,
        0,
        0,
        0,
    ]);
    start
}

pub(crate) fn end_record(out: &mut [u8], start: usize) {
    let checksum = checksum(&out[start..]);
    out[start + 4..start + RECORD_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// Checks header and checksum; returns the version and what follows the header.
pub(crate) fn check_record(
    value: &[u8],
    record_type: RecordType,
) -> Result<(u8, &[u8]), RecordError> {
    if value.len() < RECORD_HEADER_BYTES || value[0] != MAGIC {
        return Err(RecordError::Damaged);
    }
    if checksum(value) != u32::from_le_bytes([value[4], value[5], value[6], value[7]]) {
        return Err(RecordError::Checksum);
    }
    let (version, known) = (value[2], record_type.version());
    if value[1] != record_type as u8 || version == 0 || value[3] != 0 {
        return Err(RecordError::Damaged);
    }
    if version > known {
        return Err(RecordError::NewerVersion { version, known });
    }
    Ok((version, &value[RECORD_HEADER_BYTES..]))
}

/// Over type and version as well as the content, so that a flipped bit is no newer version.
fn checksum(value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&value[..4]), &value[RECORD_HEADER_BYTES..])
}
