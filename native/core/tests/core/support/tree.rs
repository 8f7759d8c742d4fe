//! Helpers of the fairness tests: seeded numbers, and trees made in one call.
#![allow(clippy::cast_precision_loss)]

use fairlead_core::tree::{
    FairBy, Limits, NodeConfig, NodeId, NodeKind, ROOT, TIMER_SLACK_US, Tree, TreeConfig,
};

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

/// A tenant of a weight with levels of these floors, each with one queue; (tenant, levels, queues).
pub fn leveled(
    tree: &mut Tree,
    set: NodeId,
    of: u32,
    floors: &[f32],
) -> (NodeId, Vec<NodeId>, Vec<NodeId>) {
    let tenant = tree.add(set, NodeKind::Tenant, weight(of), 0);
    let add = |(rank, floor): (usize, &f32)| level(tree, tenant, rank as u8, *floor);
    let levels: Vec<_> = floors.iter().enumerate().map(add).collect();
    let queue = |level: &NodeId| tree.add(*level, NodeKind::Queue, NodeConfig::default(), 0);
    let queues = levels.iter().map(queue).collect();
    (tenant, levels, queues)
}

/// A level below a tenant.
pub fn level(tree: &mut Tree, tenant: NodeId, rank: u8, floor: f32) -> NodeId {
    let config = NodeConfig {
        rank,
        floor,
        ..NodeConfig::default()
    };
    tree.add(tenant, NodeKind::Level, config, 0)
}

/// Picks and settles at once.
pub fn serve(tree: &mut Tree, now_us: u64) -> Option<NodeId> {
    let picked = tree.pick(now_us)?;
    tree.settle(picked.queue, picked.charge, 0, now_us);
    Some(picked.queue)
}

/// Checks all windows of a stream at once: count(i..=j) ≤ depth + rate·(tⱼ − tᵢ).
pub struct Windows {
    rate: f64,
    depth: f64,
    pub count: f64,
    /// Smallest of (messages before i) − rate·tᵢ.
    low: f64,
}

impl Windows {
    pub fn new(rate: f64, burst: f64) -> Self {
        let depth = burst + rate * TIMER_SLACK_US as f64 / 1e6;
        Self {
            rate,
            depth,
            count: 0.0,
            low: f64::INFINITY,
        }
    }

    pub fn add(&mut self, now_us: u64, cost: f64, seed: u64) {
        let line = self.rate * now_us as f64 / 1e6;
        self.low = self.low.min(self.count - line);
        self.count += cost;
        let most = self.count - line - self.low;
        assert!(
            most <= self.depth + 1e-6,
            "seed {seed}: {most} in a window of depth {}",
            self.depth
        );
    }
}

/// Jain's index of got/owed: 1 is even.
pub fn jain(ratios: &[f64]) -> f64 {
    let sum: f64 = ratios.iter().sum();
    let squares: f64 = ratios.iter().map(|ratio| ratio * ratio).sum();
    sum * sum / (ratios.len() as f64 * squares)
}
