//! LEB128 numbers of up to 64 bits, plain and zigzag, and zigzag of 128, with checked reads.

#[inline]
pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The difference of two keys, short when they are near each other in either direction.
pub(super) fn write_delta(out: &mut Vec<u8>, from: u64, to: u64) {
    write_zigzag(out, to.wrapping_sub(from).cast_signed());
}

/// A signed number, short when it is near 0.
#[inline]
pub(super) fn write_zigzag(out: &mut Vec<u8>, value: i64) {
    write_varint(out, (value << 1 ^ value >> 63).cast_unsigned());
}

/// The same of 128 bits.
pub(super) fn write_wide_zigzag(out: &mut Vec<u8>, value: i128) {
    if let Ok(value) = i64::try_from(value) {
        return write_zigzag(out, value);
    }
    let mut rest = (value << 1 ^ value >> 127).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Reads numbers one after another; none when the bytes end or hold no number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Varints<'a> {
    rest: &'a [u8],
}

impl<'a> Varints<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What was not yet read.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn u16_le(&mut self) -> Option<u16> {
        self.take(2)
            .map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u64_le(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        u32::try_from(self.u64()?).ok()
    }

    pub(super) fn delta(&mut self, from: u64) -> Option<u64> {
        Some(from.wrapping_add(self.zigzag()?.cast_unsigned()))
    }

    pub(super) fn zigzag(&mut self) -> Option<i64> {
        let zigzag = self.u64()?;
        Some((zigzag >> 1 ^ (zigzag & 1).wrapping_neg()).cast_signed())
    }

    pub(super) fn wide_zigzag(&mut self) -> Option<i128> {
        let mut zigzag = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if shift == 126 && bits > 3 {
                return None;
            }
            zigzag |= bits << shift;
            if byte < 0x80 {
                return Some((zigzag >> 1 ^ (zigzag & 1).wrapping_neg()).cast_signed());
            }
        }
        None
    }
}
