//! Cost of a take and its give by length of chain, alone and against a second thread; cost of opening
//! a key that is known among a million (target: a chain at most 100 ns).

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use criterion::{Criterion, criterion_group, criterion_main};
use fairlead_core::gate::cell::CellId;
use fairlead_core::gate::chain::Take;
use fairlead_core::gate::table::Table;

const CAP: u32 = 1_000;

/// A spread-out hash for each name.
fn hash(name: u64) -> u64 {
    (name + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn chain(table: &Table, names: &[u64]) -> Vec<CellId> {
    let open = |name: &u64| {
        let id = table.open(hash(*name)).expect("room");
        table.set_cap(id, Some(CAP));
        id
    };
    names.iter().map(open).collect()
}

fn come_and_go(table: &Table, chain: &[CellId]) -> bool {
    let taken = table.take(black_box(chain), 1) == Take::Taken;
    if taken {
        table.give(black_box(chain), 1);
    }
    taken
}

fn alone(criterion: &mut Criterion) {
    let table = Table::new(64);
    for cells in [1, 2, 3] {
        let names: Vec<u64> = (0..cells).collect();
        let chain = chain(&table, &names);
        criterion.bench_function(&format!("take and give/{cells} cells"), |bench| {
            assert!(come_and_go(&table, &chain));
            bench.iter(|| come_and_go(&table, &chain));
        });
    }
    let floored = chain(&table, &[10, 11, 12]);
    table.set_floor(floored[0], floored[2], 10).expect("room");
    criterion.bench_function("take and give/3 cells, floor", |bench| {
        assert!(come_and_go(&table, &floored));
        bench.iter(|| come_and_go(&table, &floored));
    });
    let full = chain(&table, &[20, 21, 22]);
    table.set_cap(full[2], Some(0));
    criterion.bench_function("refused by the third cell", |bench| {
        assert_eq!(table.take(&full, 1), Take::Refused { at: 2 });
        bench.iter(|| come_and_go(&table, &full));
    });
    for id in chain(&table, &[0, 1, 2, 10, 11, 12, 20, 21, 22]) {
        assert_eq!(table.read(id).used, 0);
    }
}

/// The second thread does the same without a rest, with its own key or with the same.
fn contended(criterion: &mut Criterion) {
    let table = Table::new(64);
    let mine = chain(&table, &[0, 1, 2]);
    for (name, names) in [("own keys", [3, 1, 2]), ("same key", [0, 1, 2])] {
        let theirs = chain(&table, &names);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut rounds = 0_u64;
                // At least one round, also where a filter leaves the measurement out.
                loop {
                    assert!(come_and_go(&table, &theirs));
                    rounds += 1;
                    if stop.load(Ordering::Relaxed) {
                        return rounds;
                    }
                }
            });
            criterion.bench_function(
                &format!("take and give/3 cells, 2 threads, {name}"),
                |bench| {
                    bench.iter(|| come_and_go(&table, &mine));
                },
            );
            stop.store(true, Ordering::Relaxed);
            assert!(other.join().expect("no panic") > 0);
        });
        assert_eq!(table.read(mine[2]).used, 0);
    }
}

fn opens(criterion: &mut Criterion) {
    const KEYS: u64 = 1_000_000;
    let table = Table::new(KEYS as usize);
    for name in 0..KEYS {
        table.open(hash(name)).expect("room");
    }
    criterion.bench_function("open and release/the same of 1,000,000", |bench| {
        bench.iter(|| table.release(table.open(black_box(hash(7))).expect("known")));
    });
    let mut name = 0;
    criterion.bench_function("open and release/any of 1,000,000", |bench| {
        bench.iter(|| {
            name = (name + 514_229) % KEYS;
            table.release(table.open(hash(name)).expect("known"));
        });
    });
}

criterion_group!(benches, alone, contended, opens);
criterion_main!(benches);
