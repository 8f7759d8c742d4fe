//! What a queue may count on: its path, seen by whoever reckons how long a message will wait.

use super::Tree;
use super::level::Level;
use super::node::{NodeId, PAUSED, ROOT};

/// One node of a queue's path.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub parent: NodeId,
    /// Part of its parent that it gets when the siblings that have work now want theirs, 0…1.
    pub part: f64,
    /// Its weight, and the weights of the siblings that have work now, itself included.
    pub weight: u64,
    pub backlog_weight: u64,
    /// Of a level: its rank, and the floor it gets when a higher one has work, 0…1.
    pub level: Option<(u8, f64)>,
    /// Of its bucket, cost a second.
    pub rate_per_sec: Option<f64>,
    pub in_flight_max: Option<u32>,
    /// Paused, or resting.
    pub halted: bool,
}

impl Tree {
    /// From the queue up to its set.
    pub fn path(&self, queue: NodeId) -> impl Iterator<Item = Step> + '_ {
        let mut id = queue;
        std::iter::from_fn(move || {
            if id == ROOT {
                return None;
            }
            let step = self.step(id);
            id = step.parent;
            Some(step)
        })
    }

    fn step(&self, id: NodeId) -> Step {
        let node = &self.nodes[id as usize];
        let extra = self.extra(node.extra);
        let weight = u64::from(node.weight);
        let others = self.family_of(node.parent).backlog_weight;
        let backlog_weight = others + if node.due == 0 { weight } else { 0 };
        let level = self.is_level(id).then(|| self.level_of(id));
        Step {
            parent: node.parent,
            part: match level {
                Some(_) => 1.0 - self.floors_below(id),
                None => weight as f64 / backlog_weight as f64,
            },
            weight,
            backlog_weight,
            level,
            rate_per_sec: extra.bucket.map(|bucket| bucket.rate_per_sec()),
            in_flight_max: (extra.in_flight_max != u32::MAX).then_some(extra.in_flight_max),
            halted: node.stopped & PAUSED != 0 || extra.rest_until_us > self.now_us,
        }
    }

    fn level_of(&self, id: NodeId) -> (u8, f64) {
        let levels = self.levels_of(self.nodes[id as usize].parent);
        let mut list = levels.into_iter().flat_map(|levels| &levels.list);
        let own = list.find(|level| level.node == id);
        own.map_or((0, 0.0), |level| (level.rank, level.floor()))
    }

    /// What the floors of lower levels that have work take from a level.
    fn floors_below(&self, id: NodeId) -> f64 {
        let (rank, _) = self.level_of(id);
        let levels = self.levels_of(self.nodes[id as usize].parent);
        let list = levels.into_iter().flat_map(|levels| &levels.list);
        list.filter(|level| level.rank > rank && self.nodes[level.node as usize].due > 0)
            .map(Level::floor)
            .sum()
    }

    /// Whether someone could be served now if the destination could serve.
    pub fn is_wanted(&self) -> bool {
        !self.family_of(ROOT).heap.is_empty()
    }

    /// Whether the destination itself is paused or resting.
    pub fn is_halted(&self) -> bool {
        let root = &self.nodes[ROOT as usize];
        root.stopped & PAUSED != 0 || self.extra(root.extra).rest_until_us > self.now_us
    }

    /// Whether the destination's rate keeps the next message back.
    pub fn is_paced(&self) -> bool {
        let extra = self.extra(self.nodes[ROOT as usize].extra);
        let ready_us = |bucket: super::Bucket| bucket.ready_us(extra.head_cost);
        extra
            .bucket
            .is_some_and(|bucket| ready_us(bucket) > self.now_us)
    }

    /// Moving average of the holds of a queue, or of the whole destination, µs; 0: none known.
    pub fn hold_us(&self, node: NodeId) -> u32 {
        self.nodes[node as usize].hold_us
    }
}
