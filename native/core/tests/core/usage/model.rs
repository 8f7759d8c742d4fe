//! What records have to say, kept in the simplest way.

use super::desk::{Desk, PLATFORM, Row};
use super::random::Random;
use super::wire::{self, Ask, DAY_MS, Event};
use crate::input::entry;
use fairlead_core::exchange::InputOp;
use fairlead_core::record::Sums;
use fairlead_core::usage::calendar::{Period, PeriodKind, day_text};
use fairlead_core::usage::price::nano_text;
use std::collections::BTreeMap;

const TENANTS: [&str; 4] = ["acme", "acme-2", "b", "zz"];
const CATEGORIES: [&str; 4] = ["calls", "calls.out", "gb", "seats"];
const TAGS: [&str; 3] = ["", "red", "blue"];
const PRICE_NANO: i64 = 1_250;
const HOUR_US: u64 = 3_600_000_000;

/// Account, category, tag, day.
type Name = (String, String, String, u32);
type Fold = BTreeMap<Name, Sums>;

/// What one step adds when it is flushed.
#[derive(Default)]
struct Pending {
    fold: Fold,
    keys: Vec<(String, u64)>,
    /// Source and sequence.
    told: Option<(u32, u64)>,
}

struct Source {
    /// What it counted, by sequence.
    lists: Vec<(u64, Vec<(Name, Sums)>)>,
    /// The next one to tell.
    next: usize,
}

pub struct World {
    pub desk: Desk,
    random: Random,
    sure: Fold,
    pending: BTreeMap<u64, Pending>,
    /// Keys with the hour they came, flushed.
    keys: BTreeMap<String, u64>,
    folded: BTreeMap<u32, u64>,
    sources: Vec<Source>,
    next_mark: u64,
}

fn add(fold: &mut Fold, name: Name, sums: &Sums) {
    if sums.price != 0 && name.2.is_empty() && name.1 != "totalprice" {
        let total = (
            name.0.clone(),
            "totalprice".to_owned(),
            String::new(),
            name.3,
        );
        let price = Sums {
            price: sums.price,
            ..Sums::default()
        };
        fold.entry(total).or_default().add(&price);
    }
    fold.entry(name).or_default().add(sums);
}

impl World {
    pub fn new(seed: u64) -> Self {
        let price = wire::price("calls", 1, &[(0, PRICE_NANO)]);
        Self {
            desk: Desk::new(&[price]),
            random: Random(seed),
            sure: Fold::new(),
            pending: BTreeMap::new(),
            keys: BTreeMap::new(),
            folded: BTreeMap::new(),
            sources: (0..3)
                .map(|_| Source {
                    lists: Vec::new(),
                    next: 0,
                })
                .collect(),
            next_mark: 0,
        }
    }

    fn today(&self) -> u32 {
        (self.desk.now_us / 1000 / DAY_MS) as u32
    }

    pub fn act(&mut self) {
        if self.random.permille(15) {
            return self.crash();
        }
        self.act_without_crash();
    }

    pub fn act_without_crash(&mut self) {
        match self.random.weighted(&[40, 20, 20, 12, 8]) {
            0 => self.events(),
            1 => self.tell(),
            2 => {
                self.step(Pending::default(), &[]);
            }
            3 => {
                self.desk.lag = self.random.below(4);
                let left = self.random.below(3);
                self.desk.flush_some(left);
                self.flushed();
            }
            _ => {
                self.desk.now_us += match self.random.below(10) {
                    0 => HOUR_US * self.random.range(1, 30),
                    _ => self.random.range(1, 4_000_000),
                };
            }
        }
    }

    /// One step with its mark.
    fn step(
        &mut self,
        pending: Pending,
        entries: &[(InputOp, u32, Vec<u8>)],
    ) -> Vec<(u8, u32, Vec<u8>)> {
        self.next_mark += 1;
        self.desk.mark = self.next_mark;
        self.pending.insert(self.next_mark, pending);
        let entries: Vec<_> = entries
            .iter()
            .map(|(op, connection, bytes)| entry(*op, *connection, bytes))
            .collect();
        let said = self.desk.step(&entries);
        self.desk.mark = 0;
        said
    }

    /// What was flushed counts for good.
    pub fn flushed(&mut self) {
        for mark in std::mem::take(&mut self.desk.flushed_marks) {
            let Some(pending) = self.pending.remove(&mark) else {
                continue;
            };
            for (name, sums) in &pending.fold {
                self.sure.entry(name.clone()).or_default().add(sums);
            }
            self.keys.extend(pending.keys);
            if let Some((source, sequence)) = pending.told {
                self.folded.insert(source, sequence);
            }
        }
    }

