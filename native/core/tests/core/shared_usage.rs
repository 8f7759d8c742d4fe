//! What the tests of usage counters are made of: the counters of a shard with their disk, and their bytes.

use crate::shared::disk;

#[path = "usage/desk.rs"]
pub mod desk;
#[path = "usage/wire.rs"]
pub mod wire;
