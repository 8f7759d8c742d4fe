//! Msgpack as far as the protocol needs it: a checked reader over borrowed bytes, and writers in the
//! minimal form that append to a `Vec<u8>`.
//!
//! The reader allocates nothing and trusts no length: each is checked against the bytes that are
//! left. It takes every form of a value, also longer ones than needed. Two errors: `MalformedFrame`
//! when the bytes run out or are no msgpack, `WrongType` when a value is there but of another type.

use crate::error::Code;
use crate::limits::NAME_BYTES;

/// Position in bytes that hold msgpack values one after another.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A number as configuration holds them: an integer or a float 64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Uint(u64),
    /// Always below zero.
    Int(i64),
    Float(f64),
}

/// A byte string with its header's form: payloads arrive in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob<'a> {
    pub bytes: &'a [u8],
    pub is_bin: bool,
}

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    pub const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Checks that nothing follows.
    pub const fn end(&self) -> Result<(), Code> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(Code::MalformedFrame)
        }
    }

    /// First byte of the next value, not consumed.
    #[inline]
    pub fn peek(&self) -> Result<u8, Code> {
        self.bytes.get(self.at).copied().ok_or(Code::MalformedFrame)
    }

    /// Consumes the next value if it is nil.
    #[inline]
    pub fn nil(&mut self) -> Result<bool, Code> {
        let is_nil = self.peek()? == 0xc0;
        self.at += usize::from(is_nil);
        Ok(is_nil)
    }

    #[inline]
    pub fn bool(&mut self) -> Result<bool, Code> {
        match self.byte()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            other => Err(mismatch(other)),
        }
    }

    /// A whole number that is not negative, of any form: some encoders write those above 2³² as
    /// float 64.
    #[inline]
    pub fn uint(&mut self) -> Result<u64, Code> {
        let head = self.byte()?;
        if head < 0x80 {
            return Ok(u64::from(head));
        }
        match head {
            0xcc..=0xcf => self.big_endian(1 << (head - 0xcc)),
            0xd0..=0xd3 => {
                let value = self.signed(1 << (head - 0xd0))?;
                u64::try_from(value).map_err(|_| Code::WrongType)
            }
            0xcb => whole(f64::from_bits(self.big_endian(8)?)).ok_or(Code::WrongType),
            _ => Err(mismatch(head)),
        }
    }

    /// `uint`, at most 2³² − 1.
    #[inline]
    pub fn uint32(&mut self) -> Result<u32, Code> {
        u32::try_from(self.uint()?).map_err(|_| Code::WrongType)
    }

    /// An integer of any form that fits 64 bits with sign.
    #[inline]
    pub fn int(&mut self) -> Result<i64, Code> {
        let head = self.peek()?;
        match head {
            0xe0..=0xff => {
                self.at += 1;
                Ok(i64::from(head.cast_signed()))
            }
            0xd0..=0xd3 => {
                self.at += 1;
                self.signed(1 << (head - 0xd0))
            }
            _ => i64::try_from(self.uint()?).map_err(|_| Code::WrongType),
        }
    }

    /// An integer, float 32 or float 64.
    pub fn f64_or_int(&mut self) -> Result<Number, Code> {
        match self.peek()? {
            0xca => {
                self.at += 1;
                let bits = self.big_endian(4)? as u32;
                Ok(Number::Float(f64::from(f32::from_bits(bits))))
            }
            0xcb => {
                self.at += 1;
                Ok(Number::Float(f64::from_bits(self.big_endian(8)?)))
            }
            0x00..=0x7f | 0xcc..=0xcf => Ok(Number::Uint(self.uint()?)),
            _ => {
                let value = self.int()?;
                Ok(u64::try_from(value).map_or(Number::Int(value), Number::Uint))
            }
        }
    }

    /// The bytes of a str; they are not checked to be UTF-8.
    #[inline]
    pub fn str(&mut self) -> Result<&'a [u8], Code> {
        let head = self.byte()?;
        let length = match head {
            0xa0..=0xbf => usize::from(head & 0x1f),
            0xd9..=0xdb => self.big_endian(1 << (head - 0xd9))? as usize,
            _ => return Err(mismatch(head)),
        };
        self.take(length)
    }

    /// The bytes of a bin.
    #[inline]
    pub fn bin(&mut self) -> Result<&'a [u8], Code> {
        let head = self.byte()?;
        if !(0xc4..=0xc6).contains(&head) {
            return Err(mismatch(head));
        }
        let length = self.big_endian(1 << (head - 0xc4))? as usize;
        self.take(length)
    }

    /// The bytes of a bin or a str.
    #[inline]
    pub fn bin_or_str(&mut self) -> Result<Blob<'a>, Code> {
        let is_bin = (0xc4..=0xc6).contains(&self.peek()?);
        let bytes = if is_bin { self.bin()? } else { self.str()? };
        Ok(Blob { bytes, is_bin })
    }

    /// A str that is a name: 1 to 128 bytes of `[A-Za-z0-9._:+@-]`, so ASCII.
    #[inline]
    pub fn name(&mut self) -> Result<&'a [u8], Code> {
        let bytes = self.str()?;
        check_name(bytes)?;
        Ok(bytes)
    }

    /// Elements of an array, which are the next values; at most the bytes that are left.
    #[inline]
    pub fn array_len(&mut self) -> Result<usize, Code> {
        let head = self.byte()?;
        let length = match head {
            0x90..=0x9f => usize::from(head & 0x0f),
            0xdc | 0xdd => self.big_endian(2 << (head - 0xdc))? as usize,
            _ => return Err(mismatch(head)),
        };
        if length > self.left() {
            Err(Code::MalformedFrame)
        } else {
            Ok(length)
        }
    }

    /// Pairs of a map, which are the next values two by two; at most half the bytes that are left.
    #[inline]
    pub fn map_len(&mut self) -> Result<usize, Code> {
        let head = self.byte()?;
        let length = match head {
            0x80..=0x8f => usize::from(head & 0x0f),
            0xde | 0xdf => self.big_endian(2 << (head - 0xde))? as usize,
            _ => return Err(mismatch(head)),
        };
        if length > self.left() / 2 {
            Err(Code::MalformedFrame)
        } else {
            Ok(length)
        }
    }

    /// Passes over one value with all it contains. It counts the values still to come instead of
    /// descending into them, so depth costs nothing; the count never exceeds the bytes left.
    pub fn skip(&mut self) -> Result<(), Code> {
        let mut pending = 1_usize;
        while pending > 0 {
            pending -= 1;
            let head = self.peek()?;
            match head {
                0x90..=0x9f | 0xdc | 0xdd => pending += self.array_len()?,
                0x80..=0x8f | 0xde | 0xdf => pending += 2 * self.map_len()?,
                0xc1 => return Err(Code::MalformedFrame),
                _ => self.skip_scalar(head)?,
            }
            if pending > self.left() {
                return Err(Code::MalformedFrame);
            }
        }
        Ok(())
    }

    fn skip_scalar(&mut self, head: u8) -> Result<(), Code> {
        self.at += 1;
        let length = match head {
            0xa0..=0xbf => usize::from(head & 0x1f),
            0xcc..=0xcf => 1 << (head - 0xcc),
            0xd0..=0xd3 => 1 << (head - 0xd0),
            0xca => 4,
            0xcb => 8,
            0xd4..=0xd8 => 1 + (1 << (head - 0xd4)),
            0xc4..=0xc6 => self.big_endian(1 << (head - 0xc4))? as usize,
            0xc7..=0xc9 => 1 + self.big_endian(1 << (head - 0xc7))? as usize,
            0xd9..=0xdb => self.big_endian(1 << (head - 0xd9))? as usize,
            _ => 0,
        };
        self.take(length).map(|_| ())
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Code> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Code> {
        let taken = self.bytes[self.at..]
            .get(..length)
            .ok_or(Code::MalformedFrame)?;
        self.at += length;
        Ok(taken)
    }

    /// 1, 2, 4 or 8 bytes as a number.
    #[inline]
    fn big_endian(&mut self, width: usize) -> Result<u64, Code> {
        let bytes = self.take(width)?;
        Ok(match width {
            1 => u64::from(bytes[0]),
            2 => u64::from(u16::from_be_bytes([bytes[0], bytes[1]])),
            4 => u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
            _ => bytes
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        })
    }

    #[inline]
    fn signed(&mut self, width: usize) -> Result<i64, Code> {
        let unused = 64 - 8 * width as u32;
        Ok((self.big_endian(width)? << unused).cast_signed() >> unused)
    }
}

