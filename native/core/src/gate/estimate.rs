//! How long somebody would wait: seats ahead × how long a seat is held ÷ the seats there are.
//!
//! Unknown until enough permits ended at the resource: then nobody is refused for it.

use super::{Gate, KEY, RESOURCE, TENANT};
use crate::exchange::GateMode;

/// Permits that have to have ended before their mean says something.
const HOLDS_MIN: u32 = 8;

impl Gate {
    /// Mean time that a permit of the key is held, or else one of its resource, µs.
    pub(super) fn hold_us(&self, key: u32) -> Option<u64> {
        let key = &self.keys[key as usize];
        let resource = &self.resources[key.resource as usize];
        if key.holds > 0 {
            Some(key.hold_us)
        } else {
            (resource.holds > 0).then_some(resource.hold_us)
        }
    }

    /// How long `seats` of the key have to wait, behind those of it that wait if `at_end`, ms.
    pub(super) fn estimate_ms(&self, key: u32, seats: u32, at_end: bool) -> Option<u64> {
        let at = &self.keys[key as usize];
        if self.resources[at.resource as usize].holds < HOLDS_MIN {
            return None;
        }
        let own_hold_us = self.hold_us(key)?;
        let ahead = u64::from(seats) + if at_end { at.waiting_seats } else { 0 };
        let mut wait_us = 0;
        let counts = self.table.read(at.cells[KEY]);
        if let Some(cap) = counts.cap
            && u64::from(counts.used) + ahead > u64::from(cap)
        {
            wait_us = time_us(ahead, own_hold_us, cap.into())?;
        }
        let mean_us = self.resources[at.resource as usize].hold_us;
        for (side, hold_us) in [(TENANT, own_hold_us), (RESOURCE, mean_us)] {
            let line = self.line(key, side);
            let counts = self.table.read(at.cells[side]);
            let Some(cap) = counts.cap else { continue };
            let is_in = at.blocked.line() == Some(side);
            if line.is_empty() && counts.used + counts.unfilled + seats <= cap {
                continue;
            }
            let others = if is_in {
                line.seats.saturating_sub(at.waiting_seats)
            } else {
                line.seats
            };
            let weight = u64::from(at.policy.weight);
            let weights = if is_in {
                line.weights
            } else {
                line.weights + weight
            };
            // Served in turns by weight, but never later than when all who wait were served.
            let by_turns = ahead.saturating_mul(weights).div_ceil(weight.max(1));
            let seats_before = by_turns.min(ahead + others);
            wait_us = wait_us.max(time_us(seats_before, hold_us, cap.into())?);
        }
        if at.policy.mode == GateMode::Delay {
            let due_us = at
                .paced_us
                .max(self.now_us)
                .saturating_add(at.policy.pace_us);
            wait_us = wait_us.max(due_us - self.now_us);
        }
        Some(wait_us.div_ceil(1000))
    }
}

fn time_us(seats: u64, hold_us: u64, cap: u64) -> Option<u64> {
    seats.saturating_mul(hold_us).checked_div(cap)
}
