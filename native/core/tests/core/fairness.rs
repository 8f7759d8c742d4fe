//! The numbers F1–F5 and F7 of the scheduling rules, by seeded simulation.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::needless_for_each
)]

use crate::shared::tree as support;
use fairlead_core::tree::{Limits, NodeConfig, NodeId, NodeKind, ROOT, Tree};
use std::collections::VecDeque;
use support::{Random, SECOND, config, jain, rated, serve, set, tenant, weight};

/// F1: for every pair of siblings and every interval |W₁/φ₁ − W₂/φ₂| ≤ c₁/φ₁ + c₂/φ₂. The largest
/// difference over all intervals is the range of W₁/φ₁ − W₂/φ₂ over time.
#[test]
fn f1_siblings_stay_within_one_message_each() {
    const COST_MAX: u64 = 8;
    for seed in [1, 2, 3, 4] {
        let mut random = Random(seed);
        let mut tree = Tree::new(config(), 0);
        let set = set(&mut tree, 100);
        let nodes: Vec<_> = (0..24)
            .map(|_| {
                let of = [1, 7, 100, 333, 10_000][random.below(5) as usize];
                let (_, queue) = tenant(&mut tree, set, of);
                tree.enqueue(queue, 1_000_000, 0);
                (queue, f64::from(of))
            })
            .collect();
        let mut served = vec![0u64; nodes.len()];
        let mut range = vec![vec![(0f64, 0f64); nodes.len()]; nodes.len()];
        for _ in 0..250_000 {
            let picked = tree.pick(0).expect("work waits");
            tree.settle(picked.queue, picked.charge, 0, 0);
            let one = nodes
                .iter()
                .position(|node| node.0 == picked.queue)
                .expect("a queue");
            served[one] += u64::from(picked.charge.cost);
            tree.set_head_cost(picked.queue, 1 + random.below(COST_MAX) as u32, 0);
            for other in (0..nodes.len()).filter(|other| *other != one) {
                let of = |at: usize| served[at] as f64 / nodes[at].1;
                let (low, high) = (one.min(other), one.max(other));
                let now = of(low) - of(high);
                let range = &mut range[low][high];
                *range = (range.0.min(now), range.1.max(now));
                let bound = COST_MAX as f64 / nodes[one].1 + COST_MAX as f64 / nodes[other].1;
                assert!(
                    range.1 - range.0 <= bound * 1.000_000_1,
                    "seed {seed}: {one} and {other}"
                );
            }
        }
    }
}

/// Weighted max-min of `capacity` among (weight, demand).
fn max_min(capacity: f64, of: &[(f64, f64)]) -> Vec<f64> {
    let mut share = vec![0.0; of.len()];
    let mut open: Vec<usize> = (0..of.len()).collect();
    let mut left = capacity;
    loop {
        let weights: f64 = open.iter().map(|at| of[*at].0).sum();
        let fits = |at: &usize| of[*at].1 <= left * of[*at].0 / weights;
        let (full, rest): (Vec<usize>, Vec<usize>) = open.iter().copied().partition(fits);
        if full.is_empty() {
            rest.iter()
                .for_each(|at| share[*at] = left * of[*at].0 / weights);
            return share;
        }
        for at in full {
            share[at] = of[at].1;
            left -= of[at].1;
        }
        open = rest;
        if open.is_empty() {
            return share;
        }
    }
}

