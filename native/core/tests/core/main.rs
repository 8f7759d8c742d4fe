//! The tests of the core that need no process of their own: one binary, so that the core's code and what they
//! share is compiled and linked once. `cargo test -p fairlead-core --test core life::` runs one file of them.
//! Who uses the cap slots of the process takes numbers that no other test has.

mod admission;
mod caps;
mod caps_live;
mod events;
mod fairness;
mod fairness_caps;
mod fairness_levels;
mod fairness_model;
mod fairness_rate;
mod fairness_slots;
mod fairness_veto;
mod frame_property;
mod gate;
mod gate_golden;
mod gate_table;
mod gate_threads;
mod gateways;
mod golden;
mod input;
mod isolation;
mod life;
mod record_property;
mod shard;
mod shared;
mod shared_usage;
mod shuffle;
mod simulation;
mod usage;
mod usage_bounds;
mod usage_deltas;
mod usage_joined;
mod usage_model;
mod usage_numbers;
mod usage_told;
mod usage_trigger;
mod wire_golden;
mod wire_property;
