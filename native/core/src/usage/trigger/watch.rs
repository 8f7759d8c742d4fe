//! Watched counters: the sums that triggers compare, kept current in memory.
//!
//! A *watch* is a counter that a trigger names: account, category, tag, with or without the accounts
//! below. It has a *gauge* for each kind of period and each of count, usage and price that its
//! triggers ask for. A gauge *holds* the newest period and few others; one it does not hold is read
//! when an event or somebody who looks asks for it. A held period knows the lowest value that has not
//! fired, so adding to it is one addition and two comparisons.

use super::spec::By;
use crate::limits::TRIGGER_PERIODS_HELD;
use crate::record::Sums;
use crate::usage::calendar::{Period, PeriodKind};

/// What is known of one period.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts, none of which follows from others"
)]
pub(super) struct Held {
    pub id: u32,
    first_day: u32,
    last_day: u32,
    /// False: the sums are to be read, and the numbers below say what came since.
    pub loaded: bool,
    /// All that is unfired is judged when it is read: at a start.
    pub judge: bool,
    /// In the list of what is to be judged at the end of the step.
    pub hot: bool,
    /// Something was counted since it was judged, corrections aside.
    pub events: bool,
    step: u64,
    pub total: i128,
    pub count: i64,
    /// The count before this step.
    pub count_before: i64,
    /// The lowest value that has not fired; a total that has reached it is judged.
    pub low: i128,
    /// A total below it makes triggers ready to fire again.
    pub high: i128,
}

impl Held {
    pub fn new(period: Period) -> Self {
        Self {
            id: period.id,
            first_day: period.first_day(),
            last_day: period.last_day(),
            loaded: false,
            judge: false,
            hot: false,
            events: false,
            step: 0,
            total: 0,
            count: 0,
            count_before: 0,
            low: i128::MAX,
            high: i128::MIN,
        }
    }

    #[inline]
    pub const fn has(&self, day: u32) -> bool {
        self.first_day <= day && day <= self.last_day
    }

    pub const fn days(&self) -> (u32, u32) {
        (self.first_day, self.last_day)
    }

    /// Adds; says whether it has to be judged and is not yet to be.
    #[inline]
    pub fn add(&mut self, by: By, delta: &Sums, events: u64, step: u64) -> bool {
        if self.step != step && self.loaded && !self.hot {
            self.step = step;
            self.events = false;
            self.count_before = self.count;
        }
        self.events |= events > 0;
        self.total = self.total.saturating_add(by.of(delta));
        self.count = self.count.saturating_add(delta.count);
        let is_hot = self.loaded && !self.hot && (self.total >= self.low || self.total < self.high);
        self.hot |= is_hot;
        is_hot
    }

    /// Everything counted so far; what was noted before is part of it.
    pub fn load(&mut self, total: i128, count: i64) {
        self.count_before = count.saturating_sub(self.count);
        (self.total, self.count) = (total, count);
        self.hot = self.events || self.judge;
        // Which triggers had an event since they were made is known by what they have noted.
        self.events = false;
        self.loaded = true;
    }

    /// What was read is no longer so.
    pub fn unload(&mut self) {
        (self.total, self.count, self.count_before) = (0, 0, 0);
        self.judge |= std::mem::take(&mut self.hot);
        // What came before was judged; what was noted while it was read is not.
        self.events &= !self.loaded;
        self.loaded = false;
    }
}

#[derive(Debug)]
pub(super) struct Gauge {
    pub kind: PeriodKind,
    pub by: By,
    pub triggers: Vec<u32>,
    /// The day on which it was made; what is two days after it begins empty.
    made_day: u32,
    /// The newest is the first.
    pub held: Vec<Held>,
}

/// What a gauge has of a day.
pub(super) enum Place {
    At(usize),
    /// Held from now on, and to be read.
    ToRead(usize),
    /// A newer period than all before: empty.
    Begun(usize),
    /// Nothing is counted there any more.
    Over,
}

impl Gauge {
    pub fn new(kind: PeriodKind, by: By, today: u32) -> Self {
        Self {
            kind,
            by,
            triggers: Vec::new(),
            made_day: today,
            held: vec![Held::new(Period::of_day(kind, today))],
        }
    }

