//! What a caller says about a node, and what the tree keeps of it.

use super::bucket::Bucket;
use super::heap::Heap;

/// Index of a node in the arena; 0 is the root, the destination. Reused after a node is freed.
pub type NodeId = u32;

/// The destination itself.
pub const ROOT: NodeId = 0;

/// "No node", "no family", "no extra".
pub(super) const NONE: u32 = u32::MAX;

/// Largest weight of a node (rule 1); the smallest is 1, the default 100.
pub const WEIGHT_MAX: u32 = 10_000;

/// What an attempt costs (rule 5): a choice of the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FairBy {
    /// The scarcer of rate and slots.
    #[default]
    Auto,
    /// Its share of the rate, whatever it holds.
    Cost,
    /// The time for which it holds a slot.
    Time,
}

/// What a node may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Cost a second; none: not limited.
    pub rate_per_sec: Option<f64>,
    /// Cost that may go at once; 0 counts as 1.
    pub burst: u32,
    /// Messages in flight; none: not limited.
    pub in_flight_max: Option<u32>,
}

/// The destination.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TreeConfig {
    pub limits: Limits,
    pub fair_by: FairBy,
    /// Longest time a message may be held, µs: no guess of a hold is above it.
    pub lease_us: u64,
}

/// What a node stands for. The rules are the same for every kind, but a queue has no children and a
/// level is served by rule 8. A tenant has queues as children, or levels which have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    Set,
    /// Shared by tenants of a set: what they are charged there is cost over their weight.
    Slot,
    Tenant,
    Level,
    Queue,
}

/// A set, tenant, level or queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeConfig {
    /// 1…10,000 (rule 1); held to that range.
    pub weight: u32,
    pub limits: Limits,
    pub paused: bool,
    /// Of a level: its place, 0 is the highest; siblings have different ones.
    pub rank: u8,
    /// Of a level below rank 0: part of its tenant's service that it gets when it has work, 0…0.5;
    /// 0: none, strict only.
    pub floor: f32,
    /// Of a set: what it may take above its entitled share, as part of that share; none: no cap.
    pub borrow_max: Option<f64>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            weight: 100,
            limits: Limits::default(),
            paused: false,
            rank: 0,
            floor: 0.0,
            borrow_max: None,
        }
    }
}

/// State of one node: one cache line. `due`, `held` and `in_flight` of a parent are the sums of its
/// children.
#[repr(align(64))]
pub(super) struct Node {
    /// Start tag S, 2⁻³² cost units over weight.
    pub tag: u128,
    /// Second part of the key (rule 3); see `fresh_tie` and `served_tie`.
    pub tie: u64,
    pub parent: NodeId,
    /// Messages that could leave now.
    pub due: u32,
    /// Messages that wait in a timer.
    pub held: u32,
    pub in_flight: u32,
    /// In the arena of families; a queue has none.
    pub family: u32,
    /// In the arena of extras.
    pub extra: u32,
    /// Cost served since the queue last became backlogged.
    pub got: u32,
    /// Moving average of the holds, µs; 0 is not known yet.
    pub hold_us: u32,
    pub weight: u16,
    /// Part of the charges too small for the tag: below the weight, 2⁻³² cost units. Without it
    /// 1,000,000 charges at weight 10,000 are off by more than a message.
    pub remainder: u16,
    /// None: the place in the arena is free.
    pub kind: Option<NodeKind>,
    /// `PAUSED`, `BLOCKED`.
    pub stopped: u8,
    /// In its parent's heap (for the root: a pick would succeed).
    pub eligible: bool,
    /// Among the timers.
    pub timed: bool,
}

const _: () = assert!(size_of::<Node>() == 64);

/// Bits of `Node::stopped`.
pub(super) const PAUSED: u8 = 1;
pub(super) const BLOCKED: u8 = 2;

