//! F6: destinations limited by slots in flight.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::needless_for_each
)]

use crate::shared::tree as support;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fairlead_core::tree::{Charge, NodeId, Tree, TreeConfig};
use support::{Random, SECOND, set, slots, tenant};

/// A destination whose messages hold a slot each for a while of their queue's own.
struct Sim {
    tree: Tree,
    now: u64,
    /// (end, number, queue, begin) and its charge.
    flights: BinaryHeap<Reverse<(u64, u64, NodeId, u64)>>,
    charges: std::collections::HashMap<u64, Charge>,
    number: u64,
}

impl Sim {
    fn new(config: TreeConfig) -> Self {
        Self {
            tree: Tree::new(config, 0),
            now: 0,
            flights: BinaryHeap::new(),
            charges: std::collections::HashMap::new(),
            number: 0,
        }
    }

    /// Until `end`; (settled, slot·time in µs within) a queue of `queues`.
    fn run(
        &mut self,
        end: u64,
        queues: &[NodeId],
        hold: impl Fn(NodeId) -> u64,
    ) -> Vec<(u64, u64)> {
        let start = self.now;
        let mut got = vec![(0, 0); queues.len()];
        while self.now < end {
            while let Some(picked) = self.tree.pick(self.now) {
                self.tree.enqueue(picked.queue, 1, self.now);
                self.number += 1;
                self.charges.insert(self.number, picked.charge);
                let to = self.now + hold(picked.queue);
                self.flights
                    .push(Reverse((to, self.number, picked.queue, self.now)));
            }
            let Reverse((to, number, queue, from)) = self.flights.pop().expect("in flight");
            self.now = to;
            let charge = self.charges.remove(&number).expect("a charge");
            self.tree.settle(queue, charge, to - from, to);
            let at = queues
                .iter()
                .position(|other| *other == queue)
                .expect("known");
            got[at].0 += 1;
            got[at].1 += to.min(end) - from.max(start);
        }
        for Reverse((_, _, queue, from)) in &self.flights {
            let at = queues
                .iter()
                .position(|other| other == queue)
                .expect("known");
            got[at].1 += end.saturating_sub((*from).max(start));
        }
        got
    }
}

fn assert_even(got: &[(u64, u64)], fast: usize, seconds: u64, when: &str) {
    let all = (50 * seconds * SECOND) as f64;
    for (_, time) in got {
        let part = *time as f64 / all;
        assert!(
            (0.45..=0.55).contains(&part),
            "{when}: slot·time {part} in {got:?}"
        );
    }
    let rate = got[fast].0 as f64 / seconds as f64;
    assert!(rate >= 225.0, "{when}: the fast tenant gets {rate}/s");
}

#[test]
fn f6_slots_are_shared_by_time() {
    for jitter in [0, 1] {
        let mut sim = Sim::new(slots(50));
        let set = set(&mut sim.tree, 100);
        let queues = [(); 2].map(|()| tenant(&mut sim.tree, set, 100).1);
        queues
            .iter()
            .for_each(|queue| sim.tree.enqueue(*queue, 1_000, 0));
        let holds = |slow: NodeId| {
            move |queue| {
                let us = if queue == slow {
                    10 * SECOND
                } else {
                    SECOND / 10
                };
                us - if jitter == 1 {
                    Random(us ^ u64::from(queue)).below(us / 4)
                } else {
                    0
                }
            }
        };
        sim.run(60 * SECOND, &queues, holds(queues[0]));
        let got = sim.run(160 * SECOND, &queues, holds(queues[0]));
        assert_even(&got, 1, 100, "steady");
        sim.run(190 * SECOND, &queues, holds(queues[1]));
        let got = sim.run(290 * SECOND, &queues, holds(queues[1]));
        assert_even(&got, 0, 100, "30 s after the swap");
        sim.tree.check();
    }
}

/// With every slot in use nothing that waits and has room is left out.
#[test]
fn slots_are_never_idle() {
    let mut sim = Sim::new(slots(20));
    let set = set(&mut sim.tree, 100);
    let queues: Vec<_> = (0..7)
        .map(|at| tenant(&mut sim.tree, set, 1 + at * 30).1)
        .collect();
    sim.tree.enqueue(queues[0], 1_000, 0);
    sim.run(10 * SECOND, &queues, |_| SECOND);
    assert_eq!(sim.tree.in_flight(0), 19, "one just came back");
    queues
        .iter()
        .for_each(|queue| sim.tree.enqueue(*queue, 1_000, sim.now));
    let got = sim.run(300 * SECOND, &queues, |queue| {
        SECOND / u64::from(queue % 3 + 1)
    });
    let all: u64 = got.iter().map(|(_, time)| time).sum();
    assert!(all as f64 >= 0.999 * 20.0 * 290.0 * SECOND as f64);
    sim.tree.check();
}
