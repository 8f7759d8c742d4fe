//! Prices of usage, exact: whole nano-units (1e-9) of the one currency, and lists of them by time.

use crate::limits::PRICE_STEPS;
use crate::msgpack::Reader;

/// Nano-units of one unit of currency.
pub const NANO: i128 = 1_000_000_000;

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
