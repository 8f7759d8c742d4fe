//! Rule 8: levels under a tenant, strict by rank, with floors.
//!
//! Each level has a clock T, its tenant the cost U served there. A level below rank 0 whose T is not
//! after U is due its floor and goes first (the smallest T); else the highest level goes. A service
//! of a floor moves T by cost/floor, so that under a backlog a level gets its floor of U and no more.
//! Two things were found by simulation. A service that a level gets because those above have nothing
//! does not move T: else a level of 10 % that had been alone for 1,000 messages got nothing in the
//! next 9,000. And T is held to U only when a level becomes eligible, not at each service: else a
//! floor of 10 % of messages of cost 1 came out at 7.7 % beside messages of cost 8.
//!
//! What is decided here is written into the keys of the levels: (0, order). So the heap of a tenant
//! with levels is used like any other, and trees without levels pay nothing.

use super::Tree;
use super::heap::OUT;
use super::node::{NONE, NodeConfig, NodeId, NodeKind};

/// Largest floor of one level; the floors of a tenant together are at most this too.
const FLOOR_MAX: f32 = 0.5;
/// Tag of every level, never after the V of its tenant: V stands still there.
pub(super) const LEVEL_TAG: u128 = 0;
/// Set in the tie of a level, and of no other node.
const LEVEL_TIE: u64 = 1 << 62;
/// Order of the levels that are not due, before their rank.
const BY_RANK: u64 = 1 << 8;

/// Whether a tie is that of a level.
pub(super) const fn is_level_tie(tie: u64) -> bool {
    tie >> 62 == 1
}

/// The order of a level among its siblings, to be shown.
pub(super) const fn level_order(tie: u64) -> u64 {
    tie & !LEVEL_TIE
}

/// The levels of one tenant.
pub(super) struct Levels {
    /// U, 2⁻³² cost units.
    pub served: u128,
    pub list: Vec<Level>,
}

#[derive(Clone, Copy)]
pub(super) struct Level {
    pub node: NodeId,
    pub rank: u8,
    /// 2⁻³²; 0: strict only.
    floor: u64,
    /// T, 2⁻³² cost units.
    clock: u128,
}

impl Level {
    fn new(node: NodeId, config: &NodeConfig, clock: u128) -> Self {
        // The rank 0 has no need of a floor: what the others leave is its.
        let floor = if config.rank == 0 { 0.0 } else { config.floor };
        Self {
            node,
            rank: config.rank,
            floor: (f64::from(floor.clamp(0.0, FLOOR_MAX)) * 4_294_967_296.0) as u64,
            clock,
        }
    }

    /// `units`/f, 2⁻³² cost units.
    fn step(&self, units: u64) -> u128 {
        (u128::from(units) << 32) / u128::from(self.floor.max(1))
    }

    fn is_due(&self, served: u128) -> bool {
        self.floor > 0 && self.clock <= served
    }

    /// 0…1.
    pub fn floor(&self) -> f64 {
        self.floor as f64 / 4_294_967_296.0
    }

    /// T − U, cost units; at most 0: its floor is due.
    pub fn lead(&self, served: u128) -> f64 {
        super::explain::difference(self.clock, served)
    }
}

impl Levels {
    fn at(&mut self, node: NodeId) -> &mut Level {
        let of_node = |level: &&mut Level| level.node == node;
        let level = self.list.iter_mut().find(of_node);
        level.expect("a level is in the list of its tenant")
    }

    /// A level became eligible: T := max(T, U).
    fn arrive(&mut self, node: NodeId) {
        let served = self.served;
        let level = self.at(node);
        level.clock = level.clock.max(served);
    }

    /// A level was served; whether it was its floor.
    fn serve(&mut self, node: NodeId, units: u64) -> bool {
        let before = self.served;
        self.served += u128::from(units);
        let level = self.at(node);
        let floor = level.is_due(before);
        if floor {
            level.clock += level.step(units);
        }
        floor
    }

    /// A service turned out to cost `units` more or, negative, less. However many are taken back at
    /// once, T comes to lie before U by no more than one of them.
    fn correct(&mut self, node: NodeId, units: i128, floor: bool) {
        self.served = self.served.saturating_add_signed(units);
        let served = self.served;
        let level = self.at(node);
        if !floor || level.floor == 0 {
            return;
        }
        let size = u64::try_from(units.unsigned_abs()).unwrap_or(u64::MAX);
        let step = level.step(size);
        level.clock = if units >= 0 {
            level.clock + step
        } else {
            let least = level.clock.min(served.saturating_sub(step));
            level.clock.saturating_sub(step).max(least)
        };
    }

    /// The tie of every level: those that are due by T, then all others by rank.
    pub fn order(&self) -> impl Iterator<Item = (NodeId, u64)> + '_ {
        self.list.iter().map(|level| {
            let order = if level.is_due(self.served) {
                let before = |other: &&Level| {
                    other.is_due(self.served)
                        && (other.clock, other.rank, other.node)
                            < (level.clock, level.rank, level.node)
                };
                self.list.iter().filter(before).count() as u64
            } else {
                BY_RANK + u64::from(level.rank)
            };
            (level.node, LEVEL_TIE | order)
        })
    }
}

