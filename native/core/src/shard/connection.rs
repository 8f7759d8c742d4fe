//! A connection as a shard sees it: who it is, what it subscribed to, what was handed to it.

use super::batches::Key;
use crate::tree::{Charge, NodeId};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

pub const SCOPE_PUBLISH: u8 = 1;
pub const SCOPE_CONSUME: u8 = 2;
pub use crate::exchange::SCOPE_INTERNAL;

/// Live deliveries kept in the dense window before old ones move to the map of stragglers.
const WINDOW_MAX: usize = 131_072;

/// One delivery that has no outcome yet.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    pub key: Key,
    pub charge: Charge,
    pub dispatched_us: u64,
    pub destination: u32,
    pub queue: NodeId,
    pub subscription: u32,
    /// Of its gateway, among the lanes of the destination.
    pub lane: u32,
}

/// A subscription's number and its destination.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionRef {
    pub number: u32,
    pub destination: u32,
}

#[derive(Debug, Default)]
pub struct Connection {
    /// Empty: a platform connection, which names the tenant of each message.
    pub tenant: Box<[u8]>,
    pub scopes: u8,
    pub parked: bool,
    pub subscriptions: Vec<SubscriptionRef>,
    /// Earliest time at which a lease of this connection can end; `u64::MAX`: none runs.
    pub lease_check_us: u64,
    /// Deliveries by number: `window[i]` is delivery `base + i`. Settled ones are `None`.
    window: VecDeque<Option<InFlight>>,
    base: u64,
    /// Old live deliveries moved out of the window, so that one that stays does not pin the rest.
    stragglers: FxHashMap<u64, InFlight>,
    live: usize,
}

impl Connection {
    pub fn new(tenant: &[u8], scopes: u8) -> Self {
        Self {
            tenant: tenant.into(),
            scopes,
            lease_check_us: u64::MAX,
            base: 1,
            ..Self::default()
        }
    }

    pub fn subscription(&self, number: u32) -> Option<SubscriptionRef> {
        self.subscriptions
            .iter()
            .copied()
            .find(|subscription| subscription.number == number)
    }

    /// Notes a delivery and gives its number, counting from 1.
    pub fn hand_out(&mut self, slot: InFlight) -> u64 {
        if self.window.len() >= WINDOW_MAX {
            if let Some(Some(old)) = self.window.pop_front() {
                self.stragglers.insert(self.base, old);
            }
            self.base += 1;
            self.trim();
        }
        self.window.push_back(Some(slot));
        self.live += 1;
        self.base + self.window.len() as u64 - 1
    }

    /// Takes a delivery out, if it is in flight and was made for `subscription`.
    pub fn take(&mut self, delivery: u64, subscription: u32) -> Option<InFlight> {
        let slot = if delivery >= self.base {
            let place = usize::try_from(delivery - self.base).ok()?;
            let entry = self.window.get_mut(place)?;
            if entry.as_ref()?.subscription != subscription {
                return None;
            }
            let slot = entry.take();
            self.trim();
            slot
        } else {
            if self.stragglers.get(&delivery)?.subscription != subscription {
                return None;
            }
            self.stragglers.remove(&delivery)
        };
        self.live -= usize::from(slot.is_some());
        slot
    }

    fn trim(&mut self) {
        while let Some(None) = self.window.front() {
            self.window.pop_front();
            self.base += 1;
        }
    }

    pub fn in_flight(&self) -> usize {
        self.live
    }

    /// Deliveries without an outcome, in no order.
    pub fn deliveries(&self) -> impl Iterator<Item = &InFlight> {
        self.stragglers.values().chain(self.window.iter().flatten())
    }

    /// Takes every delivery whose lease is over and says when the next one can end.
    ///
    /// Deliveries stand in the order they were made, so the walk stops at the first that is
    /// younger than the shortest lease.
    pub fn take_expired(
        &mut self,
        now_us: u64,
        lease_us_min: u64,
        lease_us: impl Fn(u32) -> u64,
        out: &mut Vec<InFlight>,
    ) {
        let mut next_us = u64::MAX;
        let mut expired = |entry: &InFlight| {
            let end_us = entry
                .dispatched_us
                .saturating_add(lease_us(entry.destination));
            if end_us <= now_us {
                out.push(*entry);
                true
            } else {
                next_us = next_us.min(end_us);
                false
            }
        };
        let mut gone = 0;
        self.stragglers.retain(|_, entry| {
            let over = expired(entry);
            gone += usize::from(over);
            !over
        });
        for entry in &mut self.window {
            let Some(slot) = entry else { continue };
            if slot.dispatched_us.saturating_add(lease_us_min) > now_us {
                next_us = next_us.min(slot.dispatched_us.saturating_add(lease_us_min));
                break;
            }
            if expired(slot) {
                *entry = None;
                gone += 1;
            }
        }
        self.live -= gone;
        self.lease_check_us = next_us;
        self.trim();
    }

    /// Takes everything in flight, in the order it was handed out.
    pub fn take_all(&mut self, out: &mut Vec<InFlight>) {
        let mut old: Vec<(u64, InFlight)> = self.stragglers.drain().collect();
        old.sort_unstable_by_key(|(delivery, _)| *delivery);
        out.extend(old.into_iter().map(|(_, slot)| slot));
        self.base += self.window.len() as u64;
        out.extend(self.window.drain(..).flatten());
        self.live = 0;
    }
}
