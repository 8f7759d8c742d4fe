//! The gate's table under every interleaving of two threads, and every value that the
//! memory model lets a load see (loom). It is the code of the daemon with loom's atomics, so plain
//! `cargo test` runs it; no build of its own.

use std::sync::atomic::Ordering;

use fairlead_core::gate::atomic::Atomic;
use fairlead_core::gate::cell::CellId;
use fairlead_core::gate::chain::Take;
use fairlead_core::gate::table::{Full, Table};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, AtomicUsize};
use loom::thread;

#[derive(Default)]
struct Traced(AtomicU64);

impl Atomic for Traced {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.0.compare_exchange(current, new, success, failure)
    }

    fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_sub(value, order)
    }

    fn pause(_: u32) {
        thread::yield_now();
    }
}

type Gate = Arc<Table<Traced>>;

/// Runs `work` in every interleaving with at most `switches` forced changes of thread.
fn model(switches: impl Into<Option<usize>>, work: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = switches.into();
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = runs.clone();
    let begun = std::time::Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        work();
    });
    let runs = runs.load(Ordering::Relaxed);
    println!("{runs} interleavings, {} ms", begun.elapsed().as_millis());
    assert!(runs > 1, "nothing ran at once");
}

/// A table with cells of these caps.
fn cells<const N: usize>(caps: [Option<u32>; N]) -> (Gate, [CellId; N]) {
    let gate = Arc::new(Table::with_atomics(N));
    let mut hash = 0;
    let ids = caps.map(|cap| {
        hash += 1;
        let id = gate.open(hash).expect("room");
        gate.set_cap(id, cap);
        id
    });
    (gate, ids)
}

fn spawn<T: 'static>(
    gate: &Gate,
    work: impl FnOnce(&Table<Traced>) -> T + 'static,
) -> thread::JoinHandle<T> {
    let gate = gate.clone();
    thread::spawn(move || work(&gate))
}

#[test]
fn of_two_takes_against_caps_of_one_just_one_is_admitted() {
    model(None, || {
        let (gate, [a, b, tenant, resource]) = cells([None, None, Some(1), Some(1)]);
        let other = spawn(&gate, move |gate| gate.take(&[b, tenant, resource], 1));
        let one = gate.take(&[a, tenant, resource], 1);
        let other = other.join().unwrap();
        assert!(
            (one == Take::Taken) != (other == Take::Taken),
            "{one:?}, {other:?}"
        );
        assert_eq!(gate.read(a).used + gate.read(b).used, 1);
        assert_eq!([tenant, resource].map(|id| gate.read(id).used), [1, 1]);
    });
}

/// The contested cell is the first of its chain, or has a key before it.
#[test]
fn a_take_that_is_undone_refuses_nobody() {
    for keys in [0, 1] {
        model(None, move || {
            let (gate, [a, b, tenant, full, free]) = cells([None, None, Some(1), Some(0), Some(1)]);
            let stuck = spawn(&gate, move |gate| {
                gate.take(&[a, tenant, full][1 - keys..], 1)
            });
            assert_eq!(gate.take(&[b, tenant, free][1 - keys..], 1), Take::Taken);
            // Refused by the cap of 0, or by the take that got the tenant's only seat.
            assert!(matches!(stuck.join().unwrap(), Take::Refused { .. }));
            let used = [a, b, tenant, full, free].map(|id| gate.read(id).used);
            assert_eq!(used, [0, keys as u32, 1, 0, 1]);
        });
    }
}

#[test]
fn takes_and_gives_never_pass_a_cap_and_end_at_zero() {
    model(4, || {
        let (gate, [a, b, tenant, resource]) = cells([Some(1), Some(1), Some(2), Some(1)]);
        let inside = Arc::new(AtomicUsize::new(0));
        let counted = inside.clone();
        let come_and_go = move |gate: &Table<Traced>, key| {
            let chain = [key, tenant, resource];
            if gate.take(&chain, 1) == Take::Taken {
                assert_eq!(counted.fetch_add(1, Ordering::Relaxed), 0, "one at a time");
                counted.fetch_sub(1, Ordering::Relaxed);
                gate.give(&chain, 1);
            }
        };
        let mine = come_and_go.clone();
        let other = spawn(&gate, move |gate| come_and_go(gate, b));
        mine(&gate, a);
        assert!(gate.read(resource).used <= 1);
        other.join().unwrap();
        assert_eq!(
            [a, b, tenant, resource].map(|id| gate.read(id).used),
            [0; 4]
        );
    });
}

#[test]
fn a_seat_given_brings_what_its_holder_wrote() {
    model(None, || {
        let (gate, [resource]) = cells([Some(1)]);
        let chain = [resource];
        let data = Arc::new(loom::cell::UnsafeCell::new(0));
        let written = data.clone();
        // Loom fails if the two may touch the data at once or unordered.
        let write = move |data: &loom::cell::UnsafeCell<i32>| {
            // SAFETY: the one seat lets one thread in at a time, and loom checks just that.
            data.with_mut(|data| unsafe { *data += 1 });
        };
        let other = spawn(&gate, move |gate| {
            if gate.take(&chain, 1) == Take::Taken {
                write(&written);
                gate.give(&chain, 1);
            }
        });
        if gate.take(&chain, 1) == Take::Taken {
            write(&data);
            gate.give(&chain, 1);
        }
        other.join().unwrap();
    });
}

