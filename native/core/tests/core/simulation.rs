//! A whole shard in a simulated world: publishers, gateways, an operator, a disk that commits and
//! flushes late, crashes at any point; and a model that predicts what the shard does.
//!
//! Every decision of a run comes from its seed. A failure prints seed and step;
//! `SIM_SEED=… SIM_STEPS=…` runs that one again. `SIM_SEEDS=1000` runs more of them.
#![allow(clippy::cast_precision_loss, clippy::too_many_lines)]

#[path = "simulation/clients.rs"]
mod clients;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/quota.rs"]
mod quota;
#[path = "simulation/world.rs"]
mod world;

use crate::shared::{disk, entities, json, random, wire};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{STEP, World, Wrong};

const SHARD: u16 = 7;
const HASH_KEY: [u8; 16] = *b"a key of 16 byte";

const SEEDS: u64 = 40;
const STEPS: u64 = 250;

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// Digest of all journals and effects of one run, and how often what happened.
fn run(seed: u64, steps: u64) -> (u64, BTreeMap<&'static str, u64>) {
    let result = catch_unwind(|| {
        STEP.set(0);
        let mut world = World::new(seed, Wrong::Nothing);
        world.run(steps);
        (world.digest(), world.tally)
    });
    result.unwrap_or_else(|panic| {
        eprintln!(
            "failed at step {}: SIM_SEED={seed} SIM_STEPS={steps}",
            STEP.get()
        );
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn the_shard_does_what_the_model_says() {
    let steps = number("SIM_STEPS").unwrap_or(STEPS);
    if let Some(seed) = number("SIM_SEED") {
        println!("{:?}", run(seed, steps));
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let mut tally: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 1..=seeds {
        for (what, times) in run(seed, steps).1 {
            *tally.entry(what).or_default() += times;
        }
    }
    println!("{seeds} seeds: {tally:?}");
    let seldom: Vec<_> = tally
        .iter()
        .filter(|(_, times)| **times < seeds / 8)
        .collect();
    assert!(
        tally.len() == 19 && seldom.is_empty(),
        "too little happened: {seldom:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in [3, 14, 159] {
        assert_eq!(run(seed, 150), run(seed, 150));
    }
}

/// Whether some seed of a world that does something wrong is noticed.
fn is_noticed(wrong: Wrong) -> bool {
    (1..=40).any(|seed| {
        let run = || World::new(seed, wrong).run(STEPS);
        catch_unwind(AssertUnwindSafe(run)).is_err()
    })
}

/// The simulation can fail: it notices a worker that breaks its contract.
#[test]
fn what_is_done_wrong_is_noticed() {
    assert!(is_noticed(Wrong::ReleaseEarly), "effects before the flush");
    assert!(is_noticed(Wrong::ReleaseShuffled), "effects out of order");
    assert!(is_noticed(Wrong::DamageUnseen), "a damaged record");
}
