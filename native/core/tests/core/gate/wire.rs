//! Frames to and from a gate, as a client writes and reads them.

use crate::input::change;
use fairlead_core::exchange::EFFECTS_HEADER_BYTES;
use fairlead_core::msgpack::{
    Number, Reader, write_array_len, write_bin, write_map_len, write_nil, write_str, write_uint,
    write_uint_or_nil,
};
use fairlead_core::record::DeltaReader;

pub type Id = [u8; 16];

#[derive(Clone, Debug, Default)]
pub struct Ask {
    pub resource: String,
    pub tenant: Option<String>,
    pub seats: Option<u64>,
    pub lease_ms: Option<u64>,
    pub wait_ms: Option<u64>,
    pub mode: Option<u64>,
}

impl Ask {
    pub fn of(resource: &str, tenant: &str) -> Self {
        Self {
            resource: resource.to_owned(),
            tenant: Some(tenant.to_owned()),
            ..Self::default()
        }
    }

    pub fn seats(self, seats: u64) -> Self {
        Self {
            seats: Some(seats),
            ..self
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Release {
    Permit(Id),
    Ticket(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Granted {
        permit: Id,
        lease_ms: u64,
        used: u64,
        limit: Option<u64>,
    },
    Waiting {
        ticket: u32,
        used: u64,
        limit: Option<u64>,
        position: u64,
        estimate_ms: u64,
    },
    Impeded {
        code: u64,
        retry_after_ms: Option<u64>,
        used: u64,
        limit: Option<u64>,
        estimate_ms: Option<u64>,
    },
}

/// What a gate says to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Acquired(u32, Vec<Entry>),
    Released(u32, u64, u64),
    Renewed(u32, Vec<u64>),
    Admitted(u32, Id, u64),
    Refused(u32, u64, Option<u64>),
    Error(u32, u64),
    Close(u16),
    Json(String),
    Entered(Option<u64>, u64),
}

pub fn acquire(id: u32, asks: &[Ask]) -> Vec<u8> {
    let mut out = head(3, 10, id);
    write_array_len(&mut out, asks.len());
    for ask in asks {
        write_array_len(&mut out, 3);
        write_str(&mut out, &ask.resource);
        match &ask.tenant {
            Some(tenant) => write_str(&mut out, tenant),
            None => write_nil(&mut out),
        }
        let options = [
            ("weight", ask.seats),
            ("leaseMs", ask.lease_ms),
            ("waitMs", ask.wait_ms),
            ("mode", ask.mode),
        ];
        let given = options.iter().filter(|(_, value)| value.is_some()).count();
        if given == 0 {
            write_nil(&mut out);
            continue;
        }
        write_map_len(&mut out, given);
        for (name, value) in options {
            if let Some(value) = value {
                write_str(&mut out, name);
                write_uint(&mut out, value);
            }
        }
    }
    out
}

pub fn release(id: u32, items: &[Release]) -> Vec<u8> {
    let mut out = head(3, 11, id);
    write_array_len(&mut out, items.len());
    for item in items {
        match item {
            Release::Permit(id) => write_bin(&mut out, id),
            Release::Ticket(ticket) => write_uint(&mut out, u64::from(*ticket)),
        }
    }
    out
}

/// Of permits whose work failed.
pub fn release_failed(id: u32, permits: &[Id]) -> Vec<u8> {
    let mut out = head(4, 11, id);
    write_array_len(&mut out, permits.len());
    for permit in permits {
        write_bin(&mut out, permit);
    }
    write_array_len(&mut out, permits.len());
    for at in 0..permits.len() {
        write_uint(&mut out, at as u64);
    }
    out
}

pub fn renew(id: u32, permits: &[Id], lease_ms: u64, flags: u64) -> Vec<u8> {
    let mut out = head(5, 12, id);
    write_array_len(&mut out, permits.len());
    for permit in permits {
        write_bin(&mut out, permit);
    }
    write_uint(&mut out, lease_ms);
    write_uint(&mut out, flags);
    out
}

fn head(fields: usize, kind: u64, id: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, fields);
    write_uint(&mut out, kind);
    write_uint(&mut out, id.into());
    out
}

#[derive(Clone, Debug)]
pub struct Resource {
    pub limit: Option<u64>,
    pub tenant_limit: Option<u64>,
    pub mode: u64,
    pub waiters_max: u64,
    pub wait_ms: u64,
    pub rate_per_sec: Option<f64>,
    pub lease_ms: u64,
    pub adaptive: Option<(u64, u64, f64)>,
}

impl Default for Resource {
    fn default() -> Self {
        Self {
            limit: None,
            tenant_limit: None,
            mode: 1,
            waiters_max: 100_000,
            wait_ms: 3_600_000,
            rate_per_sec: None,
            lease_ms: 30_000,
            adaptive: None,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub limit: Option<u64>,
    pub floor: u64,
    pub weight: Option<u64>,
    pub mode: Option<u64>,
    pub waiters_max: Option<u64>,
    pub wait_ms: Option<u64>,
    pub rate_per_sec: Option<f64>,
}

fn float_or_nil(out: &mut Vec<u8>, value: Option<f64>) {
    match value {
        Some(value) => {
            out.push(0xcb);
            out.extend_from_slice(&value.to_be_bytes());
        }
        None => write_nil(out),
    }
}

pub fn resource(name: &str, fields: Option<&Resource>) -> Vec<u8> {
    let mut out = change(12, name);
    let Some(fields) = fields else {
        write_nil(&mut out);
        return out;
    };
    write_array_len(&mut out, 8);
    write_uint_or_nil(&mut out, fields.limit);
    write_uint_or_nil(&mut out, fields.tenant_limit);
    write_uint(&mut out, fields.mode);
    write_uint(&mut out, fields.waiters_max);
    write_uint(&mut out, fields.wait_ms);
    float_or_nil(&mut out, fields.rate_per_sec);
    write_uint(&mut out, fields.lease_ms);
    match fields.adaptive {
        Some((min, max, tolerance)) => {
            write_array_len(&mut out, 3);
            write_uint(&mut out, min);
            write_uint(&mut out, max);
            float_or_nil(&mut out, Some(tolerance));
        }
        None => write_nil(&mut out),
    }
    out
}

pub fn policy(resource: &str, tenant: &str, fields: Option<&Policy>) -> Vec<u8> {
    let mut out = change(13, &format!("{resource}/{tenant}"));
    let Some(fields) = fields else {
        write_nil(&mut out);
        return out;
    };
    write_array_len(&mut out, 7);
    write_uint_or_nil(&mut out, fields.limit);
    write_uint(&mut out, fields.floor);
    write_uint_or_nil(&mut out, fields.weight);
    write_uint_or_nil(&mut out, fields.mode);
    write_uint_or_nil(&mut out, fields.waiters_max);
    write_uint_or_nil(&mut out, fields.wait_ms);
    float_or_nil(&mut out, fields.rate_per_sec);
    out
}

pub fn tenant(name: &str, concurrency_max: Option<u64>, weight: u64) -> Vec<u8> {
    let mut out = change(3, name);
    write_array_len(&mut out, 2);
    write_uint_or_nil(&mut out, concurrency_max);
    write_uint(&mut out, weight);
    out
}

pub fn explain(resource: &str, tenant: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 2);
    write_str(&mut out, resource);
    write_str(&mut out, tenant);
    out
}

pub fn list(resource: Option<&str>, tenant: Option<&str>, cursor: &str, limit: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 4);
    for name in [resource, tenant] {
        match name {
            Some(name) => write_str(&mut out, name),
            None => write_nil(&mut out),
        }
    }
    write_str(&mut out, cursor);
    write_uint(&mut out, limit);
    out
}

pub fn top(by: &str, limit: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 2);
    write_str(&mut out, by);
    write_uint(&mut out, limit);
    out
}

/// The effects of a step: counters, when to wake, and who is told what.
pub struct Effects {
    pub wake_after_ms: u32,
    pub counters: [u64; 28],
    pub said: Vec<(u32, Said)>,
    /// What tenants are counted for: tenant, category, day, count, usage.
    pub counted: Vec<Counted>,
}

pub type Counted = (String, String, u32, i64, i128);

fn read_counted(list: &[u8]) -> Vec<Counted> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let deltas = DeltaReader::parse(list).expect("a list").deltas();
    deltas
        .map(|delta| {
            let names = (text(delta.account), text(delta.category.name()));
            assert!(delta.tag.is_empty() && delta.sums.price == 0);
            (
                names.0,
                names.1,
                delta.day,
                delta.sums.count,
                delta.sums.usage,
            )
        })
        .collect()
}

