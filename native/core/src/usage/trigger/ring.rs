//! What was counted within the last while, in 60 sub-windows.
//!
//! It covers the sub-window that runs and the 59 before it, so at most the window and at least 59/60
//! of it: a rate is never said to be higher than it was.

use crate::limits::TRIGGER_SUB_WINDOWS;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    sub_ms: u64,
    /// The newest sub-window: time by length.
    newest: u64,
    sums: [i128; TRIGGER_SUB_WINDOWS],
    sum: i128,
}

impl Ring {
    pub fn new(window_ms: u64) -> Self {
        Self::with(window_ms, 0, &[0; TRIGGER_SUB_WINDOWS])
    }

    /// As it was stored: the newest sub-window, and all of them, the oldest first.
    pub fn with(window_ms: u64, newest: u64, oldest_first: &[i128; TRIGGER_SUB_WINDOWS]) -> Self {
        let mut ring = Self {
            sub_ms: (window_ms / TRIGGER_SUB_WINDOWS as u64).max(1),
            newest,
            sums: [0; TRIGGER_SUB_WINDOWS],
            sum: 0,
        };
        for (at, sum) in ring.places().into_iter().zip(oldest_first) {
            ring.sums[at] = *sum;
        }
        ring.add_up();
        ring
    }

    /// The newest sub-window, and all of them, the oldest first.
    pub fn parts(&self) -> (u64, [i128; TRIGGER_SUB_WINDOWS]) {
        (self.newest, self.places().map(|at| self.sums[at]))
    }

    /// Places of the sub-windows, the oldest first.
    fn places(&self) -> [usize; TRIGGER_SUB_WINDOWS] {
        let length = TRIGGER_SUB_WINDOWS as u64;
        std::array::from_fn(|at| ((self.newest % length + 1 + at as u64) % length) as usize)
    }

    /// Forgets what is older than the window. Time never goes back here.
    pub fn advance(&mut self, now_ms: u64) {
        let now = now_ms / self.sub_ms;
        if now <= self.newest {
            return;
        }
        let passed = (now - self.newest).min(TRIGGER_SUB_WINDOWS as u64);
        for place in self.places().into_iter().take(passed as usize) {
            self.sums[place] = 0;
        }
        self.newest = now;
        self.add_up();
    }

    /// After a start with a clock that was set back, what it holds cannot be told apart: it begins anew.
    pub fn drop_future(&mut self, window_ms: u64, now_ms: u64) {
        if self.newest > now_ms / self.sub_ms {
            *self = Self::new(window_ms);
        }
    }

    pub fn add(&mut self, amount: i128) {
        let at = (self.newest % TRIGGER_SUB_WINDOWS as u64) as usize;
        self.sums[at] = self.sums[at].saturating_add(amount);
        self.add_up();
    }

    pub const fn sum(&self) -> i128 {
        self.sum
    }

    /// What the window holds at a time, without changing it.
    pub fn sum_at(&self, now_ms: u64) -> i128 {
        let mut ring = self.clone();
        ring.advance(now_ms);
        ring.sum
    }

    fn add_up(&mut self) {
        self.sum = self
            .sums
            .iter()
            .fold(0, |sum, part| sum.saturating_add(*part));
    }
}
