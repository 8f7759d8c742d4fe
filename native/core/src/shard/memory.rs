//! What the index of a shard takes; payloads lie on disk and in the bounded cache.

use super::batches::{Key, RecordSlot};
use super::destination::Owner;
use super::{Batches, Destination, Extra, Shard};
use std::cmp::Reverse;

impl Shard {
    /// Memory of the index, bytes: table, queues, tree, timers. An estimate by capacities, without
    /// what the allocator adds.
    pub fn memory_bytes(&self) -> usize {
        let queues: usize = self.destinations.iter().map(destination_bytes).sum();
        let extras = self.extras.capacity() * (size_of::<(Key, Extra)>() + 1);
        let timers = self.timers.capacity() * size_of::<Reverse<(u64, Key)>>();
        size_of::<Self>() + batches_bytes(&self.batches) + queues + extras + timers
    }
}

fn batches_bytes(batches: &Batches) -> usize {
    let held: usize = batches
        .iter()
        .map(|(_, batch)| {
            size_of_val(batch)
                + batch.states.capacity()
                + batch.records.capacity() * size_of::<RecordSlot>()
        })
        .sum();
    held + batches.table_bytes()
}

fn destination_bytes(destination: &Destination) -> usize {
    let named = |name: &[u8]| 2 * (name.len() + size_of::<(Box<[u8]>, u32)>());
    let owners: usize = destination
        .owners
        .iter()
        .map(|owner| match owner {
            Owner::Free => 0,
            Owner::Set { name, .. } | Owner::Tenant { name, .. } => named(name),
            Owner::Queue { sender, queue, .. } => named(sender) + queue.memory_bytes(),
        })
        .sum();
    owners + destination.owners.capacity() * size_of::<Owner>() + destination.tree.memory_bytes()
}
