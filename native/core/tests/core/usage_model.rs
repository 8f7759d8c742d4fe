//! The usage counters against a model: whatever happens, records say the fold of what was acknowledged.
//!
//! Random events, deltas of several sources told again, late events, corrections, repeated keys,
//! checkpoints, and crashes at any step that lose what was not flushed. A failure prints its seed.

#[path = "usage/model.rs"]
mod model;

use crate::shared::random;
use crate::shared_usage::{desk, wire};
use model::World;

fn run(seed: u64, steps: usize) {
    let mut world = World::new(seed);
    for step in 0..steps {
        world.act();
        if step % 97 == 96 {
            world.compare();
        }
    }
    world.desk.flush_all();
    world.desk.crash();
    world.compare();
    world.desk.now_us += 6_000_000;
    world.desk.settle();
    world.compare();
    world.desk.check_store();
}

#[test]
fn records_are_the_fold_of_what_was_acknowledged() {
    for seed in 1..=24 {
        println!("seed {seed}");
        run(seed, 600);
    }
}

#[test]
fn a_checkpoint_can_be_interrupted_at_any_step() {
    for at in 0..14 {
        println!("crash after {at} steps of the checkpoint");
        let mut world = World::new(7);
        world.many_cells(1_300);
        world.desk.flush_all();
        world.flushed();
        world.desk.now_us += 6_000_000;
        for step in 0..at {
            world.desk.step(&[]);
            if step % 3 == 0 {
                world.act_without_crash();
            }
        }
        // The last steps are lost in every second run.
        world.desk.commit(0);
        world.desk.flush_some(at % 2);
        world.flushed();
        world.crash();
        world.compare();
        world.desk.now_us += 6_000_000;
        world.desk.settle();
        world.compare();
    }
}
