//! The gate's table under eight threads: no cap is ever passed, seen from outside, no floor is lent
//! out, and nothing is left.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

use fairlead_core::gate::cell::CellId;
use fairlead_core::gate::chain::Take;
use fairlead_core::gate::table::Table;

const THREADS: u64 = 8;
const ROUNDS: u32 = 1_000_000;
const KEY_CAP: u32 = 5;
const TENANT_CAP: u32 = 7;
const CAPS_OF_CHANGED: [u32; 4] = [9, 2, 6, 0];
const FIXED_CAP: u32 = 8;
const FLOOR: u32 = 2;

/// A cap, and the seats in use as its users count them: after a take, before a give. So this is
/// never more than what the cell holds.
struct Watched {
    id: CellId,
    cap: u32,
    used: AtomicU32,
}

impl Watched {
    fn new(table: &Table, hash: u64, cap: u32) -> Watched {
        let id = table.open(hash).expect("room");
        table.set_cap(id, Some(cap));
        Watched {
            id,
            cap,
            used: AtomicU32::new(0),
        }
    }

    fn come(&self, seats: u32) {
        let used = self.used.fetch_add(seats, SeqCst) + seats;
        assert!(used <= self.cap, "{used} seats of {}", self.cap);
    }

    fn go(&self, seats: u32) {
        self.used.fetch_sub(seats, SeqCst);
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound as usize
    }
}

struct World {
    table: Table,
    keys: Vec<Watched>,
    tenants: Vec<Watched>,
    /// The first one's cap changes, the second keeps the floors.
    resources: [Watched; 2],
    over: AtomicBool,
    admitted: AtomicU64,
}

impl World {
    fn new() -> World {
        let table = Table::new(64);
        let mut hash = 0;
        let mut watched = |cap| {
            hash += 1;
            Watched::new(&table, hash, cap)
        };
        let keys: Vec<_> = (0..8).map(|_| watched(KEY_CAP)).collect();
        let tenants = (0..2).map(|_| watched(TENANT_CAP)).collect();
        let resources = [watched(CAPS_OF_CHANGED[0]), watched(FIXED_CAP)];
        World {
            table,
            keys,
            tenants,
            resources,
            over: AtomicBool::new(false),
            admitted: AtomicU64::new(0),
        }
    }

    /// Comes and goes on random keys; a key is of tenant key mod 2 and of resource key / 4.
    fn come_and_go(&self, seed: u64) {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut admitted = 0;
        for _ in 0..ROUNDS {
            let key = random.below(8);
            let seats = 1 + random.below(3) as u32;
            let watched = [
                &self.keys[key],
                &self.tenants[key % 2],
                &self.resources[key / 4],
            ];
            let chain = watched.map(|cell| cell.id);
            if self.table.take(&chain, seats) != Take::Taken {
                continue;
            }
            admitted += 1;
            for cell in watched {
                cell.come(seats);
            }
            for cell in watched {
                cell.go(seats);
            }
            self.table.give(&chain, seats);
        }
        self.admitted.fetch_add(admitted, SeqCst);
    }

    /// Changes the first resource's cap. What was in use just then may stay, nothing may come on top.
    fn change_cap(&self) {
        let resource = &self.resources[0];
        for at in 0.. {
            if self.over.load(SeqCst) {
                return;
            }
            let cap = CAPS_OF_CHANGED[at % CAPS_OF_CHANGED.len()];
            let bound = cap.max(self.table.set_cap(resource.id, Some(cap)).used);
            for _ in 0..200 {
                let used = resource.used.load(SeqCst);
                assert!(used <= bound, "{used} seats after the cap was set to {cap}");
            }
            std::thread::yield_now();
        }
    }

    /// Within its floor a key always gets in. It has no tenant's cap above it.
    fn use_floor(&self, key: CellId) {
        let chain = [key, self.resources[1].id];
        while !self.over.load(SeqCst) {
            assert_eq!(self.table.take(&chain, FLOOR), Take::Taken, "its own floor");
            self.table.give(&chain, 1);
            assert_eq!(self.table.take(&chain, 1), Take::Taken, "its own floor");
            self.table.give(&chain, FLOOR);
            std::thread::yield_now();
        }
    }
}

