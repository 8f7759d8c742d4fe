//! Random work, changes of limits, lost connections and crashes, judged by a model that knows only the
//! rules: it is told what the gate answered, and says what may not have been.

use super::bench::{Bench, PLATFORM, SECOND_US, START_US, options};
use super::disk::{Pages, apply};
use super::random::Random;
use super::wire::{self, Ask, Entry, Id, Policy, Release, Resource, Said};
use fairlead_core::exchange::InputOp;
use fairlead_core::gate::Entered;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

const RESOURCES: [&str; 3] = ["calls", "sms", "fax"];
const TENANTS: [&str; 4] = ["a", "b", "c", "d"];
/// Connections 2… are those of the tenants.
const GRACE_US: u64 = 5_000_000;

type Key = (usize, usize);

#[derive(Clone, Debug, PartialEq)]
struct Permit {
    key: Key,
    seats: u64,
    lease_ms: u64,
    end_us: u64,
    owner: u32,
    finishing: bool,
}

#[derive(Clone, Debug)]
struct Waiter {
    connection: u32,
    ticket: u32,
    seats: u64,
    lease_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct Own {
    limit: Option<u64>,
    floor: u64,
    mode: Option<u64>,
}

#[derive(Clone, Default)]
struct Limits {
    resources: [Resource; 3],
    tenants: [Option<u64>; 4],
    policies: HashMap<Key, Own>,
}

impl Limits {
    fn key_cap(&self, key: Key) -> Option<u64> {
        let own = self.policies.get(&key).and_then(|own| own.limit);
        own.or(self.resources[key.0].tenant_limit)
    }

    /// Floors above the cap count in proportion.
    fn floor(&self, key: Key) -> u64 {
        let own = |key: Key| self.policies.get(&key).map_or(0, |own| own.floor);
        let sum: u64 = (0..4).map(|tenant| own((key.0, tenant))).sum();
        match self.resources[key.0].limit {
            Some(cap) if sum > cap => own(key) * cap / sum,
            _ => own(key),
        }
    }

    fn mode(&self, key: Key) -> u64 {
        let own = self.policies.get(&key).and_then(|own| own.mode);
        own.unwrap_or(self.resources[key.0].mode)
    }
}

struct World {
    seed: u64,
    random: Random,
    bench: Bench,
    relaxed: bool,
    limits: Limits,
    permits: BTreeMap<Id, Permit>,
    /// Held by somebody who was told so, and lost by a crash.
    ghosts: BTreeMap<Id, Permit>,
    local: BTreeMap<u64, (Key, u64)>,
    waiters: HashMap<Key, VecDeque<Waiter>>,
    /// Journals since the last flush, each with the permits after it and whether it had to be flushed.
    unflushed: Vec<(Vec<u8>, BTreeMap<Id, Permit>, bool)>,
    flushed: Pages,
    flushed_permits: BTreeMap<Id, Permit>,
    ended: HashSet<Id>,
    /// As it was at the last start, and whether anything of this start was flushed: until then nobody
    /// was told an id of it.
    ended_before: HashSet<Id>,
    is_flushed: bool,
    grants: u64,
    admissions: u64,
    crashes: u64,
}

impl World {
    fn new(seed: u64, relaxed: bool) -> Self {
        let mut with = options(START_US);
        with.relaxed = relaxed;
        // So small that snapshots are written all the time.
        with.log_bytes_max = 3000;
        let mut world = Self {
            seed,
            random: Random(seed),
            bench: Bench::with(with, &[]),
            relaxed,
            limits: Limits::default(),
            permits: BTreeMap::new(),
            ghosts: BTreeMap::new(),
            local: BTreeMap::new(),
            waiters: HashMap::new(),
            unflushed: Vec::new(),
            flushed: Pages::new(),
            flushed_permits: BTreeMap::new(),
            ended: HashSet::new(),
            ended_before: HashSet::new(),
            is_flushed: true,
            grants: 0,
            admissions: 0,
            crashes: 0,
        };
        world.flushed = world.bench.pages.clone();
        world.connect_all();
        for resource in 0..3 {
            world.change_resource(resource);
        }
        world
    }

