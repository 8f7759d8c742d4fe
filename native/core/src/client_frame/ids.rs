//! Frames about messages that were accepted before: receipt, cancel and status, kinds 5 to 7.
//!
//! All ids of one frame lie in one shard: the ingress refuses others. Whether an id is one of this
//! daemon's is for the shard to say.

use super::decoder::{Decoder, Head, need};
use super::fault::Fault;
use super::{FrameError, KIND_RECEIPT};
use crate::error::Code;
use crate::limits::IDS_PER_FRAME;
use crate::message_id::MessageId;
use crate::msgpack::Reader;

/// Statuses that a receipt may tell.
pub const RECEIPT_DELIVERED: u8 = 6;
pub const RECEIPT_UNDELIVERED: u8 = 7;
pub const RECEIPT_FAILED: u8 = 8;

/// One entry of `receipt`: what became of a message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Not checked.
    pub id: MessageId,
    /// `RECEIPT_DELIVERED`, `RECEIPT_UNDELIVERED` or `RECEIPT_FAILED`.
    pub status: u8,
    /// The gateway's own code.
    pub code: Option<u32>,
}

/// Decodes a receipt frame and returns its request id. `scratch` is cleared, and holds the receipts
/// in order after an Ok.
pub fn decode_receipt(frame: &[u8], scratch: &mut Vec<Receipt>) -> Result<u32, FrameError> {
    scratch.clear();
    Decoder::run(frame, |decoder| {
        let Head { fields, id, .. } = decoder.head_of(KIND_RECEIPT)?;
        need(fields, 3, "receipts")?;
        let count = decoder.entries("receipts", IDS_PER_FRAME)?;
        for index in 0..count {
            decoder.index = Some(index as u32);
            scratch.push(receipt(decoder)?);
        }
        decoder.finish(fields, 3)?;
        Ok(id)
    })
}

/// Decodes a cancel or status frame, whichever `kind` says, and returns its request id. `scratch` is
/// cleared, and holds the ids in order after an Ok; they are not checked, and may repeat.
pub fn decode_ids(
    frame: &[u8],
    kind: u32,
    scratch: &mut Vec<MessageId>,
) -> Result<u32, FrameError> {
    scratch.clear();
    Decoder::run(frame, |decoder| {
        let Head { fields, id, .. } = decoder.head_of(kind)?;
        need(fields, 3, "message ids")?;
        let count = decoder.entries("message ids", IDS_PER_FRAME)?;
        for index in 0..count {
            decoder.index = Some(index as u32);
            scratch.push(decoder.field("message id", message_id)?);
        }
        decoder.finish(fields, 3)?;
        Ok(id)
    })
}

fn receipt(decoder: &mut Decoder<'_>) -> Result<Receipt, Fault> {
    let fields = decoder.field("receipt", Reader::array_len)?;
    need(fields, 2, "status")?;
    let id = decoder.field("message id", message_id)?;
    let status = decoder.field("status", |reader| match reader.uint()? {
        status @ 6..=8 => Ok(status as u8),
        _ => Err(Code::WrongType),
    })?;
    let code = decoder.optional(fields, 3, "code", Reader::uint32)?;
    decoder.skip_further(fields, 3)?;
    Ok(Receipt { id, status, code })
}

fn message_id(reader: &mut Reader<'_>) -> Result<MessageId, Code> {
    MessageId::parse(reader.bin()?).ok_or(Code::WrongType)
}
