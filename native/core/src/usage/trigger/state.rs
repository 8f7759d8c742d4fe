//! What a trigger has done so far: stored with it, so that nothing fires twice.

use super::ring::Ring;
use super::spec::Spec;
use crate::usage::calendar::PeriodKind;

/// The total that a relative trigger's values are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// 0, or of a relative trigger the total when it was made.
    Known(i128),
    /// The total was not read yet; so much was counted since the trigger was made.
    Since(i128),
}

/// How far it has fired in one period; a period of which nothing is known has no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fired {
    pub period: u32,
    /// Index of the next value to fire.
    pub next: u64,
    /// It was made or re-armed in this period, and nothing was counted since.
    pub quiet: bool,
    /// Something was counted and not yet judged, since the sums of the period are to be read.
    pub due: bool,
}

impl Fired {
    const fn of(period: u32) -> Self {
        Self {
            period,
            next: 0,
            quiet: false,
            due: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Its place in the order of creation.
    pub created: u64,
    pub created_ms: u64,
    pub updated_ms: u64,
    /// How often its values were made to fire again.
    pub arming: u64,
    pub base: Base,
    pub fired: Vec<Fired>,
    pub firings: u64,
    /// Steps passed over, see `TRIGGER_FIRINGS`.
    pub skipped: u64,
    /// When it fired last, and the total or rate then.
    pub last: Option<(u64, i128)>,
    /// Events of a rate since it was judged.
    pub events: u64,
    pub ring: Option<Box<Ring>>,
}

/// Periods before the newest in which late events are counted.
pub(super) const fn back(kind: PeriodKind) -> u32 {
    match kind {
        PeriodKind::Day => 36,
        PeriodKind::Month => 3,
        PeriodKind::Year => 2,
        PeriodKind::AllTime => 0,
    }
}

impl State {
    pub fn new(spec: &Spec, created: u64, now_ms: u64) -> Self {
        Self {
            created,
            created_ms: now_ms,
            updated_ms: now_ms,
            arming: 0,
            base: if spec.relative {
                Base::Since(0)
            } else {
                Base::Known(0)
            },
            fired: Vec::new(),
            firings: 0,
            skipped: 0,
            last: None,
            events: 0,
            ring: spec
                .window_ms
                .map(|window_ms| Box::new(Ring::new(window_ms))),
        }
    }

    pub const fn known_base(&self) -> Option<i128> {
        match self.base {
            Base::Known(base) => Some(base),
            Base::Since(_) => None,
        }
    }

    pub fn in_period(&self, period: u32) -> Fired {
        let found = self.fired.iter().find(|fired| fired.period == period);
        found.copied().unwrap_or(Fired::of(period))
    }

    pub fn in_period_mut(&mut self, period: u32) -> &mut Fired {
        let at = self.fired.iter().position(|fired| fired.period == period);
        let at = at.unwrap_or_else(|| {
            // Most know of one period at a time.
            self.fired.reserve_exact(1);
            self.fired.push(Fired::of(period));
            self.fired.len() - 1
        });
        &mut self.fired[at]
    }

    /// Forgets periods that no event can be counted in any more, and that are judged.
    pub fn forget_before(&mut self, oldest: u32) {
        self.fired
            .retain(|fired| fired.due || fired.period >= oldest);
    }

    /// A value has fired.
    pub fn fire(&mut self, period: u32, index: u64, now_ms: u64, value: i128) {
        let fired = self.in_period_mut(period);
        let skipped = index - std::mem::replace(&mut fired.next, index + 1);
        self.skipped += skipped;
        self.firings += 1;
        self.last = Some((now_ms, value));
    }

    /// All values of a period can fire again.
    pub fn arm(&mut self, period: u32) {
        self.arming += 1;
        self.in_period_mut(period).next = 0;
    }
}
