//! Picking, and what becomes of a pick: rules 3, 4, 5 and 7.

use std::cmp::Reverse;

use super::cost::{Charge, averaged};
use super::heap::Entry;
use super::level::is_level_tie;
use super::node::{Extra, Key, NONE, NodeId, NodeKind, ROOT, is_fresh, served_tie};
use super::prefetch::prefetch;
use super::trace::Choice;
use super::{Picked, Tree};

/// Weight of a tenant that pays a slot as much as its message costs.
const WEIGHT_USUAL: u64 = 100;
/// From so many slots on the last tenth is kept for nodes below their share (rule 5).
const SLOTS_SHARED_MIN: u32 = 10;

impl Tree {
    /// Takes the best due message: charges its path and counts it in flight.
    pub fn pick(&mut self, now_us: u64) -> Option<Picked> {
        if self.dear > 0 {
            return self.pick_where(now_us, |_, _| None);
        }
        let now_us = self.advance(now_us);
        if self.timers.first().is_some_and(|first| first.key <= now_us) {
            self.wake(now_us);
        }
        if !self.nodes[ROOT as usize].eligible {
            return None;
        }
        Some(self.take(now_us))
    }

    /// Serves the best queue; there is one.
    pub(super) fn take(&mut self, now_us: u64) -> Picked {
        let queue = self.descend::<true>();
        let charge = self.charge(queue);
        let charge = self.serve(queue, charge, now_us);
        self.look_ahead_next();
        Picked { queue, charge }
    }

    /// A message of the queue came to its end: corrects what its hold cost (rule 5).
    /// `held_us` is the time it was in flight, µs.
    pub fn settle(&mut self, queue: NodeId, charge: Charge, held_us: u64, now_us: u64) {
        let now_us = self.advance(now_us);
        let held_us = u32::try_from(held_us).unwrap_or(u32::MAX);
        for id in [queue, ROOT] {
            let average = &mut self.nodes[id as usize].hold_us;
            *average = averaged(*average, held_us);
        }
        let actual = self.costs.units(charge.cost, held_us);
        let units = i128::from(actual) - i128::from(self.units_now(charge));
        self.land(queue, units, charge.scale < 0.0, now_us);
    }

    /// A message was not attempted, or throttled: takes back its charge (rule 4). Tokens of buckets
    /// stay spent. The owner enqueues the message again.
    pub fn refund(&mut self, queue: NodeId, charge: Charge, now_us: u64) {
        let now_us = self.advance(now_us);
        let node = &mut self.nodes[queue as usize];
        node.got = node.got.saturating_sub(charge.cost);
        let units = -i128::from(self.units_now(charge));
        self.land(queue, units, charge.scale < 0.0, now_us);
    }

    /// Goes down to the best queue; to serve it, also moves every V on the way (rule 3).
    pub(super) fn descend<const SERVE: bool>(&mut self) -> NodeId {
        let root = &self.nodes[ROOT as usize];
        let slots = self.extra(root.extra).in_flight_max;
        let scarce = slots >= SLOTS_SHARED_MIN && root.in_flight >= slots - slots / 10;
        let mut share = f64::from(slots);
        let mut id = ROOT;
        let mut family_id = root.family;
        let mut choice = None;
        while family_id != NONE {
            let best = if scarce {
                self.below_share(family_id, &mut share)
            } else {
                let heap = &self.families[family_id as usize].heap;
                heap.prefetch();
                heap.at(0)
            };
            self.look_ahead(best);
            let family = &mut self.families[family_id as usize];
            if family.heap.len() > 1 {
                choice = Some(Choice {
                    family: family_id,
                    best,
                    v: family.v,
                });
            }
            if SERVE {
                family.v = family.v.max(best.key.0);
            }
            (id, family_id) = (best.node, best.family);
        }
        if SERVE {
            self.trace(id, choice);
        }
        id
    }

    /// Loads what serving a child, or going on below it, will read.
    fn look_ahead(&self, entry: Entry<Key>) {
        prefetch(self.nodes.get(entry.node as usize));
        if let Some(family) = self.families.get(entry.family as usize) {
            prefetch(Some(&family.v));
            prefetch(Some(&family.heap));
        }
    }

