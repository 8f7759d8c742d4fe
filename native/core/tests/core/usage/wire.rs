//! The bytes of the exchange as tests write and read them.

use crate::input::change;
use fairlead_core::exchange::{EFFECTS_HEADER_BYTES, ENTRY_HEADER_BYTES};
use fairlead_core::msgpack::{
    Reader, write_array_len, write_bool, write_nil, write_str, write_uint, write_uint_or_nil,
};
use fairlead_core::record::{Category, Delta, DeltaWriter, Sums};

pub const DAY_MS: u64 = 86_400_000;

/// An event of a use frame.
#[derive(Clone, Debug, Default)]
pub struct Event {
    pub tenant: Option<&'static str>,
    pub category: String,
    pub quantity: i64,
    pub key: Option<String>,
    pub at_ms: Option<u64>,
    pub tag: Option<String>,
    pub count: Option<i64>,
}

impl Event {
    pub fn of(tenant: &'static str, category: &str, quantity: i64) -> Self {
        Self {
            tenant: Some(tenant),
            category: category.to_owned(),
            quantity,
            ..Self::default()
        }
    }

    pub fn tagged(self, tag: &str) -> Self {
        let tag = Some(tag.to_owned());
        Self { tag, ..self }
    }

    pub fn keyed(self, key: &str) -> Self {
        let key = Some(key.to_owned());
        Self { key, ..self }
    }

    pub fn at(self, at_ms: u64) -> Self {
        let at_ms = Some(at_ms);
        Self { at_ms, ..self }
    }
}

pub fn write_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        write_uint(out, value);
    } else {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn str_or_nil(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => write_str(out, text),
        None => write_nil(out),
    }
}

pub fn use_frame(id: u32, events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_uint(&mut out, 20);
    write_uint(&mut out, id.into());
    write_array_len(&mut out, events.len());
    for event in events {
        write_array_len(&mut out, 7);
        str_or_nil(&mut out, event.tenant);
        write_str(&mut out, &event.category);
        write_int(&mut out, event.quantity);
        str_or_nil(&mut out, event.key.as_deref());
        write_uint_or_nil(&mut out, event.at_ms);
        str_or_nil(&mut out, event.tag.as_deref());
        match event.count {
            Some(count) => write_int(&mut out, count),
            None => write_nil(&mut out),
        }
    }
    out
}

/// `[64, id, counted, repeated, refused]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    pub counted: u64,
    pub repeated: u64,
    pub refused: Vec<(u64, u64, Option<u64>)>,
}

/// The answer to a use frame; Err: the number of the error that refused it whole.
pub fn read_used(frame: &[u8]) -> Result<Used, u64> {
    let mut reader = Reader::new(frame);
    let fields = reader.array_len().unwrap();
    let kind = reader.uint().unwrap();
    reader.uint().unwrap();
    if kind == 65 {
        return Err(reader.uint().unwrap());
    }
    assert_eq!((kind, fields), (64, 5));
    let (counted, repeated) = (reader.uint().unwrap(), reader.uint().unwrap());
    let mut refused = Vec::new();
    if !reader.nil().unwrap() {
        for _ in 0..reader.array_len().unwrap() {
            assert_eq!(reader.array_len().unwrap(), 3);
            let (index, code) = (reader.uint().unwrap(), reader.uint().unwrap());
            let retry = (!reader.nil().unwrap()).then(|| reader.uint().unwrap());
            refused.push((index, code, retry));
        }
    }
    reader.end().unwrap();
    Ok(Used {
        counted,
        repeated,
        refused,
    })
}

pub fn parent(name: &str, parent: Option<&str>) -> Vec<u8> {
    let mut out = change(3, name);
    write_array_len(&mut out, 1);
    str_or_nil(&mut out, parent);
    out
}

/// By count or usage, and steps of time and nano-units.
pub fn price(name: &str, by: u64, steps: &[(u64, i64)]) -> Vec<u8> {
    let mut out = change(14, name);
    write_array_len(&mut out, 2);
    write_uint(&mut out, by);
    write_array_len(&mut out, steps.len());
    for &(from_ms, nano) in steps {
        write_array_len(&mut out, 2);
        write_uint(&mut out, from_ms);
        write_int(&mut out, nano);
    }
    out
}

/// Account, category, tag, day, sums.
pub type Told<'a> = (&'a str, &'a str, &'a str, u32, Sums);

pub fn deltas(sequence: u64, told: &[Told<'_>]) -> Vec<u8> {
    let mut writer = DeltaWriter::new();
    for &(account, category, tag, day, sums) in told {
        writer.add(&Delta {
            account: account.as_bytes(),
            category: Category::of_name(category.as_bytes()).unwrap(),
            tag: tag.as_bytes(),
            day,
            sums,
        });
    }
    let mut out = vec![0];
    out.extend_from_slice(&sequence.to_le_bytes());
    writer.finish(&mut out);
    out
}

/// A question for records.
#[derive(Clone, Debug, Default)]
pub struct Ask<'a> {
    pub account: Option<&'a str>,
    pub category: Option<&'a str>,
    pub tag: Option<&'a str>,
    /// 0 total … 4 all time.
    pub period: u64,
    pub from_day: Option<u32>,
    pub to_day: Option<u32>,
    pub sub_accounts: bool,
    pub limit: Option<u64>,
}

pub fn records(ask: &Ask<'_>, cursor: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 9);
    str_or_nil(&mut out, ask.account);
    str_or_nil(&mut out, ask.category);
    str_or_nil(&mut out, ask.tag);
    write_uint(&mut out, ask.period);
    write_uint_or_nil(&mut out, ask.from_day.map(u64::from));
    write_uint_or_nil(&mut out, ask.to_day.map(u64::from));
    write_bool(&mut out, ask.sub_accounts);
    write_str(&mut out, cursor);
    write_uint(&mut out, ask.limit.unwrap_or(1000));
    out
}

pub struct Effects {
    pub wake_after_ms: u32,
    pub counters: [u64; 28],
    /// Op, connection, bytes.
    pub said: Vec<(u8, u32, Vec<u8>)>,
}

pub fn read_effects(bytes: &[u8]) -> Effects {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let mut counters = [0; 28];
    for (place, counter) in counters.iter_mut().enumerate() {
        *counter = u64_at(24 + place * 8);
    }
    let mut said = Vec::new();
    let mut at = EFFECTS_HEADER_BYTES;
    for _ in 0..u32_at(4) {
        let length = u32_at(at + 8) as usize;
        let start = at + ENTRY_HEADER_BYTES;
        said.push((
            bytes[at],
            u32_at(at + 4),
            bytes[start..start + length].to_vec(),
        ));
        at = start + length;
    }
    assert_eq!(at, bytes.len());
    Effects {
        wake_after_ms: u32_at(20),
        counters,
        said,
    }
}