#[test]
fn a_floor_is_never_lent_out_while_its_key_comes_and_goes() {
    model(None, || {
        let (gate, [floored, other, resource]) = cells([None, None, Some(2)]);
        gate.set_floor(floored, resource, 1).unwrap();
        let two = spawn(&gate, move |gate| {
            let chain = [other, resource];
            assert_eq!(gate.take(&chain, 2), Take::Refused { at: 1 });
            assert_eq!(gate.take(&chain, 1), Take::Taken);
        });
        let chain = [floored, resource];
        assert_eq!(gate.take(&chain, 1), Take::Taken);
        gate.give(&chain, 1);
        assert_eq!(gate.take(&chain, 1), Take::Taken);
        two.join().unwrap();
        let counts = gate.read(resource);
        assert_eq!((counts.used, counts.unfilled), (2, 0));
    });
}

#[test]
fn floors_are_exact_when_one_key_is_taken_given_and_refused_at_once() {
    model(None, || {
        let (gate, [key, tenant, resource]) = cells([None, None, Some(3)]);
        gate.set_floor(key, resource, 2).unwrap();
        let chain = [key, tenant, resource];
        assert_eq!(gate.take(&chain, 3), Take::Taken);
        // Refused, or, after the give, a part of the floor.
        let other = spawn(&gate, move |gate| gate.take(&chain, 2));
        gate.give(&chain, 2);
        let taken = if other.join().unwrap() == Take::Taken {
            3
        } else {
            1
        };
        let counts = gate.read(resource);
        assert_eq!(
            (counts.used, counts.unfilled),
            (taken, 2_u32.saturating_sub(taken))
        );
        assert_eq!(gate.read(key).unfilled, counts.unfilled);
    });
}

#[test]
fn floors_are_exact_when_they_change_at_a_take_or_give() {
    model(None, || {
        let (gate, [key, resource]) = cells([None, Some(4)]);
        let chain = [key, resource];
        assert_eq!(gate.take(&chain, 1), Take::Taken);
        let other = spawn(&gate, move |gate| {
            gate.give(&chain, 1);
            assert_eq!(gate.take(&chain, 2), Take::Taken);
        });
        gate.set_floor(key, resource, 3).unwrap();
        other.join().unwrap();
        let counts = gate.read(resource);
        assert_eq!((counts.used, counts.unfilled), (2, 1));
    });
}

#[test]
fn no_take_goes_over_a_cap_that_was_set() {
    model(None, || {
        let (gate, [key, resource]) = cells([None, Some(2)]);
        let other = spawn(&gate, move |gate| gate.take(&[key, resource], 2));
        let before = gate.set_cap(resource, Some(1));
        let taken = other.join().unwrap() == Take::Taken;
        assert_eq!(before.used, if taken { 2 } else { 0 });
        assert_eq!(gate.read(resource).used, before.used);
    });
}

#[test]
fn whoever_waits_saw_the_room_or_is_seen() {
    model(None, || {
        let (gate, [key, resource]) = cells([None, Some(1)]);
        let chain = [key, resource];
        assert_eq!(gate.take(&chain, 1), Take::Taken);
        let giver = spawn(&gate, move |gate| gate.give(&chain, 1));
        let room = gate.set_waiters(resource, true).used == 0;
        assert!(giver.join().unwrap() != room);
    });
}

#[test]
fn a_name_has_one_cell_whoever_opens_it() {
    model(None, || {
        let gate: Gate = Arc::new(Table::with_atomics(1));
        let other = spawn(&gate, |gate| gate.open(1).unwrap());
        let one = gate.open(1).unwrap();
        assert_eq!(one, other.join().unwrap());
        gate.release(one);
        gate.release(one);
    });
}

#[test]
fn a_slot_goes_to_another_name_only_when_nobody_has_it() {
    model(None, || {
        // Two slots: one in use, one idle that was of name 1.
        let gate: Gate = Arc::new(Table::with_atomics(1));
        gate.open(3).unwrap();
        let old = gate.open(1).unwrap();
        gate.release(old);
        let work = |gate: &Table<Traced>, hash| {
            let id = gate.open(hash)?;
            gate.set_cap(id, Some(hash as u32));
            assert_eq!(gate.take(&[id], 1), Take::Taken);
            assert_eq!(gate.read(id).cap, Some(hash as u32), "another's cell");
            assert_eq!(gate.read(id).used, 1);
            gate.give(&[id], 1);
            gate.release(id);
            Ok::<CellId, Full>(id)
        };
        let other = spawn(&gate, move |gate| work(gate, 2));
        let one = work(&gate, 1);
        let other = other.join().unwrap();
        assert!(one.is_ok() || other.is_ok());
        if let Ok(other) = other {
            assert_eq!(other.index, old.index);
            assert_ne!(other.generation, old.generation);
        }
    });
}
