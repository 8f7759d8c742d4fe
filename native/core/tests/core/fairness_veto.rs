//! Pools and other vetoes from outside the tree, and messages that cost more than 1.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::needless_for_each
)]

use crate::shared::tree as support;
use fairlead_core::tree::{Limits, NodeConfig, NodeId, NodeKind, TIMER_SLACK_US, Tree};
use support::{Random, SECOND, Windows, config, rated, serve, set, slots, tenant, weight};

/// A rate that queues share beside the tree. Its vetoes stand in a line, one after the other.
struct Pool {
    interval_us: u64,
    full_at_us: u64,
    line_us: u64,
    vetoes: u64,
}

impl Pool {
    fn new(rate_per_sec: u64) -> Self {
        Self {
            interval_us: SECOND / rate_per_sec,
            full_at_us: 0,
            line_us: 0,
            vetoes: 0,
        }
    }

    /// Takes from the pool, or says when to ask again.
    fn ask(&mut self, cost: u32, now_us: u64) -> Option<u64> {
        let ready_us = self.full_at_us.saturating_sub(TIMER_SLACK_US);
        if ready_us <= now_us {
            self.full_at_us = self.full_at_us.max(now_us) + u64::from(cost) * self.interval_us;
            return None;
        }
        self.vetoes += 1;
        self.line_us = self.line_us.max(ready_us) + self.interval_us;
        Some(self.line_us)
    }
}

/// Picks until nothing is left at this time; messages of `members` ask the pool.
fn run(
    tree: &mut Tree,
    pool: &mut Pool,
    members: std::ops::Range<NodeId>,
    now: u64,
    mut served: impl FnMut(&mut Tree, NodeId),
) {
    while let Some(picked) = tree.pick_where(now, |queue, cost| {
        if members.contains(&queue) {
            pool.ask(cost, now)
        } else {
            None
        }
    }) {
        tree.settle(picked.queue, picked.charge, 0, now);
        served(tree, picked.queue);
    }
}

/// Queues of one tenant each, with consecutive ids.
fn members(tree: &mut Tree, of: &[NodeId], count: u32) -> std::ops::Range<NodeId> {
    let queues: Vec<_> = (0..count)
        .map(|at| {
            let parent = of[at as usize % of.len()];
            tree.add(parent, NodeKind::Queue, NodeConfig::default(), 0)
        })
        .collect();
    let first = queues[0];
    assert!(queues.iter().zip(first..).all(|(queue, at)| *queue == at));
    first..first + count
}

/// A pool of 100/s under 50 queues lets 100/s through, and takes nothing from the others.
#[test]
fn a_pool_holds_its_members_and_disturbs_no_other() {
    let mut tree = Tree::new(rated(1_000.0), 0);
    let set = set(&mut tree, 100);
    let tenants: Vec<_> = (0..10)
        .map(|_| tree.add(set, NodeKind::Tenant, weight(100), 0))
        .collect();
    let pooled = members(&mut tree, &tenants[..5], 50);
    pooled
        .clone()
        .for_each(|queue| tree.enqueue(queue, 100_000, 0));
    let others = members(&mut tree, &tenants[5..], 5);
    others
        .clone()
        .for_each(|queue| tree.enqueue(queue, 1_000_000, 0));
    let mut pool = Pool::new(100);
    let mut got = [0u64; 64];
    for ms in 1_000..301_000u64 {
        run(
            &mut tree,
            &mut pool,
            pooled.clone(),
            ms * 1_000,
            |_, queue| {
                got[(queue - pooled.start) as usize] += 1;
            },
        );
    }
    let in_pool: u64 = got[..50].iter().sum();
    assert!((29_850..=30_001).contains(&in_pool), "{in_pool} of 30,000");
    for (at, got) in got[..50].iter().enumerate() {
        assert!((500..=700).contains(got), "member {at}: {got} of 600");
    }
    for got in &got[50..55] {
        assert!((53_460..=54_540).contains(got), "another: {got} of 54,000");
    }
    assert!(pool.vetoes <= in_pool + 50, "{} vetoes", pool.vetoes);
    tree.check();
}