    pub fn newest(&self) -> u32 {
        self.held[0].id
    }

    pub fn find(&self, id: u32) -> Option<usize> {
        self.held.iter().position(|held| held.id == id)
    }

    /// The period of a day, which it holds from then on.
    pub fn place(&mut self, day: u32) -> Place {
        if let Some(at) = self.held.iter().position(|held| held.has(day)) {
            return Place::At(at);
        }
        let period = Period::of_day(self.kind, day);
        if period.id.saturating_add(super::state::back(self.kind)) < self.newest() {
            return Place::Over;
        }
        let is_empty =
            period.id > self.newest() && period.first_day() > self.made_day.saturating_add(1);
        let at = self.hold(period);
        self.held[at].loaded = is_empty;
        if is_empty {
            Place::Begun(at)
        } else {
            Place::ToRead(at)
        }
    }

    /// Holds a period that it does not hold yet, to be read.
    fn hold(&mut self, period: Period) -> usize {
        let at = if period.id > self.newest() {
            0
        } else {
            self.held.len()
        };
        self.held.insert(at, Held::new(period));
        self.let_go(at);
        self.find(period.id).expect("it was put there")
    }

    /// Holds a period, and has it judged when it is read: at a start.
    pub fn judge(&mut self, id: u32) {
        let period = Period {
            kind: self.kind,
            id,
        };
        let at = self.find(id).unwrap_or_else(|| self.hold(period));
        self.held[at].judge = true;
    }

    /// Lets go of periods that are over for events, unless something waits for them.
    pub fn forget_before(&mut self, oldest: u32) {
        let is_needed = |held: &Held| held.id >= oldest || !held.loaded || held.hot;
        self.held.retain(is_needed);
    }

    /// Holds one less when there are too many: one that nothing waits for, the first to have come.
    fn let_go(&mut self, keep: usize) {
        if self.held.len() <= TRIGGER_PERIODS_HELD {
            return;
        }
        let idle = |(at, held): (usize, &Held)| at > 0 && at != keep && held.loaded && !held.hot;
        if let Some(at) = self.held.iter().enumerate().position(idle) {
            self.held.remove(at);
        }
    }

    /// All is to be read again.
    pub fn unload(&mut self, today: u32) {
        self.made_day = today;
        for held in &mut self.held {
            held.unload();
        }
    }
}

#[derive(Debug)]
pub(super) struct Watch {
    /// Account, category and tag, each ended by a zero byte, and whether the accounts below count.
    pub key: Box<[u8]>,
    pub gauges: Vec<Gauge>,
    /// Triggers that are rates.
    pub rates: Vec<u32>,
    /// The days that are being read, and whether something has made that reading useless.
    pub reading: Option<(u32, u32)>,
    pub stale: bool,
    /// In the list of those that want to be read.
    pub queued: bool,
    pub live: bool,
}

impl Watch {
    pub fn new(key: &[u8]) -> Self {
        Self {
            key: key.into(),
            gauges: Vec::new(),
            rates: Vec::new(),
            reading: None,
            stale: false,
            queued: false,
            live: true,
        }
    }

    pub fn is_sub(&self) -> bool {
        self.key.last() == Some(&1)
    }

    pub fn names(&self) -> [&[u8]; 3] {
        let mut parts = self.key[..self.key.len() - 1].split(|byte| *byte == 0);
        std::array::from_fn(|_| parts.next().unwrap_or_default())
    }

    pub fn gauge(&mut self, kind: PeriodKind, by: By) -> Option<&mut Gauge> {
        let fits = |gauge: &&mut Gauge| gauge.kind == kind && gauge.by == by;
        self.gauges.iter_mut().find(fits)
    }

    /// Days that hold all periods still to be read: none, all time only (first above last), or some.
    pub fn wanted(&self) -> Option<(u32, u32)> {
        let mut days = None;
        for gauge in &self.gauges {
            for held in gauge.held.iter().filter(|held| !held.loaded) {
                let (low, high) = days.unwrap_or((u32::MAX, 0));
                let (first, last) = held.days();
                let is_all = gauge.kind == PeriodKind::AllTime;
                days = Some(if is_all {
                    (low, high)
                } else {
                    (low.min(first), high.max(last))
                });
            }
        }
        days
    }
}
