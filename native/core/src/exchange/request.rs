//! The msgpack requests within an exchange's input: configure, explain, stats, inUse.

use super::ExchangeError;
use crate::error::Code;
use crate::msgpack::{Number, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDoubt {
    Redeliver,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FairBy {
    Auto,
    Cost,
    Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOrder {
    Fifo,
    Strict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DestinationFields {
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    pub in_flight_max: Option<u32>,
    pub lease_ms: u64,
    pub attempts_max: u32,
    pub on_doubt: OnDoubt,
    pub fair_by: FairBy,
    pub paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetFields {
    pub weight: u32,
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    pub in_flight_max: Option<u32>,
    pub order: SetOrder,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TenantFields<'a> {
    pub set: &'a str,
    pub weight: u32,
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    pub in_flight_max: Option<u32>,
    pub paused: bool,
}

/// What `configure` sets; none: deleted, back to the defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change<'a> {
    Destination(Option<DestinationFields>),
    Set(Option<SetFields>),
    Tenant(Option<TenantFields<'a>>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Configure<'a> {
    pub name: &'a str,
    pub change: Change<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explain<'a> {
    pub destination: &'a str,
    pub offset: u32,
    pub limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityKind {
    Destination,
    Set,
    Tenant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse<'a> {
    pub kind: EntityKind,
    pub name: &'a str,
}

pub fn decode_configure(bytes: &[u8]) -> Result<Configure<'_>, ExchangeError> {
    decode("a configure is damaged", bytes, |reader| {
        array_of(reader, 3)?;
        let kind = entity_kind(reader)?;
        let name = name(reader)?;
        let change = match kind {
            EntityKind::Destination => Change::Destination(optional(reader, destination_fields)?),
            EntityKind::Set => Change::Set(optional(reader, set_fields)?),
            EntityKind::Tenant => Change::Tenant(optional(reader, tenant_fields)?),
        };
        Ok(Configure { name, change })
    })
}

pub fn decode_explain(bytes: &[u8]) -> Result<Explain<'_>, ExchangeError> {
    decode("an explain is damaged", bytes, |reader| {
        array_of(reader, 3)?;
        let destination = name(reader)?;
        Ok(Explain {
            destination,
            offset: reader.uint32()?,
            limit: reader.uint32()?,
        })
    })
}

/// The number of tenants that `stats` asks for.
pub fn decode_stats(bytes: &[u8]) -> Result<u32, ExchangeError> {
    decode("a stats is damaged", bytes, |reader| {
        array_of(reader, 1)?;
        reader.uint32()
    })
}

pub fn decode_in_use(bytes: &[u8]) -> Result<InUse<'_>, ExchangeError> {
    decode("an inUse is damaged", bytes, |reader| {
        array_of(reader, 2)?;
        Ok(InUse {
            kind: entity_kind(reader)?,
            name: name(reader)?,
        })
    })
}

fn decode<'a, T>(
    what: &'static str,
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Code>,
) -> Result<T, ExchangeError> {
    let mut reader = Reader::new(bytes);
    read(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|_| ExchangeError {
            what,
            at: reader.position(),
        })
}

fn destination_fields(reader: &mut Reader<'_>) -> Result<DestinationFields, Code> {
    array_of(reader, 8)?;
    Ok(DestinationFields {
        rate_per_sec: optional(reader, f64_of)?,
        burst: reader.uint()?,
        in_flight_max: optional(reader, Reader::uint32)?,
        lease_ms: reader.uint()?,
        attempts_max: reader.uint32()?,
        on_doubt: one_of(reader, [OnDoubt::Redeliver, OnDoubt::Fail])?,
        fair_by: one_of(reader, [FairBy::Auto, FairBy::Cost, FairBy::Time])?,
        paused: reader.bool()?,
    })
}

fn set_fields(reader: &mut Reader<'_>) -> Result<SetFields, Code> {
    array_of(reader, 5)?;
    Ok(SetFields {
        weight: reader.uint32()?,
        rate_per_sec: optional(reader, f64_of)?,
        burst: reader.uint()?,
        in_flight_max: optional(reader, Reader::uint32)?,
        order: one_of(reader, [SetOrder::Fifo, SetOrder::Strict])?,
    })
}

fn tenant_fields<'a>(reader: &mut Reader<'a>) -> Result<TenantFields<'a>, Code> {
    array_of(reader, 6)?;
    Ok(TenantFields {
        set: name(reader)?,
        weight: reader.uint32()?,
        rate_per_sec: optional(reader, f64_of)?,
        burst: reader.uint()?,
        in_flight_max: optional(reader, Reader::uint32)?,
        paused: reader.bool()?,
    })
}

fn array_of(reader: &mut Reader<'_>, length: usize) -> Result<(), Code> {
    if reader.array_len()? == length {
        Ok(())
    } else {
        Err(Code::WrongType)
    }
}

fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Code> {
    std::str::from_utf8(reader.name()?).map_err(|_| Code::InvalidName)
}

fn optional<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Code>,
) -> Result<Option<T>, Code> {
    if reader.nil()? {
        Ok(None)
    } else {
        read(reader).map(Some)
    }
}

/// A finite number that is not negative.
fn f64_of(reader: &mut Reader<'_>) -> Result<f64, Code> {
    match reader.f64_or_int()? {
        #[allow(clippy::cast_precision_loss, reason = "a rate needs no 64 bits")]
        Number::Uint(value) => Ok(value as f64),
        Number::Float(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err(Code::WrongType),
    }
}

fn one_of<T: Copy, const COUNT: usize>(
    reader: &mut Reader<'_>,
    values: [T; COUNT],
) -> Result<T, Code> {
    let number = reader.uint32()? as usize;
    values.get(number).copied().ok_or(Code::WrongType)
}

fn entity_kind(reader: &mut Reader<'_>) -> Result<EntityKind, Code> {
    match reader.uint32()? {
        1 => Ok(EntityKind::Destination),
        2 => Ok(EntityKind::Set),
        3 => Ok(EntityKind::Tenant),
        _ => Err(Code::WrongType),
    }
}