/// The number if it is whole, not negative and exact (below 2⁵³).
pub fn whole(value: f64) -> Option<u64> {
    const EXACT_END: f64 = 9_007_199_254_740_992.0;
    let is_whole = value.fract() == 0.0 && (0.0..EXACT_END).contains(&value);
    #[allow(clippy::cast_sign_loss, reason = "the range was checked")]
    is_whole.then_some(value as u64)
}

/// What a value that begins with this byte is, in words for an error message.
pub const fn type_name(head: u8) -> &'static str {
    match head {
        0x00..=0x7f | 0xcc..=0xcf => "an integer",
        0xd0..=0xd3 | 0xe0..=0xff => "a signed integer",
        0x80..=0x8f | 0xde | 0xdf => "a map",
        0x90..=0x9f | 0xdc | 0xdd => "an array",
        0xa0..=0xbf | 0xd9..=0xdb => "a string",
        0xc0 => "nil",
        0xc1 => "an invalid byte",
        0xc2 | 0xc3 => "a boolean",
        0xc4..=0xc6 => "bytes",
        0xca | 0xcb => "a float",
        0xc7..=0xc9 | 0xd4..=0xd8 => "an extension",
    }
}

#[cold]
const fn mismatch(head: u8) -> Code {
    if head == 0xc1 {
        Code::MalformedFrame
    } else {
        Code::WrongType
    }
}

