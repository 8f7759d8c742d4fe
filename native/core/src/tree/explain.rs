//! The numbers that decide, to be shown (rule 12).

use super::level::{Level, Levels, level_order};
use super::node::{NodeId, ROOT};
use super::{Explained, LevelScore, LevelState, Tree};

impl Tree {
    /// Why a queue is served when it is. Walks its path only.
    pub fn explain(&self, queue: NodeId, _now_us: u64) -> Explained {
        let nominal = self.costs.nominal(self.nodes[ROOT as usize].hold_us);
        let mut portion = 1.0;
        let mut lag = 0.0;
        let mut score = Vec::new();
        let mut eligible = self.nodes[ROOT as usize].eligible;
        let mut per_sec = f64::INFINITY;
        let mut id = queue;
        while id != ROOT {
            let node = &self.nodes[id as usize];
            let family = self.family_of(node.parent);
            eligible &= node.eligible;
            if let Some(bucket) = self.extra(node.extra).bucket {
                per_sec = per_sec.min(bucket.rate_per_sec() * portion);
            }
            if self.is_level(id) {
                let (part, level) = self.level_score(id);
                portion *= part;
                score.push(level);
                id = node.parent;
                continue;
            }
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
            score.push(LevelScore {
                node: id,
                weight: weight as u32,
                debt,
                tie: node.tie,
                level: None,
            });
            id = node.parent;
        }
        score.reverse();
        let got = f64::from(self.nodes[queue as usize].got);
        if let Some(rate) = self.per_sec() {
            per_sec = per_sec.min(rate * portion);
        }
        Explained {
            portion,
            portion_per_sec: per_sec.is_finite().then_some(per_sec),
            owed: got + lag,
            got,
            lag,
            score,
            eligible,
        }
    }

    /// A level's part of its tenant, and its place in the score (rule 8): the highest that has work
    /// gets what the floors of the others leave.
    fn level_score(&self, id: NodeId) -> (f64, LevelScore) {
        let node = &self.nodes[id as usize];
        let levels = self.levels_of(node.parent);
        let Levels { served, list } = levels.expect("the parent of a level has levels");
        let own = list.iter().find(|level| level.node == id);
        let own = own.expect("a level is in the list of its tenant");
        let has_work = |level: &&Level| self.nodes[level.node as usize].due > 0;
        let part = if list
            .iter()
            .filter(has_work)
            .any(|level| level.rank < own.rank)
        {
            own.floor()
        } else {
            let lower = list
                .iter()
                .filter(has_work)
                .filter(|level| level.rank > own.rank);
            1.0 - lower.map(Level::floor).sum::<f64>()
        };
        let score = LevelScore {
            node: id,
            weight: u32::from(node.weight),
            debt: 0.0,
            tie: level_order(node.tie),
            level: Some(LevelState {
                rank: own.rank,
                floor: own.floor(),
                lead: own.lead(*served),
            }),
        };
        (part, score)
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
