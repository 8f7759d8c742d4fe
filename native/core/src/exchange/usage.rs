//! The requests to the usage counters within an exchange's input: configure, inUse, deltas, and what
//! operators ask.

use super::ExchangeError;
use super::request::{array_of, decode, name, one_of, optional};
use crate::error::Code;
use crate::limits::CAP_SLOTS;
use crate::msgpack::{Reader, check_name};
use crate::record::{Category, DeltaReader};
use crate::usage::calendar::PeriodKind;
use crate::usage::trigger::By;

/// What `configure` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageChange<'a> {
    /// Whose sub-account it is; none: nobody's, or deleted.
    Parent(Option<&'a str>),
    /// The fields of a price list, for `category` or `category/tenant`; none: deleted.
    Price(Option<&'a [u8]>),
    /// Its name is `tenant/name`; none: deleted.
    Cap(Option<UsageCap<'a>>),
    /// Which outcome is billable: for shards to know.
    OfShards,
}

/// A hard cap of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageCap<'a> {
    pub category: &'a str,
    pub by: By,
    pub period: PeriodKind,
    /// Nano-units if it is by price.
    pub value: i128,
    /// Where it is reserved; below `CAP_SLOTS`.
    pub slot: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageConfigure<'a> {
    pub name: &'a str,
    pub change: UsageChange<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageInUse<'a> {
    /// Only a tenant can be in use: as another's parent.
    pub is_tenant: bool,
    pub name: &'a str,
}

/// What a source counted.
#[derive(Clone, Copy, Debug)]
pub struct UsageDeltas<'a> {
    /// Told again after a start.
    pub again: bool,
    /// 0: never told again.
    pub sequence: u64,
    pub deltas: DeltaReader<'a>,
}

/// Which tags a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageTags<'a> {
    /// Rows without a tag.
    None,
    /// These, and one of each tag.
    All,
    One(&'a str),
}

/// What a row sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsagePeriod {
    /// All days asked for.
    Total,
    Day,
    Month,
    Year,
    AllTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRecords<'a> {
    /// None: all.
    pub account: Option<&'a str>,
    pub category: Option<&'a str>,
    pub tags: UsageTags<'a>,
    pub period: UsagePeriod,
    /// Days since 1970, both included; none: no bound.
    pub from_day: Option<u32>,
    pub to_day: Option<u32>,
    /// Rows of an account sum up its sub-accounts, too.
    pub sub_accounts: bool,
    /// Empty at first.
    pub cursor: &'a str,
    pub limit: u32,
}

pub fn decode_usage_configure(bytes: &[u8]) -> Result<UsageConfigure<'_>, ExchangeError> {
    decode("a configure of usage is damaged", bytes, |reader| {
        array_of(reader, 3)?;
        let kind = reader.uint32()?;
        let name = text(reader)?;
        let change = match kind {
            3 => UsageChange::Parent(optional(reader, parent)?.flatten()),
            14 => UsageChange::Price(optional(reader, |reader| value(reader, bytes))?),
            15 => UsageChange::Cap(optional(reader, cap)?),
            16 => {
                reader.skip()?;
                UsageChange::OfShards
            }
            _ => return Err(Code::WrongType),
        };
        Ok(UsageConfigure { name, change })
    })
}

fn parent<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, Code> {
    array_of(reader, 1)?;
    optional(reader, name)
}

fn cap<'a>(reader: &mut Reader<'a>) -> Result<UsageCap<'a>, Code> {
    array_of(reader, 5)?;
    let category = category(reader)?;
    let by = one_of(reader, [By::Count, By::Usage, By::Price])?;
    let period = PeriodKind::of_number(reader.uint()?).ok_or(Code::WrongType)?;
    let value = reader.int()?.into();
    let slot = reader.uint32()?;
    if slot as usize >= CAP_SLOTS {
        return Err(Code::WrongType);
    }
    Ok(UsageCap {
        category,
        by,
        period,
        value,
        slot,
    })
}

/// The bytes of the next value.
fn value<'a>(reader: &mut Reader<'a>, bytes: &'a [u8]) -> Result<&'a [u8], Code> {
    let start = reader.position();
    reader.skip()?;
    Ok(&bytes[start..reader.position()])
}

pub fn decode_usage_in_use(bytes: &[u8]) -> Result<UsageInUse<'_>, ExchangeError> {
    decode("an inUse of usage is damaged", bytes, |reader| {
        array_of(reader, 2)?;
        Ok(UsageInUse {
            is_tenant: reader.uint32()? == 3,
            name: text(reader)?,
        })
    })
}

/// `u8 flags · u64 sequence · delta list`
pub fn decode_usage_deltas(bytes: &[u8]) -> Result<UsageDeltas<'_>, ExchangeError> {
    let fault = |at| ExchangeError {
        what: "a usageDeltas is damaged",
        at,
    };
    let (head, list) = bytes.split_first_chunk::<9>().ok_or(fault(0))?;
    let (flags, sequence) = head.split_first().expect("9 bytes");
    Ok(UsageDeltas {
        again: flags & 1 != 0,
        sequence: u64::from_le_bytes(sequence.try_into().expect("8 of 9 bytes")),
        deltas: DeltaReader::parse(list).ok_or(fault(9))?,
    })
}

pub fn decode_usage_records(bytes: &[u8]) -> Result<UsageRecords<'_>, ExchangeError> {
    decode("a usageRecords is damaged", bytes, |reader| {
        array_of(reader, 9)?;
        Ok(UsageRecords {
            account: optional(reader, name)?,
            category: optional(reader, category)?,
            tags: match optional(reader, text)? {
                None => UsageTags::None,
                Some("") => UsageTags::All,
                Some(tag) => {
                    check_name(tag.as_bytes())?;
                    UsageTags::One(tag)
                }
            },
            period: one_of(
                reader,
                [
                    UsagePeriod::Total,
                    UsagePeriod::Day,
                    UsagePeriod::Month,
                    UsagePeriod::Year,
                    UsagePeriod::AllTime,
                ],
            )?,
            from_day: optional(reader, Reader::uint32)?,
            to_day: optional(reader, Reader::uint32)?,
            sub_accounts: reader.bool()?,
            cursor: text(reader)?,
            limit: reader.uint32()?,
        })
    })
}

fn category<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Code> {
    let name = text(reader)?;
    match Category::of_name(name.as_bytes()) {
        Some(_) => Ok(name),
        None => Err(Code::InvalidName),
    }
}

/// The u64 of a `firingTold`: the firing whose callbacks are stored.
pub fn decode_firing_told(bytes: &[u8]) -> Result<u64, ExchangeError> {
    let fault = ExchangeError {
        what: "a firingTold is damaged",
        at: 0,
    };
    Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| fault)?))
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Code> {
    std::str::from_utf8(reader.str()?).map_err(|_| Code::WrongType)
}
