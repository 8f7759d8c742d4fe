//! Options of one message: a map of short keys, checked when the frame is decoded and read again
//! from the same bytes when the message is accepted, so that one without options pays nothing.

use super::decoder::Decoder;
use super::fault::Fault;
use crate::error::Code;
use crate::limits::{CALLBACK_BYTES, COST_MAX, IDEMPOTENCY_KEY_BYTES, LEVEL_MAX, VALIDITY_MS_MAX};
use crate::msgpack::{Reader, check_name};

/// What a publisher asks for a message beside its names and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishOptions<'a> {
    /// Idempotency key, 1 to 255 bytes.
    pub key: Option<&'a [u8]>,
    /// Service level, 0 (the highest) to 7.
    pub level: u8,
    /// What the message weighs in its queue and takes of a rate, 1 to 65,535.
    pub cost: u32,
    /// Send not before, ms since the epoch: any number, the shard knows the time.
    pub at_ms: Option<u64>,
    /// Validity in ms, 1 to 30 days, from acceptance or `at_ms`, whichever is later.
    pub ttl_ms: Option<u64>,
    /// URL for callbacks, `http://` or `https://`, printable ASCII of at most 2,048 bytes.
    pub callback: Option<&'a str>,
    /// Statuses that are told to it: bit n is status n, of 1 accepted to 10 cancelled; none: the default.
    pub callback_events: Option<u32>,
    /// Name of the queue in place of the sender's.
    pub order_key: Option<&'a [u8]>,
    /// Name for usage reports.
    pub tag: Option<&'a [u8]>,
}

impl PublishOptions<'_> {
    /// The options of a message that has none.
    pub const NONE: Self = Self {
        key: None,
        level: 0,
        cost: 1,
        at_ms: None,
        ttl_ms: None,
        callback: None,
        callback_events: None,
        order_key: None,
        tag: None,
    };
}

/// Bits of the statuses 1 accepted … 10 cancelled.
const STATUS_BITS: u32 = 0x7fe;

/// What is wrong with an option, as the error says it.
const UNKNOWN: &str = "is not known";
const TWICE: &str = "comes twice";
const KEY_EMPTY: &str = "has to be 1 to 255 bytes";
const LEVEL_RANGE: &str = "has to be a whole number from 0 to 7";
const COST_RANGE: &str = "has to be a whole number from 1 to 65535";
const AT_RANGE: &str = "has to be a time in ms since the epoch";
const TTL_RANGE: &str = "has to be 1 to 2592000000 ms";
const EVENTS_RANGE: &str = "has to be bits 1 to 10, one a status";
const NO_URL: &str = "has to be an http:// or https:// URL in printable ASCII";

/// A value's code and, of `InvalidOption`, what is wrong.
type Wrong = (Code, &'static str);

impl<'a> Decoder<'a> {
    /// Checks the options at the reader's place and passes over them: whether there are any.
    pub(super) fn options(&mut self) -> Result<bool, Fault> {
        if self.field("options", Reader::nil)? {
            return Ok(false);
        }
        let options = self.read_options()?;
        self.option_at = None;
        Ok(options != PublishOptions::NONE)
    }

    /// Reads a map of options; `option_at` stays at the last key for a fault to name.
    pub(super) fn read_options(&mut self) -> Result<PublishOptions<'a>, Fault> {
        let pairs = self.field("options", Reader::map_len)?;
        let mut options = PublishOptions::NONE;
        // Bits of the keys seen. An unknown or second key ends the reading, so pairs are at most 9.
        let mut seen = 0_u16;
        for _ in 0..pairs {
            let at = self.reader.position();
            self.option_at = None;
            let key = self.field("option key", Reader::str)?;
            self.option_at = Some(at);
            let bit = option_bit(key).ok_or_else(|| invalid(UNKNOWN, self.reader.position()))?;
            if seen & bit != 0 {
                return Err(invalid(TWICE, self.reader.position()));
            }
            seen |= bit;
            if !self.field("value", Reader::nil)? {
                let at = self.reader.position();
                read_value(&mut self.reader, key, &mut options).map_err(|(code, field)| Fault {
                    code,
                    field,
                    at,
                })?;
            }
        }
        Ok(options)
    }
}