impl Tree {
    /// The levels below a tenant.
    pub(super) fn levels_of(&self, parent: NodeId) -> Option<&Levels> {
        let family = self.nodes[parent as usize].family;
        let family = self.families.get(family as usize)?;
        self.levels.get(family.levels as usize)
    }

    fn levels_of_mut(&mut self, parent: NodeId) -> &mut Levels {
        let at = self.family_of(parent).levels;
        &mut self.levels[at as usize]
    }

    pub(super) fn is_level(&self, id: NodeId) -> bool {
        self.nodes[id as usize].kind == Some(NodeKind::Level)
    }

    /// A new level node: notes it with its tenant.
    pub(super) fn join_levels(&mut self, id: NodeId, config: &NodeConfig) {
        let parent = self.nodes[id as usize].parent;
        if self.family_of(parent).levels == NONE {
            let levels = Levels {
                served: 0,
                list: Vec::new(),
            };
            let at = if let Some(at) = self.free_levels.pop() {
                self.levels[at as usize] = levels;
                at
            } else {
                self.levels.push(levels);
                self.levels.len() as u32 - 1
            };
            self.family_of_mut(parent).levels = at;
        }
        self.nodes[id as usize].tag = LEVEL_TAG;
        let levels = self.levels_of_mut(parent);
        let clock = levels.served;
        levels.list.push(Level::new(id, config, clock));
        self.order_levels(parent);
    }

    /// A level node is freed.
    pub(super) fn leave_levels(&mut self, id: NodeId) {
        let parent = self.nodes[id as usize].parent;
        let levels = self.levels_of_mut(parent);
        levels.list.retain(|level| level.node != id);
        if levels.list.is_empty() {
            levels.list = Vec::new();
            let family = self.family_of_mut(parent);
            let at = std::mem::replace(&mut family.levels, NONE);
            self.free_levels.push(at);
        } else {
            self.order_levels(parent);
        }
    }

    /// Another rank or floor, live: a lead T − U was measured in the old floor (as rule 6).
    pub(super) fn configure_level(&mut self, id: NodeId, config: &NodeConfig) {
        let parent = self.nodes[id as usize].parent;
        let levels = self.levels_of_mut(parent);
        let served = levels.served;
        // A backlog of floors that were too large together is not made up for.
        for level in &mut levels.list {
            level.clock = level.clock.max(served);
        }
        let level = levels.at(id);
        let next = Level::new(id, config, served);
        let lead = level.clock.saturating_sub(served) as f64;
        let clock = if level.floor == 0 || next.floor == 0 {
            served
        } else if level.floor == next.floor {
            level.clock
        } else {
            served + (lead * level.floor as f64 / next.floor as f64) as u128
        };
        *level = Level { clock, ..next };
        self.order_levels(parent);
    }

    pub(super) fn level_arrives(&mut self, id: NodeId) {
        let parent = self.nodes[id as usize].parent;
        self.levels_of_mut(parent).arrive(id);
        self.order_levels(parent);
    }

    #[cold]
    pub(super) fn serve_level(&mut self, id: NodeId, units: u64) -> bool {
        let parent = self.nodes[id as usize].parent;
        let floor = self.levels_of_mut(parent).serve(id, units);
        self.order_levels(parent);
        floor
    }

    #[cold]
    pub(super) fn correct_level(&mut self, id: NodeId, units: i128, floor: bool) {
        let parent = self.nodes[id as usize].parent;
        self.levels_of_mut(parent).correct(id, units, floor);
        self.order_levels(parent);
    }

    /// Nothing waits under the tenant any more: leads end, as debts do (rule 7).
    pub(super) fn forgive_levels(&mut self, at: u32) {
        let levels = &mut self.levels[at as usize];
        for level in &mut levels.list {
            level.clock = level.clock.min(levels.served);
        }
    }

    /// Whether a level has no lead: nothing is gained by freeing it.
    pub(super) fn has_no_lead(&self, id: NodeId) -> bool {
        let levels = self.levels_of(self.nodes[id as usize].parent);
        let levels = levels.expect("the parent of a level has levels");
        let level = levels.list.iter().find(|level| level.node == id);
        level.is_some_and(|level| level.clock <= levels.served)
    }

    /// The unit of cost changed: leads keep their size in messages.
    pub(super) fn rescale_levels(&mut self, factor: f64) {
        for levels in &mut self.levels {
            for level in &mut levels.list {
                let size = (level.clock.abs_diff(levels.served) as f64 * factor) as u128;
                level.clock = if level.clock >= levels.served {
                    levels.served.saturating_add(size)
                } else {
                    levels.served.saturating_sub(size)
                };
            }
        }
    }

    /// Writes the order of a tenant's levels into their keys: at most 8 of them.
    fn order_levels(&mut self, parent: NodeId) {
        let family = self.nodes[parent as usize].family as usize;
        let family = &mut self.families[family];
        for (id, tie) in self.levels[family.levels as usize].order() {
            self.nodes[id as usize].tie = tie;
            if self.positions[id as usize] != OUT {
                let key = (LEVEL_TAG, tie);
                family.heap.rekey(key, id, &mut self.positions);
            }
        }
    }
}
