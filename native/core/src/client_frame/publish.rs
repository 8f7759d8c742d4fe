//! Publish, kind 1.

use super::decoder::{Decoder, Head, need};
use super::fault::Fault;
use super::{FrameError, KIND_PUBLISH, PublishOptions};
use crate::error::Code;
use crate::limits::{MESSAGES_PER_FRAME, PAYLOAD_BYTES};
use crate::msgpack::{Reader, write_bin_header, write_str_header};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishHead<'a> {
    pub id: u32,
    pub destination: &'a str,
}

/// Where one message lies in its publish frame: positions, valid for that frame only.
///
/// A name ends where the next value begins, so its position follows from its length; 0 is nil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishItem {
    tenant_at: u32,
    sender_at: u32,
    recipient_at: u32,
    payload_header_at: u32,
    payload_at: u32,
    end: u32,
    /// Where the map of options begins; 0 if there are none.
    options_at: u32,
    tenant_bytes: u8,
    sender_bytes: u8,
    recipient_bytes: u8,
    payload_is_bin: bool,
}

impl PublishItem {
    #[inline]
    pub fn tenant<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        name_before(frame, self.sender_at, self.tenant_bytes)
    }

    #[inline]
    pub fn sender<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        name_before(frame, self.recipient_at, self.sender_bytes)
    }

    #[inline]
    pub fn recipient<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        name_before(frame, self.payload_header_at, self.recipient_bytes)
    }

    #[inline]
    pub fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[self.payload_at as usize..self.end as usize]
    }

    /// False: it came as a str, and is stored as a bin.
    #[inline]
    pub fn payload_is_bin(&self) -> bool {
        self.payload_is_bin
    }

    /// Whether the stored body is a part of the frame as it stands.
    #[inline]
    pub fn body_copyable(&self) -> bool {
        self.payload_is_bin && self.tenant_bytes > 0
    }

    /// Whether the message has an option that is not as if absent.
    #[inline]
    pub fn has_options(&self) -> bool {
        self.options_at > 0
    }

    /// The options, read again from the frame that the message was decoded from.
    pub fn options<'a>(&self, frame: &'a [u8]) -> PublishOptions<'a> {
        if !self.has_options() {
            return PublishOptions::NONE;
        }
        let map = &frame[self.options_at as usize..];
        Decoder::run(map, Decoder::read_options).expect("checked when the frame was decoded")
    }

    /// Bytes that `append_body` adds at most: exact if the body is copyable, else a few more.
    #[inline]
    pub fn body_bytes_max(&self, default_tenant: &[u8]) -> usize {
        let as_it_stands = (self.end - self.tenant_at) as usize;
        if self.body_copyable() {
            as_it_stands
        } else {
            as_it_stands + default_tenant.len() + 4
        }
    }
}

#[inline]
fn name_before(frame: &[u8], end: u32, bytes: u8) -> Option<&[u8]> {
    (bytes > 0).then(|| &frame[end as usize - usize::from(bytes)..end as usize])
}

/// Appends the message's body as records and deliveries hold it: tenant str · sender str|nil ·
/// recipient str|nil · payload bin. A nil tenant becomes `default_tenant`, a str payload a bin; the
/// rest is copied as it stands, also headers longer than needed.
#[inline]
pub fn append_body(frame: &[u8], item: &PublishItem, default_tenant: &[u8], out: &mut Vec<u8>) {
    if item.body_copyable() {
        out.extend_from_slice(&frame[item.tenant_at as usize..item.end as usize]);
        return;
    }
    if let Some(tenant) = item.tenant(frame) {
        write_str_header(out, tenant.len());
        out.extend_from_slice(tenant);
    } else {
        debug_assert!(
            !default_tenant.is_empty(),
            "a message without a tenant is refused"
        );
        write_str_header(out, default_tenant.len());
        out.extend_from_slice(default_tenant);
    }
    if item.payload_is_bin {
        out.extend_from_slice(&frame[item.sender_at as usize..item.end as usize]);
    } else {
        out.extend_from_slice(&frame[item.sender_at as usize..item.payload_header_at as usize]);
        write_bin_header(out, (item.end - item.payload_at) as usize);
        out.extend_from_slice(item.payload(frame));
    }
}

/// Decodes a publish frame. `scratch` is cleared, and holds the messages in order after an Ok.
pub fn decode_publish<'a>(
    frame: &'a [u8],
    scratch: &mut Vec<PublishItem>,
) -> Result<PublishHead<'a>, FrameError> {
    scratch.clear();
    Decoder::run(frame, |decoder| {
        let Head { fields, id, .. } = decoder.head_of(KIND_PUBLISH)?;
        need(fields, 3, "destination")?;
        let destination = decoder.destination()?;
        need(fields, 4, "messages")?;
        let count = decoder.entries("messages", MESSAGES_PER_FRAME)?;
        for index in 0..count {
            decoder.index = Some(index as u32);
            scratch.push(decoder.message()?);
        }
        decoder.finish(fields, 4)?;
        Ok(PublishHead { id, destination })
    })
}

impl Decoder<'_> {
    #[inline]
    fn message(&mut self) -> Result<PublishItem, Fault> {
        let fields = self.field("message", Reader::array_len)?;
        need(fields, 4, "payload")?;
        let tenant_at = self.reader.position();
        let tenant_bytes = self.optional_name("tenant")?;
        let sender_at = self.reader.position();
        let sender_bytes = self.optional_name("sender")?;
        let recipient_at = self.reader.position();
        let recipient_bytes = self.optional_name("recipient")?;
        let payload_header_at = self.reader.position();
        let payload = self.field("payload", Reader::bin_or_str)?;
        if payload.bytes.len() > PAYLOAD_BYTES {
            let at = payload_header_at;
            return Err(Fault {
                code: Code::PayloadTooLarge,
                field: "payload",
                at,
            });
        }
        let end = self.reader.position();
        let options_at = if fields > 4 {
            self.options_and_further(fields)?
        } else {
            0
        };
        Ok(PublishItem {
            tenant_at: tenant_at as u32,
            sender_at: sender_at as u32,
            recipient_at: recipient_at as u32,
            payload_header_at: payload_header_at as u32,
            payload_at: (end - payload.bytes.len()) as u32,
            end: end as u32,
            options_at,
            tenant_bytes,
            sender_bytes,
            recipient_bytes,
            payload_is_bin: payload.is_bin,
        })
    }

    /// Length of a name, 0 for nil.
    #[inline]
    fn optional_name(&mut self, field: &'static str) -> Result<u8, Fault> {
        self.field(field, |reader| {
            if reader.nil()? {
                Ok(0)
            } else {
                reader.name().map(|name| name.len() as u8)
            }
        })
    }

    /// Where the options begin, 0 if there are none; passes over what follows them.
    fn options_and_further(&mut self, fields: usize) -> Result<u32, Fault> {
        let at = self.reader.position() as u32;
        let any = self.options()?;
        self.skip_further(fields, 5)?;
        Ok(if any { at } else { 0 })
    }
}
