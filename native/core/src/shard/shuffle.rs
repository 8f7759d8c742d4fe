//! The policy `shuffle` of a set: its tenants share N slots, the children of the set.
//!
//! Each tenant has a hand of k slots by keyed hash. When it begins to have work it sits down in the
//! emptiest slot of its hand, with all its queues, and stays until nothing of it waits or is in flight:
//! so the order of its messages, its own limits and its pause are what they are without slots, and one
//! that is paused or at its limit blocks nobody. A flood fills one slot, and a tenant meets it only if no
//! slot of its own hand is emptier.

use super::Shard;
use super::destination::{Destination, Owner};
use crate::exchange::{SetFields, SetPolicy};
use crate::tree::{NodeConfig, NodeId, NodeKind};
use std::hash::{BuildHasher, Hasher};

/// Slots of the tenant, different ones, in an order of its own. `draw` gives a number for each place.
fn hand(slots: u32, size: u32, mut draw: impl FnMut(u32) -> u64) -> Vec<u32> {
    let slots = slots.max(1);
    let size = size.clamp(1, slots) as usize;
    let mut hand = Vec::with_capacity(size);
    // Drawn without return: the n-th of those that are left (Fisher and Yates), for any k ≤ N.
    let mut moved: Vec<(u32, u32)> = Vec::with_capacity(size);
    for place in 0..size as u32 {
        let left = u64::from(slots - place);
        let chosen = place + ((u128::from(draw(place)) * u128::from(left)) >> 64) as u32;
        let at = |moved: &[(u32, u32)], wanted: u32| {
            let found = moved.iter().rev().find(|entry| entry.0 == wanted);
            found.map_or(wanted, |entry| entry.1)
        };
        let (slot, displaced) = (at(&moved, chosen), at(&moved, place));
        moved.push((chosen, displaced));
        hand.push(slot);
    }
    hand
}

impl Destination {
    /// The set of a tenant, whether it sits in a slot of it or not.
    pub fn set_of(&self, tenant: NodeId) -> Option<NodeId> {
        let parent = self.tree.parent(tenant)?;
        match self.owners[parent as usize] {
            Owner::Slot { set, .. } => Some(set),
            _ => Some(parent),
        }
    }

    /// What fills a slot: messages that wait or are in flight.
    fn fill(&self, slot: Option<NodeId>) -> u64 {
        let fill = |slot| u64::from(self.tree.waiting(slot)) + u64::from(self.tree.in_flight(slot));
        slot.map_or(0, fill)
    }
}

impl Shard {
    /// The slots of a tenant in a set of so many.
    #[doc(hidden)]
    pub fn hand_of(&self, tenant: &[u8], slots: u32, size: u32) -> Vec<u32> {
        hand(slots, size, |place| {
            let mut hasher = self.names.build_hasher();
            hasher.write(tenant);
            hasher.write_u8(0xff);
            hasher.write_u32(place);
            hasher.finish()
        })
    }

    /// Where the node of a tenant belongs that has nothing to do yet: its set, or a slot of it.
    pub(super) fn seat(&mut self, place: usize, set: NodeId, name: &[u8], tenant: &[u8]) -> NodeId {
        let fields = self.sets.get(name).copied().unwrap_or_default();
        if fields.policy != SetPolicy::Shuffle {
            return set;
        }
        let hand = self.hand_of(tenant, fields.slots, fields.hand);
        let destination = &mut self.destinations[place];
        let slot_of = |index: &u32| destination.slots.get(&(set, *index)).copied();
        let emptiest = hand
            .iter()
            .min_by_key(|index| destination.fill(slot_of(index)));
        let index = *emptiest.expect("a hand has a slot");
        if let Some(slot) = slot_of(&index) {
            return slot;
        }
        let config = NodeConfig::default();
        let slot = destination
            .tree
            .add(set, NodeKind::Slot, config, self.now_us);
        destination.slots.insert((set, index), slot);
        destination.set_owner(slot, Owner::Slot { set, index });
        slot
    }

    /// A tenant that has nothing to do and gets a message sits down anew.
    pub(super) fn reseat(&mut self, place: usize, tenant: NodeId) {
        let destination = &self.destinations[place];
        let tree = &destination.tree;
        if tree.waiting(tenant) > 0 || tree.in_flight(tenant) > 0 {
            return;
        }
        let parent = tree.parent(tenant).expect("a tenant has a parent");
        if matches!(destination.owners[parent as usize], Owner::Slot { .. }) {
            self.move_tenant(place, tenant);
        }
    }

    /// Puts a tenant where it belongs by its set's policy of now.
    fn move_tenant(&mut self, place: usize, tenant: NodeId) {
        let destination = &self.destinations[place];
        let name = destination.tenant(tenant).name.clone();
        let set = destination.set_of(tenant).expect("a tenant has a set");
        let Owner::Set { name: set_name, .. } = &destination.owners[set as usize] else {
            unreachable!("node {set} is no set");
        };
        let set_name = set_name.clone();
        let home = self.seat(place, set, &set_name, &name);
        self.destinations[place]
            .tree
            .move_to(tenant, home, self.now_us);
    }

    /// Whether a tenant that has work may stay where it is: in its set, or in a slot of its hand.
    pub(super) fn may_stay(
        &self,
        place: usize,
        tenant: NodeId,
        set: NodeId,
        fields: &SetFields,
    ) -> bool {
        let destination = &self.destinations[place];
        let Some(parent) = destination.tree.parent(tenant) else {
            return true;
        };
        match (fields.policy, &destination.owners[parent as usize]) {
            (SetPolicy::Fair, _) => parent == set,
            (SetPolicy::Shuffle, Owner::Slot { set: of, index }) => {
                let name = &destination.tenant(tenant).name;
                *of == set
                    && self
                        .hand_of(name, fields.slots, fields.hand)
                        .contains(index)
            }
            (SetPolicy::Shuffle, _) => false,
        }
    }

    /// The policy of a set, or its slots, changed: its tenants go where they belong now.
    pub(super) fn shuffle_set(&mut self, place: usize, set: NodeId, fields: &SetFields) {
        let destination = &self.destinations[place];
        let mut tenants: Vec<NodeId> = destination.tenants.values().copied().collect();
        tenants.retain(|&tenant| destination.set_of(tenant) == Some(set));
        // In an order that is the same in every run.
        tenants.sort_unstable();
        for tenant in tenants {
            if !self.may_stay(place, tenant, set, fields) {
                self.move_tenant(place, tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in for the keyed hash.
    fn mixed(tenant: u64) -> impl FnMut(u32) -> u64 {
        move |place| {
            let mut mixed = (tenant << 8 | u64::from(place)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        }
    }

    #[test]
    fn a_hand_has_different_slots_each_as_likely_as_another() {
        let mut seen = vec![0_u32; 12];
        for tenant in 0..12_000 {
            let hand = hand(12, 4, mixed(tenant));
            let distinct: std::collections::BTreeSet<_> = hand.iter().collect();
            assert_eq!(distinct.len(), 4);
            for slot in hand {
                seen[slot as usize] += 1;
            }
        }
        for count in seen {
            assert!((3_800..4_200).contains(&count), "{count} of 4,000");
        }
        let all = hand(5, 16, mixed(1));
        assert_eq!(all.len(), 5, "no more than there are");
    }
}
