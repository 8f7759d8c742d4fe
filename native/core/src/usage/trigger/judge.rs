//! Judging: which values the totals of a step have reached, and what fires, in which order.

use super::state;
use super::watch::{Gauge, Held};
use super::{By, Trigger, Triggers};
use crate::limits::{FIRING_BYTES_PER_STEP, FIRINGS_PER_STEP, FIRINGS_UNTOLD, TRIGGER_FIRINGS};
use crate::usage::calendar::{Period, PeriodKind};

type Slots = [Option<Box<Trigger>>];

/// A period of a watched counter that is to be judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hot {
    watch: u32,
    kind: PeriodKind,
    by: By,
    period: u32,
}

impl Hot {
    pub fn of(watch: u32, gauge: &Gauge, held: usize) -> Self {
        Self {
            watch,
            kind: gauge.kind,
            by: gauge.by,
            period: gauge.held[held].id,
        }
    }
}

/// A value that was reached. The order is that of firing: by value, then by age of the trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Crossed {
    value: i128,
    created: u64,
    index: u64,
    slot: u32,
}

/// The sums that a trigger is judged by.
#[derive(Clone, Copy)]
struct Reading {
    period: u32,
    total: i128,
    count: i64,
    count_before: i64,
    events: bool,
    /// At a start: whatever is unfired counts, also between two of `every_n`.
    start: bool,
}

impl Reading {
    const fn of(held: &Held) -> Self {
        Self {
            period: held.id,
            total: held.total,
            count: held.count,
            count_before: held.count_before,
            events: held.events,
            start: held.judge,
        }
    }
}

impl Triggers {
    /// Judges what was counted and read since it was called before; may be called more than once a
    /// step. Fires at most `FIRINGS_PER_STEP` or `FIRING_BYTES_PER_STEP` until `write`; the rest fires in the steps that follow.
    pub fn finish_step(&mut self, now_ms: u64) {
        self.passed_to(now_ms);
        self.step += 1;
        self.judge_rates();
        for hot in std::mem::take(&mut self.hot) {
            self.judge(hot);
        }
    }

    /// Some if a further step has to come without being asked for: 0, more is to fire.
    pub fn wake_after_ms(&self) -> Option<u64> {
        let more = !self.hot.is_empty() || !self.rates_hot.is_empty();
        (more && self.untold.len() < FIRINGS_UNTOLD).then_some(0)
    }

    /// Whether one more can fire in this step.
    pub(super) fn has_room(&self) -> bool {
        self.fresh.len() < FIRINGS_PER_STEP
            && self.fresh_bytes < FIRING_BYTES_PER_STEP
            && self.untold.len() < FIRINGS_UNTOLD
    }

    fn judge(&mut self, hot: Hot) {
        let Some(reading) = self.take_reading(hot) else {
            return;
        };
        let mut crossed = std::mem::take(&mut self.crossed);
        self.cross(hot, reading, &mut crossed);
        crossed.sort_unstable();
        let period = Period {
            kind: hot.kind,
            id: hot.period,
        };
        let mut fired = 0;
        while fired < crossed.len() && self.has_room() {
            let one = crossed[fired];
            self.fire(one.slot, one.index, period, reading.total);
            fired += 1;
        }
        let left = &crossed[fired..];
        for one in left {
            self.set_due(one.slot, hot.period);
        }
        self.settle(hot, reading, !left.is_empty());
        crossed.clear();
        self.crossed = crossed;
    }

    /// The sums of a period that is to be judged, unless something has made that needless.
    fn take_reading(&mut self, hot: Hot) -> Option<Reading> {
        let watch = self.watches.get_mut(hot.watch as usize)?;
        let gauge = watch.gauge(hot.kind, hot.by)?;
        let at = gauge.find(hot.period)?;
        let held = &mut gauge.held[at];
        (std::mem::take(&mut held.hot) && held.loaded).then(|| Reading::of(held))
    }

    fn cross(&mut self, hot: Hot, reading: Reading, crossed: &mut Vec<Crossed>) {
        let gauge = self.watches[hot.watch as usize].gauge(hot.kind, hot.by);
        for slot in &gauge.expect("it was there").triggers {
            let trigger = of(&mut self.slots, *slot);
            let (indexes, is_changed) = trigger.reached(reading);
            if is_changed && !std::mem::replace(&mut trigger.changed, true) {
                self.changed.push(*slot);
            }
            let base = trigger.state.known_base().unwrap_or_default();
            crossed.extend(indexes.map(|index| {
                Crossed {
                    value: trigger
                        .spec
                        .value_at(index)
                        .unwrap_or(i128::MAX)
                        .saturating_add(base),
                    created: trigger.state.created,
                    index,
                    slot: *slot,
                }
            }));
        }
    }

