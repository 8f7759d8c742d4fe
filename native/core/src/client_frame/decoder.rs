//! What the decoders of all kinds share: the head, fields by position, lists with a limit.

use super::fault::{Fault, FrameError, MISSING};
use crate::error::Code;
use crate::limits::FRAME_BYTES;
use crate::msgpack::Reader;

/// The first fields of a frame.
pub(super) struct Head {
    /// Values of the frame's array.
    pub fields: usize,
    pub kind: u32,
    pub id: u32,
}

/// Position in a frame, with what a fault there has to say beside its field.
pub(super) struct Decoder<'a> {
    pub frame: &'a [u8],
    pub reader: Reader<'a>,
    /// Request id, 0 until it was read.
    pub id: u32,
    /// Entry of the frame's list that is being read.
    pub index: Option<u32>,
    /// Where the key of the option that is being read begins.
    pub option_at: Option<usize>,
}

impl<'a> Decoder<'a> {
    /// Decodes a frame; a fault is put into words.
    #[inline]
    pub fn run<T>(
        frame: &'a [u8],
        decode: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, FrameError> {
        let mut decoder = Self {
            frame,
            reader: Reader::new(frame),
            id: 0,
            index: None,
            option_at: None,
        };
        decode(&mut decoder).map_err(|fault| decoder.explain(fault))
    }

    /// Reads one value; a fault gets the field's name and place.
    #[inline]
    pub fn field<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, Code>,
    ) -> Result<T, Fault> {
        let at = self.reader.position();
        read(&mut self.reader).map_err(|code| Fault { code, field, at })
    }

    pub fn head(&mut self) -> Result<Head, Fault> {
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

    pub fn head_of(&mut self, kind: u32) -> Result<Head, Fault> {
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

    pub fn destination(&mut self) -> Result<&'a str, Fault> {
        let at = self.reader.position();
        let name = self.field("destination", Reader::name)?;
        // A name is ASCII, so this cannot fail.
        std::str::from_utf8(name).map_err(|_| Fault {
            code: Code::InvalidName,
            field: "destination",
            at,
        })
    }

    /// The name of a gateway, as the `position`-th value of an array of `fields`, if there is one.
    pub fn gateway(&mut self, fields: usize, position: usize) -> Result<Option<&'a str>, Fault> {
        self.optional(fields, position, "gateway", |reader| {
            std::str::from_utf8(reader.name()?).map_err(|_| Code::InvalidName)
        })
    }

    /// Length of a list, checked against its limit.
    pub fn entries(&mut self, field: &'static str, max: usize) -> Result<usize, Fault> {
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

    /// The `position`-th value of an array of `fields`: none if the array ends before it or it is nil.
    #[inline]
    pub fn optional<T>(
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

    /// Skips the values of an array beyond the `known` ones.
    #[inline]
    pub fn skip_further(&mut self, fields: usize, known: usize) -> Result<(), Fault> {
        for _ in known..fields {
            self.field("further field", Reader::skip)?;
        }
        Ok(())
    }

    /// Skips the fields that this version does not know, up to the frame's end.
    pub fn finish(&mut self, fields: usize, known: usize) -> Result<(), Fault> {
        self.index = None;
        self.skip_further(fields, known)?;
        self.field("end of frame", |reader| reader.end())
    }
}

#[inline]
pub(super) fn need(fields: usize, at_least: usize, field: &'static str) -> Result<(), Fault> {
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
pub(super) fn at_most(reader: &mut Reader<'_>, max: u8) -> Result<u8, Code> {
    let value = reader.uint()?;
    if value > u64::from(max) {
        Err(Code::WrongType)
    } else {
        Ok(value as u8)
    }
}
