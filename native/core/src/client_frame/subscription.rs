//! Subscribe and credit, kinds 2 and 3.

use super::decoder::{Decoder, Head, need};
use super::{FrameError, KIND_CREDIT, KIND_SUBSCRIBE};
use crate::msgpack::Reader;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    pub id: u32,
    pub subscription: u32,
    pub destination: &'a str,
    pub credit: u32,
    /// The gateway it belongs to.
    pub gateway: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    pub id: u32,
    pub subscription: u32,
    pub add: u32,
}

pub fn decode_subscribe(frame: &[u8]) -> Result<Subscribe<'_>, FrameError> {
    Decoder::run(frame, |decoder| {
        let Head { fields, id, .. } = decoder.head_of(KIND_SUBSCRIBE)?;
        need(fields, 5, "credit")?;
        let subscription = decoder.field("subscription", Reader::uint32)?;
        let destination = decoder.destination()?;
        let credit = decoder.field("credit", Reader::uint32)?;
        let gateway = decoder.gateway(fields, 6)?;
        decoder.finish(fields, fields.min(6))?;
        Ok(Subscribe {
            id,
            subscription,
            destination,
            credit,
            gateway,
        })
    })
}

pub fn decode_credit(frame: &[u8]) -> Result<Credit, FrameError> {
    Decoder::run(frame, |decoder| {
        let Head { fields, id, .. } = decoder.head_of(KIND_CREDIT)?;
        need(fields, 4, "add")?;
        let subscription = decoder.field("subscription", Reader::uint32)?;
        let add = decoder.field("add", Reader::uint32)?;
        decoder.finish(fields, 4)?;
        Ok(Credit {
            id,
            subscription,
            add,
        })
    })
}
