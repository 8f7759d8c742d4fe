//! The records of the usage counters: marks, cells, the log, event keys; and the keys of all of them.
//!
//! Keys lie in the order in which recovery reads them: marks, all-time cells, (day cells), log, event
//! keys, triggers, firings. Names have no byte 0, so cells of one counter lie together, by day.

use super::usage::{Category, DeltaReader, Sums};
use super::varint::{Varints, write_varint, write_wide_zigzag, write_zigzag};
use super::{RecordError, RecordType, begin_record, check_record, end_record, key};
use crate::msgpack::check_name;

const MARK: u8 = 0x0b;
const ALL_TIME: u8 = 0x0c;
const DAY: u8 = 0x0d;
const LOG: u8 = 0x0e;
const EVENT_KEYS: u8 = 0x0f;
const TRIGGER: u8 = 0x10;
const FIRING: u8 = 0x11;

const HASH_BYTES: usize = 16;

/// The records that hold one u64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageMark {
    /// Log records up to this sequence are contained in cells.
    Through,
    /// A checkpoint up to this sequence was begun.
    Begun,
}

impl UsageMark {
    pub const fn key(self) -> [u8; 2] {
        match self {
            Self::Through => [MARK, 1],
            Self::Begun => [MARK, 2],
        }
    }

    const fn record_type(self) -> RecordType {
        match self {
            Self::Through => RecordType::UsageThrough,
            Self::Begun => RecordType::UsageBegun,
        }
    }
}

/// Of the record of sources.
pub const USAGE_SOURCES_KEY: [u8; 2] = [MARK, 3];

pub fn write_usage_mark(out: &mut Vec<u8>, mark: UsageMark, value: u64) {
    let start = begin_record(out, mark.record_type());
    out.extend_from_slice(&value.to_le_bytes());
    end_record(out, start);
}

pub fn parse_usage_mark(value: &[u8], mark: UsageMark) -> Result<u64, RecordError> {
    let (_, bytes) = check_record(value, mark.record_type())?;
    bytes
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(|_| RecordError::Damaged)
}

/// Which sequence each source was folded up to, as of the mark `through`.
pub fn write_usage_sources(out: &mut Vec<u8>, sources: &[(u32, u64)]) {
    let start = begin_record(out, RecordType::UsageSources);
    write_sources(out, sources);
    end_record(out, start);
}

pub fn parse_usage_sources(value: &[u8]) -> Result<Vec<(u32, u64)>, RecordError> {
    let (_, bytes) = check_record(value, RecordType::UsageSources)?;
    let mut bytes = Varints::new(bytes);
    let sources = read_sources(&mut bytes).ok_or(RecordError::Damaged)?;
    if bytes.is_empty() {
        Ok(sources)
    } else {
        Err(RecordError::Damaged)
    }
}

fn write_sources(out: &mut Vec<u8>, sources: &[(u32, u64)]) {
    write_varint(out, sources.len() as u64);
    for &(source, sequence) in sources {
        write_varint(out, source.into());
        write_varint(out, sequence);
    }
}

fn read_sources(bytes: &mut Varints<'_>) -> Option<Vec<(u32, u64)>> {
    let count = bytes.u64()?;
    // Each has two bytes at least, so the bytes end before a count misleads.
    (0..count)
        .map(|_| Some((bytes.u32()?, bytes.u64()?)))
        .collect()
}

/// `0c account 00 category 00 tag`
pub fn usage_all_time_key(out: &mut Vec<u8>, account: &[u8], category: &[u8], tag: &[u8]) {
    cell_key(out, ALL_TIME, &[account, category, tag]);
}

/// `0d account 00 category 00 tag 00 day:u32be`
pub fn usage_day_key(out: &mut Vec<u8>, account: &[u8], category: &[u8], tag: &[u8], day: u32) {
    cell_key(out, DAY, &[account, category, tag]);
    out.push(0);
    out.extend_from_slice(&day.to_be_bytes());
}

