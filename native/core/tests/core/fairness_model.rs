//! Random operations against a naive model: counts, eligibility, the best score, what is freed.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::needless_for_each
)]

use crate::shared::tree as support;
use fairlead_core::tree::{
    Charge, FairBy, Limits, NodeConfig, NodeId, NodeKind, Picked, ROOT, Tree, TreeConfig,
};
use proptest::prelude::*;
use support::Random;

#[derive(Clone, Copy)]
struct Model {
    parent: NodeId,
    kind: Option<NodeKind>,
    paused: bool,
    blocked: bool,
    rest_until: u64,
    cap: u32,
    due: u32,
    held: u32,
    in_flight: u32,
    /// Of a level.
    rank: Option<u8>,
    floor: f32,
}

/// A tree, its model, and the operations that change both.
struct Pair {
    tree: Tree,
    nodes: Vec<Model>,
    flights: Vec<(NodeId, Charge, u64)>,
    now: u64,
    random: Random,
    picks: Vec<NodeId>,
}

impl Pair {
    fn new(seed: u64, origin: u128) -> Self {
        let mut random = Random(seed);
        let some = |random: &mut Random, n| random.below(2).eq(&0).then(|| 1 + random.below(n));
        let limits = Limits {
            rate_per_sec: None,
            burst: 1,
            in_flight_max: some(&mut random, 9).map(|cap| cap as u32),
        };
        let fair_by = [FairBy::Auto, FairBy::Cost, FairBy::Time][random.below(3) as usize];
        let config = TreeConfig {
            limits,
            fair_by,
            lease_us: 1_000_000,
        };
        let tree = Tree::with_origin(config, 0, origin);
        let cap = limits.in_flight_max.unwrap_or(u32::MAX);
        let root = Model {
            parent: u32::MAX,
            kind: Some(NodeKind::Set),
            paused: false,
            blocked: false,
            rest_until: 0,
            cap,
            due: 0,
            held: 0,
            in_flight: 0,
            rank: None,
            floor: 0.0,
        };
        Self {
            tree,
            nodes: vec![root],
            flights: Vec::new(),
            now: 0,
            random,
            picks: Vec::new(),
        }
    }

    fn any(&mut self, kind: NodeKind) -> Option<NodeId> {
        let of: Vec<_> = (1..self.nodes.len())
            .filter(|at| self.nodes[*at].kind == Some(kind))
            .map(|at| at as NodeId)
            .collect();
        (!of.is_empty()).then(|| of[self.random.below(of.len() as u64) as usize])
    }

    /// Rank 0…3 is that of a new sibling of `parent`'s levels; the tree wants different ones.
    fn free_rank(&mut self, parent: NodeId) -> Option<u8> {
        let used: Vec<u8> = self
            .children(parent)
            .filter_map(|id| self.nodes[id as usize].rank)
            .collect();
        (0..4).find(|rank| !used.contains(rank))
    }

    fn children(&self, parent: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let is = move |id: &NodeId| {
            let node = &self.nodes[*id as usize];
            node.kind.is_some() && node.parent == parent && *id != ROOT
        };
        (0..self.nodes.len() as NodeId).filter(is)
    }

    /// Under which queues can be: a tenant without levels, or a level.
    fn any_home(&mut self) -> Option<NodeId> {
        let fits = |id: &NodeId| match self.nodes[*id as usize].kind {
            Some(NodeKind::Level) => true,
            Some(NodeKind::Tenant) => !self
                .children(*id)
                .any(|of| self.nodes[of as usize].rank.is_some()),
            _ => false,
        };
        let homes: Vec<_> = (1..self.nodes.len() as NodeId).filter(fits).collect();
        (!homes.is_empty()).then(|| homes[self.random.below(homes.len() as u64) as usize])
    }

