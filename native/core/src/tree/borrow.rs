//! Rule 11: what a set may take above its entitled share, even when all others are idle.
//!
//! The entitled share is the set's part of the weights of all sets that are configured, idle or not.
//! The cap becomes part of the set's own limits, so a pick pays nothing for it.

use super::node::{Limits, NodeConfig, NodeId, ROOT};
use super::{Tree, WEIGHT_MAX};

/// Depth of the bucket of a cap, seconds of its rate.
const DEPTH_SECONDS: f64 = 0.1;
/// The same as cost, for slow destinations.
const DEPTH_MIN: f64 = 4.0;
/// Lag that a set with a cap keeps when it comes back from it, cost at weight 1. A cap makes its set
/// ineligible again and again, at the rate the set is entitled to; with S := max(S, V) each time
/// (rule 2) it waits for a round of its siblings after every depth of its bucket, which overflows
/// meanwhile. Simulated, a set of half the weight beside 1,000 small ones got 1 % of its share.
const LAG_KEPT: f64 = 8.0;

/// A set with a cap: what it was configured with.
pub(super) struct Borrower {
    limits: Limits,
    /// ≥ 0, part of the entitled share.
    borrow_max: f64,
}

impl Tree {
    /// Sum of the weights of all sets that may use the destination, also of those that have no node
    /// now: entitled shares are parts of it. A set that weighs more is entitled to everything.
    pub fn set_entitled_weight(&mut self, total: u64, now_us: u64) {
        let now_us = self.advance(now_us);
        if std::mem::replace(&mut self.entitled_weight, total) != total {
            self.recap(now_us);
        }
    }

    /// The limits of a node with its cap, if it is a set that has one.
    pub(super) fn capped(&mut self, id: NodeId, config: &NodeConfig) -> Limits {
        let limits = config.limits;
        if self.nodes[id as usize].parent != ROOT {
            return limits;
        }
        let Some(borrow_max) = config.borrow_max else {
            if self.borrowers.remove(&id).is_some() {
                self.forget_lag(id);
            }
            return limits;
        };
        let borrower = Borrower {
            limits,
            borrow_max: borrow_max.max(0.0),
        };
        let capped = self.limits_with(&borrower, config.weight.clamp(1, WEIGHT_MAX));
        self.borrowers.insert(id, borrower);
        capped
    }

    fn limits_with(&self, borrower: &Borrower, weight: u32) -> Limits {
        let mut limits = borrower.limits;
        let share = f64::from(weight) / self.entitled_weight.max(u64::from(weight)) as f64;
        let part = share * (1.0 + borrower.borrow_max);
        if part >= 1.0 {
            return limits;
        }
        let destination = &self.config.limits;
        if let Some(all) = destination.rate_per_sec {
            let rate = all * part;
            if limits.rate_per_sec.is_none_or(|own| rate < own) {
                limits.rate_per_sec = Some(rate);
                limits.burst = (rate * DEPTH_SECONDS).ceil().max(DEPTH_MIN) as u32;
            }
        }
        if let Some(all) = destination.in_flight_max {
            let slots = f64::from(all) * part;
            // Beside a rate, which is exact, the slots must not hold a set below its share.
            let slots = if destination.rate_per_sec.is_some() {
                slots.ceil()
            } else {
                // What is a whole number but for the rounding of `part` counts as one.
                (slots + 1e-9).floor()
            };
            let slots = (slots as u32).max(1);
            limits.in_flight_max = Some(limits.in_flight_max.unwrap_or(u32::MAX).min(slots));
        }
        limits
    }

    /// How far below V a set with a cap may come back that waited for its cap, in tags. `waited`: for
    /// time to pass; the other case is a slot that became free.
    pub(super) fn lag_kept(&self, id: NodeId, waited: bool) -> u128 {
        if self.borrowers.is_empty() || !self.borrowers.contains_key(&id) {
            return 0;
        }
        let node = &self.nodes[id as usize];
        if !waited && node.in_flight + 1 != self.extra(node.extra).in_flight_max {
            return 0;
        }
        let unit = self.costs.nominal(self.nodes[ROOT as usize].hold_us);
        (LAG_KEPT * unit * 4_294_967_296.0) as u128
    }

    /// A lag was measured under the cap of before: under a wider one it would be a burst.
    fn forget_lag(&mut self, id: NodeId) {
        let v = self.family_of(ROOT).v;
        self.nodes[id as usize].catch_up(v);
    }

    /// The caps again: weights or limits of the destination changed.
    pub(super) fn recap(&mut self, now_us: u64) {
        let caps: Vec<_> = self
            .borrowers
            .iter()
            .map(|(&id, borrower)| (id, self.limits_with(borrower, self.weight(id))))
            .collect();
        for (id, limits) in caps {
            self.forget_lag(id);
            self.set_limits(id, &limits, now_us);
            self.refresh(id, now_us);
        }
    }
}
