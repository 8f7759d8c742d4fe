//! Rule 8: levels under a tenant, strict with floors (F9), by seeded simulation.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::needless_for_each
)]

use crate::shared::tree as support;
use std::collections::VecDeque;

use fairlead_core::tree::{Charge, NodeConfig, NodeId, NodeKind, Tree};
use support::{Random, SECOND, config, level, leveled, rated, serve, set, slots, tenant, weight};

/// Parts of what `queues` got in `picks` picks, by cost, with a next cost from `cost`.
fn parts(
    tree: &mut Tree,
    queues: &[NodeId],
    picks: u32,
    mut cost: impl FnMut(usize) -> u32,
) -> Vec<f64> {
    let mut got = vec![0u64; queues.len()];
    let mut count = 0;
    while count < picks {
        let picked = tree.pick(0).expect("work waits");
        tree.settle(picked.queue, picked.charge, 0, 0);
        tree.enqueue(picked.queue, 1, 0);
        let Some(at) = queues.iter().position(|queue| *queue == picked.queue) else {
            continue;
        };
        count += 1;
        got[at] += u64::from(picked.charge.cost);
        tree.set_head_cost(picked.queue, cost(at), 0);
    }
    let all: u64 = got.iter().sum();
    got.iter().map(|got| *got as f64 / all as f64).collect()
}

fn assert_parts(parts: &[f64], owed: &[f64], what: &str) {
    for (part, owed) in parts.iter().zip(owed) {
        assert!((part - owed).abs() <= 0.005, "{what}: {parts:?}");
    }
}

fn fill(tree: &mut Tree, queues: &[NodeId]) {
    queues.iter().for_each(|queue| tree.enqueue(*queue, 10, 0));
}

/// F9: floors of 10 and 5 % come out as such, beside other tenants and with messages of any cost.
#[test]
fn f9_floors_are_kept() {
    for (seed, costs) in [
        (1, [1, 1, 1]),
        (2, [8, 1, 1]),
        (3, [1, 8, 3]),
        (4, [10, 10, 1]),
    ] {
        let mut random = Random(seed);
        let mut tree = Tree::new(config(), 0);
        let set = set(&mut tree, 100);
        let (_, _, queues) = leveled(&mut tree, set, 300, &[0.0, 0.1, 0.05]);
        fill(&mut tree, &queues);
        for _ in 0..5 {
            let (_, other) = tenant(&mut tree, set, 100);
            fill(&mut tree, &[other]);
        }
        let got = parts(&mut tree, &queues, 40_000, |at| {
            1 + random.below(costs[at]) as u32
        });
        assert_parts(&got, &[0.85, 0.1, 0.05], &format!("seed {seed}"));
        tree.check();
    }
}

/// Seven floors, together 50 %: none loses its part to the others.
#[test]
fn f9_many_floors_are_kept() {
    let floors = [0.0, 0.2, 0.1, 0.1, 0.05, 0.03, 0.015, 0.005];
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    let (_, _, queues) = leveled(&mut tree, set, 100, &floors);
    fill(&mut tree, &queues);
    let got = parts(&mut tree, &queues, 40_000, |_| 1);
    let mut owed: Vec<f64> = floors.iter().map(|floor| f64::from(*floor)).collect();
    owed[0] = 0.5;
    assert_parts(&got, &owed, "seven floors");
}

/// Without a floor a level waits for all above it, however long; what floors leave is the highest's.
#[test]
fn levels_are_strict() {
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    let (_, _, queues) = leveled(&mut tree, set, 100, &[0.0, 0.0, 0.1, 0.0]);
    for count in [500, 300, 200, 100] {
        let at = [500, 300, 200, 100].iter().position(|of| *of == count);
        tree.enqueue(queues[at.expect("in the list")], count, 0);
    }
    let mut order = Vec::new();
    while let Some(queue) = serve(&mut tree, 0) {
        order.push(queues.iter().position(|of| *of == queue).expect("known"));
    }
    assert_eq!(order.len(), 1_100);
    let last = |at: usize| order.iter().rposition(|of| *of == at).expect("served");
    let first = |at: usize| order.iter().position(|of| *of == at).expect("served");
    assert!(last(0) < first(1), "rank 1 waits for rank 0");
    assert!(last(1) < first(3) && last(2) < first(3));
    let early = order[..500].iter().filter(|at| **at == 2).count();
    assert_eq!(early, 50, "the floor of rank 2 beside rank 0");
    tree.check();
}