    fn node_config(&mut self) -> NodeConfig {
        let in_flight_max = (self.random.below(4) == 0).then(|| 1 + self.random.below(4) as u32);
        let weight = [1, 10, 100, 1_000, 10_000][self.random.below(5) as usize];
        let paused = self.random.below(12) == 0;
        NodeConfig {
            weight,
            limits: Limits {
                in_flight_max,
                ..Limits::default()
            },
            paused,
            floor: [0.0, 0.05, 0.1, 0.16][self.random.below(4) as usize],
            ..NodeConfig::default()
        }
    }

    fn path(&self, id: NodeId) -> Vec<NodeId> {
        let up = |id: &NodeId| (*id != ROOT).then(|| self.nodes[*id as usize].parent);
        std::iter::successors(Some(id), up).collect()
    }

    fn each(&mut self, id: NodeId, change: impl Fn(&mut Model)) {
        for id in self.path(id) {
            change(&mut self.nodes[id as usize]);
        }
    }

    fn ready(&self, id: NodeId) -> bool {
        let open = |id: &NodeId| {
            let node = &self.nodes[*id as usize];
            !node.paused && node.rest_until <= self.now && node.in_flight < node.cap
        };
        let node = &self.nodes[id as usize];
        node.kind == Some(NodeKind::Queue)
            && node.due > 0
            && !node.blocked
            && self.path(id).iter().all(open)
    }

    fn add(&mut self) {
        let kind = [
            NodeKind::Set,
            NodeKind::Tenant,
            NodeKind::Queue,
            NodeKind::Queue,
            NodeKind::Level,
        ][self.random.below(5) as usize];
        let parent = match kind {
            NodeKind::Set => Some(ROOT),
            NodeKind::Slot => unreachable!("not among these kinds"),
            NodeKind::Tenant => self.any(NodeKind::Set),
            NodeKind::Level => self.any(NodeKind::Tenant),
            NodeKind::Queue => self.any_home(),
        };
        let Some(parent) = parent else { return };
        let mut config = self.node_config();
        let mut rank = None;
        if kind == NodeKind::Level {
            rank = self.free_rank(parent);
            let Some(rank) = rank else { return };
            config.rank = rank;
        }
        let id = self.tree.add(parent, kind, config, self.now);
        let node = Model {
            parent,
            kind: Some(kind),
            paused: config.paused,
            cap: config.limits.in_flight_max.unwrap_or(u32::MAX),
            blocked: false,
            rest_until: 0,
            due: 0,
            held: 0,
            in_flight: 0,
            rank,
            floor: if rank == Some(0) { 0.0 } else { config.floor },
        };
        if id as usize == self.nodes.len() {
            self.nodes.push(node);
        } else {
            assert!(
                self.nodes[id as usize].kind.is_none(),
                "an id in use was given again"
            );
            self.nodes[id as usize] = node;
        }
        if kind == NodeKind::Level {
            // The tenant gets levels: its own queues move under one.
            let queue = |id: &NodeId| self.nodes[*id as usize].kind == Some(NodeKind::Queue);
            let queues: Vec<_> = self.children(parent).filter(queue).collect();
            for queue in queues {
                self.tree.check();
                self.move_to(queue, id);
            }
        }
    }

    fn configure(&mut self) {
        let kind = [
            NodeKind::Set,
            NodeKind::Tenant,
            NodeKind::Queue,
            NodeKind::Level,
        ][self.random.below(4) as usize];
        let Some(id) = self.any(kind) else { return };
        match self.random.below(3) {
            0 => {
                let mut config = self.node_config();
                if let Some(rank) = self.nodes[id as usize].rank {
                    config.rank = rank;
                }
                self.tree.configure_node(id, config, self.now);
                let node = &mut self.nodes[id as usize];
                node.paused = config.paused;
                node.cap = config.limits.in_flight_max.unwrap_or(u32::MAX);
                if config.rank > 0 {
                    node.floor = config.floor;
                }
            }
            1 => {
                let until = self.now + self.random.below(3_000);
                self.tree.rest(id, until, self.now);
                let node = &mut self.nodes[id as usize];
                node.rest_until = node.rest_until.max(until);
            }
            _ => {
                let to = match kind {
                    NodeKind::Set | NodeKind::Slot | NodeKind::Level => return,
                    NodeKind::Tenant => self.any(NodeKind::Set),
                    NodeKind::Queue => self.any_home(),
                };
                let Some(to) = to else { return };
                self.move_to(id, to);
            }
        }
    }

