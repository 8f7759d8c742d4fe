//! Why a frame is refused: a few bytes while decoding, words only once it is certain.

use super::decoder::Decoder;
use crate::error::Code;
use crate::limits::FRAME_BYTES;
use crate::msgpack::{Number, Reader, type_name};

/// Why a whole frame is refused: becomes an `error` frame (`daemon_frame::write_frame_error`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    pub code: Code,
    /// Request id, 0 if the frame is damaged before it.
    pub id: u32,
    /// Position of the message, outcome or id at fault.
    pub index: Option<u32>,
    /// The publish option at fault.
    pub key: Option<String>,
    /// What, why, and what was received.
    pub message: String,
}

/// A fault before it is put into words: small, so that the hot path returns it cheaply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub code: Code,
    /// Name of the field; of `InvalidOption` what is wrong with the option.
    pub field: &'static str,
    /// Where the value at fault begins; `MISSING` if its array ends before it.
    pub at: usize,
}

pub(super) const MISSING: usize = usize::MAX;

/// Bytes of a received text that are told back.
const RECEIVED_BYTES_MAX: usize = 160;

impl Decoder<'_> {
    #[cold]
    #[inline(never)]
    pub(super) fn explain(&self, fault: Fault) -> FrameError {
        let key = self.option_at.map(|at| text(self.from(at)));
        let what = self.words(fault);
        let what = match &key {
            Some(key) if fault.code == Code::InvalidOption => format!("option {key:?} {what}"),
            Some(key) => format!("option {key:?}: {what}"),
            None => what,
        };
        let message = match self.index {
            Some(index) => format!("entry {index}: {what}"),
            None => what,
        };
        FrameError {
            code: fault.code,
            id: self.id,
            index: self.index,
            key,
            message,
        }
    }

    fn words(&self, Fault { code, field, at }: Fault) -> String {
        let rest = self.from(at);
        match code {
            Code::MalformedFrame => format!(
                "{field}: the bytes end or are no msgpack at byte {at} of {}",
                self.frame.len()
            ),
            Code::FrameTooLarge => format!(
                "a frame has at most {FRAME_BYTES} bytes; received {}",
                self.frame.len()
            ),
            Code::UnknownKind => "the frame is of another kind than its decoder".to_owned(),
            Code::TooManyMessages => {
                let count = Reader::new(rest).array_len().unwrap_or_default();
                format!("{field}: more entries than a frame may hold; received {count}")
            }
            Code::FieldTooLong | Code::PayloadTooLarge => {
                let bytes = Reader::new(rest)
                    .bin_or_str()
                    .map_or(0, |blob| blob.bytes.len());
                format!("{field} is longer than its limit; received {bytes} bytes")
            }
            Code::InvalidName if field == "category" => format!(
                "{field} is empty, longer than 64 bytes or has characters outside [a-z0-9._-]; received {:?}",
                text(rest)
            ),
            Code::InvalidName => format!(
                "{field} is empty or has characters outside [A-Za-z0-9._:+@-]; received {:?}",
                text(rest)
            ),
            Code::InvalidOption => format!("{field}; received {}", value(rest)),
            _ if at == MISSING => format!("{field} is missing"),
            _ => {
                let value = rest.first().map_or("nothing", |head| type_name(*head));
                format!("{field} has the wrong type or is out of range; received {value}")
            }
        }
    }

    fn from(&self, at: usize) -> &[u8] {
        self.frame.get(at..).unwrap_or_default()
    }
}

/// The beginning of a str or bin, empty for anything else.
fn text(rest: &[u8]) -> String {
    let blob = Reader::new(rest).bin_or_str();
    let bytes = blob.map(|blob| blob.bytes).unwrap_or_default();
    String::from_utf8_lossy(&bytes[..bytes.len().min(RECEIVED_BYTES_MAX)]).into_owned()
}

/// A number or a text as it was received, the type of anything else.
fn value(rest: &[u8]) -> String {
    match Reader::new(rest).f64_or_int() {
        Ok(Number::Uint(number)) => number.to_string(),
        Ok(Number::Int(number)) => number.to_string(),
        Ok(Number::Float(number)) => number.to_string(),
        Err(_) => match rest.first() {
            Some(0xa0..=0xbf | 0xd9..=0xdb) => format!("{:?}", text(rest)),
            Some(head) => type_name(*head).to_owned(),
            None => "nothing".to_owned(),
        },
    }
}
