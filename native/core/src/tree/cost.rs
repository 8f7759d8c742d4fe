//! Rule 5: what an attempt costs, guessed when it leaves and corrected when it is settled.

use super::node::{FairBy, TreeConfig};

/// Guess of a hold before any was seen, µs (at most the lease). Any guess is corrected later.
const HOLD_FIRST_US: u32 = 1_000_000;
/// Below it a message would cost nothing and its queue could go for ever.
const HOLD_MIN_US: u32 = 1;
/// Weight of the newest hold in the moving averages is 1 / 2^SHIFT.
const HOLD_AVERAGE_SHIFT: u32 = 3;

/// What a pick charged; hand it back to `settle` or `refund`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charge {
    /// 2⁻³² cost units.
    pub units: u64,
    /// Size of the cost unit when it was charged: a change of limits changes the unit. Negative:
    /// the service was the floor of a level (rule 8).
    pub scale: f32,
    /// Cost of the message.
    pub cost: u32,
}

pub(super) struct CostModel {
    fair_by: FairBy,
    /// 1/rate, 2⁻³² µs; 0: no limit of rate.
    per_cost: u64,
    /// Slots in flight; 0: no limit.
    slots: u32,
    hold_max_us: u32,
}

impl CostModel {
    pub fn new(config: &TreeConfig) -> Self {
        let per_cost = match config.limits.rate_per_sec {
            Some(rate) if rate > 0.0 => ((1e6 / rate * 4_294_967_296.0) as u64).max(1),
            Some(_) => u64::MAX,
            None => 0,
        };
        Self {
            fair_by: config.fair_by,
            per_cost,
            slots: config.limits.in_flight_max.unwrap_or(0),
            hold_max_us: u32::try_from(config.lease_us)
                .unwrap_or(u32::MAX)
                .max(HOLD_MIN_US),
        }
    }

    /// Cost of a message that holds a slot for `hold_us`, 2⁻³² cost units.
    pub fn units(&self, cost: u32, hold_us: u32) -> u64 {
        let messages = u64::from(cost) << 32;
        let by_rate = u64::from(cost).saturating_mul(self.per_cost);
        let by_time = || (u64::from(hold_us.max(HOLD_MIN_US)) << 32) / u64::from(self.slots.max(1));
        match self.fair_by {
            FairBy::Time => by_time(),
            FairBy::Auto if self.slots != 0 => by_rate.max(by_time()),
            FairBy::Cost | FairBy::Auto if self.per_cost == 0 => messages,
            FairBy::Cost | FairBy::Auto => by_rate,
        }
    }

    /// The hold to expect: the queue's own average, at first the destination's.
    pub fn guess_us(&self, queue_us: u32, destination_us: u32) -> u32 {
        let known = if queue_us != 0 {
            queue_us
        } else {
            destination_us
        };
        let guess = if known != 0 { known } else { HOLD_FIRST_US };
        guess.min(self.hold_max_us)
    }

    /// Cost units of an average message.
    pub fn nominal(&self, destination_us: u32) -> f64 {
        (self.units(1, self.guess_us(0, destination_us)) as f64 / 4_294_967_296.0).max(1e-9)
    }
}

/// A moving average of holds with one more, µs; 0 means none was seen.
pub(super) fn averaged(average_us: u32, held_us: u32) -> u32 {
    if average_us == 0 {
        return held_us.max(HOLD_MIN_US);
    }
    let step = (i64::from(held_us) - i64::from(average_us)) >> HOLD_AVERAGE_SHIFT;
    (i64::from(average_us) + step).max(1) as u32
}
