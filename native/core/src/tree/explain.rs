//! The numbers that decide, to be shown (rule 12).

use super::node::{NodeId, ROOT};
use super::{Explained, LevelScore, Tree};

impl Tree {
    /// Why a queue is served when it is. Walks its path only.
    pub fn explain(&self, queue: NodeId, _now_us: u64) -> Explained {
        let nominal = self.costs.nominal(self.nodes[ROOT as usize].hold_us);
        let mut portion = 1.0;
        let mut lag = 0.0;
        let mut score = Vec::new();
        let mut eligible = self.nodes[ROOT as usize].eligible;
        let mut id = queue;
        while id != ROOT {
            let node = &self.nodes[id as usize];
            let family = self.family_of(node.parent);
            let weight = u64::from(node.weight);
            let backlogged = family.backlog_weight + if node.due == 0 { weight } else { 0 };
            portion *= weight as f64 / backlogged as f64;
            // A node that came back is judged by the tag it will get then (rule 2).
            let tag = if node.eligible {
                node.tag
            } else {
                node.tag.max(family.v)
            };
            let debt = difference(tag, family.v_now());
            lag -= debt * weight as f64 / nominal;
            eligible &= node.eligible;
            score.push(LevelScore {
                node: id,
                weight: weight as u32,
                debt,
                tie: node.tie,
            });
            id = node.parent;
        }
        score.reverse();
        let got = f64::from(self.nodes[queue as usize].got);
        let per_sec = self.per_sec().map(|rate| rate * portion);
        Explained {
            portion,
            portion_per_sec: per_sec,
            owed: got + lag,
            got,
            lag,
            score,
            eligible,
        }
    }

    /// What the destination takes, messages a second: by rate, or by slots and the average hold.
    fn per_sec(&self) -> Option<f64> {
        let limits = &self.config.limits;
        let hold_us = self.nodes[ROOT as usize].hold_us;
        let by_slots = match limits.in_flight_max {
            Some(slots) if hold_us != 0 => Some(f64::from(slots) * 1e6 / f64::from(hold_us)),
            _ => None,
        };
        match (limits.rate_per_sec, by_slots) {
            (Some(rate), Some(slots)) => Some(rate.min(slots)),
            (rate, slots) => rate.or(slots),
        }
    }
}

/// `tag − v` in cost units.
pub(super) fn difference(tag: u128, v: u128) -> f64 {
    let size = tag.abs_diff(v) as f64 / 4_294_967_296.0;
    if tag >= v { size } else { -size }
}
