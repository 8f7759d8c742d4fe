//! Reading stored sums: which days a watched counter needs, and what is done with them.

use super::judge::{Hot, refresh};
use super::state::Base;
use super::watch::Gauge;
use super::{Trigger, Triggers, WatchId};
use crate::record::Sums;
use crate::usage::calendar::PeriodKind;

/// The sums of a counter that are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    pub watch: WatchId,
    pub account: Box<[u8]>,
    pub category: Box<[u8]>,
    /// Empty: the untagged counter.
    pub tag: Box<[u8]>,
    /// With all accounts below.
    pub sub: bool,
    /// First and last day, both of them with; the first is above the last when only the sum of all
    /// time is needed.
    pub days: (u32, u32),
}

impl Triggers {
    /// The next counter whose sums are to be read. Each is answered once by `loaded`, in the same step
    /// or a later one; none is asked for again before.
    pub fn next_load(&mut self) -> Option<Load> {
        while let Some(at) = self.to_read.pop_front() {
            let watch = &mut self.watches[at as usize];
            watch.queued = false;
            if !watch.live || watch.reading.is_some() {
                continue;
            }
            let Some(days) = watch.wanted() else {
                continue;
            };
            watch.reading = Some(days);
            watch.stale = false;
            let [account, category, tag] = watch.names().map(Into::into);
            return Some(Load {
                watch: WatchId(at),
                account,
                category,
                tag,
                sub: watch.is_sub(),
                days,
            });
        }
        None
    }

    /// The sums of a counter, with everything counted so far: of all time, and of those of the days
    /// asked for that have any. What is in them has been told by `counted` before, or never will. What they have reached is judged by the next `finish_step`, if
    /// something was counted while they were read.
    pub fn loaded(
        &mut self,
        watch: WatchId,
        days: (u32, u32),
        all_time: &Sums,
        cells: &[(u32, Sums)],
    ) {
        let Some(at) = self.watches.get_mut(watch.0 as usize) else {
            return;
        };
        if at.reading.take().is_none() {
            return;
        }
        if !at.live {
            self.free_watches.push(watch.0);
            return;
        }
        if !at.stale {
            for gauge in &mut at.gauges {
                for held in 0..gauge.held.len() {
                    if !load(gauge, held, days, all_time, cells) {
                        continue;
                    }
                    set_bases(gauge, held, &mut self.slots, &mut self.changed);
                    refresh(gauge, held, &self.slots);
                    if gauge.held[held].hot {
                        self.hot.push(Hot::of(watch.0, gauge, held));
                    }
                }
            }
        }
        if self.watches[watch.0 as usize].wanted().is_some() {
            self.want(watch.0);
        }
    }

    /// An account has another parent now: all counters with accounts below are read again.
    pub fn reload_sub(&mut self) {
        self.finish_step(self.now_ms);
        let today = self.today();
        for at in 0..self.watches.len() {
            let watch = &mut self.watches[at];
            if watch.live && watch.is_sub() {
                watch.stale = watch.reading.is_some();
                for gauge in &mut watch.gauges {
                    gauge.unload(today);
                }
                self.want(at as u32);
            }
        }
    }
}

/// Whether the period is in what was read, and was to be.
fn load(
    gauge: &mut Gauge,
    held: usize,
    days: (u32, u32),
    all_time: &Sums,
    cells: &[(u32, Sums)],
) -> bool {
    let (kind, by) = (gauge.kind, gauge.by);
    let held = &mut gauge.held[held];
    let (first, last) = held.days();
    let is_all = kind == PeriodKind::AllTime;
    if held.loaded || !(is_all || days.0 <= first && last <= days.1) {
        return false;
    }
    if is_all {
        held.load(by.of(all_time), all_time.count);
        return true;
    }
    let (mut total, mut count) = (0_i128, 0_i64);
    for (_, sums) in cells.iter().filter(|(day, _)| held.has(*day)) {
        total = total.saturating_add(by.of(sums));
        count = count.saturating_add(sums.count);
    }
    held.load(total, count);
    true
}

/// What relative triggers count from is the total without what came since they were made.
fn set_bases(
    gauge: &Gauge,
    held: usize,
    triggers: &mut [Option<Box<Trigger>>],
    changed: &mut Vec<u32>,
) {
    for slot in &gauge.triggers {
        let trigger = triggers[*slot as usize].as_deref_mut();
        let trigger = trigger.expect("a gauge names triggers that are there");
        if let Base::Since(since) = trigger.state.base {
            let base = gauge.held[held].total.saturating_sub(since);
            trigger.state.base = Base::Known(base);
            if !std::mem::replace(&mut trigger.changed, true) {
                changed.push(*slot);
            }
        }
    }
}

/// Something was counted in a period that is not read yet: that is stored with the triggers, so that
/// they are judged even if the process ends before. Gives those whose record has to be written.
pub(super) fn note(
    gauge: &Gauge,
    held: usize,
    triggers: &mut [Option<Box<Trigger>>],
    delta: &Sums,
    events: u64,
) -> Vec<u32> {
    let amount = gauge.by.of(delta);
    let mut noted = Vec::new();
    for slot in &gauge.triggers {
        let trigger = triggers[*slot as usize].as_deref_mut();
        let trigger = trigger.expect("a gauge names triggers that are there");
        let mut is_changed = false;
        if let Base::Since(since) = &mut trigger.state.base {
            *since = since.saturating_add(amount);
            is_changed = true;
        }
        if events > 0 && !trigger.state.in_period(gauge.held[held].id).due {
            let fired = trigger.state.in_period_mut(gauge.held[held].id);
            (fired.due, fired.quiet) = (true, false);
            is_changed = true;
        }
        if is_changed && !std::mem::replace(&mut trigger.changed, true) {
            noted.push(*slot);
        }
    }
    noted
}