/// A level of 10 % that was alone for long has its floor from the first message of the highest on.
#[test]
fn a_level_that_used_idle_time_keeps_its_floor() {
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    let (_, _, queues) = leveled(&mut tree, set, 100, &[0.0, 0.1]);
    fill(&mut tree, &queues[1..]);
    parts(&mut tree, &queues, 1_000, |_| 1);
    fill(&mut tree, &queues);
    let got = parts(&mut tree, &queues, 1_000, |_| 1);
    assert_parts(&got, &[0.9, 0.1], "after 1,000 messages alone");
}

/// A level that comes back has no floor saved up.
#[test]
fn a_level_saves_no_floor_while_it_is_away() {
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    let (_, levels, queues) = leveled(&mut tree, set, 100, &[0.0, 0.1]);
    fill(&mut tree, &queues);
    for round in 0..4 {
        // Without work, paused, and resting.
        let due = tree.due(queues[1]);
        let paused = |paused| NodeConfig {
            rank: 1,
            floor: 0.1,
            paused,
            ..NodeConfig::default()
        };
        match round {
            0 => tree.dequeue(queues[1], due, 0),
            1 => tree.configure_node(levels[1], paused(true), 0),
            2 => tree.block(queues[1], true, 0),
            _ => tree.rest(queues[1], SECOND, 0),
        }
        let got = parts(&mut tree, &queues, 10_000, |_| 1);
        assert_parts(&got, &[1.0, 0.0], &format!("away, {round}"));
        match round {
            0 => tree.enqueue(queues[1], due, 0),
            1 => tree.configure_node(levels[1], paused(false), 0),
            2 => tree.block(queues[1], false, 0),
            _ => tree.wake(SECOND),
        }
        let got = parts(&mut tree, &queues, 100, |_| 1);
        assert!((0.09..=0.12).contains(&got[1]), "back, {round}: {got:?}");
    }
}

/// A floor changed live counts from then on, whether it grows, shrinks, comes or goes.
#[test]
fn a_floor_changed_live_counts_at_once() {
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    let (_, levels, queues) = leveled(&mut tree, set, 100, &[0.0, 0.001, 0.1]);
    fill(&mut tree, &queues);
    parts(&mut tree, &queues, 1_003, |_| 1);
    for floor in [0.3f32, 0.0, 0.05, 0.01, 0.4, 0.001, 0.2] {
        let config = NodeConfig {
            rank: 1,
            floor,
            ..NodeConfig::default()
        };
        tree.configure_node(levels[1], config, 0);
        tree.check();
        let got = parts(&mut tree, &queues, 400, |_| 1);
        let owed = f64::from(floor);
        assert_parts(&got, &[0.9 - owed, owed, 0.1], &format!("floor {floor}"));
    }
    // A rank too: the lowest becomes the highest.
    for (at, rank) in [(2, 0), (0, 2)] {
        let config = NodeConfig {
            rank,
            ..NodeConfig::default()
        };
        tree.configure_node(levels[at], config, 0);
    }
    let got = parts(&mut tree, &queues, 1_000, |_| 1);
    assert_parts(&got, &[0.0, 0.2, 0.8], "ranks exchanged");
}

/// What was not attempted or throttled does not count, for the floors neither.
#[test]
fn f9_refunds_do_not_bend_the_floors() {
    for refused in [
        [true, true, true],
        [false, true, true],
        [true, false, false],
    ] {
        let mut random = Random(7);
        let mut tree = Tree::new(config(), 0);
        let set = set(&mut tree, 100);
        let (_, _, queues) = leveled(&mut tree, set, 100, &[0.0, 0.1, 0.05]);
        fill(&mut tree, &queues);
        let mut flights: VecDeque<(NodeId, Charge)> = VecDeque::new();
        let mut got = [0u32; 3];
        for _ in 0..60_000 {
            let picked = tree.pick(0).expect("work waits");
            tree.enqueue(picked.queue, 1, 0);
            flights.push_back((picked.queue, picked.charge));
            if flights.len() < 20 {
                continue;
            }
            let (queue, charge) = flights.pop_front().expect("in flight");
            let at = queues.iter().position(|of| *of == queue).expect("known");
            if refused[at] && random.below(3) == 0 {
                tree.refund(queue, charge, 0);
            } else {
                tree.settle(queue, charge, 0, 0);
                got[at] += 1;
            }
        }
        let all: u32 = got.iter().sum();
        let parts = got.map(|got| f64::from(got) / f64::from(all));
        assert_parts(&parts, &[0.85, 0.1, 0.05], &format!("{refused:?}"));
    }
}

