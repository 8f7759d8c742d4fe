//! The UTC calendar of usage: days since 1970, and the months, years and all time they lie in.
//!
//! Proleptic Gregorian, no leap seconds; pure arithmetic (Howard Hinnant, "chrono-compatible low-level
//! date algorithms").

use std::fmt;

pub const DAY_MS: u64 = 24 * 3_600_000;
/// March first of year 0 to the first day of 1970.
const DAYS_TO_1970: u64 = 719_468;
const DAYS_PER_ERA: u64 = 146_097;

/// How long a sum runs before it begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PeriodKind {
    Day = 1,
    Month = 2,
    Year = 3,
    AllTime = 4,
}

impl PeriodKind {
    pub fn of_number(number: u64) -> Option<Self> {
        [Self::Day, Self::Month, Self::Year, Self::AllTime]
            .into_iter()
            .find(|kind| *kind as u64 == number)
    }
}

/// One day, month or year, or all time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    pub kind: PeriodKind,
    /// Day: days since 1970; month: 12 × year + month − 1; year: the year; all time: 0.
    pub id: u32,
}

impl Period {
    pub fn of_day(kind: PeriodKind, day: u32) -> Self {
        let id = match kind {
            PeriodKind::Day => day,
            PeriodKind::Month => {
                let (year, month, _) = civil_of_day(day);
                year * 12 + month - 1
            }
            PeriodKind::Year => civil_of_day(day).0,
            PeriodKind::AllTime => 0,
        };
        Self { kind, id }
    }

    pub fn of_ms(kind: PeriodKind, at_ms: u64) -> Self {
        Self::of_day(kind, day_of_ms(at_ms))
    }

    pub fn first_day(self) -> u32 {
        match self.kind {
            PeriodKind::Day => self.id,
            PeriodKind::Month => day_of_civil(self.id / 12, self.id % 12 + 1, 1),
            PeriodKind::Year => day_of_civil(self.id, 1, 1),
            PeriodKind::AllTime => 0,
        }
    }

    /// The last day that belongs to it.
    pub fn last_day(self) -> u32 {
        match self.kind {
            PeriodKind::Day => self.id,
            PeriodKind::Month | PeriodKind::Year => {
                let next = Self {
                    id: self.id + 1,
                    ..self
                };
                // Past the end of days the calendar stays there.
                match next.first_day() {
                    u32::MAX => u32::MAX,
                    first => first - 1,
                }
            }
            PeriodKind::AllTime => u32::MAX,
        }
    }

    /// The first millisecond after it; `u64::MAX` for all time.
    pub fn end_ms(self) -> u64 {
        match self.kind {
            PeriodKind::AllTime => u64::MAX,
            _ => (u64::from(self.last_day()) + 1) * DAY_MS,
        }
    }
}

/// `2026-11-22`, `2026-11`, `2026`, `alltime`
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PeriodKind::Day => {
                let (year, month, day) = civil_of_day(self.id);
                write!(f, "{year:04}-{month:02}-{day:02}")
            }
            PeriodKind::Month => write!(f, "{:04}-{:02}", self.id / 12, self.id % 12 + 1),
            PeriodKind::Year => write!(f, "{:04}", self.id),
            PeriodKind::AllTime => f.write_str("alltime"),
        }
    }
}

pub fn day_of_ms(at_ms: u64) -> u32 {
    u32::try_from(at_ms / DAY_MS).unwrap_or(u32::MAX)
}

pub const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Year, month from 1, day of the month from 1.
pub fn civil_of_day(day: u32) -> (u32, u32, u32) {
    let days = u64::from(day) + DAYS_TO_1970;
    let era = days / DAYS_PER_ERA;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March, so that the leap day is the year's last.
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year as u32, month as u32, day_of_month as u32)
}

/// Days since 1970 of a date from 1970 on; the date has to exist.
pub fn day_of_civil(year: u32, month: u32, day: u32) -> u32 {
    let year = u64::from(year) - u64::from(month <= 2);
    let from_march = u64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * from_march + 2) / 5 + u64::from(day) - 1;
    let year_of_era = year % 400;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (year / 400 * DAYS_PER_ERA + day_of_era).saturating_sub(DAYS_TO_1970);
    u32::try_from(days).unwrap_or(u32::MAX)
}

/// `2026-11-22` of a day.
pub fn day_text(day: u32) -> String {
    Period {
        kind: PeriodKind::Day,
        id: day,
    }
    .to_string()
}
