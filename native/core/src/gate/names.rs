//! Resources, tenants and policies: what is configured, and what is known only because it is used.

use super::adaptive::Adaptive;
use super::line::Line;
use crate::exchange::{GatePolicyFields, GateResourceFields};
use crate::gate::cell::CellId;
use siphasher::sip::SipHasher13;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

/// Names come from outside, so their hash is keyed.
#[derive(Clone, Copy)]
pub(super) struct NameHash(u64, u64);

impl BuildHasher for NameHash {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

pub(super) type NameMap<V> = HashMap<Box<[u8]>, V, NameHash>;

/// What is configured for one tenant at a resource.
pub(super) type PolicyFields = GatePolicyFields;

pub(super) struct Names {
    pub hash: NameHash,
    pub resources: NameMap<u32>,
    pub tenants: NameMap<u32>,
    pub free_resources: Vec<u32>,
    pub free_tenants: Vec<u32>,
}

impl Names {
    pub fn new(hash_key: &[u8; 16]) -> Self {
        let (low, high) = hash_key.split_at(8);
        let hash = NameHash(
            u64::from_le_bytes(low.try_into().expect("8 bytes")),
            u64::from_le_bytes(high.try_into().expect("8 bytes")),
        );
        Self {
            hash,
            resources: NameMap::with_hasher(hash),
            tenants: NameMap::with_hasher(hash),
            free_resources: Vec::new(),
            free_tenants: Vec::new(),
        }
    }

    /// The hash that a cell is known by in the table; never 0.
    pub fn cell_hash(&self, instance: u64, of: usize, parts: [&[u8]; 2]) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write_u64(instance);
        hasher.write_u8(of as u8);
        for part in parts {
            hasher.write_u8(part.len() as u8);
            hasher.write(part);
        }
        hasher.finish().max(1)
    }
}

pub(super) struct Resource {
    pub name: Box<[u8]>,
    /// None: not configured, known only for the permits it has.
    pub fields: Option<GateResourceFields>,
    pub cell: CellId,
    pub line: Line,
    pub keys: u32,
    /// Mean time that a permit is held, µs, and of how many.
    pub hold_us: u64,
    pub holds: u32,
    pub adaptive: Option<Adaptive>,
    /// Keys with a floor, the seats of all of these floors, and whether they are more than the cap.
    pub floor_keys: Vec<u32>,
    pub floor_sum: u64,
    pub floors_cut: bool,
    /// Keys with a floor that are in line: they may have room where the first has none.
    pub floored: Vec<u32>,
    pub live: bool,
}

pub(super) struct Tenant {
    pub name: Box<[u8]>,
    pub configured: bool,
    pub concurrency_max: Option<u32>,
    pub weight: u32,
    pub cell: CellId,
    pub line: Line,
    pub keys: u32,
    pub live: bool,
}
