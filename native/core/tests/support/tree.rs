//! Helpers of the fairness tests: seeded numbers, and trees made in one call.
#![allow(dead_code)]

use fairlead_core::tree::{FairBy, Limits, NodeConfig, NodeId, NodeKind, ROOT, Tree, TreeConfig};

/// Splitmix64: small, seeded, the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0…n−1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// 0…1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

pub const SECOND: u64 = 1_000_000;

pub fn config() -> TreeConfig {
    TreeConfig {
        limits: Limits::default(),
        fair_by: FairBy::Auto,
        lease_us: 60 * SECOND,
    }
}

pub fn rated(rate_per_sec: f64) -> TreeConfig {
    let limits = Limits {
        rate_per_sec: Some(rate_per_sec),
        burst: 1,
        in_flight_max: None,
    };
    TreeConfig { limits, ..config() }
}

pub fn slots(in_flight_max: u32) -> TreeConfig {
    let limits = Limits {
        in_flight_max: Some(in_flight_max),
        ..Limits::default()
    };
    TreeConfig { limits, ..config() }
}

pub fn weight(weight: u32) -> NodeConfig {
    NodeConfig {
        weight,
        ..NodeConfig::default()
    }
}

pub fn set(tree: &mut Tree, of: u32) -> NodeId {
    tree.add(ROOT, NodeKind::Set, weight(of), 0)
}

/// A tenant of a weight with one queue; (tenant, queue).
pub fn tenant(tree: &mut Tree, set: NodeId, of: u32) -> (NodeId, NodeId) {
    let tenant = tree.add(set, NodeKind::Tenant, weight(of), 0);
    (
        tenant,
        tree.add(tenant, NodeKind::Queue, NodeConfig::default(), 0),
    )
}

/// Picks and settles at once.
pub fn serve(tree: &mut Tree, now_us: u64) -> Option<NodeId> {
    let picked = tree.pick(now_us)?;
    tree.settle(picked.queue, picked.charge, 0, now_us);
    Some(picked.queue)
}

/// Jain's index of got/owed: 1 is even.
pub fn jain(ratios: &[f64]) -> f64 {
    let sum: f64 = ratios.iter().sum();
    let squares: f64 = ratios.iter().map(|ratio| ratio * ratio).sum();
    sum * sum / (ratios.len() as f64 * squares)
}
