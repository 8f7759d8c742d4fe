//! The gate's records: its log, the pieces of a snapshot, and its marks.
//!
//! Keys lie in the order in which recovery reads them: marks, pieces, log. Every entry of the log
//! says all that is to be known, so one that is contained in a piece already may be read again.

use super::varint::{Varints, write_varint};
use super::{RecordError, RecordType, begin_record, check_record, end_record, key};

/// The records that hold one u64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateMark {
    /// No generation of a permit at or above it was ever used.
    Generations,
    /// The longest lease that may have been granted without a record of it, ms.
    Lease,
    /// The gate was ended in order, at that time (µs): nothing is missing.
    Clean,
    /// Log records before this sequence are contained in the snapshot of that number.
    Through,
}

impl GateMark {
    pub const fn key(self) -> [u8; 2] {
        match self {
            Self::Generations => [7, 1],
            Self::Lease => [7, 2],
            Self::Clean => [7, 3],
            Self::Through => [7, 4],
        }
    }

    const fn record_type(self) -> RecordType {
        match self {
            Self::Generations => RecordType::GateGenerations,
            Self::Lease => RecordType::GateLease,
            Self::Clean => RecordType::GateClean,
            Self::Through => RecordType::GateThrough,
        }
    }
}

pub fn write_gate_mark(out: &mut Vec<u8>, mark: GateMark, value: u64) {
    let start = begin_record(out, mark.record_type());
    out.extend_from_slice(&value.to_le_bytes());
    end_record(out, start);
}

pub fn parse_gate_mark(value: &[u8], mark: GateMark) -> Result<u64, RecordError> {
    let (_, bytes) = check_record(value, mark.record_type())?;
    bytes
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(|_| RecordError::Damaged)
}

/// `08 snapshot piece`
pub fn gate_piece_key(snapshot: u64, piece: u32) -> [u8; 13] {
    let mut bytes = [8; 13];
    bytes[1..9].copy_from_slice(&snapshot.to_be_bytes());
    bytes[9..].copy_from_slice(&piece.to_be_bytes());
    bytes
}

/// `09 sequence`
pub fn gate_log_key(sequence: u64) -> [u8; 9] {
    key(9, sequence)
}

/// What a key of the gate's store names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateKey {
    Mark(GateMark),
    Piece { snapshot: u64, piece: u32 },
    Log { sequence: u64 },
}

pub fn parse_gate_key(key: &[u8]) -> Option<GateKey> {
    match *key {
        [7, 1] => Some(GateKey::Mark(GateMark::Generations)),
        [7, 2] => Some(GateKey::Mark(GateMark::Lease)),
        [7, 3] => Some(GateKey::Mark(GateMark::Clean)),
        [7, 4] => Some(GateKey::Mark(GateMark::Through)),
        [8, ref rest @ ..] if rest.len() == 12 => Some(GateKey::Piece {
            snapshot: u64::from_be_bytes(rest[..8].try_into().ok()?),
            piece: u32::from_be_bytes(rest[8..].try_into().ok()?),
        }),
        [9, ref rest @ ..] if rest.len() == 8 => Some(GateKey::Log {
            sequence: u64::from_be_bytes(rest.try_into().ok()?),
        }),
        _ => None,
    }
}

/// A permit as it was granted, or as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateGrant {
    pub slot: u32,
    pub generation: u32,
    /// Its place in the record's list of keys.
    pub key: u32,
    pub seats: u16,
    pub lease_ms: u32,
    /// Its lease is the last one.
    pub finishing: bool,
    /// Of a piece only; in the log it is the record's time and the lease.
    pub lease_end_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateRenewal {
    pub slot: u32,
    pub generation: u32,
    pub lease_ms: u32,
    /// The lease is the last one.
    pub finishing: bool,
}

/// In the number of a lease, ms: it is the last one. Leases are far shorter than it.
const LAST_LEASE: u32 = 1 << 31;

/// A lease as one number.
const fn lease_number(lease_ms: u32, finishing: bool) -> u32 {
    if finishing {
        lease_ms | LAST_LEASE
    } else {
        lease_ms
    }
}

/// What happened in one step. Each key's names are written when it comes first.
#[derive(Debug, Default)]
pub struct GateLogWriter {
    keys: Vec<u8>,
    key_count: u32,
    granted: Vec<u8>,
    granted_count: u64,
    ended: Vec<u8>,
    ended_count: u64,
    renewed: Vec<u8>,
    renewed_count: u64,
}

impl GateLogWriter {
    pub fn clear(&mut self) {
        for part in [
            &mut self.keys,
            &mut self.granted,
            &mut self.ended,
            &mut self.renewed,
        ] {
            part.clear();
        }
        self.key_count = 0;
        (self.granted_count, self.ended_count, self.renewed_count) = (0, 0, 0);
    }

    pub fn is_empty(&self) -> bool {
        self.granted_count + self.ended_count + self.renewed_count == 0
    }

    pub fn permits(&self) -> u64 {
        self.granted_count
    }

    /// The place of a key that did not come before.
    pub fn key(&mut self, resource: &[u8], tenant: &[u8]) -> u32 {
        for name in [resource, tenant] {
            self.keys.push(name.len() as u8);
            self.keys.extend_from_slice(name);
        }
        self.key_count += 1;
        self.key_count - 1
    }

    #[inline]
    pub fn granted(&mut self, grant: &GateGrant) {
        let out = &mut self.granted;
        write_varint(out, grant.slot.into());
        write_varint(out, grant.generation.into());
        write_varint(out, grant.key.into());
        write_varint(out, grant.seats.into());
        let lease = lease_number(grant.lease_ms, grant.finishing);
        write_varint(out, lease.into());
        self.granted_count += 1;
    }

