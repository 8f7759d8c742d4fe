//! Decoders of client frames (kinds 1–4), each written for its one schema.
//!
//! They borrow from the frame and fill a scratch vector that the caller keeps, so that no message
//! costs an allocation. Fields and frames may be longer than the schema: what is not known is
//! skipped. A fault anywhere refuses the whole frame; its message is built only then.

use crate::error::Code;
use crate::limits::{FRAME_BYTES, MESSAGES_PER_FRAME, OUTCOMES_PER_FRAME, PAYLOAD_BYTES};
use crate::msgpack::{Reader, type_name, write_bin_header, write_str_header};

pub const KIND_PUBLISH: u32 = 1;
pub const KIND_SUBSCRIBE: u32 = 2;
pub const KIND_CREDIT: u32 = 3;
pub const KIND_SETTLE: u32 = 4;

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

/// Why a whole frame is refused: becomes an `error` frame (`daemon_frame::write_frame_error`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    pub code: Code,
    /// Request id, 0 if the frame is damaged before it.
    pub id: u32,
    /// Position of the message or outcome at fault.
    pub index: Option<u32>,
    /// The publish option at fault.
    pub key: Option<String>,
    /// What, why, and what was received.
    pub message: String,
}

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
    tenant_bytes: u8,
    sender_bytes: u8,
    recipient_bytes: u8,
    payload_is_bin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    pub id: u32,
    pub subscription: u32,
    pub destination: &'a str,
    pub credit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    pub id: u32,
    pub subscription: u32,
    pub add: u32,
}

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

/// Kind and request id of any client frame; the rest is not looked at.
pub fn frame_kind_and_id(frame: &[u8]) -> Result<(u32, u32), FrameError> {
    let mut decoder = Decoder::new(frame);
    decoder
        .head()
        .map(|head| (head.kind, head.id))
        .map_err(|fault| decoder.explain(fault))
}

/// Decodes a publish frame. `scratch` is cleared, and holds the messages in order after an Ok.
pub fn decode_publish<'a>(
    frame: &'a [u8],
    scratch: &mut Vec<PublishItem>,
) -> Result<PublishHead<'a>, FrameError> {
    let mut decoder = Decoder::new(frame);
    decoder
        .publish(scratch)
        .map_err(|fault| decoder.explain(fault))
}

pub fn decode_subscribe(frame: &[u8]) -> Result<Subscribe<'_>, FrameError> {
    let mut decoder = Decoder::new(frame);
    decoder.subscribe().map_err(|fault| decoder.explain(fault))
}

pub fn decode_credit(frame: &[u8]) -> Result<Credit, FrameError> {
    let mut decoder = Decoder::new(frame);
    decoder.credit().map_err(|fault| decoder.explain(fault))
}

/// Decodes a settle frame. `scratch` is cleared, and holds the outcomes in order after an Ok.
pub fn decode_settle(frame: &[u8], scratch: &mut Vec<Outcome>) -> Result<SettleHead, FrameError> {
    let mut decoder = Decoder::new(frame);
    decoder
        .settle(scratch)
        .map_err(|fault| decoder.explain(fault))
}

/// A fault before it is put into words: small, so that the hot path returns it cheaply.
#[derive(Clone, Copy, Debug)]
struct Fault {
    code: Code,
    field: &'static str,
    /// Where the value at fault begins; `MISSING` if its array ends before it.
    at: usize,
}

const MISSING: usize = usize::MAX;

struct Head {
    fields: usize,
    kind: u32,
    id: u32,
}

struct Decoder<'a> {
    frame: &'a [u8],
    reader: Reader<'a>,
    id: u32,
    index: Option<u32>,
}

impl<'a> Decoder<'a> {
    fn new(frame: &'a [u8]) -> Self {
        Self {
            frame,
            reader: Reader::new(frame),
            id: 0,
            index: None,
        }
    }

