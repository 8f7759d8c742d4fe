//! The pure core of Fairlead: what a shard decides, for each message.
//!
//! Nothing here does I/O, reads a clock or draws a random number: the same state, input and time
//! give the same result, so a shard can be simulated, replayed and recovered. The binding to
//! Node.js is the crate `fairlead-node`.

pub mod client_frame;
pub mod daemon_frame;
pub mod error;
pub mod exchange;
pub mod gate;
pub mod key_table;
pub mod limits;
pub mod message_id;
pub mod msgpack;
pub mod name_map;
pub mod record;
mod replies;
pub mod shard;
pub mod tree;
pub mod usage;
