//! Msgpack and JSON forms that triggers need: wide numbers, and text from outside.

use crate::error::Code;
use crate::msgpack::{Reader, check_name, write_str, write_uint};
use crate::usage::price::nano_text;
use std::fmt::Write;

pub(super) fn is_name(text: &str) -> bool {
    check_name(text.as_bytes()).is_ok()
}

/// An integer; beyond 64 bits as decimal text.
pub(super) fn write_wide(out: &mut Vec<u8>, value: i128) {
    if let Ok(value) = u64::try_from(value) {
        write_uint(out, value);
    } else if let Ok(value) = i64::try_from(value) {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        write_str(out, &value.to_string());
    }
}

pub(super) fn write_wide_or_nil(out: &mut Vec<u8>, value: Option<i128>) {
    match value {
        Some(value) => write_wide(out, value),
        None => out.push(0xc0),
    }
}

/// An integer of any form, or decimal text.
pub(super) fn read_wide(reader: &mut Reader<'_>) -> Result<i128, Code> {
    match reader.peek()? {
        0xa0..=0xbf | 0xd9..=0xdb => read_text(reader)?.parse().map_err(|_| Code::WrongType),
        0xd0..=0xd3 | 0xe0..=0xff => reader.int().map(i128::from),
        _ => reader.uint().map(i128::from),
    }
}

pub(super) fn read_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Code> {
    str::from_utf8(reader.str()?).map_err(|_| Code::WrongType)
}

pub(super) fn optional<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Code>,
) -> Result<Option<T>, Code> {
    if reader.nil()? {
        Ok(None)
    } else {
        read(reader).map(Some)
    }
}

/// An array of exactly that many values, which are the next.
pub(super) fn array_of(reader: &mut Reader<'_>, length: usize) -> Result<(), Code> {
    if reader.array_len()? == length {
        Ok(())
    } else {
        Err(Code::WrongType)
    }
}

/// A list, each item of which `read` takes.
pub(super) fn list<'a, T>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Code>,
) -> Result<Vec<T>, Code> {
    (0..reader.array_len()?).map(|_| read(reader)).collect()
}

pub(super) fn sid(reader: &mut Reader<'_>) -> Result<[u8; 16], Code> {
    reader.bin()?.try_into().map_err(|_| Code::WrongType)
}

pub(super) fn nano_or_whole(is_nano: bool, value: i128) -> String {
    if is_nano {
        nano_text(value)
    } else {
        value.to_string()
    }
}

/// Text as a JSON string, with its quotes.
pub(super) fn write_json_text(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(out, "\\u{:04x}", char as u32);
            }
            _ => out.push(char),
        }
    }
    out.push('"');
}