/// F2: 3 sets of 20 tenants with random weights and demands against weighted max-min.
#[test]
fn f2_shares_are_weighted_max_min() {
    const RATE: f64 = 1_000.0;
    for seed in 10..16 {
        let mut random = Random(seed);
        let mut tree = Tree::new(rated(RATE), 0);
        let mut sets = Vec::new();
        let mut tenants = Vec::new();
        for _ in 0..3 {
            let of = 1 + random.below(300) as u32;
            let set = set(&mut tree, of);
            let mut members = Vec::new();
            for _ in 0..20 {
                let of = 1 + random.below(100) as u32;
                let demand = RATE * 0.12 * random.unit().powi(2);
                members.push((f64::from(of), demand));
                tenants.push((tenant(&mut tree, set, of).1, demand, random.unit()));
            }
            sets.push((f64::from(of), members));
        }
        let demands: Vec<_> = sets
            .iter()
            .map(|(of, members)| (*of, members.iter().map(|member| member.1).sum()))
            .collect();
        let owed: Vec<f64> = max_min(RATE, &demands)
            .iter()
            .zip(&sets)
            .flat_map(|(share, (_, members))| max_min(*share, members))
            .collect();
        let mut got = vec![0u64; tenants.len()];
        let mut now = 0;
        let mut run = |got: &mut Vec<u64>, picks: u64| {
            let start = now;
            let mut count = 0;
            while count < picks {
                now += 1_000;
                for (queue, demand, come) in &mut tenants {
                    *come += *demand / 1e3;
                    tree.enqueue(*queue, come.trunc() as u32, now);
                    *come = come.fract();
                }
                while let Some(queue) = serve(&mut tree, now) {
                    got[tenants
                        .iter()
                        .position(|tenant| tenant.0 == queue)
                        .expect("known")] += 1;
                    count += 1;
                }
            }
            (now - start) as f64 / 1e6
        };
        run(&mut vec![0; 60], 2_000);
        let first = run(&mut got, 10_000);
        let ratios: Vec<f64> = owed
            .iter()
            .zip(&got)
            .filter(|(owed, _)| **owed >= 0.001 * RATE)
            .map(|(owed, got)| *got as f64 / (owed * first))
            .collect();
        assert!(
            jain(&ratios) >= 0.995,
            "seed {seed}: Jain {}",
            jain(&ratios)
        );
        let seconds = first + run(&mut got, 40_000);
        for (owed, got) in owed
            .iter()
            .zip(&got)
            .filter(|(owed, _)| **owed >= 0.01 * RATE)
        {
            let error = *got as f64 / seconds / owed - 1.0;
            assert!(
                error.abs() <= 0.01,
                "seed {seed}: owed {owed}, error {error}"
            );
        }
    }
}

/// F3: a quiet tenant among 1,000 backlogged ones waits one message, hardly ever three.
#[test]
fn f3_a_quiet_tenant_does_not_wait_for_a_round() {
    for seed in [20, 21] {
        let mut random = Random(seed);
        let mut tree = Tree::new(config(), 0);
        let set = set(&mut tree, 100);
        for _ in 0..1_000 {
            let of = if seed == 20 {
                100
            } else {
                50 + random.below(100) as u32
            };
            let (_, queue) = tenant(&mut tree, set, of);
            tree.enqueue(queue, 1_000_000, 0);
        }
        let (_, quiet) = tenant(&mut tree, set, 100);
        (0..5_000).for_each(|_| _ = serve(&mut tree, 0));
        let mut waits = Vec::new();
        for _ in 0..400 {
            // Rarer than its share, once in 1,001 picks: else it is not quiet.
            (0..1_200 + random.below(2_000)).for_each(|_| _ = serve(&mut tree, 0));
            tree.enqueue(quiet, 1, 0);
            let wait = (1..=100_000).find(|_| serve(&mut tree, 0) == Some(quiet));
            waits.push(wait.expect("served at last"));
        }
        waits.sort_unstable();
        let (p50, p99) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
        assert!(p50 == 1 && p99 <= 3, "seed {seed}: p50 {p50}, p99 {p99}");
    }
}

/// F4: a raised weight counts at once.
#[test]
fn f4_a_raised_weight_counts_at_once() {
    for seed in 30..50 {
        let mut random = Random(seed);
        let mut tree = Tree::new(config(), 0);
        let set = set(&mut tree, 100);
        let others = 50;
        for _ in 0..others {
            let (_, queue) = tenant(&mut tree, set, 1_000);
            tree.enqueue(queue, 1_000_000, 0);
        }
        let (low, queue) = tenant(&mut tree, set, 1);
        tree.enqueue(queue, 1_000_000, 0);
        (0..100 + random.below(5_000)).for_each(|_| _ = serve(&mut tree, 0));
        tree.configure_node(low, weight(1_000), 0);
        let first = (1..=100_000)
            .find(|_| serve(&mut tree, 0) == Some(queue))
            .expect("served at last");
        assert!(
            first <= 2 * others,
            "seed {seed}: first service after {first} picks"
        );
        let got = (0..5_100)
            .filter(|_| serve(&mut tree, 0) == Some(queue))
            .count();
        assert!((98..=102).contains(&got), "seed {seed}: {got} of 100 owed");
    }
}

