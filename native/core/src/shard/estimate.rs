//! How long a message will wait, from what is ahead of it: arithmetic only.
//!
//! Three answers, from the surest on. At the destination's whole rate it would come too late: refused.
//! With no more than its part beside everyone who was busy lately it comes in time: accepted. In
//! between the queue's rate of now decides.

#![allow(clippy::cast_precision_loss, reason = "an estimate")]

/// Parts of the time over which rates are measured.
const CELLS: usize = 10;
/// Less time than this says nothing about a rate, µs.
const MEASURED_US_MIN: u64 = 1_000_000;

/// Rates in cost a second; infinite where nothing limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// What the destination does for this queue if nobody else wants it.
    pub whole: f64,
    /// The smallest limit on the queue's path.
    pub cap: f64,
    /// What its tenant gets now, and with all siblings of the last minute busy.
    pub tenant: f64,
    pub tenant_least: f64,
    /// What the queue gets now, and the same with all siblings of the last minute busy.
    pub queue: f64,
    pub queue_least: f64,
    /// Part of its tenant that the queue gets even while higher levels have work; 0: none.
    pub floor: f64,
    /// The queue's rate is measured, not reckoned from weights that are all in use.
    pub is_measured: bool,
}

/// Cost that goes before a message or with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ahead {
    /// Of higher levels of its tenant.
    pub above: f64,
    /// Of its queue, its own included.
    pub own: f64,
    /// How long ago the queue was served last, µs: so much of its turn is over.
    pub since_us: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Accept,
    /// How long it would wait, µs.
    Refuse(f64),
}

impl Outlook {
    /// Whether a message that is valid for `validity_us` would be sent in time.
    pub fn judge(&self, ahead: &Ahead, validity_us: f64) -> Verdict {
        let sure_us = self.wait_us(ahead, self.tenant_least, self.queue_least);
        if sure_us <= validity_us {
            return Verdict::Accept;
        }
        let best = Ahead {
            since_us: f64::INFINITY,
            ..*ahead
        };
        let least_us = self.wait_us(&best, self.whole, self.whole);
        if least_us > validity_us {
            return Verdict::Refuse(least_us);
        }
        let wait_us = self.wait_us(ahead, self.tenant, self.queue);
        let part = if self.is_measured { MEASURED_PART } else { 1.0 };
        if wait_us > validity_us * part {
            Verdict::Refuse(wait_us)
        } else {
            Verdict::Accept
        }
    }

    /// The time until a message is sent when its tenant and queue get these rates.
    fn wait_us(&self, ahead: &Ahead, tenant: f64, queue: f64) -> f64 {
        let (tenant, queue) = (tenant.min(self.cap), queue.min(self.cap));
        let turn = (ahead.since_us * queue / 1e6).min(1.0);
        let own = ahead.own - turn;
        let after_all = ahead.above / tenant + own / queue;
        let by_floor = if self.floor > 0.0 {
            own / (queue * self.floor)
        } else {
            f64::INFINITY
        };
        let seconds = if ahead.above > 0.0 {
            after_all.min(by_floor)
        } else {
            own / queue
        };
        seconds * 1e6 + SLACK_US
    }
}

/// What timers and whole ms take from a validity, µs. A queue under load is full to the last message
/// that fits, so this is a trade. Simulated at turns of 100 ms: with 0 up to 1.2 % of the accepted
/// expire and 98 % of the refused would have; with 2 ms none and 98 %; with 6 ms none and 92 %.
const SLACK_US: f64 = 2000.0;
/// Part of its validity that a message may be expected to wait where the rate is only measured.
const MEASURED_PART: f64 = 0.95;

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    cost: u64,
    busy_us: u64,
}

/// What was served lately, of the time in which there was work to serve.
#[derive(Clone, Debug)]
pub struct Served {
    cells: [Cell; CELLS],
    /// Length of a cell, µs, and the number of the newest.
    cell_us: u64,
    newest: u64,
    /// Up to when busy time is counted; `u64::MAX`: not busy.
    busy_from_us: u64,
}

impl Served {
    /// Measures over `window_us`, a multiple of ten.
    pub const fn new(window_us: u64, now_us: u64) -> Self {
        let cell_us = window_us / CELLS as u64;
        Self {
            cells: [Cell {
                cost: 0,
                busy_us: 0,
            }; CELLS],
            cell_us,
            newest: now_us / cell_us,
            busy_from_us: u64::MAX,
        }
    }

