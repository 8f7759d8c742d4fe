//! The msgpack requests within an exchange's input: configure, explain, stats, inUse, gatewayUp.

use super::ExchangeError;
use crate::error::Code;
use crate::limits::{CAP_SLOTS, GATEWAY_DESTINATIONS, VALIDITY_MS_DEFAULT};
use crate::msgpack::{Number, Reader};
use crate::usage::calendar::PeriodKind;
use crate::usage::price::PriceList;

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

/// Whether work that would expire before its turn is refused at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Off,
    /// Counts what `On` would have refused.
    Shadow,
    On,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetPolicy {
    /// A queue a sender.
    Fair,
    /// Slots that tenants share by hash.
    Shuffle,
}

/// Service levels of a tenant at most.
pub const LEVELS_MAX: usize = 8;

/// The floor of each service level, as part of the tenant's service; the first is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelFloors {
    pub count: u8,
    pub floors: [f32; LEVELS_MAX],
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
    pub retry_base_ms: u64,
    pub retry_max_ms: u64,
    /// 0…1: part of the back-off by which it varies.
    pub retry_jitter: f64,
    pub validity_ms: u64,
    pub refuse_new: bool,
    pub admission: Admission,
}

impl Default for DestinationFields {
    /// What a PUT without fields makes.
    fn default() -> Self {
        Self {
            rate_per_sec: None,
            burst: 1,
            in_flight_max: None,
            lease_ms: 30_000,
            attempts_max: 16,
            on_doubt: OnDoubt::Redeliver,
            fair_by: FairBy::Auto,
            paused: false,
            retry_base_ms: 1_000,
            retry_max_ms: 600_000,
            retry_jitter: 0.2,
            validity_ms: VALIDITY_MS_DEFAULT,
            refuse_new: false,
            admission: Admission::Off,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetFields {
    pub weight: u32,
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    pub in_flight_max: Option<u32>,
    pub order: SetOrder,
    /// What it may take above its entitled share, as part of that share; none: no cap.
    pub borrow_max: Option<f64>,
    pub paused: bool,
    pub refuse_new: bool,
    pub policy: SetPolicy,
    /// Of the policy `shuffle`: shared slots, and how many of them a tenant uses.
    pub slots: u32,
    pub hand: u32,
}

impl Default for SetFields {
    /// What a PUT without fields makes, and the set that no other was named for.
    fn default() -> Self {
        Self {
            weight: 100,
            rate_per_sec: None,
            burst: 1,
            in_flight_max: None,
            order: SetOrder::Fifo,
            borrow_max: None,
            paused: false,
            refuse_new: false,
            policy: SetPolicy::Fair,
            slots: 64,
            hand: 4,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TenantFields<'a> {
    pub set: &'a str,
    pub weight: u32,
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    pub in_flight_max: Option<u32>,
    pub paused: bool,
    pub refuse_new: bool,
    /// What new work is refused with: `RefusingNew` or `CapReached`.
    pub refuse_code: Code,
    pub level_floors: Option<LevelFloors>,
    /// Messages, and bytes of them, that may wait at one destination.
    pub waiting_max: Option<u64>,
    pub waiting_bytes_max: Option<u64>,
}

/// A tenant's sender at every destination.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SenderFields<'a> {
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    pub in_flight_max: Option<u32>,
    pub pool: Option<&'a str>,
    pub paused: bool,
    pub refuse_new: bool,
}

/// A bucket that several senders share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolFields {
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
}

/// How a gateway gets its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayKind {
    /// A client subscribes under its name.
    Pull,
    /// The daemon subscribes and posts them.
    Webhook,
    /// The daemon subscribes and speaks SMPP.
    Smpp,
}

impl GatewayKind {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Webhook => "webhook",
            Self::Smpp => "smpp",
        }
    }
}

/// Who takes the messages of some destinations.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayFields<'a> {
    pub kind: GatewayKind,
    pub destinations: Vec<&'a str>,
    pub weight: u32,
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    /// Over all its destinations.
    pub in_flight_max: Option<u32>,
    pub paused: bool,
}

/// Whether a gateway can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayUp<'a> {
    pub name: &'a str,
    pub up: bool,
}

