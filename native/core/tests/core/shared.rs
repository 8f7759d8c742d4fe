//! What several files of tests are made of: a disk, clients, random numbers, frames and who reads them, a shard
//! on a bench, a scheduling tree.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::too_many_lines
)]

#[path = "shard/bench.rs"]
pub mod bench;
#[path = "simulation/disk.rs"]
pub mod disk;
#[path = "simulation/entities.rs"]
pub mod entities;
#[path = "life/frames.rs"]
pub mod frames;
#[path = "simulation/json.rs"]
pub mod json;
#[path = "simulation/random.rs"]
pub mod random;
#[path = "support/tree.rs"]
pub mod tree;
#[path = "simulation/wire.rs"]
pub mod wire;
