//! Hard caps, as far as the counters have to do with them: what a cap has used when it is made or the
//! daemon starts is the base of its slot; from then on shards reserve, before they accept.
//!
//! Shards reserve what they accept, and what waits when they recover. So what they tell anew is reserved
//! already: a base leaves it out. What they tell again ended before the start, and what they had counted
//! when they came to know of a cap was not reserved of it: it is part of the base, or added to it. What
//! nobody reserves, prices of other categories than `messages`, is added, too.

use super::calendar::{DAY_MS, Period, PeriodKind};
use super::counters::Kind;
use super::fold::source_of;
use super::reading::{Budget, Reading};
use super::reserve::slots;
use super::trigger::By;
use super::wants::{Answers, Asker};
use super::{Fatal, Usage};
use crate::exchange::UsageCap;
use crate::record::{BuiltIn, Sums};

/// Caps whose base is read at once.
const LOADS: usize = 64;

pub(super) struct Cap {
    account: u32,
    category: Box<[u8]>,
    by: By,
    kind: PeriodKind,
    pub slot: u32,
    /// Who is answered when the base is set.
    request: Option<u32>,
    /// Told anew since the cap was made, until its base is set; by day.
    since: Vec<(u32, i128)>,
    reading: Option<Reading>,
    pub is_set: bool,
    /// Shards that came to know of it at work, and the last list of each that was counted before.
    opened: Vec<(u16, u64)>,
}

/// A list of counts that a shard told.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub source: u32,
    pub sequence: u64,
    pub again: bool,
}

impl Cap {
    fn is_of(&self, kind: Kind<'_>) -> bool {
        *self.category == *kind.category && kind.tag.is_empty()
    }

    /// Whether the shard has reserved what it told.
    fn is_reserved(&self, told: Told) -> bool {
        let before = |&(shard, sequence): &(u16, u64)| {
            source_of(shard) == told.source && told.sequence <= sequence
        };
        !told.again && !self.opened.iter().any(before)
    }

    /// Whether it caps the price of everything: that counter has no other sum.
    fn is_of_total(&self) -> bool {
        *self.category == *BuiltIn::TotalPrice.name().as_bytes() && self.by == By::Price
    }
}

impl Usage {
    /// Makes a cap or changes its value. Whether the request is answered later.
    pub(super) fn put_cap(
        &mut self,
        name: &[u8],
        cap: &UsageCap<'_>,
        request: Option<u32>,
    ) -> bool {
        let tenant = name.split(|byte| *byte == b'/').next().unwrap_or_default();
        let account = self.accounts.open(tenant);
        slots().set(cap.slot, cap.period, cap.value);
        let is_same = |old: &Cap| {
            let fields = (old.slot, old.kind, old.by);
            old.account == account
                && *old.category == *cap.category.as_bytes()
                && fields == (cap.slot, cap.period, cap.by)
        };
        if self.caps.get(name).is_some_and(is_same) {
            return false;
        }
        self.delete_cap_but(name, cap.slot);
        self.caps_unset.insert(name.into());
        self.caps.insert(
            name.into(),
            Cap {
                account,
                category: cap.category.as_bytes().into(),
                by: cap.by,
                kind: cap.period,
                slot: cap.slot,
                request,
                since: Vec::new(),
                reading: None,
                is_set: false,
                opened: slots().take_opened(cap.slot),
            },
        );
        let entry = self.caps_of.entry(account).or_default();
        entry.push(name.into());
        request.is_some()
    }

    pub(super) fn delete_cap(&mut self, name: &[u8]) {
        self.delete_cap_but(name, u32::MAX);
    }