/// F4: an hour's pause earns nothing.
#[test]
fn f4_no_catching_up_after_a_pause() {
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    for _ in 0..9 {
        let (_, queue) = tenant(&mut tree, set, 100);
        tree.enqueue(queue, 1_000_000, 0);
    }
    let (paused, queue) = tenant(&mut tree, set, 900);
    tree.enqueue(queue, 1_000_000, 0);
    (0..10_003).for_each(|_| _ = serve(&mut tree, 0));
    tree.configure_node(
        paused,
        NodeConfig {
            paused: true,
            ..weight(900)
        },
        0,
    );
    (0..200_000).for_each(|_| assert_ne!(serve(&mut tree, 0), Some(queue)));
    tree.configure_node(paused, weight(900), 3_600 * SECOND);
    let mut last = [0; 2];
    for got in &mut last {
        let now = 3_600 * SECOND;
        *got = (0..1_000)
            .filter(|_| serve(&mut tree, now) == Some(queue))
            .count();
        assert!((490..=510).contains(got), "{got} of 500 owed");
    }
}

/// F5: a closed loop of one message at weight 0.01 of the others, with idle nodes freed at once:
/// the same queue, or a new one for each message.
#[test]
fn f5_a_closed_loop_gets_what_it_is_owed() {
    for new_sender in [false, true] {
        let mut tree = Tree::new(config(), 0);
        let set = set(&mut tree, 100);
        for _ in 0..10 {
            let (_, queue) = tenant(&mut tree, set, 1_000);
            tree.enqueue(queue, 1_000_000, 0);
        }
        let (mut small, mut queue) = tenant(&mut tree, set, 10);
        let mut freed = Vec::new();
        let (mut got, mut nodes_max) = (0, 0);
        for _ in 0..100_000 {
            let lost = |id: NodeId, freed: &Vec<NodeId>| freed.contains(&id);
            if lost(small, &freed) {
                small = tree.add(set, NodeKind::Tenant, weight(10), 0);
            }
            if lost(queue, &freed) || lost(small, &freed) || (new_sender && tree.due(small) == 0) {
                queue = tree.add(small, NodeKind::Queue, NodeConfig::default(), 0);
            }
            if tree.due(small) == 0 {
                tree.enqueue(queue, 1, 0);
            }
            got += u32::from(serve(&mut tree, 0) == Some(queue));
            freed.clear();
            tree.sweep(1_000, 0, &mut freed);
            nodes_max = nodes_max.max(tree.memory_bytes());
        }
        let owed = 100_000.0 * 10.0 / 10_010.0;
        assert!(
            f64::from(got) <= 1.05 * owed,
            "{got} of {owed} owed, new senders: {new_sender}"
        );
        assert!(nodes_max < 64 * 1024, "idle queues are freed");
    }
}

/// A flood of new senders of one message each does not starve an old sender of their tenant.
#[test]
fn new_senders_do_not_starve_an_old_one() {
    for burst in [1, 2, 10] {
        let mut tree = Tree::new(config(), 0);
        let set = set(&mut tree, 100);
        let (of, old) = tenant(&mut tree, set, 100);
        tree.enqueue(old, 100_000, 0);
        let mut freed = Vec::new();
        let (mut got, mut bytes) = (0, 0);
        for at in 0..20_000 {
            if at % burst == 0 {
                for _ in 0..burst {
                    let new = tree.add(of, NodeKind::Queue, NodeConfig::default(), 0);
                    tree.enqueue(new, 1, 0);
                }
            }
            got += u64::from(serve(&mut tree, 0) == Some(old));
            // As many newcomers wait as the old sender took turns: they leave in between.
            freed.clear();
            tree.sweep(1_000, 0, &mut freed);
            bytes = bytes.max(tree.memory_bytes());
        }
        println!("burst {burst}: {got} of 20000, {bytes} bytes");
        assert!(got >= 100, "burst {burst}: {got} of 20,000");
        assert!(bytes < 2_000_000);
    }
}

