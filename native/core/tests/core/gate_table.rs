//! The gate's table: what one thread sees, against a simple model.

use fairlead_core::gate::cell::{CellId, Counts};
use fairlead_core::gate::chain::Take;
use fairlead_core::gate::table::{FloorsFull, Full, Table};
use fairlead_core::limits::SEATS_PER_CELL;
use proptest::collection::vec;
use proptest::prelude::*;

fn open(table: &Table, hash: u64) -> CellId {
    table.open(hash).expect("room")
}

#[test]
fn takes_all_of_a_chain_or_nothing() {
    let table = Table::new(8);
    let chain = [open(&table, 1), open(&table, 2), open(&table, 3)];
    table.set_cap(chain[0], Some(5));
    table.set_cap(chain[2], Some(3));
    assert_eq!(table.take(&chain, 3), Take::Taken);
    assert_eq!(table.take(&chain, 1), Take::Refused { at: 2 });
    assert_eq!(table.take(&chain, 3), Take::Refused { at: 0 });
    assert_eq!(chain.map(|id| table.read(id).used), [3, 3, 3]);
    assert!(!table.give(&chain, 2));
    assert_eq!(table.take(&chain, 2), Take::Taken);
    table.give(&chain, 3);
    assert_eq!(chain.map(|id| table.read(id).used), [0, 0, 0]);
}

#[test]
fn a_floor_is_kept_free_for_its_key() {
    let table = Table::new(8);
    let (floored, other, resource) = (open(&table, 1), open(&table, 2), open(&table, 3));
    table.set_cap(resource, Some(4));
    assert_eq!(table.set_floor(floored, resource, 3), Ok(()));
    assert_eq!(table.read(resource).unfilled, 3);
    assert_eq!(table.take(&[other, resource], 2), Take::Refused { at: 1 });
    assert_eq!(table.take(&[other, resource], 1), Take::Taken);
    assert_eq!(table.take(&[floored, resource], 2), Take::Taken);
    assert_eq!(table.read(resource).unfilled, 1);
    assert_eq!(table.read(floored).unfilled, 1);
    assert_eq!(table.take(&[floored, resource], 1), Take::Taken);
    assert_eq!(table.take(&[floored, resource], 1), Take::Refused { at: 1 });
    table.give(&[floored, resource], 3);
    assert_eq!(table.read(resource).unfilled, 3);
    assert_eq!(
        table.set_floor(floored, resource, SEATS_PER_CELL + 1),
        Err(FloorsFull)
    );
    assert_eq!(table.set_floor(floored, resource, 0), Ok(()));
    assert_eq!(table.read(resource).unfilled, 0);
    assert_eq!(table.take(&[other, resource], 3), Take::Taken);
}

#[test]
fn a_floor_is_kept_free_again_when_a_cell_above_refuses() {
    let table = Table::new(8);
    let chain = [open(&table, 1), open(&table, 2), open(&table, 3)];
    table.set_cap(chain[2], Some(0));
    table.set_floor(chain[0], chain[1], 3).unwrap();
    assert_eq!(table.take(&chain, 2), Take::Refused { at: 2 });
    assert_eq!(chain.map(|id| table.read(id).used), [0, 0, 0]);
    assert_eq!(chain.map(|id| table.read(id).unfilled), [3, 3, 0]);
}

#[test]
fn a_cell_in_use_stays_and_an_idle_one_makes_room() {
    let table = Table::new(4);
    let ids: Vec<CellId> = (1..=8).map(|hash| open(&table, hash)).collect();
    assert_eq!(table.open(9), Err(Full));
    assert_eq!(table.take(&ids[..1], 1), Take::Taken);
    table.release(ids[0]);
    assert_eq!(table.open(9), Err(Full), "its seat is in use");
    assert_eq!(open(&table, 1), ids[0]);
    table.give(&ids[..1], 1);
    table.set_cap(ids[0], Some(7));
    table.release(ids[0]);
    let next = open(&table, 9);
    assert_eq!(
        table.read(next).cap,
        None,
        "nothing is left of the other name"
    );
    assert_eq!(next.index, ids[0].index);
    assert_ne!(next.generation, ids[0].generation);
    assert_eq!(table.open(1), Err(Full));
}