    fn cell(&mut self, at_us: u64) -> &mut Cell {
        let number = at_us / self.cell_us;
        for step in 0..number.saturating_sub(self.newest).min(CELLS as u64) {
            self.cells[((number - step) % CELLS as u64) as usize] = Cell::default();
        }
        self.newest = self.newest.max(number);
        &mut self.cells[(self.newest % CELLS as u64) as usize]
    }

    /// Counts the time up to now as busy if it was, and notes whether it is from now on.
    pub fn set_busy(&mut self, busy: bool, now_us: u64) {
        if self.busy_from_us != u64::MAX {
            let oldest_us = now_us.saturating_sub(CELLS as u64 * self.cell_us);
            let mut at_us = self.busy_from_us.max(oldest_us);
            while at_us < now_us {
                let end_us = ((at_us / self.cell_us + 1) * self.cell_us).min(now_us);
                self.cell(at_us).busy_us += end_us - at_us;
                at_us = end_us;
            }
        }
        self.busy_from_us = if busy { now_us } else { u64::MAX };
    }

    pub const fn is_busy(&self) -> bool {
        self.busy_from_us != u64::MAX
    }

    pub fn add(&mut self, cost: u64, now_us: u64) {
        self.cell(now_us).cost += cost;
    }

    /// Cost served, and busy seconds, up to now. None: too short a time.
    pub fn measure(&mut self, now_us: u64) -> Option<(f64, f64)> {
        self.set_busy(self.is_busy(), now_us);
        self.cell(now_us);
        let cost: u64 = self.cells.iter().map(|cell| cell.cost).sum();
        let busy_us: u64 = self.cells.iter().map(|cell| cell.busy_us).sum();
        (busy_us >= MEASURED_US_MIN).then_some((cost as f64, busy_us as f64 / 1e6))
    }
}

/// Largest sum of the weights that had work at one parent in the last minute, in six parts of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recent {
    sums: [u64; 6],
    part: u64,
}

impl Recent {
    /// Notes the sum of now and gives the largest.
    pub fn note(&mut self, sum: u64, now_us: u64) -> u64 {
        let part = now_us / 10_000_000;
        for step in 0..part.saturating_sub(self.part).min(6) {
            self.sums[((part - step) % 6) as usize] = 0;
        }
        self.part = self.part.max(part);
        let cell = &mut self.sums[(self.part % 6) as usize];
        *cell = sum.max(*cell);
        self.sums.iter().copied().max().unwrap_or(sum)
    }
}

/// Who would have made it with less than this part of the validity to spare is not counted: where the
/// queue is full to the last message that fits, the next one is late or not by a fraction of a turn.
const NEAR: u64 = 20;
/// Slots of time within a validity for which one message that was refused stands for all.
const SAMPLES: u64 = 16;
/// Samples that one queue keeps.
const PHANTOMS_MAX: usize = 32;

/// A message that was refused: would it have been sent in time?
#[derive(Clone, Copy, Debug)]
struct Phantom {
    /// It would be sent when the queue has served so much cost.
    target: u64,
    refused_us: u64,
    deadline_us: u64,
    /// Refused messages that it stands for.
    count: u64,
}

/// The messages of one queue that were refused and whose time is not yet over: a sample of them.
#[derive(Clone, Debug, Default)]
pub struct Phantoms {
    ring: Vec<Phantom>,
}

impl Phantoms {
    pub fn add(&mut self, target: u64, validity_us: u64, now_us: u64) {
        self.ring.retain(|phantom| phantom.deadline_us > now_us);
        let apart_us = validity_us / SAMPLES;
        let full = self.ring.len() >= PHANTOMS_MAX;
        if let Some(last) = self.ring.last_mut()
            && (full || now_us < last.refused_us + apart_us)
        {
            last.count += 1;
            return;
        }
        self.ring.push(Phantom {
            target,
            refused_us: now_us,
            deadline_us: now_us + validity_us - validity_us / NEAR,
            count: 1,
        });
    }