/// Ten thousand members that wait for a pool cost a pick less than two vetoes.
#[test]
fn vetoes_do_not_pile_up() {
    const MEMBERS: u32 = 10_000;
    let mut random = Random(5);
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    let tenants: Vec<_> = (0..100)
        .map(|_| tree.add(set, NodeKind::Tenant, weight(100), 0))
        .collect();
    let pooled = members(&mut tree, &tenants, MEMBERS);
    pooled.clone().for_each(|queue| tree.enqueue(queue, 3, 0));
    let mut pool = Pool::new(1_000);
    let mut got = 0u64;
    for ms in 0..25_000u64 {
        let now = ms * 1_000 + random.below(900);
        run(&mut tree, &mut pool, pooled.clone(), now, |_, _| got += 1);
    }
    assert!((24_900..=25_010).contains(&got), "{got} of 25,000");
    let most = got + u64::from(MEMBERS);
    assert!(
        pool.vetoes <= most,
        "{} vetoes for {got} picks",
        pool.vetoes
    );
    tree.check();
}

/// A veto charges nothing and moves no V: the picks of the others are the same as without the
/// vetoed queue, and it comes back with what it is owed and no more.
#[test]
fn a_veto_leaves_no_trace() {
    let mut picks = [Vec::new(), Vec::new()];
    for (at, picks) in picks.iter_mut().enumerate() {
        let mut random = Random(9);
        let mut tree = Tree::new(config(), 0);
        let set = set(&mut tree, 100);
        let queues: Vec<_> = (0..8)
            .map(|_| tenant(&mut tree, set, 1 + random.below(200) as u32).1)
            .collect();
        queues
            .iter()
            .for_each(|queue| tree.enqueue(*queue, 50_000, 0));
        let (_, barred) = tenant(&mut tree, set, 500);
        if at == 1 {
            tree.enqueue(barred, 10_000, 0);
        }
        let mut vetoes = 0;
        for step in 1..20_000u64 {
            let now = step * 100;
            let veto = |queue, _| {
                vetoes += u32::from(queue == barred);
                (queue == barred).then_some(now + 250)
            };
            let picked = tree.pick_where(now, veto).expect("work waits");
            tree.settle(picked.queue, picked.charge, 0, now);
            tree.set_head_cost(picked.queue, 1 + random.below(9) as u32, now);
            picks.push(picked.queue);
        }
        tree.check();
        assert_eq!(
            (tree.explain(barred, 0).got, vetoes > 1_000),
            (0.0, at == 1)
        );
        let all: u32 = queues
            .iter()
            .map(|queue| tree.weight(tree.parent(*queue).expect("a tenant")))
            .sum();
        if at == 1 {
            queues
                .iter()
                .for_each(|queue| tree.set_head_cost(*queue, 1, 0));
            let now = 10 * SECOND;
            let got = (0..2_000)
                .filter(|_| serve(&mut tree, now) == Some(barred))
                .count();
            let owed = 2_000.0 * 500.0 / f64::from(all + 500);
            assert!((got as f64 - owed).abs() <= 15.0, "{got} of {owed} owed");
        }
    }
    assert_eq!(picks[0], picks[1]);
}

/// A time that is over does not make `pick_where` ask for ever; and all vetoed is none.
#[test]
fn a_veto_that_is_over_rests_for_a_moment() {
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    let queues = [(); 3].map(|()| tenant(&mut tree, set, 100).1);
    queues.iter().for_each(|queue| tree.enqueue(*queue, 5, 0));
    let mut asked = 0;
    let picked = tree.pick_where(SECOND, |_, _| {
        asked += 1;
        Some(0)
    });
    assert_eq!((picked, asked, tree.can_pick()), (None, 3, false));
    assert_eq!(tree.next_wake_us(), Some(SECOND + 1));
    assert!(tree.pick_where(SECOND + 1, |_, _| None).is_some());
}

