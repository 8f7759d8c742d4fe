//! What throttling leaves of a gateway's rate (scheduling rule 10).
//!
//! Each throttled outcome halves it, down to 1 %; each second without one gives 5 % of the whole back.

/// Steps of the part that is left: whole / `WHOLE`.
const WHOLE: u64 = 10_000;
const FLOOR: u64 = WHOLE / 100;
const REGAINED_PER_SEC: u64 = WHOLE / 20;

/// The rate of a gateway that was throttled lately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowed {
    part: u64,
    /// When `part` was true, µs.
    since_us: u64,
    /// Earliest time of its next delivery, µs.
    pub next_us: u64,
}

impl Slowed {
    /// One more throttled outcome; `before` is what earlier ones left.
    pub fn halved(before: Option<Self>, now_us: u64) -> Self {
        let part = before.map_or(WHOLE, |slowed| slowed.part_at(now_us));
        Self {
            part: (part / 2).max(FLOOR),
            since_us: now_us,
            next_us: before.map_or(now_us, |slowed| slowed.next_us),
        }
    }

    /// Part of the rate it has at a time, of 10,000.
    fn part_at(&self, now_us: u64) -> u64 {
        let seconds = now_us.saturating_sub(self.since_us) / 1_000_000;
        (self.part + seconds.saturating_mul(REGAINED_PER_SEC)).min(WHOLE)
    }

    /// The same, 0…1.
    pub fn part(&self, now_us: u64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "at most 10,000")]
        let part = self.part_at(now_us) as f64 / WHOLE as f64;
        part
    }

    /// Whether the whole rate is back.
    pub fn is_over(&self, now_us: u64) -> bool {
        self.part_at(now_us) >= WHOLE
    }

    /// Takes one delivery of a gateway whose whole rate is `rate_per_sec`.
    pub fn take(&mut self, rate_per_sec: f64, cost: u32, now_us: u64) {
        #[allow(clippy::cast_precision_loss, reason = "at most 10,000")]
        let rate = rate_per_sec * self.part_at(now_us) as f64 / WHOLE as f64;
        #[allow(clippy::cast_sign_loss, reason = "both are positive")]
        let interval_us = (f64::from(cost) * 1e6 / rate.max(1e-6)) as u64;
        self.next_us = self.next_us.max(now_us).saturating_add(interval_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_to_the_floor_and_regains_a_twentieth_a_second() {
        let mut slowed = Slowed::halved(None, 0);
        assert_eq!(slowed.part_at(0), 5_000);
        for _ in 0..10 {
            slowed = Slowed::halved(Some(slowed), 0);
        }
        assert_eq!(slowed.part_at(0), 100);
        assert_eq!(slowed.part_at(10_000_000), 5_100);
        assert!(!slowed.is_over(19_000_000));
        assert!(slowed.is_over(20_000_000));
    }

    #[test]
    fn paces_deliveries_by_the_rate_that_is_left() {
        let mut slowed = Slowed::halved(None, 0);
        slowed.take(100.0, 1, 0);
        assert_eq!(slowed.next_us, 20_000);
        slowed.take(100.0, 3, 5_000);
        assert_eq!(slowed.next_us, 80_000);
    }
}