pub fn read_effects(bytes: &[u8]) -> Effects {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(u32_at(0), 0x3146_4c46);
    let count = u32_at(4);
    let mut counters = [0; 28];
    for (at, counter) in counters.iter_mut().enumerate() {
        let at = 24 + at * 8;
        *counter = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    }
    let (mut at, mut said) = (EFFECTS_HEADER_BYTES, Vec::new());
    let mut counted = Vec::new();
    let mut done: Vec<u32> = Vec::new();
    for _ in 0..count {
        let (op, connection, length) = (bytes[at], u32_at(at + 4), u32_at(at + 8) as usize);
        let body = &bytes[at + 12..at + 12 + length];
        at += 12 + length;
        if op == 1 {
            assert!(
                !done.contains(&connection)
                    || said.last().is_some_and(|(last, _)| *last == connection),
                "entries of a connection stand together"
            );
            done.push(connection);
        }
        match op {
            1 | 4 => read_frame(body, &mut |what| said.push((connection, what))),
            2 => said.push((
                connection,
                Said::Json(String::from_utf8(body.to_vec()).unwrap()),
            )),
            3 => said.push((
                connection,
                Said::Close(u16::from_le_bytes([body[0], body[1]])),
            )),
            7 => {
                assert_eq!((connection, &body[..8]), (0, &[0; 8][..]));
                counted.extend(read_counted(&body[8..]));
            }
            6 => said.push((connection, read_entered(body))),
            other => panic!("effect {other}"),
        }
    }
    assert_eq!(at, bytes.len());
    Effects {
        wake_after_ms: u32_at(20),
        counters,
        said,
        counted,
    }
}

