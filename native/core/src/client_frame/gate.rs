//! Frames about permits: acquire, release and renew, kinds 10 to 12.
//!
//! Whether a permit id is one of this daemon's is for the gate to say.

use super::decoder::{Decoder, Head, need};
use super::fault::Fault;
use super::{FrameError, KIND_ACQUIRE, KIND_RELEASE, KIND_RENEW};
use crate::error::Code;
use crate::gate::PermitId;
use crate::limits::{
    GATE_WAIT_MS_MAX, PERMIT_LEASE_MS_MAX, PERMIT_LEASE_MS_MIN, PERMITS_PER_FRAME, SEATS_PER_PERMIT,
};
use crate::msgpack::Reader;

/// One entry of `acquire`; its names lie in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireItem {
    resource_at: u32,
    tenant_at: u32,
    resource_bytes: u8,
    /// 0: nil.
    tenant_bytes: u8,
    /// Weight of the permit, 1 to 1,000.
    pub seats: u16,
    /// None: the resource's. 1 s to 1 h.
    pub lease_ms: Option<u32>,
    /// None: as long as the policy allows; 0: not at all.
    pub wait_ms: Option<u32>,
    /// 0 reject, 1 queue, 2 delay; none: the policy's.
    pub mode: Option<u8>,
}

impl AcquireItem {
    #[inline]
    pub fn resource<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let at = self.resource_at as usize;
        &frame[at..at + usize::from(self.resource_bytes)]
    }

    /// None: the token's own.
    #[inline]
    pub fn tenant<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        let at = self.tenant_at as usize;
        (self.tenant_bytes > 0).then(|| &frame[at..at + usize::from(self.tenant_bytes)])
    }
}