#[test]
fn eight_threads_never_pass_a_cap_nor_lend_a_floor_and_leave_nothing() {
    let world = World::new();
    let table = &world.table;
    let floored = table.open(1_000).unwrap();
    table
        .set_floor(floored, world.resources[1].id, FLOOR)
        .unwrap();
    // One of the contended keys has a floor that changes, in the resource that promises nothing.
    let (shared, changed) = (world.keys[3].id, world.resources[0].id);
    std::thread::scope(|scope| {
        scope.spawn(|| world.change_cap());
        scope.spawn(|| world.use_floor(floored));
        scope.spawn(|| {
            for floor in (0..4).cycle().take_while(|_| !world.over.load(SeqCst)) {
                table.set_floor(shared, changed, floor).unwrap();
                std::thread::yield_now();
            }
        });
        let world = &world;
        let takers: Vec<_> = (1..=THREADS)
            .map(|seed| scope.spawn(move || world.come_and_go(seed)))
            .collect();
        let ended: Vec<_> = takers
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        world.over.store(true, SeqCst);
        assert!(ended.iter().all(Result::is_ok));
    });
    let admitted = world.admitted.load(SeqCst);
    assert!(
        admitted > THREADS * u64::from(ROUNDS) / 100,
        "{admitted} admitted"
    );
    table.set_floor(shared, changed, 0).unwrap();
    for cell in world.keys.iter().chain(&world.tenants) {
        let counts = table.read(cell.id);
        assert_eq!((counts.used, counts.unfilled), (0, 0));
    }
    let resources = world.resources.each_ref().map(|cell| table.read(cell.id));
    assert_eq!(resources.map(|counts| counts.used), [0, 0]);
    assert_eq!(resources.map(|counts| counts.unfilled), [0, FLOOR]);
}

#[test]
fn threads_that_open_and_release_share_cells_and_never_mix_names() {
    // 16 slots for 24 names: slots change hands all the time.
    let table = Table::new(8);
    let refused = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for seed in 1..=THREADS {
            let (table, refused) = (&table, &refused);
            scope.spawn(move || {
                let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                for _ in 0..50_000 {
                    let hash = 1 + random.below(24) as u64;
                    let Ok(id) = table.open(hash) else {
                        refused.fetch_add(1, SeqCst);
                        continue;
                    };
                    // Each name has a cap of its own.
                    table.set_cap(id, Some(100 + hash as u32));
                    assert_eq!(table.take(&[id], 1), Take::Taken);
                    let counts = table.read(id);
                    assert_eq!(counts.cap, Some(100 + hash as u32));
                    assert!((1..=THREADS as u32).contains(&counts.used));
                    table.give(&[id], 1);
                    table.release(id);
                }
            });
        }
    });
    // All references are back: every slot can be made anew.
    let ids: Vec<CellId> = (100..116)
        .map(|hash| table.open(hash).expect("all idle"))
        .collect();
    assert!(ids.iter().all(|id| table.read(*id).used == 0));
    assert!(table.open(99).is_err());
    assert!(
        ids.iter().any(|id| id.generation > 1),
        "slots changed hands"
    );
}

/// Takes that find the tenant's only seat and then no room are undone; none of it refuses another.
#[test]
fn takes_that_are_undone_refuse_nobody() {
    let table = Table::new(8);
    let [tenant, full, free] = [1, 2, 3].map(|hash| table.open(hash).unwrap());
    table.set_cap(tenant, Some(1));
    table.set_cap(full, Some(0));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    assert_ne!(table.take(&[tenant, full], 1), Take::Taken);
                }
            });
        }
        for _ in 0..300_000 {
            if table.take(&[tenant, free], 1) != Take::Taken {
                over.store(true, SeqCst);
                panic!("refused by takes that came to nothing");
            }
            table.give(&[tenant, free], 1);
        }
        over.store(true, SeqCst);
    });
}
