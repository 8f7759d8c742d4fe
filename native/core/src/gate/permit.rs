//! Permits: a slab of slots, and their ids on the wire.
//!
//! An id is slot u32 · generation u32 · keyed hash u64 of both, big-endian. A slot's generation moves
//! on with each permit, and starts of the daemon use generations that none before used, so an id names
//! one permit for good. Free slots are used again in the order in which they came free.

use super::NONE;
use crate::limits::FREE_PERMITS_MIN;
use siphasher::sip::SipHasher24;

/// It has no lease and is not in the journal: its holder is part of this process.
pub(super) const LOCAL_PERMIT: u8 = 1;
/// Its connection is gone.
pub(super) const ORPHAN: u8 = 1 << 1;
/// Its holder ends: no further renewal.
pub(super) const FINISHING: u8 = 1 << 2;
/// Charged to the tags of its key: in the tenant's line, in the resource's.
pub(super) const CHARGED: [u8; 3] = [0, 1 << 3, 1 << 4];
/// Granted in this step, so not in the journal yet.
pub(super) const FRESH: u8 = 1 << 5;
/// Renewed in this step.
pub(super) const RENEWED: u8 = 1 << 6;
/// Of an earlier start: the generation after it is this start's first.
pub(super) const RECOVERED: u8 = 1 << 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PermitId(pub [u8; 16]);

impl PermitId {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Permit {
    /// `NONE`: the slot is free.
    pub key: u32,
    /// Of a free slot that of its next permit.
    pub generation: u32,
    pub connection: u32,
    pub seats: u16,
    pub flags: u8,
    pub lease_ms: u32,
    /// Hold for which it was charged at its grant, µs.
    pub charged_us: u32,
    pub granted_us: u64,
    pub lease_end_us: u64,
    /// Neighbours of the same connection; of a free slot the next free one.
    pub prev: u32,
    pub next: u32,
}

pub(super) struct Permits {
    slots: Vec<Permit>,
    max: usize,
    free_first: u32,
    free_last: u32,
    free: usize,
    /// First generation of this start, and how far one came since.
    base: u32,
    pub advance: u32,
    hash_key: SipHasher24,
}

impl Permits {
    pub fn new(hash_key: [u8; 16], max: usize) -> Self {
        Self {
            slots: Vec::new(),
            max,
            free_first: NONE,
            free_last: NONE,
            free: 0,
            base: 0,
            advance: 0,
            hash_key: SipHasher24::new_with_key(&hash_key),
        }
    }

    /// Before the first permit of this start.
    pub fn set_base(&mut self, base: u32) {
        self.base = base;
        for slot in &mut self.slots {
            if slot.key == NONE {
                slot.generation = base;
            }
        }
    }

    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Permits there are.
    pub fn count(&self) -> usize {
        self.slots.len() - self.free
    }

    /// Also when more are held than may be: by a restart with a lower bound, or because waiters were
    /// let in.
    pub fn is_full(&self) -> bool {
        self.count() >= self.max
    }

    pub fn get(&self, slot: u32) -> &Permit {
        &self.slots[slot as usize]
    }

    pub fn get_mut(&mut self, slot: u32) -> &mut Permit {
        &mut self.slots[slot as usize]
    }

    /// The permit with this slot and generation, if it has not ended.
    pub fn find(&self, slot: u32, generation: u32) -> Option<&Permit> {
        let permit = self.slots.get(slot as usize)?;
        (permit.key != NONE && permit.generation == generation).then_some(permit)
    }

    /// A slot for a new permit, whose generation is kept. A waiter's is taken also when full: it began
    /// to wait when there was room, and so are there at most as many above the bound as may wait.
    pub fn take(&mut self, permit: Permit) -> u32 {
        let is_long = self.slots.len() >= self.max && self.free > 0;
        let slot = if self.free > FREE_PERMITS_MIN || is_long {
            self.take_free()
        } else {
            let slot = self.slots.len() as u32;
            self.slots.push(Permit {
                generation: self.base,
                ..permit
            });
            slot
        };
        let generation = self.slots[slot as usize].generation;
        self.slots[slot as usize] = Permit {
            generation,
            ..permit
        };
        self.advance = self.advance.max(generation.wrapping_sub(self.base));
        slot
    }

    fn take_free(&mut self) -> u32 {
        let slot = self.free_first;
        self.free_first = self.slots[slot as usize].next;
        if self.free_first == NONE {
            self.free_last = NONE;
        }
        self.free -= 1;
        slot
    }

    /// The permit has ended.
    pub fn free(&mut self, slot: u32) {
        let base = self.base;
        let permit = &mut self.slots[slot as usize];
        permit.key = NONE;
        permit.next = NONE;
        permit.generation = if permit.flags & RECOVERED == 0 {
            permit.generation.wrapping_add(1)
        } else {
            base
        };
        permit.flags = 0;
        if self.free_last == NONE {
            self.free_first = slot;
        } else {
            self.slots[self.free_last as usize].next = slot;
        }
        self.free_last = slot;
        self.free += 1;
    }

    /// Puts a stored permit where it was; the slots between are free.
    pub fn restore(&mut self, slot: u32, permit: Permit) {
        while self.slots.len() <= slot as usize {
            let next = self.slots.len() as u32;
            self.slots.push(Permit { key: 0, ..permit });
            if next != slot {
                self.free(next);
            }
        }
        debug_assert!(
            self.slots[slot as usize].key == 0,
            "restored in ascending order"
        );
        self.slots[slot as usize] = permit;
    }

    pub fn id(&self, slot: u32) -> PermitId {
        let place = u64::from(slot) << 32 | u64::from(self.get(slot).generation);
        let place = place.to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&place);
        bytes[8..].copy_from_slice(&self.hash_key.hash(&place).to_be_bytes());
        PermitId(bytes)
    }

    /// The slot of a permit that has not ended.
    pub fn slot_of(&self, id: &PermitId) -> Option<u32> {
        let (place, hash) = id.0.split_at(8);
        let number = u64::from_be_bytes(place.try_into().expect("8 of 16 bytes"));
        let slot = (number >> 32) as u32;
        self.find(slot, number as u32)?;
        let hash = u64::from_be_bytes(hash.try_into().expect("8 of 16 bytes"));
        (self.hash_key.hash(place) == hash).then_some(slot)
    }
}
