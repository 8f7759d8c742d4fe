//! A key: a tenant at a resource, with its policy, who waits and how long its permits are held.

use super::NONE;
use super::cell::CellId;
use super::decisions::Decisions;
use super::line::Rank;
use crate::exchange::GateMode;

/// What holds the head of a key's waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// Nobody waits.
    No,
    /// Its own limit.
    Key,
    /// In the line of its tenant's cap.
    Tenant,
    /// In the line of its resource's cap.
    Resource,
    /// Not before its time.
    Pace,
}

impl Blocked {
    /// The line it stands in: `TENANT` or `RESOURCE`.
    pub const fn line(self) -> Option<usize> {
        match self {
            Self::Tenant => Some(super::TENANT),
            Self::Resource => Some(super::RESOURCE),
            Self::No | Self::Key | Self::Pace => None,
        }
    }

    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::No => None,
            Self::Key => Some("key"),
            Self::Tenant => Some("tenant"),
            Self::Resource => Some("resource"),
            Self::Pace => Some("pace"),
        }
    }
}

/// What is in effect for a key: its own policy's, else its resource's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Policy {
    pub limit: Option<u32>,
    pub floor: u32,
    pub weight: u32,
    pub mode: GateMode,
    pub waiters_max: u32,
    pub wait_ms: u64,
    /// Of mode delay: µs between two admissions of those who waited.
    pub pace_us: u64,
    pub lease_ms: u32,
}

pub(super) struct Key {
    /// Of all keys that were ever opened: who knows it by its place knows by this that it is the same.
    pub serial: u64,
    pub resource: u32,
    pub tenant: u32,
    pub cells: [CellId; 3],
    pub policy: Policy,
    /// Of its floor, what the table keeps free.
    pub floor_kept: u32,
    /// 2³² / weight.
    pub per_weight: u64,
    pub first: u32,
    pub last: u32,
    pub waiting: u32,
    pub waiting_seats: u64,
    pub permits: u32,
    /// Mean time that a permit is held, µs, and of how many.
    pub hold_us: u64,
    pub holds: u32,
    /// Start tags in the tenant's and the resource's line.
    pub tags: [u128; 3],
    pub blocked: Blocked,
    /// Its place in the line it stands in.
    pub rank: Option<Rank>,
    /// It began to wait since it was last served.
    pub fresh: bool,
    /// When it began to wait and was last served, as turns of the gate.
    pub began: u64,
    pub served: u64,
    /// When its last waiter may go on, of mode delay.
    pub paced_us: u64,
    pub idle_since_us: u64,
    pub granted: u64,
    pub impeded: u64,
    pub decisions: Decisions,
    /// Its place in the record that is being written, and of which writing.
    pub mark: u64,
    pub mark_index: u32,
}

impl Key {
    pub fn new(resource: u32, tenant: u32, cells: [CellId; 3], policy: Policy) -> Self {
        Self {
            serial: 0,
            resource,
            tenant,
            cells,
            policy,
            floor_kept: 0,
            per_weight: (1 << 32) / u64::from(policy.weight),
            first: NONE,
            last: NONE,
            waiting: 0,
            waiting_seats: 0,
            permits: 0,
            hold_us: 0,
            holds: 0,
            tags: [0; 3],
            blocked: Blocked::No,
            rank: None,
            fresh: false,
            began: 0,
            served: 0,
            paced_us: 0,
            idle_since_us: 0,
            granted: 0,
            impeded: 0,
            decisions: Decisions::default(),
            mark: 0,
            mark_index: 0,
        }
    }

    pub fn is_free(&self) -> bool {
        self.resource == NONE
    }

    pub fn is_idle(&self) -> bool {
        self.permits == 0 && self.waiting == 0
    }

    /// A charge of so many seat·µs, as its tags count.
    pub fn charge(&self, seat_us: u64) -> u128 {
        u128::from(seat_us) * u128::from(self.per_weight)
    }
}

/// A mean that moves by an eighth of the difference; at first the plain mean.
#[inline]
pub(super) fn mean_with(mean: u64, count: u32, value: u64) -> u64 {
    let part = i64::from((count + 1).min(8));
    let (mean, value) = (mean.cast_signed(), value.cast_signed());
    (mean + (value - mean) / part).cast_unsigned()
}
