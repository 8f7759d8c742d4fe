//! What tests look at: every permit, and whether all that is kept twice agrees.

use super::key::Blocked;
use super::permit::{LOCAL_PERMIT, ORPHAN};
use super::{Gate, KEY, NONE, PermitId, RESOURCE, TENANT};
use std::collections::HashMap;

/// A permit that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermitState {
    pub id: PermitId,
    pub resource: String,
    pub tenant: String,
    pub seats: u32,
    pub lease_end_us: u64,
    pub is_local: bool,
    pub is_orphan: bool,
}

impl Gate {
    #[doc(hidden)]
    pub fn permits_now(&self) -> Vec<PermitState> {
        (0..self.permits.slots() as u32)
            .filter(|slot| self.permits.get(*slot).key != NONE)
            .map(|slot| {
                let permit = self.permits.get(slot);
                let key = &self.keys[permit.key as usize];
                let resource = &self.resources[key.resource as usize].name;
                let tenant = &self.tenants[key.tenant as usize].name;
                PermitState {
                    id: self.permits.id(slot),
                    resource: String::from_utf8_lossy(resource).into_owned(),
                    tenant: String::from_utf8_lossy(tenant).into_owned(),
                    seats: permit.seats.into(),
                    lease_end_us: permit.lease_end_us,
                    is_local: permit.flags & LOCAL_PERMIT != 0,
                    is_orphan: permit.flags & ORPHAN != 0,
                }
            })
            .collect()
    }

    /// Panics where two parts of the state disagree, or where somebody waits who need not.
    #[doc(hidden)]
    pub fn check(&self) {
        self.check_counts();
        for at in 0..self.keys.len() as u32 {
            if !self.keys[at as usize].is_free() {
                self.check_key(at);
            }
        }
        for resource in &self.resources {
            if let Some(rank) = resource.line.first() {
                self.check_first(rank.key, RESOURCE);
            }
        }
        for tenant in &self.tenants {
            if let Some(rank) = tenant.line.first() {
                self.check_first(rank.key, TENANT);
            }
        }
    }

    /// The table holds exactly the seats of the permits, and those that are kept.
    fn check_counts(&self) {
        let mut used: HashMap<_, u32> = HashMap::new();
        let mut permits = vec![0; self.keys.len()];
        for slot in 0..self.permits.slots() as u32 {
            let permit = self.permits.get(slot);
            if permit.key == NONE {
                continue;
            }
            permits[permit.key as usize] += 1;
            for cell in self.keys[permit.key as usize].cells {
                *used.entry(cell).or_default() += u32::from(permit.seats);
            }
        }
        for waiter in self.all_waiters() {
            let waiter = self.waiters.get(waiter);
            if waiter.keeps {
                let key = &self.keys[waiter.key as usize];
                assert_eq!(key.blocked, Blocked::Resource, "only there seats are kept");
                *used.entry(key.cells[TENANT]).or_default() += u32::from(waiter.seats);
            }
        }
        assert!(self.let_go.is_empty(), "what was let go is given to others");
        let mut seats = 0;
        for (at, key) in self.keys.iter().enumerate() {
            if key.is_free() {
                continue;
            }
            assert_eq!(key.permits, permits[at], "permits of key {at}");
            for (place, cell) in key.cells.iter().enumerate() {
                let expected = used.get(cell).copied().unwrap_or(0);
                let counts = self.table.read(*cell);
                assert_eq!(counts.used, expected, "cell {place} of key {at}");
            }
            let counts = self.table.read(key.cells[KEY]);
            assert_eq!(
                counts.waiters,
                key.blocked == Blocked::Key,
                "flag of key {at}"
            );
            seats += u64::from(counts.used);
        }
        assert_eq!(self.counters.seats, seats, "seats");
    }

    fn check_key(&self, at: u32) {
        let key = &self.keys[at as usize];
        let (mut count, mut seats, mut waiter, mut last) = (0, 0, key.first, NONE);
        while waiter != NONE {
            let entry = self.waiters.get(waiter);
            assert_eq!((entry.key, entry.prev), (at, last), "a line of key {at}");
            (count, seats) = (count + 1, seats + u64::from(entry.seats));
            (last, waiter) = (waiter, entry.next);
        }
        assert_eq!((key.waiting, key.waiting_seats), (count, seats));
        assert_eq!(key.last, last);
        assert_eq!(key.waiting == 0, key.blocked == Blocked::No, "key {at}");
        assert_eq!(key.blocked.line().is_some(), key.rank.is_some());
        if key.blocked == Blocked::Key {
            let head = u32::from(self.waiters.get(key.first).seats);
            assert!(self.is_over_limit(at, head), "key {at} need not wait");
        }
        for side in [TENANT, RESOURCE] {
            let line = self.line(at, side);
            let is_in = line.iter().any(|rank| Some(rank) == key.rank);
            assert_eq!(is_in, key.blocked.line() == Some(side), "key {at}");
            assert_eq!(line.is_empty(), line.since_us().is_none(), "key {at}");
            let (seats, weights) = line.iter().fold((0, 0), |(seats, weights), rank| {
                let key = &self.keys[rank.key as usize];
                let weight = u64::from(key.policy.weight);
                (seats + key.waiting_seats, weights + weight)
            });
            assert_eq!((line.seats, line.weights), (seats, weights), "key {at}");
            let flag = self.table.read(key.cells[side]).waiters;
            assert_eq!(flag, !line.is_empty(), "flag above key {at}");
        }
    }

    /// Work conserving: the first of a line has no room at that line's cap.
    fn check_first(&self, at: u32, side: usize) {
        let key = &self.keys[at as usize];
        let seats = u32::from(self.waiters.get(key.first).seats);
        let counts = self.table.read(key.cells[side]);
        let own = self.table.read(key.cells[KEY]);
        let own_part = if side == RESOURCE && key.policy.floor > 0 {
            own.unfilled
        } else {
            0
        };
        let others = if side == RESOURCE {
            counts.unfilled - own_part
        } else {
            0
        };
        assert!(
            counts
                .cap
                .is_some_and(|cap| counts.used + seats + others > cap),
            "key {at} is first at cap {side}, which has room: {counts:?}, {seats} seats"
        );
    }
}