#[test]
fn without_a_cap_a_cell_still_has_a_bound() {
    let table = Table::new(8);
    let chain = [open(&table, 1)];
    assert_eq!(table.read(chain[0]).cap, None);
    assert_eq!(table.take(&chain, SEATS_PER_CELL), Take::Taken);
    assert_eq!(table.take(&chain, 1), Take::Refused { at: 0 });
    assert_eq!(table.take(&chain, u32::MAX), Take::Refused { at: 0 });
    assert_eq!(
        table.set_cap(chain[0], Some(u32::MAX)).cap,
        Some(SEATS_PER_CELL)
    );
    assert_eq!(table.set_cap(chain[0], Some(0)).used, SEATS_PER_CELL);
    table.give(&chain, SEATS_PER_CELL);
    assert_eq!(table.take(&chain, 1), Take::Refused { at: 0 });
}

#[test]
#[should_panic(expected = "a dead cell")]
fn a_cell_that_became_another_s_is_not_used_by_its_old_id() {
    let table = Table::new(1);
    let old = open(&table, 1);
    open(&table, 2);
    table.release(old);
    open(&table, 3);
    table.read(old);
}

#[test]
#[should_panic(expected = "kept free in")]
fn a_key_with_a_floor_is_not_taken_without_the_cell_that_keeps_it_free() {
    let table = Table::new(8);
    let (key, resource) = (open(&table, 1), open(&table, 2));
    table.set_floor(key, resource, 1).unwrap();
    let _ = table.take(&[key], 1);
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "more seats given than taken")]
fn giving_more_than_was_taken_is_noticed() {
    let table = Table::new(8);
    table.give(&[open(&table, 1)], 1);
}

#[test]
fn a_table_holds_the_cells_it_was_made_for() {
    const KEYS: usize = 1 << 19;
    let table = Table::new(KEYS);
    let mut hash = 1_u64;
    let hashes: Vec<u64> = (0..KEYS)
        .map(|_| {
            hash = hash.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            hash ^ hash >> 29
        })
        .collect();
    let ids: Vec<CellId> = hashes.iter().map(|hash| open(&table, *hash)).collect();
    assert!(
        hashes
            .iter()
            .zip(&ids)
            .all(|(hash, id)| open(&table, *hash) == *id)
    );
}

const KEYS: usize = 4;
const TENANTS: usize = 2;
/// Keys, tenants, one resource.
const CELLS: usize = KEYS + TENANTS + 1;
const RESOURCE: usize = CELLS - 1;

#[derive(Clone, Debug)]
enum Op {
    Take {
        key: usize,
        tenant: bool,
        seats: u32,
    },
    /// Of the takes that were admitted and not yet given.
    Give {
        at: usize,
    },
    Cap {
        cell: usize,
        cap: Option<u32>,
    },
    Floor {
        key: usize,
        floor: u32,
    },
    Waiters {
        cell: usize,
        waiters: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..KEYS, any::<bool>(), 1..6_u32)
            .prop_map(|(key, tenant, seats)| Op::Take { key, tenant, seats }),
        4 => (0..64_usize).prop_map(|at| Op::Give { at }),
        1 => (0..CELLS, proptest::option::of(0..16_u32))
            .prop_map(|(cell, cap)| Op::Cap { cell, cap }),
        1 => (0..KEYS, prop_oneof![4 => 0..8_u32, 1 => 999_990..=SEATS_PER_CELL])
            .prop_map(|(key, floor)| Op::Floor { key, floor }),
        1 => (0..CELLS, any::<bool>())
            .prop_map(|(cell, waiters)| Op::Waiters { cell, waiters }),
    ]
}

