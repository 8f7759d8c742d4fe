//! The other side of both boundaries: client frames and inputs as ingress makes them, effects and
//! daemon frames as clients read them.

use super::entities::{Destination, Gateway, Set, Tenant, destination_name};
use crate::input;
use fairlead_core::exchange::{EFFECTS_HEADER_BYTES, EFFECTS_MAGIC, ENTRY_HEADER_BYTES};
use fairlead_core::msgpack::{
    Reader, write_array_len, write_bin, write_bool, write_nil, write_str, write_uint,
    write_uint_or_nil,
};
use std::ops::Range;

/// A message as a publisher gives it.
pub struct Publishing<'a> {
    pub tenant: Option<&'a str>,
    pub sender: Option<&'a str>,
    pub recipient: &'a str,
    pub payload: &'a [u8],
    pub as_str: bool,
    /// What follows the payload, encoded; empty: nothing.
    pub options: &'a [u8],
}

fn head(out: &mut Vec<u8>, fields: usize, kind: u32, id: u32) {
    write_array_len(out, fields);
    write_uint(out, kind.into());
    write_uint(out, id.into());
}

fn str_or_nil(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => write_str(out, text),
        None => write_nil(out),
    }
}

pub fn publish(id: u32, destination: &str, messages: &[Publishing<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, 4, 1, id);
    write_str(&mut out, destination);
    write_array_len(&mut out, messages.len());
    for message in messages {
        write_array_len(&mut out, if message.options.is_empty() { 4 } else { 5 });
        str_or_nil(&mut out, message.tenant);
        str_or_nil(&mut out, message.sender);
        write_str(&mut out, message.recipient);
        if message.as_str {
            write_str(
                &mut out,
                std::str::from_utf8(message.payload).expect("ASCII"),
            );
        } else {
            write_bin(&mut out, message.payload);
        }
        out.extend_from_slice(message.options);
    }
    out
}

pub fn subscribe(id: u32, number: u32, destination: &str, credit: u32) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, 5, 2, id);
    write_uint(&mut out, number.into());
    write_str(&mut out, destination);
    write_uint(&mut out, credit.into());
    out
}

/// The same under the name of a gateway.
pub fn subscribe_as(
    id: u32,
    number: u32,
    destination: &str,
    credit: u32,
    gateway: &str,
) -> Vec<u8> {
    let mut out = subscribe(id, number, destination, credit);
    out[0] += 1;
    write_str(&mut out, gateway);
    out
}

pub fn gateway_up(name: &str, up: bool) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 2);
    write_str(&mut out, name);
    write_bool(&mut out, up);
    out
}

pub fn credit(id: u32, number: u32, add: u32) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, 4, 3, id);
    write_uint(&mut out, number.into());
    write_uint(&mut out, add.into());
    out
}

/// What a gateway says of one delivery.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub delivery: u64,
    pub outcome: u8,
    pub retry_after_ms: Option<u64>,
    pub scope: Option<u8>,
}

impl Said {
    pub const fn sent(delivery: u64) -> Self {
        Self {
            delivery,
            outcome: 0,
            retry_after_ms: None,
            scope: None,
        }
    }
}

pub fn settle(id: u32, number: u32, said: &[Said], bare: bool) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, 4, 4, id);
    write_uint(&mut out, number.into());
    write_array_len(&mut out, said.len());
    for said in said {
        if said.outcome == 0 && bare {
            write_uint(&mut out, said.delivery);
            continue;
        }
        write_array_len(&mut out, 5);
        write_uint(&mut out, said.delivery);
        write_uint(&mut out, said.outcome.into());
        write_nil(&mut out);
        write_uint_or_nil(&mut out, said.retry_after_ms);
        write_uint_or_nil(&mut out, said.scope.map(u64::from));
    }
    out
}

/// `connect`: platform when no tenant is named.
pub fn connect(scopes: u8, tenant: Option<&str>) -> Vec<u8> {
    input::connect(scopes, tenant.unwrap_or_default())
}

fn rate(out: &mut Vec<u8>, rate_per_sec: Option<f64>) {
    match rate_per_sec {
        // Both forms of a number are in use.
        #[allow(clippy::cast_sign_loss, reason = "no rate is negative")]
        Some(rate) if rate.fract() == 0.0 => write_uint(out, rate as u64),
        Some(rate) => {
            out.push(0xcb);
            out.extend_from_slice(&rate.to_be_bytes());
        }
        None => write_nil(out),
    }
}