    fn connect_all(&mut self) {
        for (connection, tenant) in (2..).zip(TENANTS) {
            self.bench.connect(connection, tenant);
            self.stepped();
        }
    }

    fn used(&self, of: impl Fn(Key) -> bool) -> u64 {
        let wired = self.permits.values().filter(|permit| of(permit.key));
        let local = self.local.values().filter(|(key, _)| of(*key));
        wired.map(|permit| permit.seats).sum::<u64>() + local.map(|(_, seats)| seats).sum::<u64>()
    }

    /// Of those whom nobody told that they lost their permits.
    fn ghost_seats(&self, of: impl Fn(Key) -> bool) -> u64 {
        let now_us = self.bench.now_us;
        let held = self.ghosts.iter().filter(|(id, ghost)| {
            ghost.end_us > now_us && of(ghost.key) && !self.permits.contains_key(*id)
        });
        held.map(|(_, ghost)| ghost.seats).sum()
    }

    fn key_has_room(&self, key: Key, seats: u64) -> bool {
        let cap = self.limits.key_cap(key);
        cap.is_none_or(|cap| self.used(|other| other == key) + seats <= cap)
    }

    fn tenant_has_room(&self, key: Key, seats: u64) -> bool {
        let cap = self.limits.tenants[key.1];
        cap.is_none_or(|cap| self.used(|other| other.1 == key.1) + seats <= cap)
    }

    fn resource_has_room(&self, key: Key, seats: u64) -> bool {
        let unfilled: u64 = (0..4)
            .map(|tenant| (key.0, tenant))
            .filter(|other| *other != key)
            .map(|other| {
                let used = self.used(|one| one == other);
                self.limits.floor(other).saturating_sub(used)
            })
            .sum();
        let cap = self.limits.resources[key.0].limit;
        cap.is_none_or(|cap| self.used(|other| other.0 == key.0) + seats + unfilled <= cap)
    }

    fn fills_floor(&self, key: Key, seats: u64) -> bool {
        self.used(|other| other == key) + seats <= self.limits.floor(key)
    }

    /// Somebody waits for a cap that this key shares, and could not be let in for that cap alone.
    fn somebody_waits(&self, key: Key, seats: u64) -> bool {
        self.waiters.iter().any(|(other, waiters)| {
            let Some(head) = waiters.front() else {
                return false;
            };
            if *other == key {
                return true;
            }
            if self.limits.mode(*other) == 2 || !self.key_has_room(*other, head.seats) {
                return false;
            }
            let waits_for_tenant = !self.tenant_has_room(*other, head.seats);
            let waits_for_resource = !self.resource_has_room(*other, head.seats);
            let same_tenant = other.1 == key.1 && waits_for_tenant && !waits_for_resource;
            let same_resource = other.0 == key.0
                && waits_for_resource
                && !waits_for_tenant
                && !self.fills_floor(key, seats);
            same_tenant || same_resource
        })
    }

    fn turn(&mut self) {
        let ahead_us = match self.random.below(20) {
            0 => self.random.range(0, 20 * SECOND_US),
            1..=5 => self.random.range(0, SECOND_US),
            _ => self.random.range(0, 3000),
        };
        self.bench.now_us += ahead_us;
        let said = self.bench.step(&[]);
        self.told(&said);
        self.stepped();
        match self.random.below(100) {
            0..=44 => self.acquire(),
            45..=64 => self.release(),
            65..=69 => self.renew(),
            70..=73 => self.reconnect(),
            74..=79 => self.configure(),
            80..=86 => self.enter(),
            87..=94 => self.leave(),
            95..=97 => self.flush(),
            98 => self.give_up(),
            _ => {
                if self.random.below(4) == 0 {
                    self.crash();
                }
            }
        }
    }

    fn pick_key(&mut self) -> Key {
        (self.random.below(3), self.random.below(4))
    }