const fn invalid(field: &'static str, at: usize) -> Fault {
    Fault {
        code: Code::InvalidOption,
        field,
        at,
    }
}

const fn option_bit(key: &[u8]) -> Option<u16> {
    Some(match key {
        b"k" => 1,
        b"l" => 1 << 1,
        b"c" => 1 << 2,
        b"at" => 1 << 3,
        b"ttl" => 1 << 4,
        b"cb" => 1 << 5,
        b"o" => 1 << 6,
        b"g" => 1 << 7,
        b"ce" => 1 << 8,
        _ => return None,
    })
}

fn read_value<'a>(
    reader: &mut Reader<'a>,
    key: &[u8],
    options: &mut PublishOptions<'a>,
) -> Result<(), Wrong> {
    match key {
        b"k" => options.key = Some(idempotency_key(reader)?),
        b"l" => options.level = number(reader, 0, LEVEL_MAX.into(), LEVEL_RANGE)? as u8,
        b"c" => options.cost = number(reader, 1, COST_MAX.into(), COST_RANGE)? as u32,
        b"at" => options.at_ms = Some(number(reader, 0, u64::MAX, AT_RANGE)?),
        b"ttl" => options.ttl_ms = Some(number(reader, 1, VALIDITY_MS_MAX, TTL_RANGE)?),
        b"cb" => options.callback = Some(callback(reader)?),
        b"ce" => options.callback_events = Some(callback_events(reader)?),
        b"o" => options.order_key = Some(name(reader)?),
        _ => options.tag = Some(name(reader)?),
    }
    Ok(())
}

/// A whole number within bounds. A number of any other sort is out of range, not of a wrong type.
fn number(reader: &mut Reader<'_>, min: u64, max: u64, range: &'static str) -> Result<u64, Wrong> {
    let is_number = matches!(reader.peek(), Ok(0x00..=0x7f | 0xca..=0xd3 | 0xe0..=0xff));
    match reader.uint() {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        Ok(_) => Err((Code::InvalidOption, range)),
        Err(Code::WrongType) if is_number => Err((Code::InvalidOption, range)),
        Err(code) => Err((code, "value")),
    }
}

fn idempotency_key<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Wrong> {
    let key = reader.str().map_err(|code| (code, "value"))?;
    if key.len() > IDEMPOTENCY_KEY_BYTES {
        Err((Code::FieldTooLong, "value"))
    } else if key.is_empty() {
        Err((Code::InvalidOption, KEY_EMPTY))
    } else {
        Ok(key)
    }
}

fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Wrong> {
    reader
        .str()
        .and_then(|name| check_name(name).map(|()| name))
        .map_err(|code| (code, "value"))
}

fn callback_events(reader: &mut Reader<'_>) -> Result<u32, Wrong> {
    let mask = number(reader, 0, STATUS_BITS.into(), EVENTS_RANGE)? as u32;
    if mask & !STATUS_BITS == 0 {
        Ok(mask)
    } else {
        Err((Code::InvalidOption, EVENTS_RANGE))
    }
}

/// A URL as far as a shard judges it; whoever sends the callback resolves it.
fn callback<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Wrong> {
    let bytes = reader.str().map_err(|code| (code, "value"))?;
    if bytes.len() > CALLBACK_BYTES {
        return Err((Code::FieldTooLong, "value"));
    }
    let rest = bytes
        .strip_prefix(b"https://")
        .or_else(|| bytes.strip_prefix(b"http://"));
    let is_url = rest.is_some_and(|rest| !rest.is_empty())
        && bytes.iter().all(|byte| (0x21..=0x7e).contains(byte));
    match std::str::from_utf8(bytes) {
        Ok(url) if is_url => Ok(url),
        _ => Err((Code::InvalidOption, NO_URL)),
    }
}