/// F7: a tenant all of whose attempts end in retry takes no more than its share.
#[test]
fn f7_retries_cost_only_their_own_tenant() {
    const TENANTS: usize = 10;
    for (seed, retry_us) in [(60, 500), (61, 1_000), (62, 20_000), (63, 1_000_000)] {
        let mut random = Random(seed);
        let mut tree = Tree::new(rated(1_000.0), 0);
        let set = set(&mut tree, 100);
        let queues: Vec<_> = (0..TENANTS)
            .map(|_| tenant(&mut tree, set, 100).1)
            .collect();
        queues
            .iter()
            .for_each(|queue| tree.enqueue(*queue, 20_000, 0));
        let mut timers: VecDeque<(u64, NodeId)> = VecDeque::new();
        let mut got = [0u64; TENANTS];
        for tick in 1..=100_000u64 {
            let now = tick * 500 + random.below(100);
            while timers.front().is_some_and(|timer| timer.0 <= now) {
                let (_, queue) = timers.pop_front().expect("a timer");
                tree.release(queue, now);
            }
            while let Some(picked) = tree.pick(now) {
                tree.settle(picked.queue, picked.charge, 0, now);
                let at = queues
                    .iter()
                    .position(|queue| *queue == picked.queue)
                    .expect("known");
                got[at] += 1;
                if at == 0 {
                    tree.hold(picked.queue);
                    timers.push_back((now + retry_us, picked.queue));
                }
            }
        }
        let owed = 50_000.0 / TENANTS as f64;
        for others in &got[1..] {
            assert!(
                *others as f64 >= 0.98 * owed,
                "seed {seed}: {others} of {owed} owed"
            );
        }
    }
}

/// Rule 7: while a message waits in a timer its parent is not idle, so debts stay.
#[test]
fn a_bouncing_message_does_not_shed_its_debt() {
    let mut tree = Tree::new(support::slots(1), 0);
    let set = set(&mut tree, 100);
    let (_, bouncing) = tenant(&mut tree, set, 1);
    let (_, closed) = tenant(&mut tree, set, 99);
    tree.enqueue(bouncing, 1, 0);
    tree.enqueue(closed, 1, 0);
    let mut got = 0;
    for round in 0..20_000 {
        let now = round * 1_000;
        let picked = tree.pick(now).expect("a slot and work");
        if tree.waiting(bouncing) > tree.due(bouncing) {
            tree.release(bouncing, now + 500);
        }
        if picked.queue == bouncing {
            got += 1;
            tree.hold(bouncing);
        } else {
            tree.enqueue(closed, 1, now + 1_000);
        }
        tree.settle(picked.queue, picked.charge, 1_000, now + 1_000);
    }
    assert!((190..=210).contains(&got), "{got} of 200 owed");
}

/// F7: a poison recipient with a back-off of an hour delays nothing else of its queue.
#[test]
fn f7_a_message_in_a_timer_delays_no_other() {
    let mut tree = Tree::new(rated(100.0), 0);
    let set = set(&mut tree, 100);
    let (_, queue) = tenant(&mut tree, set, 100);
    tree.enqueue(queue, 101, 0);
    assert_eq!(serve(&mut tree, SECOND), Some(queue));
    tree.hold(queue);
    let got = (0..2_000u64)
        .filter(|ms| serve(&mut tree, SECOND + ms * 1_000).is_some())
        .count();
    assert_eq!((got, tree.waiting(queue), tree.due(queue)), (100, 1, 0));
    tree.release(queue, 3_600 * SECOND);
    assert_eq!(serve(&mut tree, 3_600 * SECOND), Some(queue));
}