    fn acquire(&mut self) {
        let key = self.pick_key();
        let seats = if self.random.below(4) == 0 {
            self.random.range(1, 5)
        } else {
            1
        };
        let connection = if self.random.below(3) == 0 {
            PLATFORM
        } else {
            2 + key.1 as u32
        };
        let lease_ms = self.random.range(1000, 20_000);
        let ask = Ask {
            lease_ms: Some(lease_ms),
            wait_ms: (self.random.below(4) == 0).then(|| self.random.range(0, 5000)),
            mode: (self.random.below(8) == 0).then_some(0),
            ..Ask::of(RESOURCES[key.0], TENANTS[key.1]).seats(seats)
        };
        let rejects = ask.mode == Some(0) || ask.wait_ms == Some(0) || self.limits.mode(key) == 0;
        let waits = self.somebody_waits(key, seats);
        let has_room = self.key_has_room(key, seats)
            && self.tenant_has_room(key, seats)
            && self.resource_has_room(key, seats);
        let nobody = self.waiters.values().all(VecDeque::is_empty);
        let closed = self.bench.counters[25] * 1000 > self.bench.now_us;
        match self.bench.acquire(connection, &[ask]).remove(0) {
            Entry::Granted {
                permit,
                lease_ms: lease,
                ..
            } => {
                assert!(!closed, "seed {}: granted while closed", self.seed);
                assert!(
                    has_room,
                    "seed {}: {key:?} granted {seats} without room",
                    self.seed
                );
                assert!(!waits, "seed {}: {key:?} barged", self.seed);
                assert_eq!(lease, lease_ms);
                self.granted(permit, key, seats, lease_ms, connection);
            }
            Entry::Waiting {
                ticket, position, ..
            } => {
                assert!(!rejects, "seed {}: waits though it must not", self.seed);
                assert!(
                    !has_room || !nobody,
                    "seed {}: waits without need",
                    self.seed
                );
                let waiters = self.waiters.entry(key).or_default();
                waiters.push_back(Waiter {
                    connection,
                    ticket,
                    seats,
                    lease_ms,
                });
                assert_eq!(position, waiters.len() as u64);
            }
            Entry::Impeded { code, .. } => {
                let is_closed = code == 4009 && closed;
                assert!(
                    is_closed || !has_room || !nobody,
                    "seed {}: {key:?} refused with {code} without need",
                    self.seed
                );
            }
        }
        self.stepped();
    }

    fn granted(&mut self, id: Id, key: Key, seats: u64, lease_ms: u64, owner: u32) {
        assert!(!self.ended.contains(&id), "seed {}: an id again", self.seed);
        self.grants += 1;
        let permit = Permit {
            key,
            seats,
            lease_ms,
            end_us: self.bench.now_us + lease_ms * 1000,
            owner,
            finishing: false,
        };
        let before = self.permits.insert(id, permit);
        assert_eq!(before, None, "seed {}: granted twice", self.seed);
        self.check_caps(key);
    }

    /// After a grant all its caps hold, for what their holders believe too.
    fn check_caps(&self, key: Key) {
        let seed = self.seed;
        let limits = [
            (
                self.limits.key_cap(key),
                self.used(|one| one == key),
                self.ghost_seats(|one| one == key),
            ),
            (
                self.limits.tenants[key.1],
                self.used(|one| one.1 == key.1),
                self.ghost_seats(|one| one.1 == key.1),
            ),
            (
                self.limits.resources[key.0].limit,
                self.used(|one| one.0 == key.0),
                self.ghost_seats(|one| one.0 == key.0),
            ),
        ];
        for (at, (cap, used, ghosts)) in limits.iter().enumerate() {
            let over = cap.is_some_and(|cap| used + ghosts > cap);
            assert!(
                !over,
                "seed {seed}: cap {at} of {key:?}: {used} + {ghosts} of {cap:?}"
            );
        }
    }