    /// Its slot is cleared unless it is `kept`.
    fn delete_cap_but(&mut self, name: &[u8], kept: u32) {
        let Some(gone) = self.caps.remove(name) else {
            return;
        };
        self.caps_unset.remove(name);
        if let Some(names) = self.caps_of.get_mut(&gone.account) {
            names.retain(|other| **other != *name);
            if names.is_empty() {
                self.caps_of.remove(&gone.account);
            }
        }
        if gone.slot != kept {
            slots().clear(gone.slot);
        }
        if let Some(request) = gone.request {
            self.reply_json(request, r#"{"ok":true}"#);
        }
    }

    /// A shard told what it counted.
    pub(super) fn tell_caps(
        &mut self,
        (account, day): (u32, u32),
        kind: Kind<'_>,
        sums: &Sums,
        told: Told,
    ) {
        let is_message = kind.category == BuiltIn::Messages.name().as_bytes();
        for name in self.caps_of.get(&account).into_iter().flatten() {
            let Some(cap) = self.caps.get_mut(name) else {
                continue;
            };
            let of_total = is_message && kind.tag.is_empty() && cap.is_of_total();
            if !cap.is_of(kind) && !of_total {
                continue;
            }
            let amount = cap.by.of(sums);
            match (cap.is_reserved(told), cap.is_set) {
                (true, false) => cap.since.push((day, amount)),
                (false, true) => slots().add(cap.slot, u64::from(day) * DAY_MS, amount),
                _ => {}
            }
        }
    }

    /// The price of what shards do not reserve counts for caps of the total price. Before a base is set it
    /// is part of it.
    pub(super) fn add_to_caps(&self, (account, day): (u32, u32), category: &[u8], price: i128) {
        if self.caps_of.is_empty() || category == BuiltIn::Messages.name().as_bytes() {
            return;
        }
        let caps = self.caps_of.get(&account).into_iter().flatten();
        for cap in caps.filter_map(|name| self.caps.get(name)) {
            if cap.is_set && cap.is_of_total() {
                slots().add(cap.slot, u64::from(day) * DAY_MS, price);
            }
        }
    }

    /// Wants the totals of caps whose base is not set.
    pub(super) fn want_caps(&mut self, budget: &mut Budget) {
        if self.caps_unset.is_empty() {
            return;
        }
        let today = self.today();
        let names: Vec<_> = self.caps_unset.iter().take(LOADS).cloned().collect();
        for name in &names {
            let cap = self.caps.get_mut(name).expect("just seen");
            let period = Period::of_day(cap.kind, today);
            let all_time = cap.kind == PeriodKind::AllTime;
            let range = (!all_time).then(|| (period.first_day(), period.last_day()));
            // It is read in one step or not at all: one that waited has the days of the new step.
            let sources = vec![cap.account];
            let mut reading = Reading::new((&cap.category, b""), sources, all_time, range);
            self.want_reading(&mut reading, budget);
            self.caps.get_mut(name).expect("just seen").reading = Some(reading);
        }
        self.caps_loading = names;
        self.wants.ask(Asker::Caps);
    }

    pub(super) fn give_caps(&mut self, answers: &mut Answers<'_>) -> Result<(), Fatal> {
        for name in std::mem::take(&mut self.caps_loading) {
            let mut reading = self
                .caps
                .get_mut(&name)
                .and_then(|cap| cap.reading.take())
                .expect("it was wanted in this step");
            self.give_reading(&mut reading, answers)?;
            let (today, now_ms) = (self.today(), self.now_ms());
            let cap = self.caps.get_mut(&name).expect("just seen");
            if !reading.is_done() {
                continue;
            }
            let mut sums = reading.total.sums;
            for day in reading.days.values() {
                sums.add(day);
            }
            let period = Period::of_day(cap.kind, today);
            let days = period.first_day()..=period.last_day();
            let since = std::mem::take(&mut cap.since).into_iter();
            let since: i128 = since
                .filter(|(day, _)| days.contains(day))
                .map(|(_, amount)| amount)
                .sum();
            let base = cap.by.of(&sums).saturating_sub(since);
            slots().set_base(cap.slot, now_ms, base);
            cap.is_set = true;
            self.caps_unset.remove(&name);
            if let Some(request) = cap.request.take() {
                self.reply_json(request, r#"{"ok":true}"#);
            }
        }
        Ok(())
    }
}
