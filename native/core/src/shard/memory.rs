//! What the index of a shard takes; payloads lie on disk and in the bounded cache.

use super::batches::Key;
use super::dead::Dead;
use super::destination::{Owner, QueueName, TenantNode};
use super::end::Ended;
use super::{Batches, Destination, Extra, Shard};

impl Shard {
    /// Memory of the index, bytes: table, queues, tree, timers. An estimate by capacities, without
    /// what the allocator adds.
    pub fn memory_bytes(&self) -> usize {
        let queues: usize = self.destinations.iter().map(destination_bytes).sum();
        let extras = self.extras.capacity() * (size_of::<(Key, Extra)>() + 1);
        let ended = self.ended.capacity() * size_of::<Ended>();
        let dead = self.dead.len() * 2 * size_of::<(Key, Dead)>();
        let timers = self.timers.memory_bytes();
        let keys = self.idempotency.table.memory_bytes();
        let batches = batches_bytes(&self.batches);
        let events = self.events.told.memory_bytes() + self.usage.memory_bytes();
        size_of::<Self>() + batches + queues + extras + timers + ended + dead + keys + events
    }
}

fn batches_bytes(batches: &Batches) -> usize {
    let held: usize = batches.iter().map(|(_, batch)| batch.memory_bytes()).sum();
    held + batches.table_bytes()
}

fn destination_bytes(destination: &Destination) -> usize {
    let named = |name: &[u8]| 2 * (name.len() + size_of::<(Box<[u8]>, u32)>());
    let owners: usize = destination
        .owners
        .iter()
        .map(|owner| match owner {
            Owner::Free | Owner::Level { .. } | Owner::Slot { .. } => 0,
            Owner::Set { name, .. } => named(name),
            Owner::Tenant(tenant) => named(&tenant.name) + size_of::<TenantNode>(),
            Owner::Queue { name, queue, .. } => {
                named(&name.sender) + size_of::<QueueName>() + queue.memory_bytes()
            }
        })
        .sum();
    owners + destination.owners.capacity() * size_of::<Owner>() + destination.tree.memory_bytes()
}
