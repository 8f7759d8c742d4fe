//! Decoders of client frames (kinds 1–7, 10–12 and 20), each written for its one schema.
//!
//! They borrow from the frame and fill a scratch vector that the caller keeps, so that no message
//! costs an allocation. Fields and frames may be longer than the schema: what is not known is
//! skipped, but for publish options. A fault anywhere refuses the whole frame; its message is
//! built only then.

mod decoder;
mod fault;
mod gate;
mod ids;
mod options;
mod publish;
mod settle;
mod subscription;
mod usage;

use decoder::Decoder;

pub use fault::FrameError;
pub use gate::{AcquireItem, ReleaseItem, RenewHead, decode_acquire, decode_release, decode_renew};
pub use ids::{
    RECEIPT_DELIVERED, RECEIPT_FAILED, RECEIPT_UNDELIVERED, Receipt, decode_ids, decode_receipt,
};
pub use options::PublishOptions;
pub use publish::{PublishHead, PublishItem, append_body, decode_publish};
pub use settle::{
    OUTCOME_DELIVERED, OUTCOME_FAILED, OUTCOME_NOT_ATTEMPTED, OUTCOME_RETRY, OUTCOME_SENT,
    OUTCOME_THROTTLED, Outcome, SCOPE_GATEWAY, SCOPE_SENDER, SCOPE_TENANT, SettleHead,
    decode_settle,
};
pub use subscription::{Credit, Subscribe, decode_credit, decode_subscribe};
pub use usage::{UseItem, decode_use};

pub const KIND_PUBLISH: u32 = 1;
pub const KIND_SUBSCRIBE: u32 = 2;
pub const KIND_CREDIT: u32 = 3;
pub const KIND_SETTLE: u32 = 4;
pub const KIND_RECEIPT: u32 = 5;
pub const KIND_CANCEL: u32 = 6;
pub const KIND_STATUS: u32 = 7;
pub const KIND_ACQUIRE: u32 = 10;
pub const KIND_RELEASE: u32 = 11;
pub const KIND_RENEW: u32 = 12;
pub const KIND_USE: u32 = 20;

/// Kind and request id of any client frame; the rest is not looked at.
pub fn frame_kind_and_id(frame: &[u8]) -> Result<(u32, u32), FrameError> {
    Decoder::run(frame, |decoder| {
        decoder.head().map(|head| (head.kind, head.id))
    })
}
