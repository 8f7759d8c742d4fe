//! Picking, and what becomes of a pick: rules 3, 4, 5 and 7.

use std::cmp::Reverse;

use super::cost::{Charge, averaged};
use super::heap::Entry;
use super::node::{Key, NONE, NodeId, ROOT, served_tie};
use super::trace::Choice;
use super::{Picked, Tree};

/// From so many slots on the last tenth is kept for nodes below their share (rule 5).
const SLOTS_SHARED_MIN: u32 = 10;

impl Tree {
    /// Takes the best due message: charges its path and counts it in flight.
    pub fn pick(&mut self, now_us: u64) -> Option<Picked> {
        let now_us = self.advance(now_us);
        if self.timers.first().is_some_and(|first| first.key <= now_us) {
            self.wake(now_us);
        }
        if !self.nodes[ROOT as usize].eligible {
            return None;
        }
        let queue = self.descend();
        let charge = self.charge(queue);
        self.serve(queue, charge, now_us);
        Some(Picked { queue, charge })
    }

    /// A message of the queue came to its end: corrects what its hold cost (rule 5).
    /// `held_us` is the time it was in flight, µs.
    pub fn settle(&mut self, queue: NodeId, charge: Charge, held_us: u64, now_us: u64) {
        let now_us = self.advance(now_us);
        let held_us = u32::try_from(held_us).unwrap_or(u32::MAX);
        for id in [queue, ROOT] {
            let hold_us = &mut self.nodes[id as usize].hold_us;
            *hold_us = averaged(*hold_us, held_us);
        }
        let actual = self.costs.units(charge.cost, held_us);
        self.land(queue, i128::from(actual) - i128::from(self.units_now(charge)), now_us);
    }

    /// A message was not attempted, or throttled: takes back its charge (rule 4). Tokens of buckets
    /// stay spent. The owner enqueues the message again.
    pub fn refund(&mut self, queue: NodeId, charge: Charge, now_us: u64) {
        let now_us = self.advance(now_us);
        let node = &mut self.nodes[queue as usize];
        node.got = node.got.saturating_sub(u64::from(charge.cost));
        self.land(queue, -i128::from(self.units_now(charge)), now_us);
    }

    /// Goes down to the best queue and moves every V on the way (rule 3).
    fn descend(&mut self) -> NodeId {
        let root = &self.nodes[ROOT as usize];
        let scarce = root.in_flight_max >= SLOTS_SHARED_MIN
            && root.in_flight_max != u32::MAX
            && root.in_flight >= root.in_flight_max - root.in_flight_max / 10;
        let mut share = f64::from(root.in_flight_max);
        let mut id = ROOT;
        let mut choice = None;
        loop {
            let family_id = self.nodes[id as usize].family;
            if family_id == NONE {
                break;
            }
            let best = if scarce {
                self.below_share(family_id, &mut share)
            } else {
                self.families[family_id as usize].heap.at(0)
            };
            let family = &mut self.families[family_id as usize];
            if family.heap.len() > 1 {
                choice = Some(Choice { family: family_id, best, v: family.v });
            }
            family.v = family.v.max(best.key.0);
            id = best.node;
        }
        self.trace(id, choice);
        id
    }

    /// Rule 5: the first child in the order of keys that is below its share of the slots, the share
    /// being taken among the eligible ones. One always is: together they hold fewer than `share`.
    fn below_share(&mut self, family: u32, share: &mut f64) -> Entry<Key> {
        let family = &self.families[family as usize];
        let each = *share / family.eligible_weight as f64;
        let nodes = &self.nodes;
        let share_if_below = |entry: &Entry<Key>| {
            let node = &nodes[entry.node as usize];
            let share = each * f64::from(node.weight);
            (f64::from(node.in_flight) < share).then_some(share)
        };
        let first = family.heap.at(0);
        if let Some(below) = share_if_below(&first) {
            *share = below;
            return first;
        }
        self.frontier.clear();
        let look = |at: usize| Reverse((family.heap.at(at).key, at as u32));
        self.frontier.extend(family.heap.below(0).map(look));
        while let Some(Reverse((_, at))) = self.frontier.pop() {
            let entry = family.heap.at(at as usize);
            if let Some(below) = share_if_below(&entry) {
                *share = below;
                return entry;
            }
            self.frontier.extend(family.heap.below(at as usize).map(look));
        }
        // Only rounding of the shares gets here.
        *share = each * f64::from(nodes[first.node as usize].weight);
        first
    }

    fn charge(&self, queue: NodeId) -> Charge {
        let node = &self.nodes[queue as usize];
        let hold_us = self.costs.guess_us(node.hold_us, self.nodes[ROOT as usize].hold_us);
        let units = self.costs.units(node.head_cost, hold_us);
        Charge { units, scale: self.scale as f32, cost: node.head_cost }
    }

    /// What was charged, in the unit of now.
    fn units_now(&self, charge: Charge) -> u64 {
        let scale = self.scale as f32;
        if charge.scale.to_bits() == scale.to_bits() {
            return charge.units;
        }
        (charge.units as f64 * f64::from(scale) / f64::from(charge.scale)) as u64
    }

    /// Charges a queue and its ancestors for a message that leaves (rule 4), from below.
    fn serve(&mut self, queue: NodeId, charge: Charge, now_us: u64) {
        let tie = served_tie(self.next_sequence());
        self.nodes[queue as usize].got += u64::from(charge.cost);
        let mut id = queue;
        loop {
            let node = &mut self.nodes[id as usize];
            node.due -= 1;
            node.in_flight += 1;
            node.tie = tie;
            if let Some(bucket) = self.buckets.get_mut(node.bucket as usize) {
                bucket.take(charge.cost, now_us);
            }
            if id != ROOT {
                node.charge(charge.units);
                self.tag_grew(id);
            }
            if self.nodes[id as usize].due == 0 {
                self.became_empty(id);
            }
            self.place(id, now_us);
            if id == ROOT {
                return;
            }
            id = self.nodes[id as usize].parent;
        }
    }

    /// Ends a message's flight on its path and corrects what it was charged by `units`.
    fn land(&mut self, queue: NodeId, units: i128, now_us: u64) {
        let mut id = queue;
        loop {
            let node = &mut self.nodes[id as usize];
            node.in_flight -= 1;
            if id != ROOT {
                let parent = node.parent;
                let v = self.family_of(parent).v;
                self.nodes[id as usize].correct(units, v);
                self.tag_grew(id);
            }
            self.place(id, now_us);
            if id == ROOT {
                return;
            }
            id = self.nodes[id as usize].parent;
        }
    }

    /// Rule 7 needs the largest tag under each parent.
    pub(super) fn tag_grew(&mut self, id: NodeId) {
        let node = &self.nodes[id as usize];
        let (parent, tag) = (node.parent, node.tag);
        let family = self.family_of_mut(parent);
        family.tag_max = family.tag_max.max(tag);
    }
}
