//! Prices of usage, exact: whole nano-units (1e-9) of the one currency, and lists of them by time.

use super::calendar::DAY_MS;
use crate::limits::PRICE_STEPS;
use crate::msgpack::Reader;

/// Nano-units of one unit of currency.
pub const NANO: i128 = 1_000_000_000;
const NANO_DIGITS: usize = 9;

/// What a price is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PriceBy {
    Count = 0,
    Usage = 1,
}

/// From this time on, one of what is counted costs so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceStep {
    pub from_ms: u64,
    pub nano: i64,
}

/// The prices of a category by the time of the event, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceList {
    by: PriceBy,
    steps: Box<[PriceStep]>,
}

impl PriceList {
    /// None if the steps do not ascend, or there are more than `PRICE_STEPS`.
    pub fn new(by: PriceBy, steps: Vec<PriceStep>) -> Option<Self> {
        let ascends = steps
            .windows(2)
            .all(|pair| pair[0].from_ms < pair[1].from_ms);
        (ascends && steps.len() <= PRICE_STEPS).then(|| Self {
            by,
            steps: steps.into(),
        })
    }

    /// From msgpack `[by uint (0 count, 1 usage), [[fromMs uint, nano int]…]]`.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let list = Self::read(&mut reader)?;
        reader.end().ok()?;
        Some(list)
    }

    /// As `decode`, with more to follow.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if reader.array_len().ok()? != 2 {
            return None;
        }
        let by = match reader.uint().ok()? {
            0 => PriceBy::Count,
            1 => PriceBy::Usage,
            _ => return None,
        };
        let mut steps = Vec::new();
        for _ in 0..reader.array_len().ok()? {
            if reader.array_len().ok()? != 2 {
                return None;
            }
            let (from_ms, nano) = (reader.uint().ok()?, reader.int().ok()?);
            steps.push(PriceStep { from_ms, nano });
        }
        Self::new(by, steps)
    }

    pub const fn by(&self) -> PriceBy {
        self.by
    }

    pub fn steps(&self) -> &[PriceStep] {
        &self.steps
    }

    /// The price of one at a time; 0 before the first step.
    pub fn nano_at(&self, at_ms: u64) -> i64 {
        let after = self.steps.partition_point(|step| step.from_ms <= at_ms);
        after.checked_sub(1).map_or(0, |at| self.steps[at].nano)
    }

    /// What an event of that count and usage costs, nano-units; saturates.
    pub fn amount(&self, at_ms: u64, count: i64, usage: i128) -> i128 {
        let of = match self.by {
            PriceBy::Count => i128::from(count),
            PriceBy::Usage => usage,
        };
        of.saturating_mul(self.nano_at(at_ms).into())
    }

    /// Whether one price holds for the whole UTC day.
    pub fn is_same_all_day(&self, day: u32) -> bool {
        let start = u64::from(day) * DAY_MS;
        let changes = |step: &PriceStep| start < step.from_ms && step.from_ms < start + DAY_MS;
        !self.steps.iter().any(changes)
    }
}

/// Nano-units as decimal text with nine digits: `-1.234500000`.
pub fn nano_text(nano: i128) -> String {
    let (whole, part) = (
        nano.unsigned_abs() / NANO as u128,
        nano.unsigned_abs() % NANO as u128,
    );
    let sign = if nano < 0 { "-" } else { "" };
    format!("{sign}{whole}.{part:09}")
}

/// The nano-units that decimal text says exactly: an optional sign, digits, at most nine of them
/// behind one point. None for anything else, and for what does not fit.
pub fn nano_of_text(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, part) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[][..]),
    };
    if whole.is_empty() || part.len() > NANO_DIGITS || (point.is_some() && part.is_empty()) {
        return None;
    }
    let zeros = std::iter::repeat_n(&b'0', NANO_DIGITS - part.len());
    // Downwards, so that the lowest number can be read, too.
    let below_zero = whole
        .iter()
        .chain(part)
        .chain(zeros)
        .try_fold(0_i128, |value, byte| {
            let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
            value.checked_mul(10)?.checked_sub(digit)
        })?;
    if negative {
        Some(below_zero)
    } else {
        below_zero.checked_neg()
    }
}