/// What most nodes do not have; once made it stays as long as its node.
#[derive(Clone, Copy)]
pub(super) struct Extra {
    pub bucket: Option<Bucket>,
    /// Not eligible before this time, µs.
    pub rest_until_us: u64,
    pub in_flight_max: u32,
    /// Cost of the next message of a queue; of a parent, the one its bucket has to be ready for.
    pub head_cost: u32,
}

impl Extra {
    pub const NOTHING: Self = Self {
        bucket: None,
        rest_until_us: 0,
        in_flight_max: u32::MAX,
        head_cost: 1,
    };
}

/// Key of a child in its parent's heap: (S, tie), smallest first (rule 3).
pub(super) type Key = (u128, u64);

/// What a parent keeps of its children.
pub(super) struct Family {
    /// Virtual time V.
    pub v: u128,
    /// Largest tag any child has had: what V becomes when nothing waits (rule 7).
    pub tag_max: u128,
    /// The eligible children.
    pub heap: Heap<Key>,
    pub children: u32,
    /// In the arena of levels; most tenants have none.
    pub levels: u32,
    /// Sum of the weights of the eligible children.
    pub eligible_weight: u64,
    /// Sum of the weights of the children with a due message.
    pub backlog_weight: u64,
}

impl Node {
    /// S += units/w, exactly (rule 4).
    pub fn charge(&mut self, units: u64) {
        let weight = u64::from(self.weight);
        let carried = units.saturating_add(u64::from(self.remainder));
        self.tag += u128::from(carried / weight);
        self.remainder = (carried % weight) as u16;
    }

    /// Rule 2: no credit for time away. The remainder goes, for a tag one unit above the others'
    /// makes a quiet node wait for a whole round of them.
    pub fn catch_up(&mut self, v: u128) {
        if self.tag <= v {
            self.tag = v;
            self.remainder = 0;
        }
    }

    /// S += units/w for what was charged too little or, negative, too much; never below V. A tag
    /// that is already below V, of a node passed over, stays.
    pub fn correct(&mut self, units: i128, v: u128) {
        if units == 0 {
            return;
        }
        let carried = units + i128::from(self.remainder);
        let (whole, remainder) = if let Ok(carried) = i64::try_from(carried) {
            let weight = i64::from(self.weight);
            (
                i128::from(carried.div_euclid(weight)),
                carried.rem_euclid(weight) as u16,
            )
        } else {
            let weight = i128::from(self.weight);
            (
                carried.div_euclid(weight),
                carried.rem_euclid(weight) as u16,
            )
        };
        self.tag = self.tag.saturating_add_signed(whole).max(self.tag.min(v));
        self.remainder = remainder;
    }

    pub fn new(parent: NodeId, kind: NodeKind, family: u32, tag: u128) -> Self {
        Self {
            tag,
            tie: 0,
            parent,
            due: 0,
            held: 0,
            in_flight: 0,
            family,
            extra: NONE,
            got: 0,
            hold_us: 0,
            weight: 1,
            remainder: 0,
            kind: Some(kind),
            stopped: 0,
            eligible: false,
            timed: false,
        }
    }

    pub fn is_queue(&self) -> bool {
        self.family == NONE
    }
}

impl Family {
    pub const fn new(v: u128) -> Self {
        Self {
            v,
            tag_max: v,
            heap: Heap::new(),
            children: 0,
            levels: NONE,
            eligible_weight: 0,
            backlog_weight: 0,
        }
    }

    /// What V will be once the next child is picked: against it a node alone has no debt.
    pub fn v_now(&self) -> u128 {
        self.heap
            .first()
            .map_or(self.v, |first| self.v.max(first.key.0))
    }
}

const SERVED: u64 = 1 << 63;

/// Tie of a node that became backlogged since its last service: before all others, in order.
pub(super) const fn fresh_tie(sequence: u64) -> u64 {
    sequence
}

/// Whether a node became backlogged since its last service.
pub(super) const fn is_fresh(tie: u64) -> bool {
    tie < SERVED
}

/// Tie of a node that was served: the least recently served first.
pub(super) const fn served_tie(sequence: u64) -> u64 {
    SERVED | sequence
}