/// A throttled or not attempted message costs nothing, but does not bring credit either.
#[test]
fn refunds_give_back_the_charge_and_no_more() {
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    let queues = [(); 2].map(|()| tenant(&mut tree, set, 100).1);
    queues
        .iter()
        .for_each(|queue| tree.enqueue(*queue, 10_000, 0));
    for _ in 0..500 {
        let picked = tree.pick(0).expect("work waits");
        if picked.queue == queues[0] {
            tree.refund(picked.queue, picked.charge, 0);
            tree.enqueue(picked.queue, 1, 0);
            assert!(tree.explain(queues[0], 0).lag.abs() <= 1.0);
        } else {
            tree.settle(picked.queue, picked.charge, 0, 0);
        }
    }
    let got = (0..1_000)
        .filter(|_| serve(&mut tree, 0) == Some(queues[0]))
        .count();
    assert!((499..=501).contains(&got), "{got} of 500 owed");
}

/// Rule 6: a tenant that moves under a backlog is served soon, and gains nothing by moving.
#[test]
fn a_tenant_takes_its_debt_to_another_set() {
    let mut tree = Tree::new(config(), 0);
    let sets = [set(&mut tree, 100), set(&mut tree, 100)];
    for at in 0..20 {
        let (_, queue) = tenant(&mut tree, sets[at % 2], 100);
        tree.enqueue(queue, 1_000_000, 0);
    }
    let (mover, queue) = tenant(&mut tree, sets[0], 1);
    tree.enqueue(queue, 1_000_000, 0);
    let mut got = 0;
    for round in 0..100 {
        got += (0..1_001)
            .filter(|_| serve(&mut tree, 0) == Some(queue))
            .count();
        tree.move_to(mover, sets[(round + 1) % 2], 0);
        tree.check();
    }
    assert!((40..=60).contains(&got), "{got} of 50 owed");
}

/// A change of rate changes the unit of cost; debts keep their size in messages.
#[test]
fn a_debt_from_a_slow_rate_does_not_starve_at_a_fast_one() {
    let mut tree = Tree::new(rated(1.0), 0);
    let set = set(&mut tree, 100);
    let queues = [(); 2].map(|()| tenant(&mut tree, set, 100).1);
    queues
        .iter()
        .for_each(|queue| tree.enqueue(*queue, 100_000, 0));
    assert!(serve(&mut tree, 10 * SECOND).is_some());
    let limits = Limits {
        rate_per_sec: Some(5_000.0),
        burst: 1,
        in_flight_max: None,
    };
    tree.configure(
        fairlead_core::tree::TreeConfig { limits, ..config() },
        10 * SECOND,
    );
    tree.check();
    let mut got = [0; 2];
    for ms in 1..=1_000 {
        while let Some(queue) = serve(&mut tree, 10 * SECOND + ms * 1_000) {
            got[usize::from(queue == queues[1])] += 1;
        }
    }
    assert!(got[0] >= 2_450 && got[1] >= 2_450, "{got:?}");
}

/// `explain` and `last_picks` tell what decided.
#[test]
fn explain_shows_portion_and_lag() {
    let mut tree = Tree::new(rated(1_000.0), 0);
    let set = set(&mut tree, 100);
    let (one, first) = tenant(&mut tree, set, 300);
    let (_, second) = tenant(&mut tree, set, 100);
    tree.enqueue(first, 1_000, 0);
    tree.enqueue(second, 1_000, 0);
    for ms in 0..400 {
        serve(&mut tree, SECOND + ms * 1_000);
    }
    let said = tree.explain(first, 2 * SECOND);
    assert!((said.portion - 0.75).abs() < 1e-9);
    assert!((said.portion_per_sec.expect("a rate") - 750.0).abs() < 1e-6);
    assert!((said.got - 300.0).abs() <= 2.0 && (said.owed - said.got).abs() <= 2.0);
    assert_eq!(said.score.len(), 3);
    assert_eq!(said.score[1].node, one);
    let last: Vec<_> = tree.last_picks().collect();
    assert_eq!(last.len(), 16);
    for pick in last {
        let (runner_up, debt, tie) = pick.runner_up.expect("two tenants wait");
        assert_ne!(runner_up, pick.queue);
        assert!(pick.score < (debt, tie));
    }
    assert_eq!(tree.kind(ROOT), None);
}