/// Where the all-time cells of an account begin, or of one of its categories; and where they end.
pub fn usage_all_time_range(
    from: &mut Vec<u8>,
    to: &mut Vec<u8>,
    account: &[u8],
    category: Option<&[u8]>,
) {
    match category {
        Some(category) => cell_key(from, ALL_TIME, &[account, category]),
        None => cell_key(from, ALL_TIME, &[account]),
    }
    to.extend_from_slice(from);
    from.push(0);
    to.push(1);
}

fn cell_key(out: &mut Vec<u8>, first: u8, names: &[&[u8]]) {
    for (place, name) in names.iter().enumerate() {
        out.push(if place == 0 { first } else { 0 });
        out.extend_from_slice(name);
    }
}

/// `0e sequence`
pub fn usage_log_key(sequence: u64) -> [u8; 9] {
    key(LOG, sequence)
}

/// `0f hour sequence`; the hour is that of arrival, since the epoch.
pub fn usage_event_keys_key(hour: u32, sequence: u64) -> [u8; 13] {
    let mut bytes = [EVENT_KEYS; 13];
    bytes[1..5].copy_from_slice(&hour.to_be_bytes());
    bytes[5..].copy_from_slice(&sequence.to_be_bytes());
    bytes
}

/// `10 sid`
pub fn usage_trigger_key(sid: [u8; 16]) -> [u8; 17] {
    let mut bytes = [TRIGGER; 17];
    bytes[1..].copy_from_slice(&sid);
    bytes
}

/// `11 firing`
pub fn usage_firing_key(firing: u64) -> [u8; 9] {
    key(FIRING, firing)
}

/// What a key of the usage store names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageKey<'a> {
    Mark(UsageMark),
    Sources,
    Cell(UsageCellKey<'a>),
    Log { sequence: u64 },
    EventKeys { hour: u32, sequence: u64 },
    Trigger { sid: [u8; 16] },
    Firing { firing: u64 },
}

/// Whose cell it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageCellKey<'a> {
    pub account: &'a [u8],
    pub category: &'a [u8],
    /// Empty: none.
    pub tag: &'a [u8],
    /// None: the all-time cell.
    pub day: Option<u32>,
}

pub fn parse_usage_key(key: &[u8]) -> Option<UsageKey<'_>> {
    let (first, rest) = key.split_first()?;
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
    Some(match *first {
        MARK => match rest {
            [1] => UsageKey::Mark(UsageMark::Through),
            [2] => UsageKey::Mark(UsageMark::Begun),
            [3] => UsageKey::Sources,
            _ => return None,
        },
        ALL_TIME => UsageKey::Cell(parse_cell_key(rest, None)?),
        DAY => {
            let (names, day) = rest.split_last_chunk::<4>()?;
            let (&0, names) = names.split_last()? else {
                return None;
            };
            UsageKey::Cell(parse_cell_key(names, Some(u32::from_be_bytes(*day)))?)
        }
        LOG => UsageKey::Log {
            sequence: number(rest)?,
        },
        EVENT_KEYS => {
            let (hour, sequence) = rest.split_first_chunk::<4>()?;
            UsageKey::EventKeys {
                hour: u32::from_be_bytes(*hour),
                sequence: number(sequence)?,
            }
        }
        TRIGGER => UsageKey::Trigger {
            sid: rest.try_into().ok()?,
        },
        FIRING => UsageKey::Firing {
            firing: number(rest)?,
        },
        _ => return None,
    })
}

fn parse_cell_key(names: &[u8], day: Option<u32>) -> Option<UsageCellKey<'_>> {
    let mut names = names.split(|&byte| byte == 0);
    let (account, category, tag) = (names.next()?, names.next()?, names.next()?);
    let is_sound = names.next().is_none()
        && check_name(account).is_ok()
        && Category::of_name(category).is_some()
        && (tag.is_empty() || check_name(tag).is_ok());
    is_sound.then_some(UsageCellKey {
        account,
        category,
        tag,
        day,
    })
}

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageCell {
    /// Log records up to this sequence are contained.
    pub as_of: u64,
    pub sums: Sums,
    /// First and last day that was counted, of an all-time cell.
    pub days: Option<(u32, u32)>,
}