    /// What those who waited are told. All who are let in were first of their key.
    fn told(&mut self, said: &[(u32, Said)]) {
        self.end_what_is_over();
        let mut admitted: Vec<Key> = Vec::new();
        for (to, what) in said {
            let (ticket, connection) = match what {
                Said::Admitted(ticket, ..) | Said::Refused(ticket, ..) => (*ticket, *to),
                Said::Entered(..) => (*to, u32::MAX),
                _ => continue,
            };
            let found = self.waiters.iter().find_map(|(key, waiters)| {
                let at = waiters
                    .iter()
                    .position(|one| (one.connection, one.ticket) == (connection, ticket));
                at.map(|at| (*key, at))
            });
            let Some((key, at)) = found else {
                panic!(
                    "seed {}: {connection} was told of ticket {ticket}",
                    self.seed
                )
            };
            let mut waiter = self.waiters.get_mut(&key).unwrap()[at].clone();
            let let_in = !matches!(what, Said::Refused(..) | Said::Entered(None, _));
            match what {
                Said::Admitted(_, permit, lease_ms) => {
                    assert_eq!(*lease_ms, waiter.lease_ms);
                    let end_us = self.bench.now_us + lease_ms * 1000;
                    let fresh = Permit {
                        key,
                        seats: waiter.seats,
                        lease_ms: *lease_ms,
                        end_us,
                        owner: connection,
                        finishing: false,
                    };
                    assert!(!self.ended.contains(permit));
                    assert_eq!(self.permits.insert(*permit, fresh), None);
                    self.grants += 1;
                }
                Said::Entered(Some(permit), _) => {
                    self.local.insert(*permit, (key, waiter.seats));
                }
                _ => {}
            }
            if let_in {
                self.admissions += 1;
                admitted.push(key);
            }
            // Taken out below, when the order was looked at.
            waiter.seats = if let_in { u64::MAX } else { 0 };
            self.waiters.get_mut(&key).unwrap()[at] = waiter;
        }
        for (key, waiters) in &mut self.waiters {
            waiters.retain(|waiter| waiter.seats > 0);
            let let_in = waiters.iter().filter(|one| one.seats == u64::MAX).count();
            let first = waiters.iter().take(let_in).all(|one| one.seats == u64::MAX);
            assert!(
                first,
                "seed {}: not first come, first served in {key:?}",
                self.seed
            );
            waiters.retain(|waiter| waiter.seats != u64::MAX);
        }
        for key in admitted {
            self.check_caps(key);
        }
    }

    fn some_permit(&mut self) -> Option<Id> {
        let count = self.permits.len();
        if count == 0 || self.random.below(20) == 0 {
            return self.ended.iter().min().copied();
        }
        let at = self.random.below(count);
        self.permits.keys().nth(at).copied()
    }

    fn release(&mut self) {
        let Some(id) = self.some_permit() else { return };
        let tenant = self.random.below(4);
        let live = self.permits.get(&id).cloned();
        let own = live.as_ref().map_or(tenant, |permit| permit.key.1);
        let connection = match self.random.below(10) {
            0 => 2 + tenant as u32,
            1..=3 => PLATFORM,
            _ => 2 + own as u32,
        };
        let may = connection == PLATFORM || connection == 2 + own as u32;
        let expected = u64::from(live.is_some() && may);
        if expected == 1 {
            self.end(id);
        }
        let (released, gone, said) = self.bench.release(connection, &[Release::Permit(id)]);
        assert_eq!(
            (released, gone),
            (expected, 1 - expected),
            "seed {}",
            self.seed
        );
        self.told(&said);
        self.stepped();
    }

    fn end(&mut self, id: Id) {
        self.permits.remove(&id).expect("it has not ended");
        self.ghosts.remove(&id);
        assert!(self.ended.insert(id), "seed {}: ended twice", self.seed);
    }

    fn renew(&mut self) {
        let Some(id) = self.some_permit() else { return };
        let own = self.permits.get(&id).map_or(0, |permit| permit.key.1);
        let connection = if self.random.below(8) == 0 {
            2 + self.random.below(4) as u32
        } else {
            2 + own as u32
        };
        let lease_ms = self.random.range(500, 30_000);
        let flags = *self.random.choose(&[0, 0, 1, 2, 2]);
        let now_us = self.bench.now_us;
        let granted_ms = lease_ms.max(1000);
        let expected = match self.permits.get_mut(&id) {
            Some(permit) if connection == 2 + permit.key.1 as u32 => {
                if flags == 2 {
                    permit.owner = connection;
                }
                if permit.finishing {
                    permit.end_us.saturating_sub(now_us) / 1000
                } else {
                    permit.finishing = flags == 1;
                    permit.lease_ms = granted_ms;
                    permit.end_us = now_us + granted_ms * 1000;
                    granted_ms
                }
            }
            _ => 0,
        };
        let leases = self.bench.renew(connection, &[id], lease_ms, flags);
        assert_eq!(leases, [expected], "seed {}", self.seed);
        self.stepped();
    }