    fn move_to(&mut self, id: NodeId, to: NodeId) {
        let Model {
            due,
            held,
            in_flight,
            parent: old,
            ..
        } = self.nodes[id as usize];
        self.each(old, |node| {
            node.due -= due;
            node.held -= held;
            node.in_flight -= in_flight;
        });
        self.nodes[id as usize].parent = to;
        self.each(to, |node| {
            node.due += due;
            node.held += held;
            node.in_flight += in_flight;
        });
        self.tree.move_to(id, to, self.now);
    }

    /// One random change of a queue.
    fn queue(&mut self) {
        let Some(id) = self.any(NodeKind::Queue) else {
            return;
        };
        let Model {
            due, held, blocked, ..
        } = self.nodes[id as usize];
        match self.random.below(8) {
            0..=3 => {
                let count = 1 + self.random.below(4) as u32;
                self.tree.enqueue(id, count, self.now);
                self.each(id, |node| node.due += count);
            }
            4 if due > 0 => {
                let count = 1 + self.random.below(u64::from(due)) as u32;
                self.tree.dequeue(id, count, self.now);
                self.each(id, |node| node.due -= count);
            }
            5 => {
                self.tree.hold(id);
                self.each(id, |node| node.held += 1);
            }
            6 if held > 0 => {
                let again = self.random.below(2) == 0;
                if again {
                    self.tree.release(id, self.now);
                } else {
                    self.tree.unhold(id);
                }
                self.each(id, |node| {
                    node.held -= 1;
                    node.due += u32::from(again);
                });
            }
            7 => {
                self.tree.block(id, !blocked, self.now);
                self.nodes[id as usize].blocked = !blocked;
            }
            _ => {}
        }
    }

    /// Best of those that are ready: their scores compared from the left, but levels by rule 8.
    fn best(&self, ready: &[NodeId]) -> Option<NodeId> {
        let scores: Vec<_> = ready
            .iter()
            .map(|id| {
                let said = self.tree.explain(*id, self.now);
                assert!(said.eligible, "{id} is ready and not eligible");
                said.score
            })
            .collect();
        let mut left: Vec<usize> = (0..ready.len()).collect();
        let mut depth = 0;
        while left.len() > 1 {
            let at = |of: usize| scores[of][depth];
            let order = |of: &usize| {
                let score = at(*of);
                let Some(level) = score.level else {
                    return (score.debt, 0.0, score.tie);
                };
                let node = &self.nodes[score.node as usize];
                assert_eq!(node.rank, Some(level.rank));
                assert!((level.floor - f64::from(node.floor)).abs() < 1e-6);
                let rank = f64::from(level.rank);
                if level.floor > 0.0 && level.lead <= 0.0 {
                    (f64::MIN, level.lead, rank as u64)
                } else {
                    (rank, 0.0, 0)
                }
            };
            let best = left
                .iter()
                .map(order)
                .min_by(|one, other| one.partial_cmp(other).expect("numbers"))?;
            left.retain(|of| order(of) == best);
            depth += 1;
        }
        left.first().map(|of| ready[*of])
    }