    /// The queue has served so much: how many of those refused would have been sent in time by now.
    pub fn served(&mut self, served: u64, now_us: u64) -> u64 {
        if self.ring.is_empty() {
            return 0;
        }
        let mut in_time = 0;
        self.ring.retain(|phantom| {
            let sent = phantom.target <= served;
            in_time += if sent && now_us < phantom.deadline_us {
                phantom.count
            } else {
                0
            };
            !sent && now_us < phantom.deadline_us
        });
        in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: Outlook = Outlook {
        whole: 100.0,
        cap: f64::INFINITY,
        tenant: 50.0,
        tenant_least: 20.0,
        queue: 10.0,
        queue_least: 5.0,
        floor: 0.0,
        is_measured: false,
    };

    fn ahead(own: f64) -> Ahead {
        Ahead {
            above: 0.0,
            own,
            since_us: 0.0,
        }
    }

    #[test]
    fn accepts_what_is_sure_refuses_what_is_hopeless_and_reckons_between() {
        let validity_us = 10e6;
        assert_eq!(EVEN.judge(&ahead(49.0), validity_us), Verdict::Accept);
        assert_eq!(EVEN.judge(&ahead(99.0), validity_us), Verdict::Accept);
        let between = EVEN.judge(&ahead(101.0), validity_us);
        assert!(matches!(between, Verdict::Refuse(us) if (us - 10.1e6).abs() < 1e4));
        let hopeless = EVEN.judge(&ahead(1010.0), validity_us);
        assert!(matches!(hopeless, Verdict::Refuse(us) if us < 10.1e6));
    }

    #[test]
    fn counts_the_part_of_the_turn_that_is_over() {
        let half = Ahead {
            since_us: 50_000.0,
            ..ahead(100.4)
        };
        assert_eq!(EVEN.judge(&half, 10e6), Verdict::Accept);
        assert_ne!(EVEN.judge(&ahead(100.4), 10e6), Verdict::Accept);
    }

    #[test]
    fn a_cap_and_higher_levels_hold_back_and_a_floor_helps() {
        let capped = Outlook { cap: 1.0, ..EVEN };
        assert_ne!(capped.judge(&ahead(11.0), 10e6), Verdict::Accept);
        let behind = Ahead {
            above: 500.0,
            ..ahead(10.0)
        };
        assert_ne!(EVEN.judge(&behind, 10e6), Verdict::Accept);
        let floor = Outlook { floor: 0.2, ..EVEN };
        assert_eq!(floor.judge(&behind, 10e6), Verdict::Accept);
    }

    #[test]
    fn measures_only_the_time_in_which_there_was_work() {
        let mut served = Served::new(10_000_000, 0);
        served.set_busy(true, 0);
        served.add(50, 400_000);
        assert_eq!(served.measure(900_000), None, "too short");
        served.set_busy(false, 1_000_000);
        assert_eq!(served.measure(5_000_000), Some((50.0, 1.0)));
        served.set_busy(true, 5_000_000);
        served.add(100, 5_500_000);
        assert_eq!(served.measure(6_000_000), Some((150.0, 2.0)));
        assert_eq!(served.measure(12_500_000), Some((100.0, 7.5)));
        assert_eq!(served.measure(60_000_000), Some((0.0, 9.0)));
    }

    #[test]
    fn remembers_the_largest_sum_of_a_minute() {
        let mut recent = Recent::default();
        assert_eq!(recent.note(500, 1_000_000), 500);
        assert_eq!(recent.note(100, 31_000_000), 500);
        assert_eq!(recent.note(100, 59_000_000), 500);
        assert_eq!(recent.note(100, 61_000_000), 100);
    }

    #[test]
    fn samples_of_refused_messages_stand_for_all_and_are_bounded() {
        let mut phantoms = Phantoms::default();
        for at in 0..1000 {
            phantoms.add(50, 10_000_000, at * 1000);
        }
        assert!(phantoms.ring.len() <= 2);
        assert_eq!(phantoms.served(49, 9_000_000), 0);
        assert_eq!(phantoms.served(50, 9_000_000), 1000);
        phantoms.add(60, 10_000_000, 9_000_000);
        assert_eq!(phantoms.served(60, 18_600_000), 0, "late, or all but");
        for at in 0..1_000_000 {
            phantoms.add(1 << 40, 1 << 40, at << 20);
        }
        assert!(phantoms.ring.len() <= PHANTOMS_MAX);
    }
}
