//! Rule 9 as the world sees it: what was released, node by node, over restarts too.
//!
//! "No window Δ has more than depth + rate·Δ" is what a bucket that begins full says, so one bucket
//! a node checks all windows.

use super::entities::Entities;
use std::collections::BTreeMap;

/// Timer slack that the depth covers.
const SLACK_SEC: f64 = 0.005;

struct Bucket {
    rate_per_sec: f64,
    depth: f64,
    left: f64,
    at_us: u64,
}

/// 0 destination, 1 set, 2 tenant, 3 gateway; destination or gateway; set or tenant.
type Node = (u8, usize, usize);

/// Destination, set, tenant, gateway.
pub type Path = (usize, usize, usize, Option<usize>);

#[derive(Default)]
pub struct Quotas {
    buckets: BTreeMap<Node, Bucket>,
}

impl Bucket {
    fn fill(&mut self, now_us: u64) {
        let seconds = now_us.saturating_sub(self.at_us) as f64 / 1e6;
        self.left = (self.left + seconds * self.rate_per_sec).min(self.depth);
        self.at_us = self.at_us.max(now_us);
    }
}

impl Quotas {
    /// Limits as they are from now on; the same limits keep what a bucket holds.
    pub fn configure(&mut self, entities: &Entities, now_us: u64) {
        self.limit_gateways(entities, now_us);
        for (place, fields) in entities.destinations.iter().enumerate() {
            let limits = fields
                .as_ref()
                .and_then(|f| f.rate_per_sec.map(|rate| (rate, f.burst)));
            self.limit((0, place, 0), limits, now_us);
            for (set, fields) in entities.sets.iter().enumerate() {
                let limits = fields
                    .as_ref()
                    .and_then(|f| f.rate_per_sec.map(|rate| (rate, f.burst)));
                self.limit((1, place, set), limits, now_us);
            }
            for (tenant, fields) in entities.tenants.iter().enumerate() {
                let limits = fields
                    .as_ref()
                    .and_then(|f| f.rate_per_sec.map(|rate| (rate, f.burst)));
                self.limit((2, place, tenant), limits, now_us);
            }
        }
    }

    fn limit_gateways(&mut self, entities: &Entities, now_us: u64) {
        for (place, fields) in entities.gateways.iter().enumerate() {
            let limits = fields
                .as_ref()
                .and_then(|f| f.rate_per_sec.map(|rate| (rate, f.burst)));
            self.limit((3, place, 0), limits, now_us);
        }
    }

    fn limit(&mut self, node: Node, limits: Option<(f64, u64)>, now_us: u64) {
        let Some((rate_per_sec, burst)) = limits else {
            self.buckets.remove(&node);
            return;
        };
        let depth = burst.max(1) as f64 + rate_per_sec * SLACK_SEC;
        let bucket = self.buckets.entry(node).or_insert(Bucket {
            rate_per_sec,
            depth,
            left: depth,
            at_us: now_us,
        });
        bucket.fill(now_us);
        if (bucket.rate_per_sec, bucket.depth) != (rate_per_sec, depth) {
            // A node that was idle and freed comes back full, so only windows of one limit count.
            *bucket = Bucket {
                rate_per_sec,
                depth,
                left: depth,
                at_us: now_us,
            };
        }
    }

    /// One message of a (destination, set, tenant) was handed out, through a gateway or none that has a
    /// name.
    pub fn hand_out(&mut self, path: Path, now_us: u64) {
        let (destination, set, tenant, gateway) = path;
        let own = [
            (0, destination, 0),
            (1, destination, set),
            (2, destination, tenant),
        ];
        let gateway = gateway.map(|gateway| (3, gateway, 0));
        for node in own.into_iter().chain(gateway) {
            let Some(bucket) = self.buckets.get_mut(&node) else {
                continue;
            };
            bucket.fill(now_us);
            bucket.left -= 1.0;
            assert!(
                bucket.left > -0.001,
                "{node:?} is {} over depth {} + {} a second",
                -bucket.left,
                bucket.depth,
                bucket.rate_per_sec
            );
        }
    }
}