/// On a destination limited by slots a floor is a part of the slots' time.
#[test]
fn f9_a_floor_is_a_part_of_the_slots() {
    for holds in [
        [SECOND, SECOND],
        [SECOND / 10, 2 * SECOND],
        [SECOND, 50_000],
    ] {
        let mut tree = Tree::new(slots(20), 0);
        let set = set(&mut tree, 100);
        let (_, _, queues) = leveled(&mut tree, set, 100, &[0.0, 0.1]);
        fill(&mut tree, &queues);
        let mut flights: Vec<(u64, NodeId, Charge, u64)> = Vec::new();
        let mut time = [0; 2];
        let mut now = 0;
        while now < 2_000 * SECOND {
            while let Some(picked) = tree.pick(now) {
                tree.enqueue(picked.queue, 1, now);
                let at = usize::from(picked.queue == queues[1]);
                flights.push((now + holds[at], picked.queue, picked.charge, now));
            }
            flights.sort_unstable_by_key(|flight| std::cmp::Reverse(flight.0));
            let (to, queue, charge, from) = flights.pop().expect("in flight");
            now = to;
            tree.settle(queue, charge, to - from, to);
            time[usize::from(queue == queues[1])] += to - from;
        }
        let part = time[1] as f64 / (time[0] + time[1]) as f64;
        assert!((part - 0.1).abs() <= 0.005, "{holds:?}: {part}");
    }
}

/// Nothing is left idle, and levels take nothing from other tenants and give them nothing.
#[test]
fn levels_conserve_work_and_the_portion_of_their_tenant() {
    for seed in 10..14 {
        let mut random = Random(seed);
        let mut tree = Tree::new(config(), 0);
        let set = set(&mut tree, 100);
        let (_, _, queues) = leveled(&mut tree, set, 100, &[0.0, 0.1, 0.05, 0.0]);
        let (_, other) = tenant(&mut tree, set, 100);
        fill(&mut tree, &[other]);
        tree.enqueue(queues[3], 1_000_000, 0);
        let (mut own, mut picks) = (0i32, 0i32);
        for _ in 0..20_000 {
            let queue = queues[random.below(3) as usize];
            if random.below(4) == 0 {
                tree.enqueue(queue, random.below(4) as u32, 0);
            }
            let served = serve(&mut tree, 0).expect("work waits");
            picks += 1;
            if served == other {
                tree.enqueue(other, 1, 0);
            } else {
                own += 1;
            }
        }
        assert!((own * 2 - picks).abs() <= 2, "seed {seed}: {own}");
        // Down to the last message.
        tree.dequeue(other, tree.due(other), 0);
        let left: u32 = queues.iter().map(|queue| tree.due(*queue)).sum();
        let served = (0..=left)
            .take_while(|_| serve(&mut tree, 0).is_some())
            .count();
        assert_eq!(served as u32, left, "seed {seed}");
        assert!(!tree.can_pick());
        tree.check();
    }
}

/// F1 between the queues of a level, and between tenants beside one with levels.
#[test]
fn f1_holds_inside_a_level() {
    let mut random = Random(20);
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    let (_, levels, mut queues) = leveled(&mut tree, set, 100, &[0.0, 0.1]);
    let groups: Vec<Vec<NodeId>> = levels
        .iter()
        .map(|level| {
            (0..6)
                .map(|_| tree.add(*level, NodeKind::Queue, weight(100), 0))
                .collect()
        })
        .collect();
    queues.clear();
    groups.iter().for_each(|group| queues.extend(group));
    fill(&mut tree, &queues);
    let mut served = vec![0i64; queues.len()];
    let mut range = vec![vec![(0, 0); queues.len()]; queues.len()];
    for _ in 0..100_000 {
        let picked = tree.pick(0).expect("work waits");
        tree.settle(picked.queue, picked.charge, 0, 0);
        tree.enqueue(picked.queue, 1, 0);
        let one = queues.iter().position(|of| *of == picked.queue);
        let one = one.expect("known");
        served[one] += i64::from(picked.charge.cost);
        tree.set_head_cost(picked.queue, 1 + random.below(8) as u32, 0);
        let group = one / 6 * 6..one / 6 * 6 + 6;
        for other in group.filter(|other| *other != one) {
            let (low, high) = (one.min(other), one.max(other));
            let now = served[low] - served[high];
            let range: &mut (i64, i64) = &mut range[low][high];
            *range = (range.0.min(now), range.1.max(now));
            assert!(range.1 - range.0 <= 16, "{one} and {other}");
        }
    }
    assert!(served.iter().all(|got| *got > 0));
}

