//! What a publisher asked for beside the message itself, as it is stored before the body.

use super::varint::{Varints, write_varint};
use crate::limits::{COST_MAX, LEVEL_MAX};

const COST: u8 = 1;
const LEVEL: u8 = 2;
const AT: u8 = 4;
const EXPIRES: u8 = 8;
const CALLBACK: u8 = 16;
const ORDER_KEY: u8 = 32;
const TAG: u8 = 64;
const KEY_HASH: u8 = 128;

/// Options of one message; those with their defaults are not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageOptions<'a> {
    /// 1 … `COST_MAX`.
    pub cost: u32,
    /// 0 (highest) … `LEVEL_MAX`.
    pub level: u8,
    /// Not before, ms since the epoch; 0: at once.
    pub at_ms: u64,
    /// ms since the epoch; 0: by the destination's validity.
    pub expires_ms: u64,
    /// URL that is told the status; empty: none.
    pub callback: &'a str,
    /// Empty: none; at most 255 bytes.
    pub order_key: &'a [u8],
    /// Empty: none; at most 255 bytes.
    pub tag: &'a [u8],
    /// Hash of the idempotency key.
    pub key_hash: Option<[u8; 16]>,
}

impl Default for MessageOptions<'_> {
    fn default() -> Self {
        Self {
            cost: 1,
            level: 0,
            at_ms: 0,
            expires_ms: 0,
            callback: "",
            order_key: &[],
            tag: &[],
            key_hash: None,
        }
    }
}

impl<'a> MessageOptions<'a> {
    pub fn is_default(&self) -> bool {
        self.mask() == 0
    }

    /// Appends the options as `parse` reads them.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mask = self.mask();
        out.push(mask);
        for (bit, number) in [
            (COST, self.cost.into()),
            (LEVEL, self.level.into()),
            (AT, self.at_ms),
            (EXPIRES, self.expires_ms),
        ] {
            if mask & bit != 0 {
                write_varint(out, number);
            }
        }
        if mask & CALLBACK != 0 {
            write_varint(out, self.callback.len() as u64);
            out.extend_from_slice(self.callback.as_bytes());
        }
        for (bit, name) in [(ORDER_KEY, self.order_key), (TAG, self.tag)] {
            if mask & bit != 0 {
                out.push(u8::try_from(name.len()).expect("a name fits a str8"));
                out.extend_from_slice(name);
            }
        }
        out.extend_from_slice(self.key_hash.as_ref().map_or(&[][..], |hash| hash));
    }

    /// The same behind a u16 of their length.
    pub(super) fn write_with_length(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0, 0]);
        self.write(out);
        let length = u16::try_from(out.len() - start - 2).expect("options fit 64 KiB");
        out[start..start + 2].copy_from_slice(&length.to_le_bytes());
    }

    /// None unless the bytes are exactly what `write` makes of some options.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut varints = Varints::new(bytes);
        let mask = varints.byte()?;
        let mut options = Self::default();
        if mask & COST != 0 {
            options.cost = varints.u32().filter(|cost| *cost <= COST_MAX)?;
        }
        if mask & LEVEL != 0 {
            options.level = varints.byte().filter(|level| *level <= LEVEL_MAX)?;
        }
        if mask & AT != 0 {
            options.at_ms = varints.u64()?;
        }
        if mask & EXPIRES != 0 {
            options.expires_ms = varints.u64()?;
        }
        if mask & CALLBACK != 0 {
            let length = usize::try_from(varints.u64()?).ok()?;
            options.callback = std::str::from_utf8(varints.take(length)?).ok()?;
        }
        if mask & ORDER_KEY != 0 {
            options.order_key = read_name(&mut varints)?;
        }
        if mask & TAG != 0 {
            options.tag = read_name(&mut varints)?;
        }
        if mask & KEY_HASH != 0 {
            options.key_hash = Some(*varints.take(16)?.first_chunk()?);
        }
        (varints.is_empty() && options.mask() == mask).then_some(options)
    }

    /// Which options differ from their defaults.
    fn mask(&self) -> u8 {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        bit(self.cost != 1, COST)
            | bit(self.level != 0, LEVEL)
            | bit(self.at_ms != 0, AT)
            | bit(self.expires_ms != 0, EXPIRES)
            | bit(!self.callback.is_empty(), CALLBACK)
            | bit(!self.order_key.is_empty(), ORDER_KEY)
            | bit(!self.tag.is_empty(), TAG)
            | bit(self.key_hash.is_some(), KEY_HASH)
    }
}

fn read_name<'a>(varints: &mut Varints<'a>) -> Option<&'a [u8]> {
    let length = varints.byte()?;
    varints.take(length.into())
}