fn limits(out: &mut Vec<u8>, rate_per_sec: Option<f64>, burst: u64, cap: Option<u32>) {
    rate(out, rate_per_sec);
    write_uint(out, burst);
    write_uint_or_nil(out, cap.map(u64::from));
}

pub fn configure_destination(name: &str, fields: Option<&Destination>) -> Vec<u8> {
    let mut out = input::change(1, name);
    let Some(fields) = fields else {
        write_nil(&mut out);
        return out;
    };
    write_array_len(&mut out, 8);
    limits(
        &mut out,
        fields.rate_per_sec,
        fields.burst,
        fields.in_flight_max,
    );
    write_uint(&mut out, fields.lease_ms);
    write_uint(&mut out, fields.attempts_max.into());
    write_uint(&mut out, u64::from(fields.fail_in_doubt));
    write_uint(&mut out, fields.fair_by.into());
    write_bool(&mut out, fields.paused);
    out
}

pub fn configure_set(name: &str, fields: Option<&Set>) -> Vec<u8> {
    let mut out = input::change(2, name);
    let Some(fields) = fields else {
        write_nil(&mut out);
        return out;
    };
    write_array_len(&mut out, 5);
    write_uint(&mut out, fields.weight.into());
    limits(
        &mut out,
        fields.rate_per_sec,
        fields.burst,
        fields.in_flight_max,
    );
    write_uint(&mut out, u64::from(fields.strict));
    out
}

pub fn configure_tenant(name: &str, fields: Option<&Tenant>, set: &str) -> Vec<u8> {
    let mut out = input::change(3, name);
    let Some(fields) = fields else {
        write_nil(&mut out);
        return out;
    };
    write_array_len(&mut out, 6);
    write_str(&mut out, set);
    write_uint(&mut out, fields.weight.into());
    limits(
        &mut out,
        fields.rate_per_sec,
        fields.burst,
        fields.in_flight_max,
    );
    write_bool(&mut out, fields.paused);
    out
}

pub fn configure_gateway(name: &str, fields: Option<&Gateway>) -> Vec<u8> {
    let mut out = input::change(6, name);
    let Some(fields) = fields else {
        write_nil(&mut out);
        return out;
    };
    write_array_len(&mut out, 7);
    write_uint(&mut out, fields.kind.into());
    write_array_len(&mut out, fields.destinations.len());
    for place in &fields.destinations {
        write_str(&mut out, &destination_name(*place));
    }
    write_uint(&mut out, fields.weight.into());
    limits(
        &mut out,
        fields.rate_per_sec,
        fields.burst,
        fields.in_flight_max,
    );
    write_bool(&mut out, fields.paused);
    out
}

pub fn explain(destination: &str, offset: u32, limit: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_str(&mut out, destination);
    write_uint(&mut out, offset.into());
    write_uint(&mut out, limit.into());
    out
}

pub fn stats(top: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 1);
    write_uint(&mut out, top.into());
    out
}

pub fn in_use(kind: u32, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 2);
    write_uint(&mut out, kind.into());
    write_str(&mut out, name);
    out
}

/// The header and the entries of one exchange's effects.
pub struct Effects<'a> {
    pub exchange: u64,
    pub boot_id: u32,
    pub wake_after_ms: u32,
    pub counters: [u64; 28],
    pub entries: Vec<Effect<'a>>,
}

#[derive(Clone, Copy)]
pub struct Effect<'a> {
    pub op: u8,
    pub connection: u32,
    pub bytes: &'a [u8],
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

pub fn parse_effects(bytes: &[u8]) -> Effects<'_> {
    assert_eq!(u32_at(bytes, 0), EFFECTS_MAGIC);
    let mut at = EFFECTS_HEADER_BYTES;
    let mut entries = Vec::new();
    for _ in 0..u32_at(bytes, 4) {
        let length = u32_at(bytes, at + 8) as usize;
        let content: Range<usize> = at + ENTRY_HEADER_BYTES..at + ENTRY_HEADER_BYTES + length;
        entries.push(Effect {
            op: bytes[at],
            connection: u32_at(bytes, at + 4),
            bytes: &bytes[content.clone()],
        });
        at = content.end;
    }
    assert_eq!(at, bytes.len(), "bytes follow the last effect");
    Effects {
        exchange: u64_at(bytes, 8),
        boot_id: u32_at(bytes, 16),
        wake_after_ms: u32_at(bytes, 20),
        counters: std::array::from_fn(|place| u64_at(bytes, 24 + 8 * place)),
        entries,
    }
}

