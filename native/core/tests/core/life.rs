//! The whole life of messages in a seeded world: options, times, keys, dead letters, receipts, what
//! operators ask and change, what is remembered and forgotten, crashes at any point.
//!
//! `LIFE_SEED=… LIFE_STEPS=…` runs one again; `LIFE_SEEDS=1000` runs more of them.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::format_collect,
    clippy::struct_excessive_bools,
    clippy::too_many_lines
)]

#[path = "life/caps.rs"]
mod caps;
#[path = "life/model.rs"]
mod model;
#[path = "life/settings.rs"]
mod settings;
#[path = "life/world.rs"]
mod world;

use crate::shared::frames::{HASH_KEY, SHARD};
use crate::shared::{disk, frames, random, wire};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::catch_unwind;

const SEEDS: u64 = 80;
const STEPS: u64 = 150;

thread_local! {
    /// Named when a run fails.
    static STEP: Cell<u64> = const { Cell::new(0) };
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

fn run(seed: u64, steps: u64) -> BTreeMap<&'static str, u64> {
    let result = catch_unwind(|| {
        STEP.set(0);
        let mut world = world::World::new(seed);
        world.run(steps);
        world.model.counts
    });
    result.unwrap_or_else(|panic| {
        eprintln!(
            "failed at step {}: LIFE_SEED={seed} LIFE_STEPS={steps}",
            STEP.get()
        );
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn messages_live_as_the_model_says() {
    let steps = number("LIFE_STEPS").unwrap_or(STEPS);
    if let Some(seed) = number("LIFE_SEED") {
        println!("{:?}", run(seed, steps));
        return;
    }
    let seeds = number("LIFE_SEEDS").unwrap_or(SEEDS);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 1..=seeds {
        for (what, times) in run(seed, steps) {
            *counts.entry(what).or_default() += times;
        }
    }
    println!("{seeds} seeds: {counts:?}");
    let seldom: Vec<_> = counts
        .iter()
        .filter(|(_, times)| **times < seeds / 5)
        .collect();
    assert!(
        counts.len() == 26 && seldom.is_empty(),
        "too little happened: {seldom:?}"
    );
}
