//! Triggers as one would write them without caring for time or room: a list of all that was ever
//! counted, added up anew for each question.

use super::desk::Event;
use fairlead_core::usage::calendar::{Period, day_of_ms};
use fairlead_core::usage::trigger::Spec;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// Trigger, index, period, arming.
pub type Token = (u64, u64, String, u64);

#[derive(Clone)]
pub struct Made {
    pub spec: Spec,
    base: i128,
    pub arming: u64,
    next: HashMap<Period, u64>,
    quiet: BTreeSet<Period>,
}

#[derive(Clone, Default)]
pub struct Model {
    pub events: Vec<Event>,
    pub made: BTreeMap<u64, Made>,
    pub parents: HashMap<&'static str, &'static str>,
}

impl Model {
    pub fn put(&mut self, number: u64, spec: &Spec, now_ms: u64) {
        let old = self.made.get_mut(&number);
        if let Some(old) = old {
            let unnamed = |spec: &Spec| Spec {
                friendly_name: None,
                ..spec.clone()
            };
            if unnamed(&old.spec) == unnamed(spec) {
                old.spec = spec.clone();
                return;
            }
        }
        let mut made = Made {
            spec: spec.clone(),
            base: 0,
            arming: self.made.get(&number).map_or(0, |old| old.arming + 1),
            next: HashMap::new(),
            quiet: BTreeSet::from([now_period(spec, now_ms)]),
        };
        if spec.relative {
            made.base = self.sums(spec, None, 0..self.events.len()).0;
        }
        self.made.insert(number, made);
    }

    pub fn rearm(&mut self, number: u64, now_ms: u64) {
        if let Some(made) = self.made.get_mut(&number) {
            let period = now_period(&made.spec, now_ms);
            made.arming += 1;
            made.next.remove(&period);
            made.quiet.insert(period);
        }
    }

    fn is_of(&self, spec: &Spec, event: &Event) -> bool {
        if *event.category != *spec.category || *event.tag != *spec.tag {
            return false;
        }
        let mut account = event.account;
        while spec.sub_accounts && *account != *spec.account {
            match self.parents.get(account) {
                Some(parent) => account = parent,
                None => return false,
            }
        }
        *account == *spec.account
    }

    /// Total and count of a period among some of the events.
    fn sums(&self, spec: &Spec, period: Option<Period>, among: Range<usize>) -> (i128, i64) {
        let kind = spec.recurring.period();
        let is_in = |event: &&Event| {
            self.is_of(spec, event)
                && period.is_none_or(|period| period == Period::of_day(kind, event.day))
        };
        let events = self.events[among].iter().filter(is_in);
        events.fold((0, 0), |sum, event| {
            (sum.0 + spec.by.of(&event.sums), sum.1 + event.sums.count)
        })
    }

    /// What a trigger's values are compared with in a period.
    pub fn total(&self, number: u64, period: &str) -> i128 {
        let made = &self.made[&number];
        let spec = &made.spec;
        let events = self.events.iter().filter(|event| self.is_of(spec, event));
        let events = events.filter(|event| {
            Period::of_day(spec.recurring.period(), event.day).to_string() == period
        });
        events.map(|event| spec.by.of(&event.sums)).sum::<i128>() - made.base
    }

    /// What fires by events that came together.
    pub fn step(&mut self, events: &[Event]) -> Vec<Token> {
        let before = self.events.len();
        self.events.extend_from_slice(events);
        let mut fired = Vec::new();
        for number in self.made.keys().copied().collect::<Vec<_>>() {
            let spec = &self.made[&number].spec;
            if !events.iter().any(|event| self.is_of(spec, event)) {
                continue;
            }
            let spec = spec.clone();
            let of: Vec<&Event> = events
                .iter()
                .filter(|event| self.is_of(&spec, event))
                .collect();
            let kind = spec.recurring.period();
            let periods: BTreeSet<Period> = of
                .iter()
                .map(|event| Period::of_day(kind, event.day))
                .collect();
            for period in periods {
                let is_counted = of
                    .iter()
                    .any(|event| Period::of_day(kind, event.day) == period && event.events > 0);
                let (total_before, count_before) = self.sums(&spec, Some(period), 0..before);
                let (more, came) = self.sums(&spec, Some(period), before..self.events.len());
                let (total, count) = (total_before + more, count_before + came);
                let every = i64::from(spec.every_n);
                let is_turn =
                    every == 1 || count.div_euclid(every) > count_before.div_euclid(every);
                let made = self.made.get_mut(&number).unwrap();
                if is_counted {
                    made.quiet.remove(&period);
                }
                let tokens = made.judge(number, period, total, is_counted && is_turn);
                fired.extend(tokens);
            }
        }
        fired
    }

    /// A start judges the running periods.
    pub fn restart(&mut self, now_ms: u64) -> Vec<Token> {
        let mut fired = Vec::new();
        for number in self.made.keys().copied().collect::<Vec<_>>() {
            let spec = self.made[&number].spec.clone();
            let period = now_period(&spec, now_ms);
            let total = self.sums(&spec, Some(period), 0..self.events.len()).0;
            let made = self.made.get_mut(&number).unwrap();
            let is_judged = !made.quiet.contains(&period);
            fired.extend(made.judge(number, period, total, is_judged));
        }
        fired
    }
}

impl Made {
    fn judge(&mut self, number: u64, period: Period, total: i128, is_judged: bool) -> Vec<Token> {
        let total = total - self.base;
        let next = self.next.entry(period).or_default();
        if self
            .spec
            .rearm_below
            .is_some_and(|low| *next > 0 && total < low)
        {
            self.arming += 1;
            *next = 0;
        }
        let mut fired = Vec::new();
        while is_judged && value_at(&self.spec, *next).is_some_and(|value| total >= value) {
            fired.push((number, *next, period.to_string(), self.arming));
            *next += 1;
        }
        fired
    }
}

/// The value of an index, by counting up to it.
pub fn value_at(spec: &Spec, index: u64) -> Option<i128> {
    let mut values = std::iter::once(spec.value).chain(spec.thresholds.iter().copied());
    let last = spec.thresholds.last().copied().unwrap_or(spec.value);
    let further = 1 + spec.thresholds.len() as u64;
    if index < further {
        return values.nth(index as usize);
    }
    spec.step
        .map(|step| last + step * i128::from(index - further + 1))
}

fn now_period(spec: &Spec, now_ms: u64) -> Period {
    Period::of_day(spec.recurring.period(), day_of_ms(now_ms))
}