/// One entry of `release`: a permit, or the ticket of one that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseItem {
    Permit(PermitId),
    /// A permit whose work failed for overload.
    Failed(PermitId),
    Ticket(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewHead {
    pub id: u32,
    pub lease_ms: u64,
    /// 1 finishing, 2 claim.
    pub flags: u32,
}

const UNKNOWN: &str = "is not known";
const TWICE: &str = "comes twice";
const SEATS_RANGE: &str = "has to be a whole number from 1 to 1000";
const LEASE_RANGE: &str = "has to be 1000 to 3600000 ms";
const WAIT_RANGE: &str = "has to be 0 to 3600000 ms";
const MODE_RANGE: &str = "has to be 0 (reject), 1 (queue) or 2 (delay)";

/// Decodes an acquire frame and returns its request id. `scratch` is cleared, and holds the entries
/// in order after an Ok.
pub fn decode_acquire(frame: &[u8], scratch: &mut Vec<AcquireItem>) -> Result<u32, FrameError> {
    scratch.clear();
    Decoder::run(frame, |decoder| {
        let Head { fields, id, .. } = decoder.head_of(KIND_ACQUIRE)?;
        need(fields, 3, "entries")?;
        let count = decoder.entries("entries", PERMITS_PER_FRAME)?;
        for index in 0..count {
            decoder.index = Some(index as u32);
            scratch.push(acquire_item(decoder)?);
        }
        decoder.finish(fields, 3)?;
        Ok(id)
    })
}

/// Decodes a release frame and returns its request id; `scratch` as with `decode_acquire`.
pub fn decode_release(frame: &[u8], scratch: &mut Vec<ReleaseItem>) -> Result<u32, FrameError> {
    scratch.clear();
    Decoder::run(frame, |decoder| {
        let Head { fields, id, .. } = decoder.head_of(KIND_RELEASE)?;
        need(fields, 3, "permits")?;
        let count = decoder.entries("permits", PERMITS_PER_FRAME)?;
        for index in 0..count {
            decoder.index = Some(index as u32);
            scratch.push(decoder.field("permit", release_item)?);
        }
        decoder.index = None;
        if fields > 3 && !decoder.field("failed", Reader::nil)? {
            let failed = decoder.entries("failed", PERMITS_PER_FRAME)?;
            for _ in 0..failed {
                decoder.field("failed", |reader| mark_failed(reader, scratch))?;
            }
        }
        decoder.finish(fields, fields.min(4))?;
        Ok(id)
    })
}

/// Decodes a renew frame; `scratch` as with `decode_acquire`.
pub fn decode_renew(frame: &[u8], scratch: &mut Vec<PermitId>) -> Result<RenewHead, FrameError> {
    scratch.clear();
    Decoder::run(frame, |decoder| {
        let Head { fields, id, .. } = decoder.head_of(KIND_RENEW)?;
        need(fields, 4, "leaseMs")?;
        let count = decoder.entries("permits", PERMITS_PER_FRAME)?;
        for index in 0..count {
            decoder.index = Some(index as u32);
            scratch.push(decoder.field("permit", permit_id)?);
        }
        decoder.index = None;
        let lease_ms = decoder.field("leaseMs", Reader::uint)?;
        let flags = decoder.optional(fields, 5, "flags", Reader::uint32)?;
        decoder.finish(fields, fields.min(5))?;
        Ok(RenewHead {
            id,
            lease_ms,
            flags: flags.unwrap_or(0),
        })
    })
}

#[inline]
fn acquire_item(decoder: &mut Decoder<'_>) -> Result<AcquireItem, Fault> {
    let fields = decoder.field("entry", Reader::array_len)?;
    need(fields, 1, "resource")?;
    let resource = decoder.field("resource", Reader::name)?;
    let resource_at = decoder.reader.position() - resource.len();
    let tenant = decoder.optional(fields, 2, "tenant", Reader::name)?;
    let tenant_bytes = tenant.map_or(0, <[u8]>::len);
    let mut item = AcquireItem {
        resource_at: resource_at as u32,
        resource_bytes: resource.len() as u8,
        tenant_at: (decoder.reader.position() - tenant_bytes) as u32,
        tenant_bytes: tenant_bytes as u8,
        seats: 1,
        lease_ms: None,
        wait_ms: None,
        mode: None,
    };
    if fields > 2 && !decoder.field("options", Reader::nil)? {
        read_options(decoder, &mut item)?;
        decoder.option_at = None;
    }
    decoder.skip_further(fields, 3)?;
    Ok(item)
}

/// Reads a map of options; an unknown or second key ends the reading, so pairs are at most 5.
fn read_options(decoder: &mut Decoder<'_>, item: &mut AcquireItem) -> Result<(), Fault> {
    let pairs = decoder.field("options", Reader::map_len)?;
    let mut seen = 0_u8;
    for _ in 0..pairs {
        let at = decoder.reader.position();
        decoder.option_at = None;
        let key = decoder.field("option key", Reader::str)?;
        decoder.option_at = Some(at);
        let bit = match key {
            b"weight" => 1,
            b"leaseMs" => 2,
            b"waitMs" => 4,
            b"mode" => 8,
            _ => return Err(invalid(UNKNOWN, decoder.reader.position())),
        };
        if seen & bit != 0 {
            return Err(invalid(TWICE, decoder.reader.position()));
        }
        seen |= bit;
        if decoder.field("value", Reader::nil)? {
            continue;
        }
        let at = decoder.reader.position();
        let (range, words) = match bit {
            1 => (1..=u64::from(SEATS_PER_PERMIT), SEATS_RANGE),
            2 => (PERMIT_LEASE_MS_MIN..=PERMIT_LEASE_MS_MAX, LEASE_RANGE),
            4 => (0..=GATE_WAIT_MS_MAX, WAIT_RANGE),
            _ => (0..=2, MODE_RANGE),
        };
        let value = number(&mut decoder.reader, range, words).map_err(|(code, field)| Fault {
            code,
            field,
            at,
        })?;
        match bit {
            1 => item.seats = value as u16,
            2 => item.lease_ms = Some(value as u32),
            4 => item.wait_ms = Some(value as u32),
            _ => item.mode = Some(value as u8),
        }
    }
    Ok(())
}

const fn invalid(field: &'static str, at: usize) -> Fault {
    Fault {
        code: Code::InvalidOption,
        field,
        at,
    }
}

/// A whole number within bounds. A number of any other sort is out of range, not of a wrong type.
fn number(
    reader: &mut Reader<'_>,
    range: std::ops::RangeInclusive<u64>,
    words: &'static str,
) -> Result<u64, (Code, &'static str)> {
    let is_number = matches!(reader.peek(), Ok(0x00..=0x7f | 0xca..=0xd3 | 0xe0..=0xff));
    match reader.uint() {
        Ok(value) if range.contains(&value) => Ok(value),
        Ok(_) => Err((Code::InvalidOption, words)),
        Err(Code::WrongType) if is_number => Err((Code::InvalidOption, words)),
        Err(code) => Err((code, "value")),
    }
}

#[inline]
fn release_item(reader: &mut Reader<'_>) -> Result<ReleaseItem, Code> {
    if matches!(reader.peek()?, 0xc4..=0xc6) {
        permit_id(reader).map(ReleaseItem::Permit)
    } else {
        reader.uint32().map(ReleaseItem::Ticket)
    }
}

/// An index into the list; of a ticket it says nothing.
fn mark_failed(reader: &mut Reader<'_>, items: &mut [ReleaseItem]) -> Result<(), Code> {
    let index = reader.uint32()? as usize;
    let item = items.get_mut(index).ok_or(Code::WrongType)?;
    if let ReleaseItem::Permit(id) = *item {
        *item = ReleaseItem::Failed(id);
    }
    Ok(())
}

#[inline]
fn permit_id(reader: &mut Reader<'_>) -> Result<PermitId, Code> {
    PermitId::parse(reader.bin()?).ok_or(Code::WrongType)
}
