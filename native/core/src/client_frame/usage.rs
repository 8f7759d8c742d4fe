//! Frames about usage: use, kind 20.
//!
//! Whether a category may be written, a time is near enough and a correction is allowed is for the
//! counters to say, entry by entry.

use super::decoder::{Decoder, Head, need};
use super::fault::Fault;
use super::{FrameError, KIND_USE};
use crate::error::Code;
use crate::limits::{EVENTS_PER_FRAME, IDEMPOTENCY_KEY_BYTES, USAGE_COUNT_END, USAGE_QUANTITY_END};
use crate::msgpack::{Number, Reader};
use crate::record::Category;

/// One event of `use`; its names lie in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UseItem {
    tenant: Place,
    category: Place,
    key: Place,
    tag: Place,
    /// Below 2⁵³ either way.
    pub quantity: i64,
    /// How many it counts as.
    pub count: i64,
    /// When it happened, ms; none: now.
    pub at_ms: Option<u64>,
}

/// Where some bytes of the frame lie; without length: not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    at: u32,
    length: u8,
}

impl Place {
    /// `bytes` were read last.
    #[inline]
    fn before(reader: &Reader<'_>, bytes: &[u8]) -> Self {
        Self {
            at: (reader.position() - bytes.len()) as u32,
            length: bytes.len() as u8,
        }
    }

    #[inline]
    fn of(self, frame: &[u8]) -> &[u8] {
        let at = self.at as usize;
        &frame[at..at + usize::from(self.length)]
    }
}

impl UseItem {
    /// None: the token's own.
    #[inline]
    pub fn tenant<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        (self.tenant.length > 0).then(|| self.tenant.of(frame))
    }

    #[inline]
    pub fn category<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        self.category.of(frame)
    }

    /// With it the event counts once.
    #[inline]
    pub fn key<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        (self.key.length > 0).then(|| self.key.of(frame))
    }

    /// Empty: none.
    #[inline]
    pub fn tag<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        self.tag.of(frame)
    }
}

/// Decodes a use frame and returns its request id. `scratch` is cleared, and holds the events in order
/// after an Ok.
pub fn decode_use(frame: &[u8], scratch: &mut Vec<UseItem>) -> Result<u32, FrameError> {
    scratch.clear();
    Decoder::run(frame, |decoder| {
        let Head { fields, id, .. } = decoder.head_of(KIND_USE)?;
        need(fields, 3, "events")?;
        let count = decoder.entries("events", EVENTS_PER_FRAME)?;
        for index in 0..count {
            decoder.index = Some(index as u32);
            scratch.push(use_item(decoder)?);
        }
        decoder.finish(fields, 3)?;
        Ok(id)
    })
}

#[inline]
fn use_item(decoder: &mut Decoder<'_>) -> Result<UseItem, Fault> {
    let fields = decoder.field("event", Reader::array_len)?;
    need(fields, 3, "quantity")?;
    let tenant = place(decoder, fields, 1, "tenant", Reader::name)?;
    let category = decoder.field("category", category)?;
    let category = Place::before(&decoder.reader, category);
    let quantity = decoder.field("quantity", |reader| whole(reader, USAGE_QUANTITY_END))?;
    let key = place(decoder, fields, 4, "key", event_key)?;
    let at_ms = decoder.optional(fields, 5, "at", Reader::uint)?;
    let tag = place(decoder, fields, 6, "tag", Reader::name)?;
    let count = decoder.optional(fields, 7, "count", |reader| whole(reader, USAGE_COUNT_END))?;
    decoder.skip_further(fields, 7)?;
    Ok(UseItem {
        tenant,
        category,
        key,
        tag,
        quantity,
        count: count.unwrap_or(i64::from(quantity >= 0)),
        at_ms,
    })
}

#[inline]
fn place<'a>(
    decoder: &mut Decoder<'a>,
    fields: usize,
    position: usize,
    field: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<&'a [u8], Code>,
) -> Result<Place, Fault> {
    let bytes = decoder.optional(fields, position, field, read)?;
    Ok(bytes.map_or_else(Place::default, |bytes| {
        Place::before(&decoder.reader, bytes)
    }))
}

fn category<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Code> {
    let name = reader.str()?;
    match Category::of_name(name) {
        Some(_) => Ok(name),
        None => Err(Code::InvalidName),
    }
}

fn event_key<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Code> {
    let key = reader.str()?;
    match key.len() {
        0 => Err(Code::WrongType),
        1..=IDEMPOTENCY_KEY_BYTES => Ok(key),
        _ => Err(Code::FieldTooLong),
    }
}

/// A whole number nearer to 0 than `end`, of any form.
#[inline]
fn whole(reader: &mut Reader<'_>, end: i64) -> Result<i64, Code> {
    let number = match reader.f64_or_int()? {
        Number::Uint(number) => i64::try_from(number).map_err(|_| Code::WrongType)?,
        Number::Int(number) => number,
        #[allow(clippy::cast_precision_loss, reason = "bounds are at most 2^53")]
        Number::Float(number) if number.fract() == 0.0 && number.abs() < end as f64 => {
            number as i64
        }
        Number::Float(_) => return Err(Code::WrongType),
    };
    if number > -end && number < end {
        Ok(number)
    } else {
        Err(Code::WrongType)
    }
}
