//! The scheduling tree of one destination: which queue's next message leaves now.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng 1996) on a tree destination → set → tenant → queue,
//! for destinations limited by rate, by slots in flight, or both. The tree holds nodes with counts,
//! no messages: its owner keeps each queue's FIFO beside it, by `NodeId`. Time is passed in, µs, and
//! never runs backwards inside. The rules have numbers; each stands at the code that keeps it.

mod bucket;
mod heap;
mod node;

pub use bucket::TIMER_SLACK_US;
pub use node::{FairBy, Limits, NodeConfig, NodeId, NodeKind, ROOT, TreeConfig, WEIGHT_MAX};

/// What a pick charged; hand it back to `settle` or `refund`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charge {
    /// 2⁻³² cost units.
    pub units: u64,
    /// Cost units of an average message when it was charged: a change of limits changes the unit.
    pub nominal: f32,
    /// Cost of the message.
    pub cost: u32,
}

/// A queue whose first due message leaves now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picked {
    pub queue: NodeId,
    pub charge: Charge,
}

/// Where a node of a queue's path stands among its siblings (rule 12).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelScore {
    pub node: NodeId,
    pub weight: u32,
    /// S − V, cost units (µs, or messages for a destination without limits); the smallest goes next.
    pub debt: f64,
    /// Decides between equal tags; the smallest goes next.
    pub tie: u64,
}

/// Why a queue is served when it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// Part of the destination that the queue is entitled to right now, 0…1.
    pub portion: f64,
    /// The same in messages a second, when the destination's rate is known.
    pub portion_per_sec: Option<f64>,
    /// Messages it was entitled to since it became backlogged: `got + lag`.
    pub owed: f64,
    /// Cost served since it became backlogged, messages.
    pub got: f64,
    /// Messages it is owed now; negative: it is ahead.
    pub lag: f64,
    /// From the set down to the queue; compared from the left, the smallest pair is served.
    pub score: Vec<LevelScore>,
    pub eligible: bool,
}

/// One of the last picks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PickTrace {
    pub queue: NodeId,
    /// S − V at the level that decided, cost units, and its tie.
    pub score: (f64, u64),
    /// Best queue of the second-best child at the deepest level that had a choice.
    pub runner_up: Option<(NodeId, f64, u64)>,
}

/// The scheduling tree of one destination.
pub struct Tree {}

#[allow(unused_variables)]
impl Tree {
    pub fn new(config: TreeConfig, now_us: u64) -> Self { unimplemented!() }
    pub fn with_origin(config: TreeConfig, now_us: u64, origin: u128) -> Self { unimplemented!() }
    pub fn configure(&mut self, config: TreeConfig, now_us: u64) { unimplemented!() }
    pub fn add(&mut self, parent: NodeId, kind: NodeKind, config: NodeConfig, now_us: u64) -> NodeId { unimplemented!() }
    pub fn configure_node(&mut self, node: NodeId, config: NodeConfig, now_us: u64) { unimplemented!() }
    pub fn move_to(&mut self, node: NodeId, parent: NodeId, now_us: u64) { unimplemented!() }
    pub fn pause_root(&mut self, paused: bool, now_us: u64) { unimplemented!() }
    pub fn rest(&mut self, node: NodeId, until_us: u64, now_us: u64) { unimplemented!() }
    pub fn enqueue(&mut self, queue: NodeId, count: u32, now_us: u64) { unimplemented!() }
    pub fn dequeue(&mut self, queue: NodeId, count: u32, now_us: u64) { unimplemented!() }
    pub fn hold(&mut self, queue: NodeId) { unimplemented!() }
    pub fn unhold(&mut self, queue: NodeId) { unimplemented!() }
    pub fn block(&mut self, queue: NodeId, blocked: bool, now_us: u64) { unimplemented!() }
    pub fn set_head_cost(&mut self, queue: NodeId, cost: u32, now_us: u64) { unimplemented!() }
    pub fn pick(&mut self, now_us: u64) -> Option<Picked> { unimplemented!() }
    pub fn settle(&mut self, queue: NodeId, charge: Charge, held_us: u64, now_us: u64) { unimplemented!() }
    pub fn refund(&mut self, queue: NodeId, charge: Charge, now_us: u64) { unimplemented!() }
    pub fn wake(&mut self, now_us: u64) { unimplemented!() }
    pub fn next_wake_us(&self) -> Option<u64> { unimplemented!() }
    pub fn can_pick(&self) -> bool { unimplemented!() }
    pub fn sweep(&mut self, budget: usize, now_us: u64, freed: &mut Vec<NodeId>) { unimplemented!() }
    pub fn waiting(&self, node: NodeId) -> u32 { unimplemented!() }
    pub fn in_flight(&self, node: NodeId) -> u32 { unimplemented!() }
    pub fn due(&self, node: NodeId) -> u32 { unimplemented!() }
    pub fn weight(&self, node: NodeId) -> u32 { unimplemented!() }
    pub fn parent(&self, node: NodeId) -> Option<NodeId> { unimplemented!() }
    pub fn kind(&self, node: NodeId) -> NodeKind { unimplemented!() }
    pub fn has_room(&self, node: NodeId) -> bool { unimplemented!() }
    pub fn explain(&self, queue: NodeId, now_us: u64) -> Explained { unimplemented!() }
    pub fn last_picks(&self) -> impl Iterator<Item = PickTrace> { std::iter::empty() }
    pub fn memory_bytes(&self) -> usize { unimplemented!() }
}
