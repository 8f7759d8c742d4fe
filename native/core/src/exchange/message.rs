//! The msgpack requests about messages within an exchange's input: find, list, cancelAll, dead
//! letters, replay, purge, redact, erase; and the call, which carries a client frame.

use super::ExchangeError;
use super::request::{array_of, base_or_all, decode, name, optional};
use crate::error::Code;
use crate::message_id::MessageId;
use crate::msgpack::Reader;

/// A client frame sent in the name of a tenant, or of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    pub scopes: u8,
    /// Empty: the platform.
    pub tenant: &'a [u8],
    pub frame: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Find<'a> {
    pub id: MessageId,
    /// Whose message it has to be.
    pub tenant: Option<&'a str>,
    pub trace: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<'a> {
    pub destination: Option<&'a str>,
    pub tenant: Option<&'a str>,
    /// Bit n: status n; 0: all.
    pub statuses: u32,
    /// Time of acceptance, from … to, ms.
    pub from_ms: u64,
    pub to_ms: u64,
    /// Empty at first.
    pub cursor: &'a str,
    pub limit: u32,
    /// From the newest to the oldest; left out by older callers.
    pub newest_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelAll<'a> {
    pub destination: Option<&'a str>,
    pub tenant: Option<&'a str>,
    pub sender: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetters<'a> {
    pub destination: Option<&'a str>,
    pub tenant: Option<&'a str>,
    pub cursor: &'a str,
    pub limit: u32,
}

/// Dead letters to replay or purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChooseDead<'a> {
    pub destination: Option<&'a str>,
    pub tenant: Option<&'a str>,
    /// None: all that fit.
    pub ids: Option<Vec<MessageId>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redact<'a> {
    pub id: MessageId,
    pub tenant: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erase<'a> {
    pub tenant: &'a str,
    pub cursor: &'a str,
}

pub fn decode_call(bytes: &[u8]) -> Result<Call<'_>, ExchangeError> {
    let fault = ExchangeError {
        what: "a call is damaged",
        at: 0,
    };
    let [scopes, length, rest @ ..] = bytes else {
        return Err(fault);
    };
    let (tenant, frame) = rest.split_at_checked(usize::from(*length)).ok_or(fault)?;
    Ok(Call {
        scopes: *scopes,
        tenant,
        frame,
    })
}

pub fn decode_find(bytes: &[u8]) -> Result<Find<'_>, ExchangeError> {
    decode("a find is damaged", bytes, |reader| {
        array_of(reader, 3)?;
        Ok(Find {
            id: message_id(reader)?,
            tenant: optional(reader, name)?,
            trace: reader.bool()?,
        })
    })
}

pub fn decode_list(bytes: &[u8]) -> Result<List<'_>, ExchangeError> {
    decode("a list is damaged", bytes, |reader| {
        let has_order = base_or_all(reader, 7, 8)?;
        Ok(List {
            destination: optional(reader, name)?,
            tenant: optional(reader, name)?,
            statuses: reader.uint32()?,
            from_ms: reader.uint()?,
            to_ms: reader.uint()?,
            cursor: text(reader)?,
            limit: reader.uint32()?,
            newest_first: has_order && reader.bool()?,
        })
    })
}

pub fn decode_cancel_all(bytes: &[u8]) -> Result<CancelAll<'_>, ExchangeError> {
    decode("a cancelAll is damaged", bytes, |reader| {
        array_of(reader, 3)?;
        Ok(CancelAll {
            destination: optional(reader, name)?,
            tenant: optional(reader, name)?,
            sender: optional(reader, name)?,
        })
    })
}

pub fn decode_dead_letters(bytes: &[u8]) -> Result<DeadLetters<'_>, ExchangeError> {
    decode("a deadLetters is damaged", bytes, |reader| {
        array_of(reader, 4)?;
        Ok(DeadLetters {
            destination: optional(reader, name)?,
            tenant: optional(reader, name)?,
            cursor: text(reader)?,
            limit: reader.uint32()?,
        })
    })
}

/// The bytes of a replay or a purge.
pub fn decode_choose_dead(bytes: &[u8]) -> Result<ChooseDead<'_>, ExchangeError> {
    decode("a replay or purge is damaged", bytes, |reader| {
        array_of(reader, 3)?;
        Ok(ChooseDead {
            destination: optional(reader, name)?,
            tenant: optional(reader, name)?,
            ids: optional(reader, ids)?,
        })
    })
}

/// The bytes of a redact or a forget.
pub fn decode_redact(bytes: &[u8]) -> Result<Redact<'_>, ExchangeError> {
    decode("a redact is damaged", bytes, |reader| {
        array_of(reader, 2)?;
        Ok(Redact {
            id: message_id(reader)?,
            tenant: optional(reader, name)?,
        })
    })
}

pub fn decode_erase(bytes: &[u8]) -> Result<Erase<'_>, ExchangeError> {
    decode("an erase is damaged", bytes, |reader| {
        array_of(reader, 2)?;
        Ok(Erase {
            tenant: name(reader)?,
            cursor: text(reader)?,
        })
    })
}

fn ids(reader: &mut Reader<'_>) -> Result<Vec<MessageId>, Code> {
    let count = reader.array_len()?;
    (0..count).map(|_| message_id(reader)).collect()
}

fn message_id(reader: &mut Reader<'_>) -> Result<MessageId, Code> {
    let bytes = reader.bin_or_str()?.bytes;
    MessageId::parse(bytes).ok_or(Code::WrongType)
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Code> {
    std::str::from_utf8(reader.str()?).map_err(|_| Code::WrongType)
}
