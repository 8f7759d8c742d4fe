//! The msgpack requests to the gate within an exchange's input: configure, inUse, and what operators
//! ask.

use super::ExchangeError;
use super::request::{array_of, decode, f64_of, name, one_of, optional};
use crate::error::Code;
use crate::msgpack::Reader;

/// What becomes of an ask that has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateMode {
    Reject,
    Queue,
    /// Waits, and goes on at a pace.
    Delay,
}

impl GateMode {
    const ALL: [Self; 3] = [Self::Reject, Self::Queue, Self::Delay];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Queue => "queue",
            Self::Delay => "delay",
        }
    }
}

/// Bounds of a cap that follows the latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveFields {
    pub min: u32,
    pub max: u32,
    pub tolerance: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateResourceFields {
    /// Cap over all tenants, seats.
    pub limit: Option<u32>,
    /// Of each key whose policy says nothing else.
    pub tenant_limit: Option<u32>,
    pub mode: GateMode,
    /// Of a key.
    pub waiters_max: u32,
    pub wait_ms: u64,
    pub rate_per_sec: Option<f64>,
    pub lease_ms: u64,
    pub adaptive: Option<AdaptiveFields>,
}

impl Default for GateResourceFields {
    /// What a PUT without fields makes.
    fn default() -> Self {
        Self {
            limit: None,
            tenant_limit: None,
            mode: GateMode::Reject,
            waiters_max: 1000,
            wait_ms: 10_000,
            rate_per_sec: None,
            lease_ms: 30_000,
            adaptive: None,
        }
    }
}

/// One tenant's own at a resource; none: the resource's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GatePolicyFields {
    pub limit: Option<u32>,
    pub floor: u32,
    pub weight: Option<u32>,
    pub mode: Option<GateMode>,
    pub waiters_max: Option<u32>,
    pub wait_ms: Option<u64>,
    pub rate_per_sec: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateTenantFields {
    /// Cap over all resources, seats.
    pub concurrency_max: Option<u32>,
    pub weight: u32,
}

/// What `configure` sets; none: deleted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GateChange {
    Tenant(Option<GateTenantFields>),
    Resource(Option<GateResourceFields>),
    /// Its name is `resource/tenant`.
    Policy(Option<GatePolicyFields>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateConfigure<'a> {
    pub name: &'a str,
    pub change: GateChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateEntity {
    Tenant,
    Resource,
    Policy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateInUse<'a> {
    pub entity: GateEntity,
    pub name: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateList<'a> {
    pub resource: Option<&'a str>,
    pub tenant: Option<&'a str>,
    /// Empty at first.
    pub cursor: &'a str,
    pub limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateExplain<'a> {
    pub resource: &'a str,
    /// Empty: the platform's own.
    pub tenant: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopBy {
    Used,
    Waiting,
    Granted,
    Impeded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateTop {
    pub by: TopBy,
    pub limit: u32,
}

pub fn decode_gate_configure(bytes: &[u8]) -> Result<GateConfigure<'_>, ExchangeError> {
    decode("a configure of the gate is damaged", bytes, |reader| {
        array_of(reader, 3)?;
        let entity = entity(reader)?;
        let name = text(reader)?;
        let change = match entity {
            GateEntity::Tenant => GateChange::Tenant(optional(reader, tenant_fields)?),
            GateEntity::Resource => GateChange::Resource(optional(reader, resource_fields)?),
            GateEntity::Policy => GateChange::Policy(optional(reader, policy_fields)?),
        };
        Ok(GateConfigure { name, change })
    })
}

pub fn decode_gate_in_use(bytes: &[u8]) -> Result<GateInUse<'_>, ExchangeError> {
    decode("an inUse of the gate is damaged", bytes, |reader| {
        array_of(reader, 2)?;
        Ok(GateInUse {
            entity: entity(reader)?,
            name: text(reader)?,
        })
    })
}

pub fn decode_gate_list(bytes: &[u8]) -> Result<GateList<'_>, ExchangeError> {
    decode("a gateList is damaged", bytes, |reader| {
        array_of(reader, 4)?;
        Ok(GateList {
            resource: optional(reader, name)?,
            tenant: optional(reader, text)?,
            cursor: text(reader)?,
            limit: reader.uint32()?,
        })
    })
}

pub fn decode_gate_explain(bytes: &[u8]) -> Result<GateExplain<'_>, ExchangeError> {
    decode("a gateExplain is damaged", bytes, |reader| {
        array_of(reader, 2)?;
        Ok(GateExplain {
            resource: name(reader)?,
            tenant: text(reader)?,
        })
    })
}

pub fn decode_gate_top(bytes: &[u8]) -> Result<GateTop, ExchangeError> {
    decode("a gateTop is damaged", bytes, |reader| {
        array_of(reader, 2)?;
        let by = match text(reader)? {
            "used" => TopBy::Used,
            "waiting" => TopBy::Waiting,
            "granted" => TopBy::Granted,
            "impeded" => TopBy::Impeded,
            _ => return Err(Code::WrongType),
        };
        Ok(GateTop {
            by,
            limit: reader.uint32()?,
        })
    })
}

fn entity(reader: &mut Reader<'_>) -> Result<GateEntity, Code> {
    match reader.uint32()? {
        3 => Ok(GateEntity::Tenant),
        12 => Ok(GateEntity::Resource),
        13 => Ok(GateEntity::Policy),
        _ => Err(Code::WrongType),
    }
}

fn tenant_fields(reader: &mut Reader<'_>) -> Result<GateTenantFields, Code> {
    array_of(reader, 2)?;
    Ok(GateTenantFields {
        concurrency_max: optional(reader, Reader::uint32)?,
        weight: reader.uint32()?,
    })
}

fn resource_fields(reader: &mut Reader<'_>) -> Result<GateResourceFields, Code> {
    array_of(reader, 8)?;
    Ok(GateResourceFields {
        limit: optional(reader, Reader::uint32)?,
        tenant_limit: optional(reader, Reader::uint32)?,
        mode: one_of(reader, GateMode::ALL)?,
        waiters_max: reader.uint32()?,
        wait_ms: reader.uint()?,
        rate_per_sec: optional(reader, f64_of)?,
        lease_ms: reader.uint()?,
        adaptive: optional(reader, adaptive_fields)?,
    })
}

fn adaptive_fields(reader: &mut Reader<'_>) -> Result<AdaptiveFields, Code> {
    array_of(reader, 3)?;
    Ok(AdaptiveFields {
        min: reader.uint32()?,
        max: reader.uint32()?,
        tolerance: f64_of(reader)?,
    })
}

fn policy_fields(reader: &mut Reader<'_>) -> Result<GatePolicyFields, Code> {
    array_of(reader, 7)?;
    Ok(GatePolicyFields {
        limit: optional(reader, Reader::uint32)?,
        floor: reader.uint32()?,
        weight: optional(reader, Reader::uint32)?,
        mode: optional(reader, |reader| one_of(reader, GateMode::ALL))?,
        waiters_max: optional(reader, Reader::uint32)?,
        wait_ms: optional(reader, Reader::uint)?,
        rate_per_sec: optional(reader, f64_of)?,
    })
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Code> {
    std::str::from_utf8(reader.str()?).map_err(|_| Code::WrongType)
}
