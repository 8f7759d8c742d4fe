//! How much may be outstanding at a destination without slots (scheduling rule 13).
//!
//! A huge credit would move the queue past the scheduler into a slow consumer's buffer. So what is
//! handed out and unsettled is held to max(64, 4 × largest settle frame, 2 × settlements a second ×
//! smallest time from delivery to settlement), each over the last ten seconds.

const SECONDS: usize = 10;
const FLOOR: u64 = 64;

#[derive(Clone, Copy, Debug)]
struct Second {
    settled: u64,
    frame_max: u64,
    held_us_min: u64,
}

const EMPTY: Second = Second {
    settled: 0,
    frame_max: 0,
    held_us_min: u64::MAX,
};

/// Ten one-second cells, the current one included.
#[derive(Clone, Debug)]
pub struct Outstanding {
    cells: [Second; SECONDS],
    second: u64,
    started: u64,
}

impl Outstanding {
    pub fn new(now_us: u64) -> Self {
        let second = now_us / 1_000_000;
        Self {
            cells: [EMPTY; SECONDS],
            second,
            started: second,
        }
    }

    fn roll(&mut self, now_us: u64) {
        let second = now_us / 1_000_000;
        let steps = second.saturating_sub(self.second).min(SECONDS as u64);
        for step in 1..=steps {
            self.cells[((second - steps + step) % SECONDS as u64) as usize] = EMPTY;
        }
        self.second = self.second.max(second);
    }

    /// One settle frame gave outcomes to `count` deliveries, the youngest of them held `held_us_min`.
    pub fn settled(&mut self, count: u64, held_us_min: u64, now_us: u64) {
        self.roll(now_us);
        let cell = &mut self.cells[(self.second % SECONDS as u64) as usize];
        cell.settled += count;
        cell.frame_max = cell.frame_max.max(count);
        cell.held_us_min = cell.held_us_min.min(held_us_min);
    }

    /// The most that may be in flight now.
    pub fn limit(&mut self, now_us: u64) -> u64 {
        self.roll(now_us);
        let (mut settled, mut frame_max, mut held_us_min) = (0, 0, u64::MAX);
        for cell in &self.cells {
            settled += cell.settled;
            frame_max = frame_max.max(cell.frame_max);
            held_us_min = held_us_min.min(cell.held_us_min);
        }
        if settled == 0 {
            return FLOOR;
        }
        let seconds = (self.second - self.started + 1).min(SECONDS as u64);
        let rate = settled / seconds;
        FLOOR
            .max(4 * frame_max)
            .max(2u64.saturating_mul(rate).saturating_mul(held_us_min) / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_at_the_floor_and_follows_the_largest_frame() {
        let mut outstanding = Outstanding::new(0);
        assert_eq!(outstanding.limit(0), 64);
        outstanding.settled(100, 50, 10);
        assert_eq!(outstanding.limit(10), 400);
        assert_eq!(outstanding.limit(11_000_000), 64);
    }

    #[test]
    fn follows_rate_times_time() {
        let mut outstanding = Outstanding::new(0);
        for second in 0..10 {
            outstanding.settled(10, 200_000, second * 1_000_000);
            outstanding.settled(990, 100_000, second * 1_000_000);
        }
        // 1,000 a second × 100 ms × 2 = 200, but four frames of 990 are more.
        assert_eq!(outstanding.limit(9_500_000), 3960);
    }
}