fn read_entered(body: &[u8]) -> Said {
    let mut reader = Reader::new(body);
    assert_eq!(reader.array_len(), Ok(3));
    let permit = if reader.nil().unwrap() {
        None
    } else {
        match reader.f64_or_int().unwrap() {
            #[allow(clippy::cast_sign_loss)]
            Number::Float(value) => Some(value as u64),
            other => panic!("{other:?}"),
        }
    };
    Said::Entered(permit, reader.uint().unwrap())
}

fn uint_or_nil(reader: &mut Reader<'_>) -> Option<u64> {
    if reader.nil().unwrap() {
        None
    } else {
        Some(reader.uint().unwrap())
    }
}

fn read_frame(body: &[u8], tell: &mut impl FnMut(Said)) {
    let mut reader = Reader::new(body);
    let fields = reader.array_len().unwrap();
    let kind = reader.uint().unwrap();
    let id = reader.uint32().unwrap();
    match (kind, fields) {
        (64, 4) => tell(Said::Released(
            id,
            reader.uint().unwrap(),
            reader.uint().unwrap(),
        )),
        (64, 3) => read_list(id, &mut reader, tell),
        (65, 5) => tell(Said::Error(id, reader.uint().unwrap())),
        (67, 4) => {
            assert_eq!((id, reader.str()), (0, Ok(&b"permit"[..])));
            for _ in 0..reader.array_len().unwrap() {
                let fields = reader.array_len().unwrap();
                let ticket = reader.uint32().unwrap();
                if reader.nil().unwrap() {
                    assert_eq!(fields, 4);
                    let code = reader.uint().unwrap();
                    tell(Said::Refused(ticket, code, uint_or_nil(&mut reader)));
                } else {
                    assert_eq!(fields, 3);
                    let permit = reader.bin().unwrap().try_into().unwrap();
                    tell(Said::Admitted(ticket, permit, reader.uint().unwrap()));
                }
            }
            assert_eq!(reader.end(), Ok(()));
        }
        other => panic!("frame {other:?}"),
    }
}

fn read_list(id: u32, reader: &mut Reader<'_>, tell: &mut impl FnMut(Said)) {
    let count = reader.array_len().unwrap();
    let is_leases = reader
        .peek()
        .is_ok_and(|head| !(0x90..=0x9f).contains(&head));
    if is_leases {
        let leases = (0..count).map(|_| reader.uint().unwrap()).collect();
        return tell(Said::Renewed(id, leases));
    }
    let entries = (0..count).map(|_| read_entry(reader)).collect();
    assert_eq!(reader.end(), Ok(()));
    tell(Said::Acquired(id, entries));
}

fn read_entry(reader: &mut Reader<'_>) -> Entry {
    let fields = reader.array_len().unwrap();
    if fields == 4 {
        return Entry::Granted {
            permit: reader.bin().unwrap().try_into().unwrap(),
            lease_ms: reader.uint().unwrap(),
            used: reader.uint().unwrap(),
            limit: uint_or_nil(reader),
        };
    }
    assert_eq!(reader.nil(), Ok(true));
    let code = reader.uint().unwrap();
    if fields == 7 {
        assert_eq!(code, 0);
        return Entry::Waiting {
            ticket: reader.uint32().unwrap(),
            used: reader.uint().unwrap(),
            limit: uint_or_nil(reader),
            position: reader.uint().unwrap(),
            estimate_ms: reader.uint().unwrap(),
        };
    }
    assert_eq!(fields, 6);
    Entry::Impeded {
        code,
        retry_after_ms: uint_or_nil(reader),
        used: reader.uint().unwrap(),
        limit: uint_or_nil(reader),
        estimate_ms: uint_or_nil(reader),
    }
}