/// A tenant gets levels while it has work: its queues move under level 0 and lose nothing.
#[test]
fn a_tenant_gets_levels_live() {
    let mut tree = Tree::new(rated(1_000.0), 0);
    let set = set(&mut tree, 100);
    let (of, first) = tenant(&mut tree, set, 100);
    let second = tree.add(of, NodeKind::Queue, NodeConfig::default(), 0);
    let (_, other) = tenant(&mut tree, set, 100);
    let (_, away) = tenant(&mut tree, set, 100);
    tree.enqueue(away, 10, 0);
    for queue in [first, second, other] {
        tree.enqueue(queue, 100_000, 0);
    }
    let mut got = [0; 2];
    let mut charges = Vec::new();
    let run = |tree: &mut Tree, from: u64, got: &mut [u32; 2], charges: &mut Vec<_>| {
        for ms in from..from + 1_000 {
            while let Some(picked) = tree.pick(ms * 1_000) {
                charges.push((picked.queue, picked.charge));
                got[usize::from(picked.queue == other)] += 1;
            }
        }
    };
    run(&mut tree, 1_000, &mut got, &mut charges);
    let high = level(&mut tree, of, 0, 0.0);
    tree.check();
    for queue in [first, second] {
        tree.move_to(queue, high, 2 * SECOND);
        tree.check();
    }
    let low = level(&mut tree, of, 1, 0.2);
    let bulk = tree.add(low, NodeKind::Queue, NodeConfig::default(), 2 * SECOND);
    tree.enqueue(bulk, 100_000, 2 * SECOND);
    // Those that left before are settled or taken back through the new path.
    for (at, (queue, charge)) in charges.drain(..).enumerate() {
        if at % 10 == 0 {
            tree.refund(queue, charge, 2 * SECOND);
            tree.enqueue(queue, 1, 2 * SECOND);
        } else {
            tree.settle(queue, charge, 1_000, 2 * SECOND);
        }
    }
    tree.check();
    let before = tree.due(bulk);
    let mut after = [0; 2];
    run(&mut tree, 2_000, &mut after, &mut charges);
    let share = f64::from(after[0]) / f64::from(after[0] + after[1]);
    assert!((share - 0.5).abs() <= 0.01, "{got:?}, then {after:?}");
    let floor = f64::from(before - tree.due(bulk)) / f64::from(after[0]);
    assert!((floor - 0.2).abs() <= 0.01, "the floor got {floor}");
    let said = tree.explain(bulk, 3 * SECOND);
    let path: Vec<_> = said.score.iter().map(|score| score.node).collect();
    assert_eq!(path, [set, of, low, bulk]);
    let state = said.score[2].level.expect("a level");
    assert!(state.rank == 1 && (state.floor - 0.2).abs() < 1e-6);
    assert!((said.portion - 0.1).abs() < 1e-6, "{}", said.portion);
    let said = tree.explain(first, 3 * SECOND);
    assert!((said.portion - 0.2).abs() < 1e-6, "{}", said.portion);
}

/// Levels and their tenant are freed and come again, and memory is given back.
#[test]
fn idle_levels_are_freed() {
    let mut tree = Tree::new(config(), 0);
    let set = set(&mut tree, 100);
    let (_, keeps) = tenant(&mut tree, set, 100);
    fill(&mut tree, &[keeps]);
    let mut freed = Vec::new();
    let mut bytes = 0;
    for round in 0..2_000 {
        let (of, levels, queues) = leveled(&mut tree, set, 100, &[0.0, 0.1, 0.1]);
        fill(&mut tree, &queues);
        let mut left = 30;
        while left > 0 {
            let served = serve(&mut tree, 0).expect("work waits");
            if served == keeps {
                tree.enqueue(keeps, 1, 0);
            } else {
                left -= 1;
            }
        }
        parts(&mut tree, &[keeps], 40, |_| 1);
        freed.clear();
        tree.sweep(100, 0, &mut freed);
        for id in levels.iter().chain(&queues).chain(&[of]) {
            assert!(freed.contains(id), "{id} stays in round {round}");
        }
        tree.check();
        if round == 10 {
            bytes = tree.memory_bytes();
        }
    }
    assert_eq!(tree.memory_bytes(), bytes);
}
