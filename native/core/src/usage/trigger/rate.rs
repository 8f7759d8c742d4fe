//! Rates: more than a value within a window, sliding by its 60 sub-windows.
//!
//! A rate measures when events are counted, not when they happened; what happened on days before the
//! window is left out. It falls by itself, which is noticed when the next event comes. Its
//! sub-windows are stored with the trigger, at most every `TRIGGER_RATE_STORED_MS`: after a crash a
//! rate may be told lower than it was, by what was counted since, and never higher.

use super::judge::indexes;
use super::{Rated, Trigger, Triggers};
use crate::limits::TRIGGER_RATE_STORED_MS;
use crate::usage::calendar::{Period, day_of_ms};

impl Triggers {
    pub(super) fn judge_rates(&mut self) {
        let mut late = std::mem::take(&mut self.rates_hot);
        // One was noted at each event that found no room for what it fired.
        late.sort_unstable();
        late.dedup();
        for slot in late {
            if self.slots[slot as usize]
                .as_ref()
                .is_some_and(|trigger| trigger.state.ring.is_some())
            {
                self.judge_rate(slot);
            }
        }
        for rated in std::mem::take(&mut self.rated) {
            let count = self.watches[rated.watch as usize].rates.len();
            for at in 0..count {
                let slot = self.watches[rated.watch as usize].rates[at];
                self.add_to_rate(slot, &rated);
            }
        }
    }

    fn add_to_rate(&mut self, slot: u32, rated: &Rated) {
        let now_ms = self.now_ms;
        let trigger = self.trigger_mut(slot);
        let Some((is_judged, is_changed)) = trigger.add_to_rate(rated, now_ms) else {
            return;
        };
        if is_changed {
            self.change(slot);
        }
        if is_judged {
            self.judge_rate(slot);
        }
    }

    /// Fires what the rate has reached; without room, in the next step.
    fn judge_rate(&mut self, slot: u32) {
        let now_ms = self.now_ms;
        let trigger = self.trigger_mut(slot);
        let period = trigger.rate_period(now_ms);
        let Some(ring) = trigger.state.ring.as_deref_mut() else {
            return;
        };
        ring.advance(now_ms);
        let rate = ring.sum();
        let next = trigger.state.in_period(period.id).next;
        let reached = trigger.spec.reached(rate.saturating_sub(1));
        for index in indexes(next, reached) {
            if !self.has_room() {
                self.rates_hot.push(slot);
                return;
            }
            self.fire(slot, index, period, rate);
        }
    }
}

impl Trigger {
    fn rate_period(&self, now_ms: u64) -> Period {
        Period::of_ms(self.spec.recurring.period(), now_ms)
    }

    /// Whether it is to be judged, and whether its record is to be written; none if it does not count.
    fn add_to_rate(&mut self, rated: &Rated, now_ms: u64) -> Option<(bool, bool)> {
        let window_ms = self.spec.window_ms?;
        if rated.day < day_of_ms(now_ms.saturating_sub(window_ms)) {
            return None;
        }
        let period = self.rate_period(now_ms);
        let ring = self.state.ring.as_deref_mut()?;
        ring.advance(now_ms);
        let before = ring.sum();
        ring.add(self.spec.by.of(&rated.delta));
        let after = ring.sum();
        let mut is_changed = now_ms >= self.ring_stored_ms.saturating_add(TRIGGER_RATE_STORED_MS);
        if is_changed {
            self.ring_stored_ms = now_ms;
        }
        let oldest = period.id.saturating_sub(super::state::back(period.kind));
        self.state.forget_before(oldest);
        let has_fired = self.state.in_period(period.id).next > 0;
        let fell = |low: i128| before < low || after < low;
        if has_fired && self.spec.rearm_below.is_some_and(fell) {
            self.state.arm(period.id);
            is_changed = true;
        }
        self.state.events += rated.events;
        let is_turn = rated.events > 0 && self.state.events >= self.spec.every_n.into();
        if is_turn {
            self.state.events = 0;
        }
        Some((is_turn, is_changed))
    }
}
