//! Pools: buckets that several senders draw from, at all destinations of the shard.

use crate::exchange::PoolFields;
use crate::name_map::{NameHash, NameMap};
use crate::tree::{Bucket, Limits};

#[derive(Debug)]
struct Pool {
    bucket: Option<Bucket>,
    /// Time given to senders that found it empty, µs: each gets a later one, so that a thousand of
    /// them do not all come back for one message.
    promised_us: u64,
    interval_us: u64,
}

/// A pool keeps its place for as long as the shard lives; without fields it limits nothing.
#[allow(clippy::struct_field_names, reason = "they are the pools")]
#[derive(Debug)]
pub struct Pools {
    names: NameMap<u32>,
    pools: Vec<Pool>,
    started_us: u64,
}

impl Pools {
    /// Buckets are empty at `started_us` (rule 9).
    pub fn new(names: NameHash, started_us: u64) -> Self {
        Self {
            names: NameMap::with_hasher(names),
            pools: Vec::new(),
            started_us,
        }
    }

    /// Place of a pool, made when it is new.
    pub fn place_of(&mut self, name: &[u8]) -> u32 {
        if let Some(&place) = self.names.get(name) {
            return place;
        }
        let place = self.pools.len() as u32;
        self.names.insert(name.into(), place);
        self.pools.push(Pool {
            bucket: None,
            promised_us: 0,
            interval_us: 0,
        });
        place
    }

    pub fn put(&mut self, name: &[u8], fields: Option<PoolFields>, now_us: u64) {
        let place = self.place_of(name);
        let pool = &mut self.pools[place as usize];
        let limits = Limits {
            rate_per_sec: fields.and_then(|fields| fields.rate_per_sec),
            burst: fields.map_or(1, |fields| u32::try_from(fields.burst).unwrap_or(u32::MAX)),
            in_flight_max: None,
        };
        pool.bucket = match &pool.bucket {
            Some(bucket) => bucket.resized(&limits, now_us),
            None => Bucket::new(&limits, self.started_us),
        };
        #[allow(clippy::cast_sign_loss, reason = "a rate is positive")]
        let interval_us = limits.rate_per_sec.map_or(0, |rate| (1e6 / rate) as u64);
        pool.interval_us = interval_us;
    }

    /// What its members get together, cost a second; none: not limited.
    pub fn rate_per_sec(&self, place: u32) -> Option<f64> {
        let bucket = self.pools[place as usize].bucket.as_ref();
        bucket.map(Bucket::rate_per_sec)
    }

    /// None: the message may go. Else when its queue is to ask again, µs.
    pub fn wait_us(&mut self, place: u32, cost: u32, now_us: u64) -> Option<u64> {
        let pool = &mut self.pools[place as usize];
        let ready_us = pool.bucket.as_ref()?.ready_us(cost);
        if ready_us <= now_us {
            return None;
        }
        let interval_us = pool.interval_us.saturating_mul(u64::from(cost));
        pool.promised_us = ready_us.max(pool.promised_us.saturating_add(interval_us));
        // Promises are not kept far ahead: a member may leave, and its turn would be lost.
        pool.promised_us = pool
            .promised_us
            .min(now_us.saturating_add(1_000_000).max(ready_us));
        Some(pool.promised_us)
    }

    pub fn take(&mut self, place: u32, cost: u32, now_us: u64) {
        if let Some(bucket) = &mut self.pools[place as usize].bucket {
            bucket.take(cost, now_us);
        }
    }
}