    pub fn crash(&mut self) {
        self.flushed();
        self.pending.clear();
        self.desk.crash();
        for (at, source) in self.sources.iter_mut().enumerate() {
            // Told again from somewhere before the first that was lost.
            let folded = self.folded.get(&(at as u32 + 1)).copied().unwrap_or(0);
            let first = source.lists.partition_point(|list| list.0 <= folded);
            source.next = first.saturating_sub(self.random.below(4));
        }
    }

    fn is_repeated(&self, key: &str, now: &[(String, u64)]) -> bool {
        let now_hour = self.desk.now_us / HOUR_US;
        let lives = |hour: u64| hour + 24 >= now_hour;
        self.keys.get(key).is_some_and(|hour| lives(*hour))
            || self
                .pending
                .values()
                .flat_map(|pending| &pending.keys)
                .chain(now)
                .any(|(other, hour)| other == key && lives(*hour))
    }

    fn events(&mut self) {
        let mut pending = Pending::default();
        let (mut counted, mut repeated) = (0, 0);
        let mut events = Vec::new();
        for _ in 0..self.random.range(1, 6) {
            let tenant = TENANTS[self.random.below(TENANTS.len())];
            let mut event = Event::of(tenant, CATEGORIES[self.random.below(CATEGORIES.len())], 0);
            event.quantity = self.random.range(0, 2_000).cast_signed() - 200;
            let mut tag = *self.random.choose(&TAGS);
            if !tag.is_empty() {
                event = event.tagged(tag);
            } else if self.random.permille(20) {
                let new = format!("tag{}", self.random.below(50));
                event = event.tagged(&new);
                tag = Box::leak(new.into_boxed_str());
            }
            let now_ms = self.desk.now_us / 1000;
            let mut day = self.today();
            if self.random.permille(200) {
                let at_ms = now_ms - self.random.range(0, 34 * DAY_MS);
                day = (at_ms / DAY_MS) as u32;
                event = event.at(at_ms);
            }
            if self.random.permille(400) {
                let key = format!("k{}", self.random.below(60));
                event = event.keyed(&key);
                let named = format!("{tenant}/{key}");
                if self.is_repeated(&named, &pending.keys) {
                    repeated += 1;
                    events.push(event);
                    continue;
                }
                pending.keys.push((named, self.desk.now_us / HOUR_US));
            }
            counted += 1;
            let price = if event.category == "calls" {
                i128::from(event.quantity) * i128::from(PRICE_NANO)
            } else {
                0
            };
            let sums = Sums {
                count: i64::from(event.quantity >= 0),
                usage: event.quantity.into(),
                price,
            };
            let name = |tag: &str| {
                let category = event.category.clone();
                (tenant.to_owned(), category, tag.to_owned(), day)
            };
            add(&mut pending.fold, name(""), &sums);
            if !tag.is_empty() {
                add(&mut pending.fold, name(tag), &sums);
            }
            events.push(event);
        }
        let frame = wire::use_frame(5, &events);
        let said = self.step(pending, &[(InputOp::Frame, PLATFORM, frame)]);
        let answer = said.iter().find(|(op, to, _)| *op == 1 && *to == PLATFORM);
        let used = wire::read_used(&answer.expect("an answer").2).expect("no error");
        assert_eq!(
            (used.counted, used.repeated),
            (counted, repeated),
            "{events:?}"
        );
        assert_eq!(used.refused, []);
    }