/// What `configure` sets; none: deleted, back to the defaults.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<'a> {
    Destination(Option<DestinationFields>),
    Set(Option<SetFields>),
    Tenant(Option<TenantFields<'a>>),
    /// Its name is `tenant/sender`.
    Sender(Option<SenderFields<'a>>),
    Pool(Option<PoolFields>),
    Gateway(Option<GatewayFields<'a>>),
    /// Of a category, or of a tenant's: `category/tenant`.
    Price(Option<PriceList>),
    /// Its name is `tenant/name`.
    Cap(Option<CapFields<'a>>),
    /// Which outcome makes a message a billable one; its name says nothing.
    Billable(Billable),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapBy {
    Count,
    Usage,
    Price,
}

/// A hard cap; its limit is in the table that the slot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapFields<'a> {
    pub category: &'a str,
    pub by: CapBy,
    pub period: PeriodKind,
    pub slot: u32,
}

/// Which outcome makes a message one of the category `messages`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Billable {
    Accepted,
    /// A gateway took it, or delivered it at once.
    #[default]
    Sent,
    Delivered,
}

#[derive(Clone, Debug, PartialEq)]
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
    Sender,
    Pool,
    Gateway,
    Price,
    Cap,
    Billable,
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
        let name = match kind {
            EntityKind::Sender | EntityKind::Price | EntityKind::Cap | EntityKind::Billable => {
                std::str::from_utf8(reader.str()?).map_err(|_| Code::InvalidName)?
            }
            _ => name(reader)?,
        };
        let change = match kind {
            EntityKind::Destination => Change::Destination(optional(reader, destination_fields)?),
            EntityKind::Set => Change::Set(optional(reader, set_fields)?),
            EntityKind::Tenant => Change::Tenant(optional(reader, tenant_fields)?),
            EntityKind::Sender => Change::Sender(optional(reader, sender_fields)?),
            EntityKind::Pool => Change::Pool(optional(reader, pool_fields)?),
            EntityKind::Gateway => Change::Gateway(optional(reader, gateway_fields)?),
            EntityKind::Price => Change::Price(optional(reader, price_list)?),
            EntityKind::Cap => Change::Cap(optional(reader, cap_fields)?),
            EntityKind::Billable => {
                Change::Billable(optional(reader, billable)?.unwrap_or_default())
            }
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
            name: std::str::from_utf8(reader.str()?).map_err(|_| Code::InvalidName)?,
        })
    })
}

pub fn decode_gateway_up(bytes: &[u8]) -> Result<GatewayUp<'_>, ExchangeError> {
    decode("a gatewayUp is damaged", bytes, |reader| {
        array_of(reader, 2)?;
        Ok(GatewayUp {
            name: name(reader)?,
            up: reader.bool()?,
        })
    })
}

pub(super) fn decode<'a, T>(
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
    let has_life = base_or_all(reader, 8, 14)?;
    let mut fields = DestinationFields {
        rate_per_sec: optional(reader, f64_of)?,
        burst: reader.uint()?,
        in_flight_max: optional(reader, Reader::uint32)?,
        lease_ms: reader.uint()?,
        attempts_max: reader.uint32()?,
        on_doubt: one_of(reader, [OnDoubt::Redeliver, OnDoubt::Fail])?,
        fair_by: one_of(reader, [FairBy::Auto, FairBy::Cost, FairBy::Time])?,
        paused: reader.bool()?,
        ..DestinationFields::default()
    };
    if has_life {
        fields.retry_base_ms = reader.uint()?;
        fields.retry_max_ms = reader.uint()?;
        fields.retry_jitter = f64_of(reader)?;
        fields.validity_ms = reader.uint()?;
        fields.refuse_new = reader.bool()?;
        fields.admission = one_of(reader, [Admission::Off, Admission::Shadow, Admission::On])?;
    }
    Ok(fields)
}

fn set_fields(reader: &mut Reader<'_>) -> Result<SetFields, Code> {
    let has_life = base_or_all(reader, 5, 11)?;
    let mut fields = SetFields {
        weight: reader.uint32()?,
        rate_per_sec: optional(reader, f64_of)?,
        burst: reader.uint()?,
        in_flight_max: optional(reader, Reader::uint32)?,
        order: one_of(reader, [SetOrder::Fifo, SetOrder::Strict])?,
        ..SetFields::default()
    };
    if has_life {
        fields.borrow_max = optional(reader, f64_of)?;
        fields.paused = reader.bool()?;
        fields.refuse_new = reader.bool()?;
        fields.policy = one_of(reader, [SetPolicy::Fair, SetPolicy::Shuffle])?;
        fields.slots = reader.uint32()?;
        fields.hand = reader.uint32()?;
    }
    Ok(fields)
}

fn tenant_fields<'a>(reader: &mut Reader<'a>) -> Result<TenantFields<'a>, Code> {
    let count = reader.array_len()?;
    if ![6, 10, 11].contains(&count) {
        return Err(Code::WrongType);
    }
    let mut fields = TenantFields {
        set: name(reader)?,
        weight: reader.uint32()?,
        rate_per_sec: optional(reader, f64_of)?,
        burst: reader.uint()?,
        in_flight_max: optional(reader, Reader::uint32)?,
        paused: reader.bool()?,
        refuse_new: false,
        refuse_code: Code::RefusingNew,
        level_floors: None,
        waiting_max: None,
        waiting_bytes_max: None,
    };
    if count >= 10 {
        fields.refuse_new = reader.bool()?;
        fields.level_floors = optional(reader, level_floors)?;
        fields.waiting_max = optional(reader, Reader::uint)?;
        fields.waiting_bytes_max = optional(reader, Reader::uint)?;
    }
    if count == 11 {
        fields.refuse_code = refuse_code(reader)?;
    }
    Ok(fields)
}

