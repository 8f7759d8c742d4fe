//! A question for records: what it asks, how far it is, and the rows it has.
//!
//! It goes through accounts in order of their names. Of an account it finds the counters (in memory
//! where category and tag are given, otherwise in the store), then reads them, then makes rows. A step
//! does a part of it that is bounded; what is dirty is added where it is read, so a row is right as of
//! the step that read it.

use super::calendar::{Period, PeriodKind};
use super::reading::{Reading, Total};
use super::records::{Cursor, Row, write_row};
use crate::exchange::{UsagePeriod, UsageRecords, UsageTags};
use crate::limits::USAGE_ITEMS;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Category and tag.
pub(super) type Names = (Box<[u8]>, Box<[u8]>);

pub(super) enum Tags {
    None,
    All,
    One(Box<[u8]>),
}

/// The counters of one account, being looked up in the store.
pub(super) struct Listing {
    pub account: u32,
    /// The account, with its sub-accounts if they were asked for.
    pub family: Vec<u32>,
    /// Of these: listed, and wanted in this step.
    pub listed: usize,
    pub wanted: usize,
    /// The first ones, as many as rows fit.
    pub names: BTreeSet<Names>,
    pub has_more: bool,
}

/// Where a question stands among the accounts.
pub(super) enum Accounts {
    One(Option<u32>),
    /// Those after this name; none: from the first on.
    After(Option<Box<[u8]>>),
}

pub(super) struct Question {
    pub request: u32,
    pub category: Option<Box<[u8]>>,
    pub tags: Tags,
    pub period: UsagePeriod,
    from_day: Option<u32>,
    to_day: Option<u32>,
    pub sub_accounts: bool,
    pub limit: usize,
    pub accounts: Accounts,
    /// Rows up to it were told before.
    pub cursor: Option<Cursor>,
    pub listing: Option<Listing>,
    /// Counters of one account, to be read.
    pub names: VecDeque<Names>,
    pub names_of: (u32, Vec<u32>),
    pub names_have_more: bool,
    pub readings: VecDeque<(u32, Reading)>,
    pub rows: String,
    pub row_count: usize,
    /// The last row that was written, or the last counter that was looked at.
    pub last: Option<Cursor>,
    pub is_full: bool,
}

impl Question {
    pub fn new(
        request: u32,
        asked: &UsageRecords<'_>,
        accounts: Accounts,
        cursor: Option<Cursor>,
    ) -> Self {
        Self {
            request,
            category: asked.category.map(|name| name.as_bytes().into()),
            tags: match asked.tags {
                UsageTags::None => Tags::None,
                UsageTags::All => Tags::All,
                UsageTags::One(tag) => Tags::One(tag.as_bytes().into()),
            },
            period: asked.period,
            from_day: asked.from_day,
            to_day: asked.to_day,
            sub_accounts: asked.sub_accounts,
            limit: (asked.limit as usize).clamp(1, USAGE_ITEMS),
            accounts,
            cursor,
            listing: None,
            names: VecDeque::new(),
            names_of: (0, Vec::new()),
            names_have_more: false,
            readings: VecDeque::new(),
            rows: String::new(),
            row_count: 0,
            last: None,
            is_full: false,
        }
    }

    /// Whether rows are of all time, not of days.
    pub fn is_of_all_time(&self) -> bool {
        match self.period {
            UsagePeriod::AllTime => true,
            UsagePeriod::Total => self.from_day.is_none() && self.to_day.is_none(),
            _ => false,
        }
    }

    pub fn range(&self) -> Option<(u32, u32)> {
        let range = (
            self.from_day.unwrap_or(0),
            self.to_day.unwrap_or(u32::MAX - 1),
        );
        (!self.is_of_all_time()).then_some(range)
    }

    /// Category and tag, if there is but one counter of an account that fits.
    pub fn only(&self) -> Option<Names> {
        let tag: Box<[u8]> = match &self.tags {
            Tags::None => Box::default(),
            Tags::All => return None,
            Tags::One(tag) => tag.clone(),
        };
        self.category.clone().map(|category| (category, tag))
    }

    pub fn fits(&self, category: &[u8], tag: &[u8]) -> bool {
        let fits = match &self.tags {
            Tags::None => tag.is_empty(),
            Tags::All => true,
            Tags::One(one) => **one == *tag,
        };
        fits && self.category.as_deref().is_none_or(|one| one == category)
    }

    /// Writes the rows of a counter that was read.
    pub fn write_rows(&mut self, account: &[u8], reading: &Reading) {
        let after = self
            .cursor
            .as_ref()
            .and_then(|cursor| cursor.period_of(account, &reading.category, &reading.tag));
        for (period, total) in self.periods(reading) {
            if after.is_some_and(|after| period <= after) {
                continue;
            }
            if self.row_count == self.limit {
                self.is_full = true;
                return;
            }
            let row = Row {
                account,
                category: &reading.category,
                tag: &reading.tag,
                days: total.days.unwrap_or_default(),
                sums: total.sums,
            };
            write_row(&mut self.rows, &row, self.row_count > 0);
            self.row_count += 1;
            self.last = Some(Cursor::at(account, &reading.category, &reading.tag, period));
        }
    }

    /// Sums by the first day of their period, with the days that are theirs.
    fn periods(&self, reading: &Reading) -> BTreeMap<u32, Total> {
        let mut periods = BTreeMap::new();
        if self.is_of_all_time() {
            if reading.total.days.is_some() {
                periods.insert(0, reading.total);
            }
            return periods;
        }
        let kind = match self.period {
            UsagePeriod::Day => PeriodKind::Day,
            UsagePeriod::Month => PeriodKind::Month,
            UsagePeriod::Year => PeriodKind::Year,
            UsagePeriod::Total | UsagePeriod::AllTime => PeriodKind::AllTime,
        };
        for (&day, sums) in &reading.days {
            let period = Period::of_day(kind, day);
            let (first, last) = match kind {
                PeriodKind::AllTime => (self.from_day.unwrap_or(day), self.to_day.unwrap_or(day)),
                _ => (
                    period.first_day().max(self.from_day.unwrap_or(0)),
                    period.last_day().min(self.to_day.unwrap_or(u32::MAX)),
                ),
            };
            let total: &mut Total = periods.entry(period.first_day()).or_default();
            total.add(sums, (first, last));
        }
        periods
    }

    /// Counters of the listed account are to be read.
    pub fn take_names(&mut self, listing: Listing) {
        self.names = listing.names.into_iter().collect();
        self.names_of = (listing.account, listing.family);
        self.names_have_more = listing.has_more;
    }
}

impl Listing {
    pub fn new(account: u32, family: Vec<u32>) -> Self {
        Self {
            account,
            family,
            listed: 0,
            wanted: 0,
            names: BTreeSet::new(),
            has_more: false,
        }
    }

    pub fn is_done(&self) -> bool {
        self.listed == self.family.len()
    }

    /// Keeps the first `limit` and one.
    pub fn add(&mut self, category: &[u8], tag: &[u8], limit: usize) {
        self.names.insert((category.into(), tag.into()));
        if self.names.len() > limit + 1 {
            self.names.pop_last();
            self.has_more = true;
        }
    }
}