    /// What was judged is; or waits for the next step, as it was.
    fn settle(&mut self, hot: Hot, reading: Reading, is_left: bool) {
        let gauge = self.watches[hot.watch as usize].gauge(hot.kind, hot.by);
        let gauge = gauge.expect("it was there");
        let at = gauge.find(hot.period).expect("it was there");
        let held = &mut gauge.held[at];
        (held.events, held.judge) = (false, false);
        if is_left {
            (held.events, held.judge, held.hot) = (reading.events, reading.start, true);
            self.hot.push(hot);
        } else {
            refresh(gauge, at, &self.slots);
        }
    }

    fn set_due(&mut self, slot: u32, period: u32) {
        let fired = self.trigger_mut(slot).state.in_period_mut(period);
        if !std::mem::replace(&mut fired.due, true) {
            self.change(slot);
        }
    }
}

impl Trigger {
    /// The indexes that fire, ascending; and whether its record has changed by being judged.
    fn reached(&mut self, reading: Reading) -> (impl Iterator<Item = u64> + use<>, bool) {
        let before = self.state.in_period(reading.period);
        let (fires, mut changed) = self.is_judged(reading);
        let mut next = before.next;
        let total = self.total(reading.total);
        if let Some(low) = self.spec.rearm_below
            && let Some(total) = total
            && next > 0
            && total < low
        {
            self.state.arm(reading.period);
            (next, changed) = (0, true);
        }
        let reached = total
            .filter(|_| fires)
            .map_or(0, |total| self.spec.reached(total));
        (indexes(next, reached), changed)
    }

    /// Whether what it has reached fires; and whether its record has changed by asking.
    fn is_judged(&mut self, reading: Reading) -> (bool, bool) {
        let before = self.state.in_period(reading.period);
        let is_start = reading.start && !before.quiet;
        if !(reading.events || before.due || is_start) {
            return (false, false);
        }
        let changed = before.quiet || before.due;
        if changed {
            let fired = self.state.in_period_mut(reading.period);
            (fired.quiet, fired.due) = (false, false);
        }
        let every = i64::from(self.spec.every_n);
        let turns = |count: i64| count.div_euclid(every);
        let is_turn = reading.start || turns(reading.count) > turns(reading.count_before);
        (every == 1 || is_turn, changed)
    }

    /// The sum its values are compared with; none while it is not known what a relative one counts
    /// from.
    pub(super) fn total(&self, total: i128) -> Option<i128> {
        self.state
            .known_base()
            .map(|base| total.saturating_sub(base))
    }
}

/// From the next index to the last that was reached. Of more than `TRIGGER_FIRINGS`, the lowest and
/// the very last: those between are passed over.
pub(super) fn indexes(next: u64, reached: u64) -> impl Iterator<Item = u64> + use<> {
    let most = TRIGGER_FIRINGS as u64;
    let is_over = reached.saturating_sub(next) > most;
    let end = if is_over { next + most - 1 } else { reached };
    (next..end).chain(is_over.then(|| reached - 1))
}

fn of(triggers: &mut Slots, slot: u32) -> &mut Trigger {
    triggers[slot as usize]
        .as_deref_mut()
        .expect("a gauge names triggers that are there")
}

/// Finds anew between which totals nothing has to be judged.
pub(super) fn refresh(gauge: &mut Gauge, at: usize, triggers: &Slots) {
    let held = &mut gauge.held[at];
    (held.low, held.high) = (i128::MAX, i128::MIN);
    for slot in &gauge.triggers {
        let trigger = triggers[*slot as usize].as_deref();
        let trigger = trigger.expect("a gauge names triggers that are there");
        let fired = trigger.state.in_period(held.id);
        let Some(base) = trigger.state.known_base() else {
            continue;
        };
        if fired.quiet || fired.due {
            held.low = i128::MIN;
        } else if let Some(value) = trigger.spec.value_at(fired.next) {
            held.low = held.low.min(value.saturating_add(base));
        }
        if let Some(low) = trigger.spec.rearm_below.filter(|_| fired.next > 0) {
            held.high = held.high.max(low.saturating_add(base));
        }
    }
}

/// A period has begun, and nothing is counted in it yet. What has fired in periods that are over for
/// events, too, is forgotten.
pub(super) fn begin(gauge: &mut Gauge, at: usize, triggers: &mut Slots) {
    let oldest = gauge.newest().saturating_sub(state::back(gauge.kind));
    for slot in &gauge.triggers {
        of(triggers, *slot).state.forget_before(oldest);
    }
    refresh(gauge, at, triggers);
    gauge.forget_before(oldest);
}