    /// Loads the heap at which the next pick will most likely end: its tenant was asked for when it
    /// became the best of its set, so the way there is warm by now. Together with `look_ahead` this
    /// took a pick among 100,000 queues from 6 times to 3 times the cost of one among 1,000.
    fn look_ahead_next(&self) {
        let mut family = &self.families[self.nodes[ROOT as usize].family as usize];
        for _ in 0..2 {
            let next = family
                .heap
                .first()
                .and_then(|first| self.families.get(first.family as usize));
            let Some(next) = next else { return };
            family = next;
        }
        family.heap.prefetch();
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
        if is_level_tie(first.key.1) {
            // Levels are strict: what the tenant may hold is the highest one's.
            return first;
        }
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
            self.frontier
                .extend(family.heap.below(at as usize).map(look));
        }
        // Only rounding of the shares gets here.
        *share = each * f64::from(nodes[first.node as usize].weight);
        first
    }

    fn charge(&self, queue: NodeId) -> Charge {
        let node = &self.nodes[queue as usize];
        let cost = self.extra(node.extra).head_cost;
        let hold_us = self
            .costs
            .guess_us(node.hold_us, self.nodes[ROOT as usize].hold_us);
        let units = self.costs.units(cost, hold_us);
        Charge {
            units,
            scale: self.scale as f32,
            cost,
        }
    }

    /// What was charged, in the unit of now.
    fn units_now(&self, charge: Charge) -> u64 {
        let scale = self.scale as f32;
        let was = charge.scale.abs();
        if was.to_bits() == scale.to_bits() {
            return charge.units;
        }
        (charge.units as f64 * f64::from(scale) / f64::from(was)) as u64
    }

    /// Charges a queue and its ancestors for a message that leaves (rule 4), from below.
    fn serve(&mut self, queue: NodeId, mut charge: Charge, now_us: u64) -> Charge {
        let tie = served_tie(self.next_sequence());
        let got = &mut self.nodes[queue as usize].got;
        *got = got.saturating_add(charge.cost);
        let (mut id, mut below) = (queue, queue);
        loop {
            let node = &mut self.nodes[id as usize];
            node.due -= 1;
            node.in_flight += 1;
            if let Some(Extra {
                bucket: Some(bucket),
                head_cost,
                ..
            }) = self.extras.get_mut(node.extra as usize)
            {
                bucket.take(charge.cost, now_us);
                if id != queue {
                    *head_cost = 1;
                }
            }
            if node.kind == Some(NodeKind::Level) {
                if self.serve_level(id, charge.units) {
                    charge.scale = -charge.scale;
                }
            } else if id != ROOT {
                let (parent, newcomer) = (node.parent, is_fresh(node.tie));
                let units = if node.kind == Some(NodeKind::Slot) {
                    self.units_in_slot(charge.units, below)
                } else {
                    charge.units
                };
                let node = &mut self.nodes[id as usize];
                node.charge(units);
                node.tie = tie;
                if newcomer {
                    self.newcomer_served(parent, units);
                }
                self.tag_grew(id);
            }
            if self.nodes[id as usize].due == 0 {
                self.became_empty(id);
            }
            self.place(id, now_us);
            if id == ROOT {
                return charge;
            }
            below = id;
            id = self.nodes[id as usize].parent;
            // Its best child of now is the next one's way down: at 100,000 queues that is cold.
            if let Some(next) = self.family_of(id).heap.first() {
                self.look_ahead(next);
            }
        }
    }

    /// Rule 3, extended: a newcomer served moves V on by cost/Σw of the eligible, itself included,
    /// as fluid fair queueing would. Else V stands still while each message comes from a new sender
    /// (each starts at V): simulated, an old sender of that tenant got 1 of 20,000 picks, and no
    /// idle queue could be freed. It is 1/n of a message, so that F3 holds: moved by every pick, V
    /// would be the mean of the tags and a quiet tenant would wait for half a round.
    fn newcomer_served(&mut self, parent: NodeId, units: u64) {
        let family = self.family_of_mut(parent);
        // It is still counted: it leaves the heap, if it does, after it was charged.
        debug_assert!(family.eligible_weight > 0);
        family.v += u128::from(units / family.eligible_weight);
    }

    /// Ends a message's flight on its path and corrects what it was charged by `units`.
    fn land(&mut self, queue: NodeId, units: i128, floor: bool, now_us: u64) {
        let (mut id, mut below) = (queue, queue);
        loop {
            let node = &mut self.nodes[id as usize];
            node.in_flight -= 1;
            if node.kind == Some(NodeKind::Level) {
                self.correct_level(id, units, floor);
            } else if id != ROOT {
                let (parent, kind) = (node.parent, node.kind);
                let v = self.family_of(parent).v;
                let units = if kind == Some(NodeKind::Slot) {
                    let size = u64::try_from(units.unsigned_abs()).unwrap_or(u64::MAX);
                    i128::from(self.units_in_slot(size, below)) * units.signum()
                } else {
                    units
                };
                self.nodes[id as usize].correct(units, v);
                self.tag_grew(id);
            }
            self.place(id, now_us);
            if id == ROOT {
                return;
            }
            below = id;
            id = self.nodes[id as usize].parent;
        }
    }

    /// What a slot is charged for a message of a tenant in it: a tenant of twice the usual weight pays
    /// half, so that its slot gets as much more as it needs for it.
    fn units_in_slot(&self, units: u64, tenant: NodeId) -> u64 {
        let weight = u64::from(self.nodes[tenant as usize].weight);
        units.saturating_mul(WEIGHT_USUAL) / weight
    }

    /// Rule 7 needs the largest tag under each parent.
    pub(super) fn tag_grew(&mut self, id: NodeId) {
        let node = &self.nodes[id as usize];
        let (parent, tag) = (node.parent, node.tag);
        let family = self.family_of_mut(parent);
        family.tag_max = family.tag_max.max(tag);
    }
}