    /// Picks, and checks that the queue has the best score of all that are ready (rule 12) and that
    /// one is picked whenever one is ready. Now and then the best ones are vetoed: then it is the
    /// next one's turn, until none is left.
    fn pick(&mut self) {
        self.tree.wake(self.now);
        let ready = |id: &NodeId| self.ready(*id);
        let mut ready: Vec<_> = (1..self.nodes.len() as NodeId).filter(ready).collect();
        assert_eq!(self.tree.can_pick(), !ready.is_empty());
        let most = self.random.below(8).saturating_sub(4) as usize;
        let until = self.now + 1 + self.random.below(2_000);
        let mut expected = Vec::new();
        while let Some(best) = self.best(&ready).filter(|_| expected.len() <= most) {
            ready.retain(|id| *id != best);
            expected.push(best);
        }
        let mut asked = Vec::new();
        let picked = if most == 0 {
            self.tree.pick(self.now)
        } else {
            self.tree.pick_where(self.now, |queue, cost| {
                assert_eq!(cost, 1);
                asked.push(queue);
                (asked.len() <= most).then_some(until)
            })
        };
        for queue in asked.iter().take(most) {
            let node = &mut self.nodes[*queue as usize];
            node.rest_until = node.rest_until.max(until);
        }
        assert_eq!(
            picked.map(|picked| picked.queue),
            expected.get(most).copied()
        );
        if most > 0 {
            assert_eq!(asked, expected);
        }
        if let Some(picked) = picked {
            self.served(picked);
        }
    }

    fn served(&mut self, picked: Picked) {
        self.flights.push((picked.queue, picked.charge, self.now));
        self.picks.push(picked.queue);
        self.each(picked.queue, |node| {
            node.due -= 1;
            node.in_flight += 1;
        });
    }

    fn land(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let at = self.random.below(self.flights.len() as u64) as usize;
        let (queue, charge, from) = self.flights.swap_remove(at);
        self.each(queue, |node| node.in_flight -= 1);
        if self.random.below(4) == 0 {
            self.tree.refund(queue, charge, self.now);
            self.tree.enqueue(queue, 1, self.now);
            self.each(queue, |node| node.due += 1);
        } else {
            self.tree.settle(queue, charge, self.now - from, self.now);
        }
    }

    fn sweep(&mut self) {
        let mut freed = Vec::new();
        let debts: Vec<f64> = (0..self.nodes.len() as NodeId)
            .map(|id| match self.tree.kind(id) {
                Some(_) => {
                    self.tree
                        .explain(id, self.now)
                        .score
                        .last()
                        .expect("a level")
                        .debt
                }
                None => 0.0,
            })
            .collect();
        self.tree.sweep(5, self.now, &mut freed);
        for id in freed {
            let node = &mut self.nodes[id as usize];
            assert_eq!((node.due, node.held, node.in_flight), (0, 0, 0));
            assert!(node.rest_until <= self.now && node.kind.is_some());
            assert!(debts[id as usize] <= 0.0, "{id} was freed with a debt");
            node.kind = None;
        }
    }

    fn step(&mut self) {
        self.now += self.random.below(400);
        match self.random.below(20) {
            0 | 1 => self.add(),
            2 => self.configure(),
            3..=9 => self.queue(),
            10..=14 => self.pick(),
            15..=18 => self.land(),
            _ => self.sweep(),
        }
        self.tree.check();
        for (id, node) in self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.kind.is_some())
        {
            let id = id as NodeId;
            let counts = (
                self.tree.due(id),
                self.tree.waiting(id),
                self.tree.in_flight(id),
            );
            assert_eq!(
                counts,
                (node.due, node.due + node.held, node.in_flight),
                "node {id}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Counts, heaps, eligibility, best score, work conservation and freeing, step by step.
    #[test]
    fn the_tree_does_what_the_model_says(seed: u64) {
        let mut pair = Pair::new(seed, 0);
        (0..600).for_each(|_| pair.step());
    }
}

/// F11: tags that start at 2^100 give the same picks as from 0.
#[test]
fn f11_picks_do_not_depend_on_where_tags_start() {
    for seed in 100..120 {
        let mut pairs = [Pair::new(seed, 0), Pair::new(seed, 1 << 100)];
        for pair in &mut pairs {
            (0..1_500).for_each(|_| pair.step());
        }
        assert_eq!(pairs[0].picks, pairs[1].picks, "seed {seed}");
    }
}