pub fn write_usage_cell(out: &mut Vec<u8>, cell: &UsageCell) {
    let start = begin_record(out, RecordType::UsageCell);
    out.extend_from_slice(&cell.as_of.to_le_bytes());
    write_zigzag(out, cell.sums.count);
    write_wide_zigzag(out, cell.sums.usage);
    write_wide_zigzag(out, cell.sums.price);
    if let Some((first, last)) = cell.days {
        write_varint(out, first.into());
        write_varint(out, last.into());
    }
    end_record(out, start);
}

pub fn parse_usage_cell(value: &[u8]) -> Result<UsageCell, RecordError> {
    let (_, bytes) = check_record(value, RecordType::UsageCell)?;
    read_cell(Varints::new(bytes)).ok_or(RecordError::Damaged)
}

fn read_cell(mut bytes: Varints<'_>) -> Option<UsageCell> {
    let mut cell = UsageCell {
        as_of: bytes.u64_le()?,
        sums: Sums {
            count: bytes.zigzag()?,
            usage: bytes.wide_zigzag()?,
            price: bytes.wide_zigzag()?,
        },
        days: None,
    };
    if !bytes.is_empty() {
        cell.days = Some((bytes.u32()?, bytes.u32()?));
    }
    bytes.is_empty().then_some(cell)
}

/// What one step folded: the last sequence of each source that told something, and a delta list.
pub fn write_usage_log(out: &mut Vec<u8>, sources: &[(u32, u64)], list: &[u8]) {
    let start = begin_record(out, RecordType::UsageLog);
    write_sources(out, sources);
    out.extend_from_slice(list);
    end_record(out, start);
}

/// A log record, read where it lies.
#[derive(Clone, Debug)]
pub struct UsageLog<'a> {
    pub sources: Vec<(u32, u64)>,
    pub deltas: DeltaReader<'a>,
}

impl<'a> UsageLog<'a> {
    pub fn parse(value: &'a [u8]) -> Result<Self, RecordError> {
        let (_, bytes) = check_record(value, RecordType::UsageLog)?;
        let mut bytes = Varints::new(bytes);
        let sources = read_sources(&mut bytes).ok_or(RecordError::Damaged)?;
        let deltas = DeltaReader::parse(bytes.rest()).ok_or(RecordError::Damaged)?;
        Ok(Self { sources, deltas })
    }
}

/// Appends the event keys of one step: hashes by account, those of an account together.
pub fn write_usage_event_keys<'a>(
    out: &mut Vec<u8>,
    groups: impl ExactSizeIterator<Item = (&'a [u8], &'a [[u8; HASH_BYTES]])>,
) {
    let start = begin_record(out, RecordType::UsageEventKeys);
    write_varint(out, groups.len() as u64);
    for (account, hashes) in groups {
        out.push(account.len() as u8);
        out.extend_from_slice(account);
        write_varint(out, hashes.len() as u64);
        out.extend_from_slice(hashes.as_flattened());
    }
    end_record(out, start);
}

/// Checks a record of event keys and hands its groups to `take`.
pub fn read_usage_event_keys(
    value: &[u8],
    mut take: impl FnMut(&[u8], &[[u8; HASH_BYTES]]),
) -> Result<(), RecordError> {
    let (_, bytes) = check_record(value, RecordType::UsageEventKeys)?;
    let mut bytes = Varints::new(bytes);
    let groups = bytes.u64().ok_or(RecordError::Damaged)?;
    for _ in 0..groups {
        let (account, hashes) = read_group(&mut bytes).ok_or(RecordError::Damaged)?;
        take(account, hashes);
    }
    if bytes.is_empty() {
        Ok(())
    } else {
        Err(RecordError::Damaged)
    }
}

fn read_group<'a>(bytes: &mut Varints<'a>) -> Option<(&'a [u8], &'a [[u8; HASH_BYTES]])> {
    let length = bytes.byte()?;
    let account = bytes.take(usize::from(length))?;
    check_name(account).ok()?;
    let count = usize::try_from(bytes.u64()?).ok()?;
    let hashes = bytes.take(count.checked_mul(HASH_BYTES)?)?;
    Some((account, hashes.as_chunks().0))
}