/// Buckets of a queue, a tenant, a set and the destination with messages of cost 1…`most`: each uses
/// its rate, and no window is above max(burst, most) + rate·5 ms + rate·Δ.
#[test]
fn dear_messages_keep_every_bucket() {
    for (seed, most, burst, scarce) in [(1, 8, 10, false), (2, 30, 1, false), (3, 5, 1, true)] {
        for limited in ["queue", "tenant", "set", "destination"] {
            let mut random = Random(seed);
            let limits = Limits {
                rate_per_sec: Some(500.0),
                burst,
                in_flight_max: None,
            };
            let at = |name: &str| NodeConfig {
                limits: if name == limited {
                    limits
                } else {
                    Limits::default()
                },
                ..weight(100)
            };
            let mut base = if scarce { slots(10) } else { config() };
            if limited == "destination" {
                base.limits.rate_per_sec = limits.rate_per_sec;
                base.limits.burst = burst;
            }
            let mut tree = Tree::new(base, 0);
            let set = tree.add(0, NodeKind::Set, at("set"), 0);
            let of = tree.add(set, NodeKind::Tenant, at("tenant"), 0);
            let first = tree.add(of, NodeKind::Queue, at("queue"), 0);
            let others = [(); 3].map(|()| tree.add(of, NodeKind::Queue, weight(100), 0));
            let watched = |queue: NodeId| limited != "queue" || queue == first;
            tree.enqueue(first, 1_000_000, 0);
            others
                .iter()
                .for_each(|queue| tree.enqueue(*queue, 1_000_000, 0));
            let depth = f64::from(burst.max(most));
            let mut windows = Windows::new(500.0, depth);
            let (mut now, mut paused) = (0, 0);
            while now < 60 * SECOND {
                // Without another limit the others could go for ever at one time.
                for _ in 0..40 {
                    let Some(picked) = tree.pick(now) else { break };
                    if watched(picked.queue) {
                        windows.add(now, f64::from(picked.charge.cost), seed);
                    }
                    tree.settle(picked.queue, picked.charge, 100, now);
                    let cost = 1 + random.below(u64::from(most)) as u32;
                    tree.set_head_cost(picked.queue, cost, now);
                }
                now = (now + 1).div_ceil(1_000) * 1_000 + random.below(90);
                // Now and then the buckets fill.
                if random.below(2_000) == 0 {
                    now += SECOND / 5;
                    paused += SECOND / 5;
                }
            }
            let used = windows.count * 1e6 / (500.0 * (now - paused) as f64);
            assert!((0.985..=1.02).contains(&used), "{limited}, {most}: {used}");
            tree.check();
        }
    }
}

/// Who waits for a dear message of another tenant waits at most for that one: the cheap ones of a
/// set that has the tokens for them go on, and the dear one is not starved by them.
#[test]
fn a_dear_message_is_not_starved_by_cheap_ones() {
    for in_flight_max in [None, Some(10)] {
        let mut tree = Tree::new(config(), 0);
        let limits = Limits {
            rate_per_sec: None,
            burst: 1,
            in_flight_max,
        };
        tree.configure(fairlead_core::tree::TreeConfig { limits, ..config() }, 0);
        let limits = Limits {
            rate_per_sec: Some(100.0),
            burst: 50,
            in_flight_max: None,
        };
        let set = tree.add(
            0,
            NodeKind::Set,
            NodeConfig {
                limits,
                ..weight(100)
            },
            0,
        );
        let (_, dear) = tenant(&mut tree, set, 100);
        let (_, cheap) = tenant(&mut tree, set, 100);
        tree.set_head_cost(dear, 20, 0);
        tree.enqueue(dear, 100_000, 0);
        tree.enqueue(cheap, 100_000, 0);
        let mut got = [0u32; 2];
        // The first 20 s teach the holds.
        for ms in 1_000..121_000 {
            while let Some(picked) = tree.pick(ms * 1_000) {
                tree.settle(picked.queue, picked.charge, 1_000, ms * 1_000);
                if ms >= 21_000 {
                    got[usize::from(picked.queue == cheap)] += picked.charge.cost;
                }
            }
        }
        let all = got[0] + got[1];
        assert!((9_900..=10_060).contains(&all), "{got:?}");
        if in_flight_max.is_none() {
            assert!(got[0].abs_diff(got[1]) <= 40, "{got:?}");
        } else {
            // Slots are shared by time there: as many messages of each.
            assert!((got[0] / 20).abs_diff(got[1]) <= 40, "{got:?}");
        }
        // The last dear message is cancelled: the cheap ones have the whole rate.
        tree.dequeue(dear, tree.due(dear), 121 * SECOND);
        let before = tree.due(cheap);
        for ms in 121_000..131_000 {
            while let Some(picked) = tree.pick(ms * 1_000) {
                tree.settle(picked.queue, picked.charge, 1_000, ms * 1_000);
            }
        }
        let got = before - tree.due(cheap);
        assert!((980..=1_052).contains(&got), "{got} of 1,000");
        // And the whole burst at once.
        let now = 200 * SECOND;
        let burst = (0..100).filter(|_| serve(&mut tree, now).is_some()).count();
        assert_eq!(burst, 50);
        tree.check();
    }
}
