//! The keys that wait for one cap, in the order of start-time fair queueing (Goyal, Vin, Cheng 1996).
//!
//! A key's start tag S is in seat·µs · 2³² / weight; V is the cap's virtual time. While nobody waits
//! nothing is charged, and when somebody begins to wait V is the largest tag there was: no debt and no
//! credit from times when there was enough for all.

use std::collections::BTreeSet;

/// Place in a line: smallest tag, then keys that began to wait since they were last served, then the
/// least recently served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub tag: u128,
    pub order: u64,
    pub key: u32,
}

#[derive(Default)]
pub(super) struct Line {
    ranks: BTreeSet<Rank>,
    pub virtual_time: u128,
    /// V when somebody began to wait.
    begun: u128,
    tag_max: u128,
    /// Since when somebody waits.
    busy_since_us: Option<u64>,
    /// Of the keys in line.
    pub weights: u64,
    /// Seats that their waiters want.
    pub seats: u64,
    /// A key whose head takes several seats and was refused when it was first in line: it stays first
    /// until it is served, so that small ones do not take each seat that comes free before it.
    pinned: Option<Rank>,
}

impl Line {
    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }

    pub fn len(&self) -> usize {
        self.ranks.len()
    }

    /// Who is next.
    pub fn first(&self) -> Option<Rank> {
        self.pinned.or_else(|| self.ranks.first().copied())
    }

    pub fn iter(&self) -> impl Iterator<Item = Rank> + '_ {
        let pinned = self.pinned;
        let rest = self.ranks.iter().copied();
        pinned
            .into_iter()
            .chain(rest.filter(move |rank| Some(*rank) != pinned))
    }

    pub fn pin(&mut self, rank: Rank) {
        self.pinned = Some(rank);
    }

    pub fn since_us(&self) -> Option<u64> {
        self.busy_since_us
    }

    pub fn insert(&mut self, rank: Rank, weight: u32, seats: u64, now_us: u64) {
        if self.busy_since_us.is_none() {
            self.busy_since_us = Some(now_us);
            self.virtual_time = self.virtual_time.max(self.tag_max);
            self.begun = self.virtual_time;
        }
        self.tag_max = self.tag_max.max(rank.tag);
        let is_new = self.ranks.insert(rank);
        debug_assert!(is_new, "a key is in a line once");
        self.weights += u64::from(weight);
        self.seats += seats;
    }

    pub fn remove(&mut self, rank: Rank, weight: u32, seats: u64) {
        let was_there = self.ranks.remove(&rank);
        debug_assert!(was_there, "a key leaves the line it is in");
        if self.pinned == Some(rank) {
            self.pinned = None;
        }
        self.weights -= u64::from(weight);
        self.seats -= seats;
    }

    /// Nobody waits any more: all are level.
    pub fn rest(&mut self) {
        self.virtual_time = self.virtual_time.max(self.tag_max);
        self.busy_since_us = None;
    }

    /// A place of the same key under another tag or order.
    pub fn rerank(&mut self, old: Rank, new: Rank) {
        let was_there = self.ranks.remove(&old);
        debug_assert!(was_there, "a key is ranked anew in the line it is in");
        self.ranks.insert(new);
        self.tag_max = self.tag_max.max(new.tag);
        if self.pinned == Some(old) {
            self.pinned = Some(new);
        }
    }

    /// The tag with which a key gets in line: no credit for time away.
    pub fn entry_tag(&self, tag: u128) -> u128 {
        let now = if self.busy_since_us.is_some() {
            self.virtual_time
        } else {
            self.virtual_time.max(self.tag_max)
        };
        tag.max(now)
    }

    /// A key of that tag is served.
    pub fn picked(&mut self, tag: u128) {
        self.virtual_time = self.virtual_time.max(tag);
    }

    /// The tag of a key after a charge at its grant.
    pub fn charged(&mut self, tag: u128, charge: u128) -> u128 {
        let tag = tag.max(self.virtual_time) + charge;
        self.tag_max = self.tag_max.max(tag);
        tag
    }

    /// The tag of a key after the charge was found to have been `less` too much or `more` too little.
    pub fn corrected(&mut self, tag: u128, more: u128, less: u128) -> u128 {
        let tag = if more > 0 {
            tag.max(self.begun) + more
        } else {
            tag.saturating_sub(less).max(self.virtual_time.min(tag))
        };
        self.tag_max = self.tag_max.max(tag);
        tag
    }

    /// The tag that a key of another weight has: its debt weighs as its new weight does.
    pub fn reweighted(&self, tag: u128, old: u32, new: u32) -> u128 {
        let debt = tag.saturating_sub(self.virtual_time);
        tag.min(self.virtual_time) + debt * u128::from(old) / u128::from(new)
    }
}