    fn reconnect(&mut self) {
        let tenant = self.random.below(4);
        let connection = 2 + tenant as u32;
        let end_us = self.bench.now_us + GRACE_US;
        for permit in self.permits.values_mut() {
            if permit.owner == connection {
                permit.owner = 0;
                permit.end_us = permit.end_us.min(end_us);
            }
        }
        for waiters in self.waiters.values_mut() {
            waiters.retain(|waiter| waiter.connection != connection);
        }
        let said = self.bench.disconnect(connection);
        self.told(&said);
        self.stepped();
        self.bench.connect(connection, TENANTS[tenant]);
        self.stepped();
    }

    fn some_limit(&mut self) -> Option<u64> {
        match self.random.below(4) {
            0 => None,
            1 => Some(self.random.range(0, 2)),
            _ => Some(self.random.range(2, 9)),
        }
    }

    fn change_resource(&mut self, at: usize) {
        let fields = Resource {
            limit: self.some_limit(),
            tenant_limit: self.some_limit(),
            mode: *self.random.choose(&[0, 1, 1, 1, 2]),
            waiters_max: self.random.range(1, 12),
            wait_ms: self.random.range(100, 20_000),
            rate_per_sec: Some(10.0),
            lease_ms: 10_000,
            adaptive: None,
        };
        self.limits.resources[at] = fields.clone();
        let said = self.bench.resource(RESOURCES[at], &fields);
        self.told(&said);
        self.stepped();
    }

    fn configure(&mut self) {
        match self.random.below(3) {
            0 => {
                let at = self.random.below(3);
                self.change_resource(at);
            }
            1 => {
                let at = self.random.below(4);
                let cap = self.some_limit();
                let weight = self.random.range(1, 300);
                self.limits.tenants[at] = cap;
                let said = self.bench.configure(wire::tenant(TENANTS[at], cap, weight));
                self.told(&said);
                self.stepped();
            }
            _ => {
                let key = self.pick_key();
                let (resource, tenant) = (RESOURCES[key.0], TENANTS[key.1]);
                let said = if self.random.below(4) == 0 {
                    self.limits.policies.remove(&key);
                    self.bench.configure(wire::policy(resource, tenant, None))
                } else {
                    let fields = Policy {
                        limit: self.some_limit(),
                        floor: self.random.below(3) as u64,
                        weight: (self.random.below(2) == 0).then(|| self.random.range(1, 500)),
                        mode: (self.random.below(2) == 0).then(|| self.random.range(0, 2)),
                        rate_per_sec: Some(20.0),
                        ..Policy::default()
                    };
                    let own = Own {
                        limit: fields.limit,
                        floor: fields.floor,
                        mode: fields.mode,
                    };
                    self.limits.policies.insert(key, own);
                    self.bench.policy(resource, tenant, &fields)
                };
                self.told(&said);
                self.stepped();
            }
        }
    }

    fn enter(&mut self) {
        let key = self.pick_key();
        let seats = self.random.range(1, 2);
        let waits = self.somebody_waits(key, seats);
        let names = (RESOURCES[key.0], TENANTS[key.1]);
        let now_us = self.bench.now_us;
        match self.bench.gate.enter(names, seats as u32, None, now_us).0 {
            Entered::Passed { permit, .. } => {
                assert!(!waits, "seed {}: {key:?} barged within", self.seed);
                assert_eq!(self.local.insert(permit, (key, seats)), None);
                self.check_caps(key);
            }
            Entered::Waiting { ticket, .. } => {
                self.waiters.entry(key).or_default().push_back(Waiter {
                    connection: u32::MAX,
                    ticket,
                    seats,
                    lease_ms: 0,
                });
            }
            Entered::Impeded { .. } => {}
        }
        let said = self.bench.step(&[]);
        self.told(&said);
        self.stepped();
    }

