//! Answers questions for records, a bounded part of them a step.

use super::calendar::day_text;
use super::counters::Kind;
use super::price::nano_text;
use super::question::{Accounts, Listing, Question};
use super::reading::{Budget, Reading, with_counter};
use super::wants::{Answers, Asker};
use super::{Fatal, Usage};
use crate::exchange::{ExchangeError, decode_usage_records};
use crate::limits::{USAGE_READ_DAYS, USAGE_READ_RANGES, USAGE_READS};
use crate::msgpack::check_name;
use crate::record::{Category, Sums, usage_all_time_key, usage_all_time_range};
use std::fmt::Write;

/// Accounts looked at in one step for a question about all of them.
const ACCOUNTS_PER_STEP: usize = 20_000;
/// Accounts whose counters are listed in one step.
const LISTED_PER_STEP: usize = 32;

const WRONG_CURSOR: &str = r#"{"error":"invalidValue","details":{"field":"cursor","reason":"is what the page before gave, received another text"}}"#;

/// One sum that is told.
pub(super) struct Row<'a> {
    pub account: &'a [u8],
    pub category: &'a [u8],
    pub tag: &'a [u8],
    pub days: (u32, u32),
    pub sums: Sums,
}

pub(super) fn write_row(out: &mut String, row: &Row<'_>, has_before: bool) {
    if has_before {
        out.push(',');
    }
    let _ = write!(
        out,
        r#"{{"account":"{}","category":"{}","tag":"#,
        text(row.account),
        text(row.category)
    );
    if row.tag.is_empty() {
        out.push_str("null");
    } else {
        let _ = write!(out, r#""{}""#, text(row.tag));
    }
    let _ = write!(
        out,
        r#","from":"{}","to":"{}","count":{},"usage":{},"price":"{}"}}"#,
        day_text(row.days.0),
        day_text(row.days.1),
        Whole(row.sums.count.into()),
        Whole(row.sums.usage),
        nano_text(row.sums.price)
    );
}

/// A whole number in JSON: as text where a double would not hold it exactly.
struct Whole(i128);

impl std::fmt::Display for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.unsigned_abs() < 1 << 53 {
            write!(f, "{}", self.0)
        } else {
            write!(f, r#""{}""#, self.0)
        }
    }
}

/// Names are ASCII without quotes.
fn text(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}

/// `account/category/tag/period`; no name holds a slash. The period is its first day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cursor {
    pub account: Box<[u8]>,
    category: Box<[u8]>,
    tag: Box<[u8]>,
    period: u32,
}

impl Cursor {
    pub fn at(account: &[u8], category: &[u8], tag: &[u8], period: u32) -> Self {
        Self {
            account: account.into(),
            category: category.into(),
            tag: tag.into(),
            period,
        }
    }

    /// None for what is no cursor: it comes from outside, and goes into keys of the store.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let [account, category, tag, period] = parts[..] else {
            return None;
        };
        check_name(account.as_bytes()).ok()?;
        Category::of_name(category.as_bytes())?;
        if !tag.is_empty() {
            check_name(tag.as_bytes()).ok()?;
        }
        let names = [account, category, tag].map(str::as_bytes);
        Some(Self::at(names[0], names[1], names[2], period.parse().ok()?))
    }

    /// The last period of a counter that was told.
    pub fn period_of(&self, account: &[u8], category: &[u8], tag: &[u8]) -> Option<u32> {
        (*self.account == *account && *self.category == *category && *self.tag == *tag)
            .then_some(self.period)
    }

    /// Whether a counter lies before it: all of its rows were told.
    fn is_past(&self, account: &[u8], category: &[u8], tag: &[u8]) -> bool {
        (account, category, tag) < (&*self.account, &*self.category, &*self.tag)
            || self.period_of(account, category, tag) == Some(u32::MAX)
    }
}

