//! Who waits: a slab, with each waiter in the line of its key and in the list of its connection.

use super::NONE;

#[derive(Clone, Copy)]
pub(super) struct Waiter {
    /// `NONE`: the slot is free.
    pub key: u32,
    pub seats: u16,
    pub connection: u32,
    /// The number by which its connection knows it.
    pub ticket: u32,
    pub lease_ms: u32,
    pub since_us: u64,
    /// When it has waited as long as allowed.
    pub until_us: u64,
    /// By its pace: not before.
    pub due_us: u64,
    /// Turns at its resource that it lost for want of room at its tenant.
    pub lost: u8,
    /// Seats of its tenant's cap are taken for it already.
    pub keeps: bool,
    /// Neighbours in its key, the one that came before first.
    pub prev: u32,
    pub next: u32,
    /// Neighbours of the same connection.
    pub connection_prev: u32,
    pub connection_next: u32,
}

#[derive(Default)]
pub(super) struct Waiters {
    slots: Vec<Waiter>,
    free: Vec<u32>,
}

impl Waiters {
    pub fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn get(&self, slot: u32) -> &Waiter {
        &self.slots[slot as usize]
    }

    pub fn get_mut(&mut self, slot: u32) -> &mut Waiter {
        &mut self.slots[slot as usize]
    }

    pub fn add(&mut self, waiter: Waiter) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = waiter;
            return slot;
        }
        self.slots.push(waiter);
        self.slots.len() as u32 - 1
    }

    pub fn free(&mut self, slot: u32) {
        self.slots[slot as usize].key = NONE;
        self.free.push(slot);
    }
}
