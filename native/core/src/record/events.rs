//! Events records: changes of status of messages with a callback, in order, until they are taken.
//!
//! Their content goes to the main thread as it is stored, so it is msgpack.

use super::{RECORD_HEADER_BYTES, RecordError, RecordType, begin_record, check_record, end_record};
use crate::error::Code;
use crate::message_id::MessageId;
use crate::msgpack::{
    Reader, write_array_len, write_bin, write_nil, write_str_header, write_uint, write_uint_or_nil,
};

/// One change of status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusEvent<'a> {
    pub id: MessageId,
    /// 1 accepted … 10 cancelled.
    pub status: u8,
    /// Why it ended: the gateway's own code or an error number.
    pub code: Option<u32>,
    pub at_ms: u64,
    pub attempts: u32,
    /// With the first event of a message, and only with it.
    pub info: Option<EventInfo<'a>>,
}

/// What a callback needs to know of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventInfo<'a> {
    pub destination: &'a [u8],
    pub tenant: &'a [u8],
    pub sender: Option<&'a [u8]>,
    pub recipient: Option<&'a [u8]>,
    pub callback: &'a [u8],
    /// Bit n: status n is wanted; none: the default.
    pub mask: Option<u32>,
    pub tag: Option<&'a [u8]>,
    pub cost: u32,
}

/// Appends one event, as a record and the main thread have it.
pub fn write_status_event(out: &mut Vec<u8>, event: &StatusEvent<'_>) {
    write_array_len(out, 6);
    write_bin(out, &event.id.0);
    write_uint(out, event.status.into());
    write_uint_or_nil(out, event.code.map(u64::from));
    write_uint(out, event.at_ms);
    write_uint(out, event.attempts.into());
    let Some(info) = &event.info else {
        return write_nil(out);
    };
    write_array_len(out, 8);
    write_text(out, info.destination);
    write_text(out, info.tenant);
    write_text_or_nil(out, info.sender);
    write_text_or_nil(out, info.recipient);
    write_text(out, info.callback);
    write_uint_or_nil(out, info.mask.map(u64::from));
    write_text_or_nil(out, info.tag);
    write_uint(out, info.cost.into());
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    write_str_header(out, text.len());
    out.extend_from_slice(text);
}

fn write_text_or_nil(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => write_text(out, text),
        None => write_nil(out),
    }
}

/// Appends an events record of `count` events, which `events` holds one after another.
pub fn write_events_record(out: &mut Vec<u8>, count: usize, events: &[u8]) {
    let start = begin_record(out, RecordType::Events);
    write_array_len(out, count);
    out.extend_from_slice(events);
    end_record(out, start);
}

/// The content of an events record, its checksum not looked at: what goes to the main thread.
pub fn events_content(value: &[u8]) -> &[u8] {
    &value[RECORD_HEADER_BYTES..]
}

/// An events record, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct EventsRecord<'a> {
    content: &'a [u8],
}

impl<'a> EventsRecord<'a> {
    /// Checks everything, so that the iterator meets no damage.
    pub fn parse(value: &'a [u8]) -> Result<Self, RecordError> {
        let (_, content) = check_record(value, RecordType::Events)?;
        Self::of_content(content).ok_or(RecordError::Damaged)
    }

    /// The same of a content alone.
    pub fn of_content(content: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(content);
        let count = reader.array_len().ok()?;
        for _ in 0..count {
            read_event(&mut reader).ok()?;
        }
        (count > 0 && reader.end().is_ok()).then_some(Self { content })
    }

    pub fn events(&self) -> impl Iterator<Item = StatusEvent<'a>> + use<'a> {
        let mut reader = Reader::new(self.content);
        let count = reader.array_len().unwrap_or(0);
        (0..count).map_while(move |_| read_event(&mut reader).ok())
    }
}

fn read_event<'a>(reader: &mut Reader<'a>) -> Result<StatusEvent<'a>, Code> {
    expect_array(reader, 6)?;
    Ok(StatusEvent {
        id: MessageId::parse(reader.bin()?).ok_or(Code::WrongType)?,
        status: u8::try_from(reader.uint()?).map_err(|_| Code::WrongType)?,
        code: optional(reader, Reader::uint32)?,
        at_ms: reader.uint()?,
        attempts: reader.uint32()?,
        info: optional(reader, read_info)?,
    })
}

fn read_info<'a>(reader: &mut Reader<'a>) -> Result<EventInfo<'a>, Code> {
    expect_array(reader, 8)?;
    Ok(EventInfo {
        destination: reader.str()?,
        tenant: reader.str()?,
        sender: optional(reader, Reader::str)?,
        recipient: optional(reader, Reader::str)?,
        callback: reader.str()?,
        mask: optional(reader, Reader::uint32)?,
        tag: optional(reader, Reader::str)?,
        cost: reader.uint32()?,
    })
}

fn expect_array(reader: &mut Reader<'_>, length: usize) -> Result<(), Code> {
    if reader.array_len()? == length {
        Ok(())
    } else {
        Err(Code::WrongType)
    }
}

fn optional<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Code>,
) -> Result<Option<T>, Code> {
    if reader.nil()? {
        Ok(None)
    } else {
        read(reader).map(Some)
    }
}