impl Usage {
    pub(super) fn records_entry(
        &mut self,
        request: u32,
        bytes: &[u8],
    ) -> Result<(), ExchangeError> {
        let asked = decode_usage_records(bytes)?;
        let cursor = Cursor::parse(asked.cursor);
        if cursor.is_none() && !asked.cursor.is_empty() {
            self.reply_json(request, WRONG_CURSOR);
            return Ok(());
        }
        if self.questions.len() >= USAGE_READS {
            self.reply_json(request, r#"{"error":"overloaded"}"#);
            return Ok(());
        }
        let accounts = match asked.account {
            Some(account) => Accounts::One(self.accounts.find(account.as_bytes())),
            None => Accounts::After(None),
        };
        let mut question = Question::new(request, &asked, accounts, cursor);
        if let (Accounts::After(after), Some(cursor)) = (&mut question.accounts, &question.cursor) {
            // The account of the cursor itself may have more; it is the first to be looked at.
            *after = self.account_before(&cursor.account);
        }
        self.questions.push_back(question);
        Ok(())
    }

    fn account_before(&self, name: &[u8]) -> Option<Box<[u8]>> {
        let before = self.accounts.before(name)?;
        Some(self.accounts.get(before).name.clone())
    }

    /// Wants what the first question needs next. One that needs nothing more is answered by
    /// `give_question`.
    pub(super) fn want_question(&mut self, budget: &mut Budget) {
        let Some(mut question) = self.questions.pop_front() else {
            return;
        };
        self.fill(&mut question);
        if let Some(listing) = &mut question.listing {
            let only_one = listing.family.len() == 1;
            let from = question.cursor.as_ref().filter(|_| only_one);
            listing.wanted = listing.listed + self.listed_now(&listing.family[listing.listed..]);
            for &source in &listing.family[listing.listed..listing.wanted] {
                let name = &self.accounts.get(source).name;
                self.key.clear();
                self.bytes.clear();
                let category = question.category.as_deref();
                usage_all_time_range(&mut self.key, &mut self.bytes, name, category);
                if let Some(from) = from.filter(|from| from.account == *name) {
                    self.key.clear();
                    usage_all_time_key(&mut self.key, name, &from.category, &from.tag);
                }
                self.wants.range(&self.key, &self.bytes);
            }
        } else {
            for (_, reading) in &mut question.readings {
                if budget.is_spent() {
                    break;
                }
                self.want_reading(reading, budget);
            }
        }
        self.wants.ask(Asker::Question);
        self.questions.push_front(question);
    }

    /// How many of these accounts are listed in one step: as many as have no more cells than a step
    /// reads, and one at least.
    fn listed_now(&self, family: &[u32]) -> usize {
        let mut cells = 0;
        let counters = |account: &u32| self.accounts.get(*account).counters as usize;
        let fits = |account: &&u32| {
            cells += counters(account);
            cells <= USAGE_READ_DAYS
        };
        let fitting = family.iter().take(LISTED_PER_STEP).take_while(fits);
        fitting.count().max(1)
    }

    /// Finds counters to read, until a step has enough of them, or they have to be listed first.
    fn fill(&mut self, question: &mut Question) {
        let mut left = ACCOUNTS_PER_STEP;
        while question.readings.len() < USAGE_READ_RANGES && question.listing.is_none() {
            if let Some((category, tag)) = question.names.pop_front() {
                let (account, family) = &question.names_of;
                let kind = Kind {
                    category: &category,
                    tag: &tag,
                };
                let sources = with_counter(family, kind, (&self.counters_of, &self.accounts));
                let account = *account;
                self.push_reading(question, account, (&category, &tag), sources);
                continue;
            }
            // A page that cannot tell all counters of an account ends with them.
            if question.names_have_more || left == 0 {
                return;
            }
            left -= 1;
            let Some(account) = self.next_account(question) else {
                return;
            };
            let family = if question.sub_accounts {
                self.accounts.family(account)
            } else {
                vec![account]
            };
            if let Some((category, tag)) = question.only() {
                let kind = Kind {
                    category: &category,
                    tag: &tag,
                };
                let sources = with_counter(&family, kind, (&self.counters_of, &self.accounts));
                if !sources.is_empty() {
                    self.push_reading(question, account, (&category, &tag), sources);
                }
            } else {
                question.listing = Some(Listing::new(account, family));
            }
        }
    }

    fn push_reading(
        &self,
        question: &mut Question,
        account: u32,
        (category, tag): (&[u8], &[u8]),
        sources: Vec<u32>,
    ) {
        let name = &self.accounts.get(account).name;
        let is_past = |cursor: &Cursor| cursor.is_past(name, category, tag);
        if question.cursor.as_ref().is_some_and(is_past) {
            return;
        }
        let all_time = question.is_of_all_time();
        let reading = Reading::new((category, tag), sources, all_time, question.range());
        question.readings.push_back((account, reading));
    }

    fn next_account(&self, question: &mut Question) -> Option<u32> {
        match &mut question.accounts {
            Accounts::One(account) => account.take(),
            Accounts::After(after) => {
                let account = self.accounts.after(after.as_deref()).next()?;
                *after = Some(self.accounts.get(account).name.clone());
                Some(account)
            }
        }
    }

    pub(super) fn give_question(&mut self, answers: &mut Answers<'_>) -> Result<(), Fatal> {
        let Some(mut question) = self.questions.pop_front() else {
            return Ok(());
        };
        let is_over = if question.listing.is_some() {
            self.give_listing(&mut question, answers)?;
            false
        } else {
            let mut readings = std::mem::take(&mut question.readings);
            for (_, reading) in &mut readings {
                self.give_reading(reading, answers)?;
            }
            while !question.is_full
                && readings
                    .front()
                    .is_some_and(|(_, reading)| reading.is_done())
                && let Some((account, reading)) = readings.pop_front()
            {
                let name = &self.accounts.get(account).name;
                question.write_rows(name, &reading);
                if !question.is_full && question.names_have_more {
                    let last = Cursor::at(name, &reading.category, &reading.tag, u32::MAX);
                    question.last = Some(last);
                }
            }
            let has_more = !readings.is_empty() || !question.names.is_empty();
            question.readings = readings;
            question.is_full || (!has_more && self.is_over(&mut question))
        };
        if is_over {
            self.answer(&question);
        } else {
            // Others have their turn before it goes on.
            self.questions.push_back(question);
        }
        Ok(())
    }

    /// Whether there is no account left, or the page ends before the account does.
    fn is_over(&self, question: &mut Question) -> bool {
        if question.names_have_more {
            question.is_full = true;
            return true;
        }
        match &question.accounts {
            Accounts::One(account) => account.is_none(),
            Accounts::After(after) => self.accounts.after(after.as_deref()).next().is_none(),
        }
    }

    fn give_listing(
        &mut self,
        question: &mut Question,
        answers: &mut Answers<'_>,
    ) -> Result<(), Fatal> {
        let mut listing = question.listing.take().expect("one is at hand");
        let name = self.accounts.get(listing.account).name.clone();
        let limit = question.limit;
        let family = std::mem::take(&mut listing.family);
        let range = listing.listed..listing.wanted;
        let mut take = |category: &[u8], tag: &[u8]| {
            let cursor = question.cursor.as_ref();
            let is_told = cursor.is_some_and(|cursor| cursor.is_past(&name, category, tag));
            if question.fits(category, tag) && !is_told {
                listing.add(category, tag, limit);
            }
        };
        for &source in &family[range] {
            answers.each(|key, _| take(key.category, key.tag))?;
            for kind in self.counters_of.of_account(source) {
                take(kind.category, kind.tag);
            }
        }
        listing.listed = listing.wanted;
        listing.family = family;
        if listing.is_done() {
            question.take_names(listing);
        } else {
            question.listing = Some(listing);
        }
        Ok(())
    }

    fn answer(&mut self, question: &Question) {
        let mut out = String::with_capacity(question.rows.len() + 64);
        let _ = write!(out, r#"{{"items":[{}],"cursor":"#, question.rows);
        match question.last.as_ref().filter(|_| question.is_full) {
            Some(last) => {
                let (account, category, tag) = (&last.account, &last.category, &last.tag);
                let _ = write!(
                    out,
                    r#""{}/{}/{}/{}"}}"#,
                    text(account),
                    text(category),
                    text(tag),
                    last.period
                );
            }
            None => out.push_str("null}"),
        }
        self.reply_json(question.request, &out);
    }
}
