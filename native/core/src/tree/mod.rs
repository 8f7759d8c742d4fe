//! The scheduling tree of one destination: which queue's next message leaves now.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng 1996) on a tree destination → set → tenant → queue,
//! with levels between tenant and queue where a tenant has them, for destinations limited by rate, by slots in flight, or both. The tree holds nodes with counts,
//! no messages: its owner keeps each queue's FIFO beside it, by `NodeId`. Time is passed in, µs, and
//! never runs backwards inside. The rules have numbers; each stands at the code that keeps it.

// Ratios, debts and bounds of a rate are approximate by nature; tags and buckets are integers.
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]

mod borrow;
mod bucket;
mod change;
mod check;
mod cost;
mod counts;
mod eligible;
mod explain;
mod heap;
mod level;
mod node;
mod path;
mod pick;
mod prefetch;
mod trace;
mod veto;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use borrow::Borrower;
pub use bucket::Bucket;
use cost::CostModel;
use heap::{Heap, OUT};
use level::Levels;
use node::{Extra, Family, Key, NONE, Node};

pub use bucket::TIMER_SLACK_US;
pub use cost::Charge;
pub use node::{FairBy, Limits, NodeConfig, NodeId, NodeKind, ROOT, TreeConfig, WEIGHT_MAX};
pub use path::Step;

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
    /// 0 for a level.
    pub debt: f64,
    /// Decides between equal tags, and between levels; the smallest goes next.
    pub tie: u64,
    /// Of a level.
    pub level: Option<LevelState>,
}

/// How a level stands (rule 8).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelState {
    /// 0 is the highest.
    pub rank: u8,
    /// 0…0.5; 0: strict only.
    pub floor: f64,
    /// T − U, cost units; with a floor and at most 0 its floor is due.
    pub lead: f64,
}

/// Why a queue is served when it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// Part of the destination that the queue is entitled to right now, 0…1.
    pub portion: f64,
    /// The same in messages a second, when the destination's rate is known or a node of the path has
    /// one: the smallest holds.
    pub portion_per_sec: Option<f64>,
    /// Messages it was entitled to since it became backlogged: `got + lag`.
    pub owed: f64,
    /// Cost served since it became backlogged, messages.
    pub got: f64,
    /// Messages it is owed now; negative: it is ahead.
    pub lag: f64,
    /// From the set down to the queue; compared from the left, the smallest (debt, tie) is served.
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
pub struct Tree {
    nodes: Vec<Node>,
    /// Of each node in its parent's heap.
    positions: Vec<u32>,
    /// Of each node among the timers.
    timer_positions: Vec<u32>,
    families: Vec<Family>,
    levels: Vec<Levels>,
    extras: Vec<Extra>,
    free_nodes: Vec<NodeId>,
    free_families: Vec<u32>,
    free_levels: Vec<u32>,
    free_extras: Vec<u32>,
    /// Nodes that lack nothing but time, by the time they become eligible, µs.
    timers: Heap<u64>,
    /// Scratch of `below_share`: keys and heap positions still to look at.
    frontier: BinaryHeap<Reverse<(Key, u32)>>,
    ring: trace::Ring,
    config: TreeConfig,
    costs: CostModel,
    /// Queues whose next message costs more than 1.
    dear: u32,
    /// The sets that have a cap (rule 11), in an order that is the same in every run.
    borrowers: BTreeMap<NodeId, Borrower>,
    /// Sum of the weights that entitled shares are parts of.
    entitled_weight: u64,
    /// Size of the cost unit relative to the first one; see `Charge::scale`.
    scale: f64,
    /// Where tags begin.
    origin: u128,
    created_us: u64,
    now_us: u64,
    sequence: u64,
    /// The clock-hand of `sweep`.
    hand: NodeId,
}

impl Tree {
    /// A tree without nodes but the root; its buckets are empty at `now_us` (rule 9).
    pub fn new(config: TreeConfig, now_us: u64) -> Self {
        Self::with_origin(config, now_us, 0)
    }

    /// The same with tags that begin at `origin`, 2⁻³² cost units: no decision depends on it.
    pub fn with_origin(config: TreeConfig, now_us: u64, origin: u128) -> Self {
        let root = Node::new(NONE, NodeKind::Set, 0, origin);
        let mut tree = Self {
            nodes: vec![root],
            positions: vec![OUT],
            timer_positions: vec![OUT],
            families: vec![Family::new(origin)],
            levels: Vec::new(),
            extras: Vec::new(),
            free_nodes: Vec::new(),
            free_families: Vec::new(),
            free_levels: Vec::new(),
            free_extras: Vec::new(),
            timers: Heap::new(),
            frontier: BinaryHeap::new(),
            ring: trace::Ring::default(),
            config,
            costs: CostModel::new(&config),
            dear: 0,
            borrowers: BTreeMap::new(),
            entitled_weight: 0,
            scale: 1.0,
            origin,
            created_us: now_us,
            now_us,
            sequence: 0,
            hand: 0,
        };
        tree.set_limits(ROOT, &config.limits, now_us);
        tree
    }

    /// Memory the tree holds, bytes.
    pub fn memory_bytes(&self) -> usize {
        let per_node = size_of::<Node>() + 2 * size_of::<u32>();
        let heaps: usize = self
            .families
            .iter()
            .map(|family| family.heap.memory_bytes())
            .sum();
        let levels: usize = self
            .levels
            .iter()
            .map(|levels| levels.list.capacity() * size_of::<level::Level>())
            .sum();
        size_of::<Self>()
            + self.nodes.capacity() * per_node
            + self.families.capacity() * size_of::<Family>()
            + self.extras.capacity() * size_of::<Extra>()
            + self.levels.capacity() * size_of::<Levels>()
            + levels
            + self.borrowers.len() * size_of::<(NodeId, Borrower)>()
            + heaps
            + self.timers.memory_bytes()
            + (self.free_nodes.capacity() + self.free_families.capacity()) * size_of::<u32>()
    }

    /// The time of now, which never runs backwards, µs.
    fn advance(&mut self, now_us: u64) -> u64 {
        self.now_us = self.now_us.max(now_us);
        self.now_us
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}