    fn leave(&mut self) {
        let count = self.local.len();
        if count == 0 {
            return;
        }
        let at = self.random.below(count);
        let permit = *self.local.keys().nth(at).unwrap();
        self.local.remove(&permit);
        assert!(self.bench.gate.leave(permit, Some(true), self.bench.now_us));
        assert!(
            !self.bench.gate.leave(permit, Some(true), self.bench.now_us),
            "once"
        );
        let said = self.bench.step(&[]);
        self.told(&said);
        self.stepped();
    }

    fn give_up(&mut self) {
        let waiting: Vec<(Key, usize)> = self
            .waiters
            .iter()
            .flat_map(|(key, waiters)| (0..waiters.len()).map(move |at| (*key, at)))
            .collect();
        if waiting.is_empty() {
            return;
        }
        let mut waiting = waiting;
        waiting.sort_unstable();
        let (key, at) = waiting[self.random.below(waiting.len())];
        let waiter = self.waiters.get_mut(&key).unwrap().remove(at).unwrap();
        let said = if waiter.connection == u32::MAX {
            assert!(self.bench.gate.give_up(waiter.ticket, self.bench.now_us));
            self.bench.step(&[])
        } else {
            let ticket = Release::Ticket(waiter.ticket);
            let (released, _, said) = self.bench.release(waiter.connection, &[ticket]);
            assert_eq!(released, 1);
            said
        };
        self.told(&said);
        self.stepped();
    }

    /// Leases that are over, and of which the gate knows it.
    fn end_what_is_over(&mut self) -> HashMap<Id, u64> {
        let now_us = self.bench.now_us;
        let all: HashMap<Id, u64> = self
            .bench
            .gate
            .permits_now()
            .iter()
            .filter(|permit| !permit.is_local)
            .map(|permit| (permit.id.0, permit.lease_end_us))
            .collect();
        let over: Vec<Id> = self
            .permits
            .iter()
            .filter(|(id, permit)| permit.end_us <= now_us && !all.contains_key(*id))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.end(id);
        }
        all
    }

    /// After each step: whether the gate has what the model has.
    fn stepped(&mut self) {
        let now_us = self.bench.now_us;
        let all = self.end_what_is_over();
        assert_eq!(all.len(), self.permits.len(), "seed {}: permits", self.seed);
        for (id, permit) in &self.permits {
            assert_eq!(all.get(id), Some(&permit.end_us), "seed {}", self.seed);
            assert!(
                permit.end_us + 2100 > now_us,
                "seed {}: too late",
                self.seed
            );
        }
        let waiting: usize = self.waiters.values().map(VecDeque::len).sum();
        assert_eq!(
            self.bench.counters[17], waiting as u64,
            "seed {}: waiters",
            self.seed
        );
        let journal = self.bench.journal.clone();
        let flush = self.bench.flush && self.relaxed;
        self.unflushed.push((journal, self.permits.clone(), flush));
    }

    fn flush(&mut self) {
        self.flush_some();
        assert_eq!(self.flushed, self.bench.pages);
    }

    /// Everything after some step is lost; in strict mode nobody was told of it.
    fn crash(&mut self) {
        self.crashes += 1;
        let kept = self.random.below(self.unflushed.len() + 1);
        let lost = self.unflushed.split_off(kept);
        self.flush_some();
        if !self.is_flushed {
            self.ended = self.ended_before.clone();
        }
        self.is_flushed = false;
        if self.relaxed {
            // Told of all steps before one that had to be flushed first.
            for (_, permits, flush) in &lost {
                if *flush {
                    break;
                }
                for (id, permit) in permits {
                    self.ghosts.insert(*id, permit.clone());
                }
            }
            // Who released or let go knows it.
            let told = lost.iter().take_while(|(_, _, flush)| !flush).last();
            if let Some((_, permits, _)) = told {
                self.ghosts.retain(|id, _| permits.contains_key(id));
            }
        }
        let after_us = self.random.range(0, 12 * SECOND_US);
        self.bench.pages = self.flushed.clone();
        self.permits.clear();
        self.local.clear();
        self.waiters.clear();
        self.bench.now_us += after_us;
        let now_us = self.bench.now_us;
        for (id, permit) in &self.flushed_permits {
            // A stored lease that was cut short by a lost connection counts in full again.
            let stored_us = permit.end_us;
            let full = permit.lease_ms * 1000;
            if stored_us > now_us || permit.owner == 0 {
                let again = Permit {
                    end_us: now_us + full,
                    owner: 0,
                    ..permit.clone()
                };
                self.permits.insert(*id, again);
            }
        }
        self.bench.restart(0);
        // Of those without a connection the journal has the lease alone: what it took over is so.
        let all: HashSet<Id> = self
            .bench
            .gate
            .permits_now()
            .iter()
            .map(|one| one.id.0)
            .collect();
        let flushed = &self.flushed_permits;
        self.permits.retain(|id, _| {
            let is_there = all.contains(id);
            assert!(is_there || flushed[id].owner == 0, "a permit is lost");
            is_there
        });
        self.ended.retain(|id| !all.contains(id));
        self.ended_before = self.ended.clone();
        self.stepped();
        self.connect_all();
    }

