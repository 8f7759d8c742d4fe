//! A resource's cap that follows the latency of what it lets in: pure, fed with samples.
//!
//! A window ends with its `SAMPLES_MIN`th success, or after a second if it has a sample by then. Then
//! gradient = clamp(minRtt · (1 + tolerance) / rtt, 0.5, 1) and new = limit · gradient + √limit, at
//! most a tenth more than before, and more only if at least half of the limit was used. A window with
//! drops has 0.9 of the limit. From time to time the least latency is measured anew, at half the limit.

use crate::exchange::AdaptiveFields;

/// Successes that end a window.
const SAMPLES_MIN: u32 = 100;
const WINDOW_US: u64 = 1_000_000;
/// Windows between two measurements of the least latency.
const WINDOWS_PER_PROBE: u32 = 60;
const GROWTH_MAX: f64 = 1.1;
const BACKOFF: f64 = 0.9;

#[derive(Clone, Debug)]
pub struct Adaptive {
    fields: AdaptiveFields,
    limit: f64,
    /// Of the limit just before the least latency is measured anew; none: it is not.
    probed_from: Option<f64>,
    windows: u32,
    begun_us: u64,
    samples: u32,
    sum_us: u64,
    used_max: u32,
    drops: u32,
    min_us: Option<f64>,
    rtt_us: Option<f64>,
}

impl Adaptive {
    pub fn new(fields: AdaptiveFields, now_us: u64) -> Self {
        let min = fields.min.max(1);
        let fields = AdaptiveFields {
            min,
            max: fields.max.max(min),
            ..fields
        };
        // It begins low and grows: the other way round it would overload at first.
        let limit = f64::from(fields.min).max(f64::from(fields.max) / 10.0);
        Self {
            fields,
            limit,
            probed_from: None,
            windows: 0,
            begun_us: now_us,
            samples: 0,
            sum_us: 0,
            used_max: 0,
            drops: 0,
            min_us: None,
            rtt_us: None,
        }
    }

    /// The cap now, seats.
    #[allow(clippy::cast_sign_loss, reason = "a limit is at least 1")]
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    pub const fn bounds(&self) -> (u32, u32) {
        (self.fields.min, self.fields.max)
    }

    /// Least latency, and that of the last window, µs.
    pub const fn latencies_us(&self) -> (Option<f64>, Option<f64>) {
        (self.min_us, self.rtt_us)
    }

    pub const fn samples(&self) -> u32 {
        self.samples
    }

    /// Something that was let in has ended well, after `held_us`, while `used` seats were in use.
    pub fn success(&mut self, held_us: u64, used: u32) {
        self.samples += 1;
        self.sum_us += held_us;
        self.used_max = self.used_max.max(used);
    }

    /// Something that was let in has failed for overload.
    pub fn drop_one(&mut self) {
        self.drops += 1;
    }

    /// The last sample began a window, whose end has a time from now on, or filled one.
    pub const fn wants_look(&self) -> bool {
        self.samples + self.drops == 1 || self.samples == SAMPLES_MIN
    }

    /// When the window ends if enough samples come, µs; none while there is nothing to judge.
    pub fn due_us(&self) -> Option<u64> {
        (self.samples + self.drops > 0).then_some(self.begun_us + WINDOW_US)
    }

    /// Ends the window if it is time; true when the limit has changed.
    pub fn tick(&mut self, now_us: u64) -> bool {
        let is_full = self.samples >= SAMPLES_MIN;
        let is_over = self.due_us().is_some_and(|due_us| due_us <= now_us);
        if !is_full && !is_over {
            return false;
        }
        let before = self.limit();
        self.end_window();
        self.begun_us = now_us;
        (self.samples, self.sum_us, self.used_max, self.drops) = (0, 0, 0, 0);
        self.limit() != before
    }

    #[allow(clippy::cast_precision_loss, reason = "a latency needs no 64 bits")]
    fn end_window(&mut self) {
        self.windows += 1;
        if self.samples > 0 {
            self.rtt_us = Some((self.sum_us as f64 / f64::from(self.samples)).max(1.0));
        }
        if let Some(from) = self.probed_from.take() {
            // At half the limit nothing queues: this is the latency without load.
            if self.samples > 0 {
                self.min_us = self.rtt_us;
            }
            return self.set(from);
        }
        if self.drops > 0 {
            return self.set(self.limit * BACKOFF);
        }
        let Some(rtt_us) = self.rtt_us else { return };
        let min_us = self.min_us.map_or(rtt_us, |min_us| min_us.min(rtt_us));
        self.min_us = Some(min_us);
        if self.windows >= WINDOWS_PER_PROBE {
            self.windows = 0;
            let from = self.limit;
            self.set(from / 2.0);
            self.probed_from = Some(from);
            return;
        }
        let gradient = (min_us * (1.0 + self.fields.tolerance) / rtt_us).clamp(0.5, 1.0);
        let new = self.limit * gradient + self.limit.sqrt();
        let is_used = f64::from(self.used_max) >= self.limit / 2.0;
        if new > self.limit && !is_used {
            return;
        }
        self.set(new.min(self.limit * GROWTH_MAX));
    }

    fn set(&mut self, limit: f64) {
        let (min, max) = (f64::from(self.fields.min), f64::from(self.fields.max));
        self.limit = limit.clamp(min, max);
    }
}
