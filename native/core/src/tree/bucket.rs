//! Rule 9: a bucket as GCRA in integers of 2⁻³² µs, so that 3,000,000 a second is exact to 10⁻⁹.
//!
//! In any window Δ it lets through at most depth + rate·Δ, with depth = max(burst, largest cost of a
//! message) + rate·5 ms. The 5 ms are the slack of the timers that wake the owner: without them a
//! burst of 1 and timers of 1 ms turn 1,000 a second into 588.

use super::node::Limits;

/// Slack of the owner's timers that the depth covers, µs.
pub const TIMER_SLACK_US: u64 = 5_000;
/// Rates outside are held to this range, so that no interval overflows.
const RATE_PER_SEC_MIN: f64 = 1e-6;
const RATE_PER_SEC_MAX: f64 = 1e9;

/// 1 µs in the unit of tags and bucket times.
pub(super) const MICROSECOND: u128 = 1 << 32;
const SLACK: u128 = TIMER_SLACK_US as u128 * MICROSECOND;

#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Time between two of cost 1, 2⁻³² µs, rounded up: never above the rate.
    interval: u128,
    /// Depth as time, 2⁻³² µs.
    depth: u128,
    /// When the bucket will be full again, 2⁻³² µs.
    full_at: u128,
}

impl Bucket {
    /// A bucket that was empty at `empty_us` and fills since.
    pub fn new(limits: &Limits, empty_us: u64) -> Option<Self> {
        let rate = limits
            .rate_per_sec?
            .clamp(RATE_PER_SEC_MIN, RATE_PER_SEC_MAX);
        let interval = (1e6 / rate * MICROSECOND as f64).ceil() as u128 + 1;
        let burst = u128::from(limits.burst.max(1));
        let depth = burst * interval + SLACK;
        Some(Self {
            interval,
            depth,
            full_at: u128::from(empty_us) * MICROSECOND + depth,
        })
    }

    pub fn rate_per_sec(&self) -> f64 {
        1e6 * MICROSECOND as f64 / self.interval as f64
    }

    /// First time at which `cost` may go, µs. For a cost above the burst the bucket is as deep as the
    /// cost: it goes when the bucket is full, but for the slack.
    pub fn ready_us(&self, cost: u32) -> u64 {
        let need = u128::from(cost) * self.interval;
        let depth = self.depth.max(need + SLACK);
        let at = (self.full_at + need).saturating_sub(depth);
        u64::try_from(at.div_ceil(MICROSECOND)).unwrap_or(u64::MAX)
    }

    pub fn take(&mut self, cost: u32, now_us: u64) {
        let now = u128::from(now_us) * MICROSECOND;
        self.full_at = self.full_at.max(now) + u128::from(cost) * self.interval;
    }

    pub fn is_full(&self, now_us: u64) -> bool {
        self.full_at <= u128::from(now_us) * MICROSECOND
    }

    /// The bucket of other limits with the cost that is in this one, at most its depth.
    pub fn resized(&self, limits: &Limits, now_us: u64) -> Option<Self> {
        let mut next = Self::new(limits, 0)?;
        let now = u128::from(now_us) * MICROSECOND;
        let missing = self.full_at.saturating_sub(now);
        next.full_at = if missing <= self.depth {
            let fill = scaled(self.depth - missing, next.interval, self.interval).min(next.depth);
            now + next.depth - fill
        } else {
            now + next.depth + scaled(missing - self.depth, next.interval, self.interval) + 1
        };
        Some(next)
    }
}

/// `value · numerator / denominator`, exact while it fits, else to 53 bits.
fn scaled(value: u128, numerator: u128, denominator: u128) -> u128 {
    match value.checked_mul(numerator) {
        Some(product) => product / denominator,
        None => (value as f64 * (numerator as f64 / denominator as f64)) as u128,
    }
}