    fn flush_some(&mut self) {
        self.is_flushed |= !self.unflushed.is_empty();
        for (journal, permits, _) in std::mem::take(&mut self.unflushed) {
            apply(&mut self.flushed, &journal);
            self.flushed_permits = permits;
        }
    }

    fn finish(&mut self) {
        let ids: Vec<Id> = self.permits.keys().copied().collect();
        for id in ids {
            if self.permits.contains_key(&id) {
                self.end(id);
                let (released, _, said) = self.bench.release(PLATFORM, &[Release::Permit(id)]);
                assert_eq!(released, 1);
                self.told(&said);
                self.stepped();
            }
        }
        let locals: Vec<u64> = self.local.keys().copied().collect();
        for permit in locals {
            self.local.remove(&permit);
            self.bench.gate.leave(permit, Some(true), self.bench.now_us);
            let said = self.bench.step(&[]);
            self.told(&said);
        }
        for connection in [PLATFORM, 2, 3, 4, 5] {
            for waiters in self.waiters.values_mut() {
                waiters.retain(|waiter| waiter.connection != connection);
            }
            let said = self.bench.disconnect(connection);
            self.told(&said);
        }
        for _ in 0..100 {
            let said = self.bench.pass(SECOND_US);
            self.told(&said);
            let locals: Vec<u64> = self.local.keys().copied().collect();
            for permit in locals {
                self.local.remove(&permit);
                self.bench.gate.leave(permit, Some(true), self.bench.now_us);
            }
        }
        self.bench.pass(SECOND_US);
        assert!(
            self.bench.gate.permits_now().is_empty(),
            "seed {}",
            self.seed
        );
        assert_eq!(self.bench.counters[17..20], [0, 0, 0], "seed {}", self.seed);
    }
}

fn run(seed: u64, relaxed: bool, turns: usize) -> (u64, u64, u64) {
    let mut world = World::new(seed, relaxed);
    for _ in 0..turns {
        world.turn();
    }
    world.finish();
    (world.grants, world.admissions, world.crashes)
}

fn run_all(relaxed: bool) {
    let seeds = std::env::var("GATE_SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    let first = std::env::var("GATE_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut sums = (0, 0, 0);
    for seed in first..first + seeds {
        let (grants, admissions, crashes) = run(seed, relaxed, 1500);
        sums = (sums.0 + grants, sums.1 + admissions, sums.2 + crashes);
    }
    println!(
        "{seeds} seeds: {} grants, {} admitted, {} crashes",
        sums.0, sums.1, sums.2
    );
    if seeds >= 20 {
        assert!(
            sums.0 > 1000 && sums.1 > 500 && sums.2 > 20,
            "{sums:?}: too little happened"
        );
    }
}

#[test]
fn strict_runs_keep_every_rule() {
    run_all(false);
}

#[test]
fn relaxed_runs_keep_every_rule() {
    run_all(true);
}

/// Events of the input that no part of the gate answers are refused, not ignored.
#[test]
fn an_operation_of_a_shard_is_fatal() {
    let mut bench = Bench::new(&[]);
    let input =
        fairlead_core::exchange::write_input(1, &[crate::input::entry(InputOp::Stats, 1, b"")]);
    assert!(bench.gate.step(START_US, &input).is_err());
}