fn refuse_code(reader: &mut Reader<'_>) -> Result<Code, Code> {
    let number = reader.uint32()?;
    [Code::RefusingNew, Code::CapReached]
        .into_iter()
        .find(|code| code.number() == number)
        .ok_or(Code::WrongType)
}

fn level_floors(reader: &mut Reader<'_>) -> Result<LevelFloors, Code> {
    let count = reader.array_len()?;
    if count > LEVELS_MAX {
        return Err(Code::WrongType);
    }
    let mut floors = [0.0; LEVELS_MAX];
    for floor in &mut floors[..count] {
        *floor = f64_of(reader)? as f32;
    }
    let count = count as u8;
    Ok(LevelFloors { count, floors })
}

fn sender_fields<'a>(reader: &mut Reader<'a>) -> Result<SenderFields<'a>, Code> {
    array_of(reader, 6)?;
    Ok(SenderFields {
        rate_per_sec: optional(reader, f64_of)?,
        burst: reader.uint()?,
        in_flight_max: optional(reader, Reader::uint32)?,
        pool: optional(reader, name)?,
        paused: reader.bool()?,
        refuse_new: reader.bool()?,
    })
}

fn pool_fields(reader: &mut Reader<'_>) -> Result<PoolFields, Code> {
    array_of(reader, 2)?;
    Ok(PoolFields {
        rate_per_sec: optional(reader, f64_of)?,
        burst: reader.uint()?,
    })
}

fn gateway_fields<'a>(reader: &mut Reader<'a>) -> Result<GatewayFields<'a>, Code> {
    array_of(reader, 7)?;
    let kinds = [GatewayKind::Pull, GatewayKind::Webhook, GatewayKind::Smpp];
    let kind = one_of(reader, kinds)?;
    let count = reader.array_len()?;
    if count > GATEWAY_DESTINATIONS {
        return Err(Code::WrongType);
    }
    let destinations: Result<Vec<&str>, Code> = (0..count).map(|_| name(reader)).collect();
    Ok(GatewayFields {
        kind,
        destinations: destinations?,
        weight: reader.uint32()?,
        rate_per_sec: optional(reader, f64_of)?,
        burst: reader.uint()?,
        in_flight_max: optional(reader, Reader::uint32)?,
        paused: reader.bool()?,
    })
}

fn price_list(reader: &mut Reader<'_>) -> Result<PriceList, Code> {
    PriceList::read(reader).ok_or(Code::WrongType)
}

fn cap_fields<'a>(reader: &mut Reader<'a>) -> Result<CapFields<'a>, Code> {
    array_of(reader, 5)?;
    let category = std::str::from_utf8(reader.str()?).map_err(|_| Code::InvalidName)?;
    let by = one_of(reader, [CapBy::Count, CapBy::Usage, CapBy::Price])?;
    let period = PeriodKind::of_number(reader.uint()?).ok_or(Code::WrongType)?;
    // The limit, which the slot has.
    reader.skip()?;
    let slot = reader.uint32()?;
    if slot as usize >= CAP_SLOTS {
        return Err(Code::WrongType);
    }
    Ok(CapFields {
        category,
        by,
        period,
        slot,
    })
}

fn billable(reader: &mut Reader<'_>) -> Result<Billable, Code> {
    array_of(reader, 1)?;
    let outcomes = [Billable::Accepted, Billable::Sent, Billable::Delivered];
    one_of(reader, outcomes)
}

/// Fields come as the first `base` alone, the others at their defaults, or as `all` of them.
pub(super) fn base_or_all(reader: &mut Reader<'_>, base: usize, all: usize) -> Result<bool, Code> {
    match reader.array_len()? {
        count if count == base => Ok(false),
        count if count == all => Ok(true),
        _ => Err(Code::WrongType),
    }
}

pub(super) fn array_of(reader: &mut Reader<'_>, length: usize) -> Result<(), Code> {
    if reader.array_len()? == length {
        Ok(())
    } else {
        Err(Code::WrongType)
    }
}

pub(super) fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Code> {
    std::str::from_utf8(reader.name()?).map_err(|_| Code::InvalidName)
}

pub(super) fn optional<'a, T>(
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
pub(super) fn f64_of(reader: &mut Reader<'_>) -> Result<f64, Code> {
    match reader.f64_or_int()? {
        #[allow(clippy::cast_precision_loss, reason = "a rate needs no 64 bits")]
        Number::Uint(value) => Ok(value as f64),
        Number::Float(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err(Code::WrongType),
    }
}

pub(super) fn one_of<T: Copy, const COUNT: usize>(
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
        4 => Ok(EntityKind::Sender),
        5 => Ok(EntityKind::Pool),
        6 => Ok(EntityKind::Gateway),
        14 => Ok(EntityKind::Price),
        15 => Ok(EntityKind::Cap),
        16 => Ok(EntityKind::Billable),
        _ => Err(Code::WrongType),
    }
}