    /// Reads one value; a fault gets the field's name and place.
    #[inline]
    fn field<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, Code>,
    ) -> Result<T, Fault> {
        let at = self.reader.position();
        read(&mut self.reader).map_err(|code| Fault { code, field, at })
    }

    fn head(&mut self) -> Result<Head, Fault> {
        if self.frame.len() > FRAME_BYTES {
            return Err(Fault {
                code: Code::FrameTooLarge,
                field: "frame",
                at: 0,
            });
        }
        let fields = self.field("frame", Reader::array_len)?;
        need(fields, 1, "kind")?;
        let kind = self.field("kind", Reader::uint32)?;
        need(fields, 2, "id")?;
        self.id = self.field("id", Reader::uint32)?;
        Ok(Head {
            fields,
            kind,
            id: self.id,
        })
    }

    fn head_of(&mut self, kind: u32) -> Result<Head, Fault> {
        let head = self.head()?;
        if head.kind != kind {
            return Err(Fault {
                code: Code::UnknownKind,
                field: "kind",
                at: 0,
            });
        }
        Ok(head)
    }

    fn destination(&mut self) -> Result<&'a str, Fault> {
        let at = self.reader.position();
        let name = self.field("destination", Reader::name)?;
        // A name is ASCII, so this cannot fail.
        std::str::from_utf8(name).map_err(|_| Fault {
            code: Code::InvalidName,
            field: "destination",
            at,
        })
    }

    /// Skips the fields that this version does not know, up to the frame's end.
    fn finish(&mut self, fields: usize, known: usize) -> Result<(), Fault> {
        self.index = None;
        for _ in known..fields {
            self.field("further field", Reader::skip)?;
        }
        self.field("end of frame", |reader| reader.end())
    }

    fn publish(&mut self, items: &mut Vec<PublishItem>) -> Result<PublishHead<'a>, Fault> {
        items.clear();
        let Head { fields, id, .. } = self.head_of(KIND_PUBLISH)?;
        need(fields, 3, "destination")?;
        let destination = self.destination()?;
        need(fields, 4, "messages")?;
        let count = self.entries("messages", MESSAGES_PER_FRAME)?;
        for index in 0..count {
            self.index = Some(index as u32);
            items.push(self.message()?);
        }
        self.finish(fields, 4)?;
        Ok(PublishHead { id, destination })
    }

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
        if fields > 4 {
            self.options(fields)?;
        }
        Ok(PublishItem {
            tenant_at: tenant_at as u32,
            sender_at: sender_at as u32,
            recipient_at: recipient_at as u32,
            payload_header_at: payload_header_at as u32,
            payload_at: (end - payload.bytes.len()) as u32,
            end: end as u32,
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

    /// The options and what follows them: nothing of it is supported yet but its absence.
    fn options(&mut self, fields: usize) -> Result<(), Fault> {
        let is_nil = self.field("options", Reader::nil)?;
        if !is_nil && self.field("options", Reader::map_len)? > 0 {
            let at = self.reader.position();
            self.field("option", Reader::str)?;
            return Err(Fault {
                code: Code::NotYetSupported,
                field: "option",
                at,
            });
        }
        for _ in 5..fields {
            self.field("further field", Reader::skip)?;
        }
        Ok(())
    }

    fn subscribe(&mut self) -> Result<Subscribe<'a>, Fault> {
        let Head { fields, id, .. } = self.head_of(KIND_SUBSCRIBE)?;
        need(fields, 5, "credit")?;
        let subscription = self.field("subscription", Reader::uint32)?;
        let destination = self.destination()?;
        let credit = self.field("credit", Reader::uint32)?;
        self.finish(fields, 5)?;
        Ok(Subscribe {
            id,
            subscription,
            destination,
            credit,
        })
    }

    fn credit(&mut self) -> Result<Credit, Fault> {
        let Head { fields, id, .. } = self.head_of(KIND_CREDIT)?;
        need(fields, 4, "add")?;
        let subscription = self.field("subscription", Reader::uint32)?;
        let add = self.field("add", Reader::uint32)?;
        self.finish(fields, 4)?;
        Ok(Credit {
            id,
            subscription,
            add,
        })
    }

    fn settle(&mut self, outcomes: &mut Vec<Outcome>) -> Result<SettleHead, Fault> {
        outcomes.clear();
        let Head { fields, id, .. } = self.head_of(KIND_SETTLE)?;
        need(fields, 4, "outcomes")?;
        let subscription = self.field("subscription", Reader::uint32)?;
        let count = self.entries("outcomes", OUTCOMES_PER_FRAME)?;
        for index in 0..count {
            self.index = Some(index as u32);
            outcomes.push(self.outcome()?);
        }
        self.finish(fields, 4)?;
        Ok(SettleHead { id, subscription })
    }

    #[inline]
    fn outcome(&mut self) -> Result<Outcome, Fault> {
        let head = self.field("outcome", |reader| reader.peek())?;
        if !matches!(head, 0x90..=0x9f | 0xdc | 0xdd) {
            let delivery = self.field("delivery", Reader::uint)?;
            let (outcome, scope) = (OUTCOME_SENT, SCOPE_GATEWAY);
            return Ok(Outcome {
                delivery,
                outcome,
                scope,
                code: None,
                retry_after_ms: None,
            });
        }
        let fields = self.field("outcome", Reader::array_len)?;
        need(fields, 2, "outcome")?;
        let delivery = self.field("delivery", Reader::uint)?;
        let outcome = self.field("outcome", |reader| at_most(reader, OUTCOME_NOT_ATTEMPTED))?;
        let code = self.optional(fields, 3, "code", Reader::uint32)?;
        let retry_after_ms = self.optional(fields, 4, "retryAfterMs", Reader::uint)?;
        let scope = self.optional(fields, 5, "scope", |reader| at_most(reader, SCOPE_SENDER))?;
        for _ in 5..fields {
            self.field("further field", Reader::skip)?;
        }
        let scope = scope.unwrap_or(SCOPE_GATEWAY);
        Ok(Outcome {
            delivery,
            outcome,
            scope,
            code,
            retry_after_ms,
        })
    }

    /// The `position`-th value of an array of `fields`: none if the array ends before it or it is nil.
    #[inline]
    fn optional<T>(
        &mut self,
        fields: usize,
        position: usize,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, Code>,
    ) -> Result<Option<T>, Fault> {
        if fields < position {
            return Ok(None);
        }
        self.field(field, |reader| {
            if reader.nil()? {
                Ok(None)
            } else {
                read(reader).map(Some)
            }
        })
    }

    /// Length of a list, checked against its limit.
    fn entries(&mut self, field: &'static str, max: usize) -> Result<usize, Fault> {
        let at = self.reader.position();
        let count = self.field(field, Reader::array_len)?;
        if count > max {
            return Err(Fault {
                code: Code::TooManyMessages,
                field,
                at,
            });
        }
        Ok(count)
    }

    #[cold]
    #[inline(never)]
    fn explain(&self, fault: Fault) -> FrameError {
        let Fault { code, field, at } = fault;
        let rest = self.frame.get(at..).unwrap_or_default();
        let text = Reader::new(rest)
            .bin_or_str()
            .map(|blob| blob.bytes)
            .unwrap_or_default();
        let received = String::from_utf8_lossy(&text[..text.len().min(160)]).into_owned();
        let mut key = None;
        let what = match code {
            Code::MalformedFrame => {
                format!(
                    "{field}: the bytes end or are no msgpack at byte {at} of {}",
                    self.frame.len()
                )
            }
            Code::FrameTooLarge => {
                format!(
                    "a frame has at most {FRAME_BYTES} bytes; received {}",
                    self.frame.len()
                )
            }
            Code::UnknownKind => "the frame is of another kind than its decoder".to_owned(),
            Code::TooManyMessages => {
                let count = Reader::new(rest).array_len().unwrap_or_default();
                format!("{field}: more entries than a frame may hold; received {count}")
            }
            Code::FieldTooLong | Code::PayloadTooLarge => {
                format!(
                    "{field} is longer than its limit; received {} bytes",
                    text.len()
                )
            }
            Code::InvalidName => format!(
                "{field} is empty or has characters outside [A-Za-z0-9._:+@-]; received {received:?}"
            ),
            Code::NotYetSupported => {
                let what = format!("option {received:?} is not supported yet");
                key = Some(received);
                what
            }
            _ if at == MISSING => format!("{field} is missing"),
            _ => {
                let value = rest.first().map_or("nothing", |head| type_name(*head));
                format!("{field} has the wrong type or is out of range; received {value}")
            }
        };
        let message = match self.index {
            Some(index) => format!("entry {index}: {what}"),
            None => what,
        };
        FrameError {
            code,
            id: self.id,
            index: self.index,
            key,
            message,
        }
    }
}

#[inline]
fn need(fields: usize, at_least: usize, field: &'static str) -> Result<(), Fault> {
    if fields < at_least {
        return Err(Fault {
            code: Code::WrongType,
            field,
            at: MISSING,
        });
    }
    Ok(())
}

#[inline]
fn at_most(reader: &mut Reader<'_>, max: u8) -> Result<u8, Code> {
    let value = reader.uint()?;
    if value > u64::from(max) {
        Err(Code::WrongType)
    } else {
        Ok(value as u8)
    }
}