/// A frame of the daemon, as a client reads it.
#[derive(Debug)]
pub enum Frame<'a> {
    Ok {
        id: u32,
        rest: OkRest,
    },
    Error {
        id: u32,
        code: u32,
    },
    Deliver {
        subscription: u32,
        deliveries: Vec<Delivered<'a>>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OkRest {
    Nothing,
    Settled {
        applied: u64,
        unknown: u64,
    },
    Published {
        first: Option<[u8; 16]>,
        count: u64,
        refused: Vec<(u32, u32)>,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Delivered<'a> {
    pub delivery: u64,
    pub id: [u8; 16],
    pub tenant: &'a str,
    pub sender: Option<&'a str>,
    pub recipient: &'a str,
    pub payload: &'a [u8],
    pub attempt: u32,
    pub accepted_ms: u64,
    pub flags: u8,
    pub expires_ms: u64,
}

/// The deliveries of a frame; none: it is another one.
pub fn deliveries(bytes: &[u8]) -> Option<Vec<Delivered<'_>>> {
    let mut reader = Reader::new(bytes);
    let _ = reader.array_len().ok()?;
    if reader.uint32().ok()? != 66 {
        return None;
    }
    match parse_frame(bytes) {
        Frame::Deliver { deliveries, .. } => Some(deliveries),
        _ => None,
    }
}

/// The code of an error frame.
pub fn error_code(bytes: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(bytes);
    let _ = reader.array_len().ok()?;
    if reader.uint32().ok()? != 65 {
        return None;
    }
    let _ = reader.uint32().ok()?;
    reader.uint32().ok()
}

pub fn parse_frame(bytes: &[u8]) -> Frame<'_> {
    let mut reader = Reader::new(bytes);
    let frame = frame(&mut reader).expect("the daemon's frames are sound");
    reader.end().expect("nothing follows a frame");
    frame
}

type Read<T> = Result<T, fairlead_core::error::Code>;

fn frame<'a>(reader: &mut Reader<'a>) -> Read<Frame<'a>> {
    let fields = reader.array_len()?;
    let kind = reader.uint32()?;
    let id = reader.uint32()?;
    match kind {
        64 => {
            let rest = match fields {
                2 => OkRest::Nothing,
                4 => OkRest::Settled {
                    applied: reader.uint()?,
                    unknown: reader.uint()?,
                },
                6 => published(reader)?,
                other => panic!("an ok of {other} fields"),
            };
            Ok(Frame::Ok { id, rest })
        }
        65 => {
            let code = reader.uint32()?;
            std::str::from_utf8(reader.str()?).expect("UTF-8");
            reader.skip()?;
            Ok(Frame::Error { id, code })
        }
        66 => {
            assert_eq!((fields, id), (4, 0));
            let subscription = reader.uint32()?;
            let count = reader.array_len()?;
            let deliveries = (0..count).map(|_| delivered(reader)).collect::<Read<_>>()?;
            Ok(Frame::Deliver {
                subscription,
                deliveries,
            })
        }
        other => panic!("a frame of kind {other}"),
    }
}

fn id_bytes(bytes: &[u8]) -> [u8; 16] {
    bytes.try_into().expect("an id has 16 bytes")
}

fn published(reader: &mut Reader<'_>) -> Read<OkRest> {
    let first = if reader.nil()? {
        None
    } else {
        Some(id_bytes(reader.bin()?))
    };
    let count = reader.uint()?;
    let mut refused = Vec::new();
    if !reader.nil()? {
        for _ in 0..reader.array_len()? {
            assert_eq!(reader.array_len()?, 3);
            refused.push((reader.uint32()?, reader.uint32()?));
            reader.skip()?;
        }
    }
    assert!(reader.nil()?);
    Ok(OkRest::Published {
        first,
        count,
        refused,
    })
}

fn delivered<'a>(reader: &mut Reader<'a>) -> Read<Delivered<'a>> {
    assert_eq!(reader.array_len()?, 10);
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).expect("names are ASCII");
    let delivered = Delivered {
        delivery: reader.uint()?,
        id: id_bytes(reader.bin()?),
        tenant: text(reader.str()?),
        sender: if reader.nil()? {
            None
        } else {
            Some(text(reader.str()?))
        },
        recipient: text(reader.str()?),
        payload: reader.bin()?,
        attempt: reader.uint32()?,
        accepted_ms: reader.uint()?,
        flags: reader.uint()? as u8,
        expires_ms: reader.uint()?,
    };
    Ok(delivered)
}
