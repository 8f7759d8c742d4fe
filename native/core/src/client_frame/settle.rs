//! Settle, kind 4.

use super::decoder::{Decoder, Head, at_most, need};
use super::fault::Fault;
use super::{FrameError, KIND_SETTLE};
use crate::limits::OUTCOMES_PER_FRAME;
use crate::msgpack::Reader;

/// Outcomes of a delivery, as `settle` names them.
pub const OUTCOME_SENT: u8 = 0;
pub const OUTCOME_DELIVERED: u8 = 1;
pub const OUTCOME_RETRY: u8 = 2;
pub const OUTCOME_FAILED: u8 = 3;
pub const OUTCOME_THROTTLED: u8 = 4;
pub const OUTCOME_NOT_ATTEMPTED: u8 = 5;

/// What rests after a throttled outcome.
pub const SCOPE_GATEWAY: u8 = 0;
pub const SCOPE_TENANT: u8 = 1;
pub const SCOPE_SENDER: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettleHead {
    pub id: u32,
    pub subscription: u32,
}

/// One entry of `settle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub delivery: u64,
    /// At most `OUTCOME_NOT_ATTEMPTED`.
    pub outcome: u8,
    /// At most `SCOPE_SENDER`; `SCOPE_GATEWAY` if none was given.
    pub scope: u8,
    pub code: Option<u32>,
    pub retry_after_ms: Option<u64>,
}

/// Decodes a settle frame. `scratch` is cleared, and holds the outcomes in order after an Ok.
pub fn decode_settle(frame: &[u8], scratch: &mut Vec<Outcome>) -> Result<SettleHead, FrameError> {
    scratch.clear();
    Decoder::run(frame, |decoder| {
        let Head { fields, id, .. } = decoder.head_of(KIND_SETTLE)?;
        need(fields, 4, "outcomes")?;
        let subscription = decoder.field("subscription", Reader::uint32)?;
        let count = decoder.entries("outcomes", OUTCOMES_PER_FRAME)?;
        for index in 0..count {
            decoder.index = Some(index as u32);
            scratch.push(outcome(decoder)?);
        }
        decoder.finish(fields, 4)?;
        Ok(SettleHead { id, subscription })
    })
}

#[inline]
fn outcome(decoder: &mut Decoder<'_>) -> Result<Outcome, Fault> {
    let head = decoder.field("outcome", |reader| reader.peek())?;
    if !matches!(head, 0x90..=0x9f | 0xdc | 0xdd) {
        let delivery = decoder.field("delivery", Reader::uint)?;
        let (outcome, scope) = (OUTCOME_SENT, SCOPE_GATEWAY);
        return Ok(Outcome {
            delivery,
            outcome,
            scope,
            code: None,
            retry_after_ms: None,
        });
    }
    let fields = decoder.field("outcome", Reader::array_len)?;
    need(fields, 2, "outcome")?;
    let delivery = decoder.field("delivery", Reader::uint)?;
    let outcome = decoder.field("outcome", |reader| at_most(reader, OUTCOME_NOT_ATTEMPTED))?;
    let code = decoder.optional(fields, 3, "code", Reader::uint32)?;
    let retry_after_ms = decoder.optional(fields, 4, "retryAfterMs", Reader::uint)?;
    let scope = decoder.optional(fields, 5, "scope", |reader| at_most(reader, SCOPE_SENDER))?;
    decoder.skip_further(fields, 5)?;
    let scope = scope.unwrap_or(SCOPE_GATEWAY);
    Ok(Outcome {
        delivery,
        outcome,
        scope,
        code,
        retry_after_ms,
    })
}
