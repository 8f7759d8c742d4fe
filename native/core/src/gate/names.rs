//! Resources, tenants and policies: what is configured, and what is known only because it is used.

use super::adaptive::Adaptive;
use super::line::Line;
use crate::exchange::{GatePolicyFields, GateResourceFields};
use crate::gate::cell::CellId;
use crate::name_map::{NameHash, NameMap};
use std::hash::{BuildHasher, Hasher};

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
        let hash = NameHash::new(hash_key);
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
    /// Its place among those that are counted, if it has that still.
    pub tally: u32,
}