/// What the table is to do, without atomics, words or parts that move.
#[derive(Default)]
struct Model {
    used: [u32; CELLS],
    cap: [Option<u32>; CELLS],
    floor: [u32; KEYS],
    waiters: [bool; CELLS],
}

impl Model {
    fn lacks(&self, key: usize) -> u32 {
        self.floor[key].saturating_sub(self.used[key])
    }

    fn has_room(&self, cell: usize, key: usize, seats: u32) -> bool {
        let others: u32 = match cell {
            RESOURCE => (0..KEYS)
                .filter(|at| *at != key)
                .map(|at| self.lacks(at))
                .sum(),
            _ => 0,
        };
        self.cap[cell].is_none_or(|cap| self.used[cell] + seats + others <= cap)
    }

    fn counts(&self, cell: usize) -> Counts {
        let unfilled = match cell {
            RESOURCE => (0..KEYS).map(|at| self.lacks(at)).sum(),
            key if key < KEYS => self.lacks(key),
            _ => 0,
        };
        Counts {
            used: self.used[cell],
            unfilled,
            cap: self.cap[cell],
            waiters: self.waiters[cell],
        }
    }
}

/// Key and resource, in half of the takes with the tenant between.
fn cells_of(key: usize, tenant: bool) -> Vec<usize> {
    let between = tenant.then_some(KEYS + key % TENANTS);
    [key].into_iter().chain(between).chain([RESOURCE]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn counts_and_refusals_are_those_of_the_model(ops in vec(op(), 1..120)) {
        let table = Table::new(CELLS);
        let ids: Vec<CellId> = (1..=CELLS as u64).map(|hash| open(&table, hash)).collect();
        let mut model = Model::default();
        let mut held: Vec<(Vec<usize>, u32)> = Vec::new();
        for op in ops {
            match op {
                Op::Take { key, tenant, seats } => {
                    let cells = cells_of(key, tenant);
                    let chain: Vec<CellId> = cells.iter().map(|at| ids[*at]).collect();
                    let full = cells.iter().position(|cell| !model.has_room(*cell, key, seats));
                    let expected = full.map_or(Take::Taken, |at| Take::Refused { at });
                    prop_assert_eq!(table.take(&chain, seats), expected);
                    if full.is_none() {
                        for cell in &cells { model.used[*cell] += seats; }
                        held.push((cells, seats));
                    }
                }
                Op::Give { at } if !held.is_empty() => {
                    let (cells, seats) = held.swap_remove(at % held.len());
                    let chain: Vec<CellId> = cells.iter().map(|at| ids[*at]).collect();
                    let waiters = cells.iter().any(|cell| model.waiters[*cell]);
                    prop_assert_eq!(table.give(&chain, seats), waiters);
                    for cell in &cells { model.used[*cell] -= seats; }
                }
                Op::Give { .. } => {}
                Op::Cap { cell, cap } => {
                    model.cap[cell] = cap;
                    prop_assert_eq!(table.set_cap(ids[cell], cap), model.counts(cell));
                }
                Op::Floor { key, floor } => {
                    let sum: u32 = model.floor.iter().sum::<u32>() - model.floor[key] + floor;
                    let set = table.set_floor(ids[key], ids[RESOURCE], floor);
                    prop_assert_eq!(set.is_ok(), sum <= SEATS_PER_CELL);
                    if set.is_ok() {
                        model.floor[key] = floor;
                    }
                }
                Op::Waiters { cell, waiters } => {
                    model.waiters[cell] = waiters;
                    prop_assert_eq!(table.set_waiters(ids[cell], waiters), model.counts(cell));
                }
            }
            for (cell, id) in ids.iter().enumerate() {
                prop_assert_eq!(table.read(*id), model.counts(cell), "cell {}", cell);
            }
        }
    }
}