const NAME_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let char = byte as u8;
        table[byte] =
            char.is_ascii_alphanumeric() || matches!(char, b'.' | b'_' | b':' | b'+' | b'@' | b'-');
        byte += 1;
    }
    table
};

/// Checks that bytes are a name: 1 to 128 of `[A-Za-z0-9._:+@-]`.
#[inline]
pub fn check_name(bytes: &[u8]) -> Result<(), Code> {
    if bytes.len() > NAME_BYTES {
        return Err(Code::FieldTooLong);
    }
    if bytes.is_empty() || !bytes.iter().all(|byte| NAME_BYTE[usize::from(*byte)]) {
        return Err(Code::InvalidName);
    }
    Ok(())
}

#[inline]
pub fn write_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

#[inline]
pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(0xc2 + u8::from(value));
}

#[inline]
pub fn write_uint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[0xcc, value]);
    } else if let Ok(value) = u16::try_from(value) {
        write_wide(out, 0xcd, value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        write_wide(out, 0xce, value.to_be_bytes());
    } else {
        write_wide(out, 0xcf, value.to_be_bytes());
    }
}

/// The number, or nil for none.
#[inline]
pub fn write_uint_or_nil(out: &mut Vec<u8>, value: Option<u64>) {
    match value {
        Some(value) => write_uint(out, value),
        None => write_nil(out),
    }
}

/// The header of a str; its bytes have to follow.
#[inline]
pub fn write_str_header(out: &mut Vec<u8>, length: usize) {
    if length < 32 {
        out.push(0xa0 | length as u8);
    } else {
        write_length(out, [0xd9, 0xda, 0xdb], length);
    }
}

#[inline]
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    write_str_header(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// The header of a bin; its bytes have to follow.
#[inline]
pub fn write_bin_header(out: &mut Vec<u8>, length: usize) {
    write_length(out, [0xc4, 0xc5, 0xc6], length);
}

#[inline]
pub fn write_bin(out: &mut Vec<u8>, bytes: &[u8]) {
    write_bin_header(out, bytes.len());
    out.extend_from_slice(bytes);
}

#[inline]
pub fn write_array_len(out: &mut Vec<u8>, length: usize) {
    if length < 16 {
        out.push(0x90 | length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        write_wide(out, 0xdc, length.to_be_bytes());
    } else {
        write_wide(out, 0xdd, (length as u32).to_be_bytes());
    }
}

/// A map of at most 15 pairs.
#[inline]
pub fn write_map_len(out: &mut Vec<u8>, pairs: usize) {
    assert!(pairs < 16, "no map of the protocol has {pairs} pairs");
    out.push(0x80 | pairs as u8);
}

#[inline]
fn write_length(out: &mut Vec<u8>, heads: [u8; 3], length: usize) {
    if let Ok(length) = u8::try_from(length) {
        out.extend_from_slice(&[heads[0], length]);
    } else if let Ok(length) = u16::try_from(length) {
        write_wide(out, heads[1], length.to_be_bytes());
    } else {
        write_wide(out, heads[2], (length as u32).to_be_bytes());
    }
}

/// One `extend` of a fixed size instead of a push and an extend.
#[inline]
fn write_wide<const WIDTH: usize>(out: &mut Vec<u8>, head: u8, bytes: [u8; WIDTH]) {
    out.push(head);
    out.extend_from_slice(&bytes);
}