    /// A permit of a piece: `granted` and the end of its lease.
    pub fn standing(&mut self, grant: &GateGrant) {
        self.granted(grant);
        write_varint(&mut self.granted, grant.lease_end_us);
    }

    #[inline]
    pub fn ended(&mut self, slot: u32, generation: u32) {
        write_varint(&mut self.ended, slot.into());
        write_varint(&mut self.ended, generation.into());
        self.ended_count += 1;
    }

    pub fn renewed(&mut self, renewal: &GateRenewal) {
        let out = &mut self.renewed;
        write_varint(out, renewal.slot.into());
        write_varint(out, renewal.generation.into());
        let lease = lease_number(renewal.lease_ms, renewal.finishing);
        write_varint(out, lease.into());
        self.renewed_count += 1;
    }
}

pub fn write_gate_log(out: &mut Vec<u8>, at_us: u64, parts: &GateLogWriter) {
    let start = begin_record(out, RecordType::GateLog);
    out.extend_from_slice(&at_us.to_le_bytes());
    write_varint(out, parts.key_count.into());
    out.extend_from_slice(&parts.keys);
    write_varint(out, parts.ended_count);
    out.extend_from_slice(&parts.ended);
    write_varint(out, parts.renewed_count);
    out.extend_from_slice(&parts.renewed);
    write_varint(out, parts.granted_count);
    out.extend_from_slice(&parts.granted);
    end_record(out, start);
}

pub fn write_gate_piece(out: &mut Vec<u8>, parts: &GateLogWriter) {
    let start = begin_record(out, RecordType::GatePiece);
    write_varint(out, parts.key_count.into());
    out.extend_from_slice(&parts.keys);
    write_varint(out, parts.granted_count);
    out.extend_from_slice(&parts.granted);
    end_record(out, start);
}

type Names<'a> = Vec<(&'a [u8], &'a [u8])>;

/// A log record, read as a whole. In order: what ended, what was renewed, what was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateLog<'a> {
    pub at_us: u64,
    /// Resource and tenant.
    pub keys: Names<'a>,
    /// Slot and generation.
    pub ended: Vec<(u32, u32)>,
    pub renewed: Vec<GateRenewal>,
    pub granted: Vec<GateGrant>,
}

impl<'a> GateLog<'a> {
    pub fn parse(value: &'a [u8]) -> Result<Self, RecordError> {
        let (_, bytes) = check_record(value, RecordType::GateLog)?;
        Self::read(&mut Varints::new(bytes)).ok_or(RecordError::Damaged)
    }

    fn read(bytes: &mut Varints<'a>) -> Option<Self> {
        let at_us = bytes.u64_le()?;
        let keys = read_keys(bytes)?;
        let ended = read_list(bytes, |bytes| Some((bytes.u32()?, bytes.u32()?)))?;
        let renewed = read_list(bytes, |bytes| {
            let (slot, generation, lease) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
            Some(GateRenewal {
                slot,
                generation,
                lease_ms: lease & !LAST_LEASE,
                finishing: lease & LAST_LEASE != 0,
            })
        })?;
        let granted = read_list(bytes, |bytes| {
            let mut grant = read_grant(bytes, keys.len())?;
            grant.lease_end_us = at_us.checked_add(u64::from(grant.lease_ms) * 1000)?;
            Some(grant)
        })?;
        bytes.is_empty().then_some(Self {
            at_us,
            keys,
            ended,
            renewed,
            granted,
        })
    }
}

/// A piece of a snapshot: permits in ascending order of their slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatePiece<'a> {
    /// Resource and tenant.
    pub keys: Names<'a>,
    pub permits: Vec<GateGrant>,
}

impl<'a> GatePiece<'a> {
    pub fn parse(value: &'a [u8]) -> Result<Self, RecordError> {
        let (_, bytes) = check_record(value, RecordType::GatePiece)?;
        Self::read(&mut Varints::new(bytes)).ok_or(RecordError::Damaged)
    }

    fn read(bytes: &mut Varints<'a>) -> Option<Self> {
        let keys = read_keys(bytes)?;
        let permits = read_list(bytes, |bytes| {
            let mut grant = read_grant(bytes, keys.len())?;
            grant.lease_end_us = bytes.u64()?;
            Some(grant)
        })?;
        bytes.is_empty().then_some(Self { keys, permits })
    }
}

fn read_grant(bytes: &mut Varints<'_>, keys: usize) -> Option<GateGrant> {
    let (slot, generation, key) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
    let (seats, lease) = (bytes.u32()?, bytes.u32()?);
    let grant = GateGrant {
        slot,
        generation,
        key,
        seats: u16::try_from(seats).ok()?,
        lease_ms: lease & !LAST_LEASE,
        finishing: lease & LAST_LEASE != 0,
        lease_end_us: 0,
    };
    ((grant.key as usize) < keys && grant.seats > 0).then_some(grant)
}

fn read_keys<'a>(bytes: &mut Varints<'a>) -> Option<Names<'a>> {
    read_list(bytes, |bytes| Some((read_name(bytes)?, read_name(bytes)?)))
}

fn read_name<'a>(bytes: &mut Varints<'a>) -> Option<&'a [u8]> {
    let length = bytes.byte()?;
    bytes.take(usize::from(length))
}

/// Nothing is reserved from the count, which is not checked: the bytes end before it misleads.
fn read_list<'a, T>(
    bytes: &mut Varints<'a>,
    read: impl Fn(&mut Varints<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let count = bytes.u64()?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(read(bytes)?);
    }
    Some(list)
}