    /// A source counts something, and tells the next of what it has; or tells one again.
    fn tell(&mut self) {
        let at = self.random.below(self.sources.len());
        let source = at as u32 + 1;
        let day = self.today();
        let mut list = Vec::new();
        for _ in 0..self.random.range(1, 4) {
            let tenant = (*self.random.choose(&TENANTS)).to_owned();
            let category = *self.random.choose(&["messages", "segments"]);
            let sums = Sums {
                count: self.random.range(0, 9).cast_signed(),
                usage: self.random.range(0, 90).into(),
                price: i128::from(self.random.range(0, 5)) * 1_000_000_007,
            };
            let of_day = day - self.random.below(3) as u32;
            let name = (tenant, category.to_owned(), String::new(), of_day);
            list.push((name, sums));
        }
        let own = &mut self.sources[at];
        let newest = own.lists.last().map_or(0, |list| list.0);
        own.lists.push((newest + self.random.range(1, 3), list));
        let place = if self.random.permille(150) {
            own.next.saturating_sub(1)
        } else {
            own.next
        };
        let (sequence, list) = own.lists[place].clone();
        own.next = own.next.max(place + 1);
        let told = self
            .pending
            .values()
            .rev()
            .find_map(|pending| pending.told.filter(|told| told.0 == source));
        let folded = self.folded.get(&source).copied().unwrap_or(0);
        let folded = told.map_or(folded, |told| told.1.max(folded));
        let mut pending = Pending::default();
        if sequence > folded {
            pending.told = Some((source, sequence));
            for (name, sums) in &list {
                add(&mut pending.fold, name.clone(), sums);
            }
        }
        let told: Vec<wire::Told<'_>> = list
            .iter()
            .map(|(name, sums)| (&*name.0, &*name.1, &*name.2, name.3, *sums))
            .collect();
        let bytes = wire::deltas(sequence, &told);
        self.step(pending, &[(InputOp::UsageDeltas, source, bytes)]);
    }

    /// Events of many counters.
    pub fn many_cells(&mut self, counters: usize) {
        let mut pending = Pending::default();
        let mut events = Vec::new();
        for counter in 0..counters {
            let category = format!("c{counter}");
            let sums = Sums {
                count: 1,
                usage: counter as i128,
                price: 0,
            };
            let name = (
                "acme".to_owned(),
                category.clone(),
                String::new(),
                self.today(),
            );
            add(&mut pending.fold, name, &sums);
            events.push(Event::of(
                "acme",
                &category,
                i64::try_from(counter).unwrap(),
            ));
        }
        let frame = wire::use_frame(5, &events);
        self.step(pending, &[(InputOp::Frame, PLATFORM, frame)]);
    }

    fn expected(&self) -> Fold {
        let mut all = self.sure.clone();
        for pending in self.pending.values() {
            for (name, sums) in &pending.fold {
                all.entry(name.clone()).or_default().add(sums);
            }
        }
        all
    }

    /// Records of every period, and of a range, say what the model says.
    pub fn compare(&mut self) {
        self.flushed();
        let fold = self.expected();
        let today = self.today();
        let kinds = [
            (1, PeriodKind::Day),
            (2, PeriodKind::Month),
            (3, PeriodKind::Year),
            (4, PeriodKind::AllTime),
        ];
        for (number, kind) in kinds {
            let ask = Ask {
                tag: Some(""),
                period: number,
                limit: Some(self.random.range(3, 300)),
                ..Ask::default()
            };
            let rows = self.desk.records(&ask);
            assert_eq!(rows, expected_rows(&fold, kind), "period {number}");
        }
        let (from, to) = (today - self.random.below(20) as u32 - 1, today - 1);
        for tenant in TENANTS {
            let ask = Ask {
                account: Some(tenant),
                tag: Some(""),
                from_day: Some(from),
                to_day: Some(to),
                ..Ask::default()
            };
            let rows = self.desk.records(&ask);
            let part = fold
                .iter()
                .filter(|(name, _)| name.0 == tenant && (from..=to).contains(&name.3));
            let part: Fold = part.map(|(name, sums)| (name.clone(), *sums)).collect();
            let mut expected = expected_rows(&part, PeriodKind::AllTime);
            for row in &mut expected {
                (row.from, row.to) = (day_text(from), day_text(to));
            }
            assert_eq!(rows, expected, "{tenant} from {from} to {to}");
        }
    }
}

fn expected_rows(fold: &Fold, kind: PeriodKind) -> Vec<Row> {
    let mut rows: BTreeMap<Name, (Sums, u32, u32)> = BTreeMap::new();
    for ((account, category, tag, day), sums) in fold {
        let period = Period::of_day(kind, *day);
        let (first, last) = if kind == PeriodKind::AllTime {
            (*day, *day)
        } else {
            (period.first_day(), period.last_day())
        };
        let name = (
            account.clone(),
            category.clone(),
            tag.clone(),
            period.first_day(),
        );
        let row = rows.entry(name).or_insert((Sums::default(), first, last));
        row.0.add(sums);
        (row.1, row.2) = (row.1.min(first), row.2.max(last));
    }
    rows.into_iter()
        .map(|((account, category, tag, _), (sums, first, last))| Row {
            account,
            category,
            tag: (!tag.is_empty()).then_some(tag),
            from: day_text(first),
            to: day_text(last),
            count: sums.count,
            usage: sums.usage,
            price: nano_text(sums.price),
        })
        .collect()
}
