//! F9: `borrowMax` of sets (rule 11), by seeded simulation.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::needless_for_each
)]

use crate::shared::tree as support;
use fairlead_core::tree::{Limits, NodeConfig, NodeId, NodeKind, ROOT, Tree, TreeConfig};
use support::{SECOND, config, rated, serve, set, slots, tenant, weight};

const WORK: u32 = 3_000_000;

fn capped(of: u32, borrow_max: Option<f64>) -> NodeConfig {
    NodeConfig {
        borrow_max,
        ..weight(of)
    }
}

/// A set with a cap and a tenant that never runs out; (set, queue).
fn borrower(tree: &mut Tree, config: NodeConfig) -> (NodeId, NodeId) {
    let set = tree.add(ROOT, NodeKind::Set, config, 0);
    let (_, queue) = tenant(tree, set, 100);
    tree.enqueue(queue, WORK, 0);
    (set, queue)
}

fn rival(tree: &mut Tree, of: u32) -> NodeId {
    let set = set(tree, of);
    let (_, queue) = tenant(tree, set, 100);
    tree.enqueue(queue, WORK, 0);
    queue
}

/// Cost a second of `queue` until `end`, with timers of 1 ms.
fn rate_of(tree: &mut Tree, queue: NodeId, now: &mut u64, seconds: u64) -> f64 {
    let end = *now + seconds * SECOND;
    let mut got = 0;
    while *now < end {
        while let Some(picked) = tree.pick(*now) {
            tree.settle(picked.queue, picked.charge, 1_000, *now);
            if picked.queue == queue {
                got += u64::from(picked.charge.cost);
            }
        }
        let wake = tree.next_wake_us().unwrap_or(*now);
        *now = wake.max(*now + 1).div_ceil(1_000) * 1_000;
    }
    got as f64 / seconds as f64
}

fn assert_rate(got: f64, owed: f64, what: &str) {
    assert!(
        (got / owed - 1.0).abs() <= 0.01,
        "{what}: {got}/s of {owed}/s"
    );
}

/// F9: a set alone on its destination is held to (1 + `borrowMax`) × its entitled share.
#[test]
fn f9_a_set_alone_is_held_to_its_cap() {
    for (rate, of, total) in [
        (1_000.0, 100, 400),
        (1_000.0, 1, 3),
        (20.0, 100, 200),
        (5_000.0, 1, 100),
    ] {
        for borrow_max in [Some(0.0), Some(0.5), Some(1.25), Some(1e9), None] {
            let mut tree = Tree::new(rated(rate), 0);
            tree.set_entitled_weight(total, 0);
            let (_, queue) = borrower(&mut tree, capped(of, borrow_max));
            let mut now = SECOND;
            rate_of(&mut tree, queue, &mut now, 10);
            let got = rate_of(&mut tree, queue, &mut now, 400);
            let part = borrow_max.map_or(1.0, |most| (1.0 + most) * f64::from(of) / total as f64);
            let owed = rate * part.min(1.0);
            assert_rate(
                got,
                owed,
                &format!("{rate}/s, {borrow_max:?} of {of}/{total}"),
            );
            let said = tree.explain(queue, now).portion_per_sec.expect("a rate");
            assert!((said - owed).abs() <= owed * 1e-6, "explain says {said}");
        }
    }
}

/// Caps hold with sets that others do not leave anything, and cost nobody what it is entitled to.
#[test]
fn a_capped_set_gets_its_share_among_others() {
    for (rate, of, others) in [
        (1_000.0, 100, vec![100]),
        (1_000.0, 300, vec![100]),
        (10.0, 100, vec![100; 9]),
        (1_000.0, 1_000, vec![1; 1_000]),
        (100.0, 1_000, vec![10; 100]),
    ] {
        for (cost, borrow_max) in [(1, 0.0), (1, 0.5), (5, 0.0), (5, 1.0)] {
            let mut tree = Tree::new(rated(rate), 0);
            let total = of + others.iter().sum::<u32>();
            tree.set_entitled_weight(u64::from(total), 0);
            let (_, queue) = borrower(&mut tree, capped(of, Some(borrow_max)));
            tree.set_head_cost(queue, cost, 0);
            for of in &others {
                let queue = rival(&mut tree, *of);
                tree.set_head_cost(queue, cost, 0);
            }
            let mut now = SECOND;
            rate_of(&mut tree, queue, &mut now, 100);
            let seconds = (200_000.0 / rate) as u64;
            let got = rate_of(&mut tree, queue, &mut now, seconds);
            let owed = rate * f64::from(of) / f64::from(total);
            assert_rate(
                got,
                owed,
                &format!("{rate}/s, {of} of {total}, {borrow_max}, {cost}"),
            );
        }
    }
}

/// No window is above the cap's bound: 0.1 s of its rate, at least 4, and the slack of timers.
#[test]
fn no_window_is_above_the_cap() {
    let mut tree = Tree::new(rated(1_000.0), 0);
    tree.set_entitled_weight(400, 0);
    let (_, queue) = borrower(&mut tree, capped(100, Some(0.2)));
    let (rate, depth) = (300.0, 30.0 + 300.0 * 0.005);
    let (mut low, mut count) = (f64::INFINITY, 0.0f64);
    let mut now = SECOND;
    for round in 0..2_000u64 {
        // Away for a while now and then: time away saves up the depth and no more.
        if round % 50 == 0 {
            let due = tree.due(queue);
            tree.dequeue(queue, due, now);
            now += SECOND;
            tree.enqueue(queue, WORK, now);
        }
        let line = rate * now as f64 / 1e6;
        while serve(&mut tree, now).is_some() {
            low = low.min(count - line);
            count += 1.0;
            assert!(count - line - low <= depth + 1e-6, "round {round}");
        }
        now = tree.next_wake_us().expect("work waits").max(now + 1_000);
    }
    assert!(count > 1_000.0);
}

/// Weights, the destination's rate and the caps change live.
#[test]
fn a_cap_follows_weights_and_rates() {
    let mut tree = Tree::new(rated(1_000.0), 0);
    tree.set_entitled_weight(200, 0);
    let (set, queue) = borrower(&mut tree, capped(100, Some(0.0)));
    let mut now = SECOND;
    let mut check = |tree: &mut Tree, owed: f64, what: &str| {
        rate_of(tree, queue, &mut now, 2);
        assert_rate(rate_of(tree, queue, &mut now, 100), owed, what);
        tree.check();
        now
    };
    let at = check(&mut tree, 500.0, "half");
    tree.set_entitled_weight(1_000, at);
    let at = check(&mut tree, 100.0, "a tenth");
    tree.configure(rated(500.0), at);
    let at = check(&mut tree, 50.0, "a tenth of half the rate");
    tree.configure_node(set, capped(300, Some(0.0)), at);
    let at = check(&mut tree, 150.0, "three times the weight");
    tree.configure_node(set, capped(300, Some(0.5)), at);
    let at = check(&mut tree, 225.0, "a wider cap");
    let limits = Limits {
        rate_per_sec: Some(40.0),
        burst: 1,
        in_flight_max: None,
    };
    let own = NodeConfig {
        limits,
        ..capped(300, Some(0.5))
    };
    tree.configure_node(set, own, at);
    let at = check(&mut tree, 40.0, "a limit of its own below the cap");
    tree.configure_node(set, capped(300, None), at);
    let at = check(&mut tree, 500.0, "no cap");
    tree.configure_node(set, capped(300, Some(0.0)), at);
    let at = check(&mut tree, 150.0, "a cap again");
    tree.configure(config(), at);
    assert!(tree.next_wake_us().is_none(), "no limits, no cap");
    assert!(serve(&mut tree, at).is_some());
}

/// A cap that goes leaves no credit: the others lose nothing.
#[test]
fn a_cap_that_goes_leaves_no_burst() {
    let mut tree = Tree::new(rated(1_000.0), 0);
    tree.set_entitled_weight(1_000, 0);
    let (set, queue) = borrower(&mut tree, capped(100, Some(0.0)));
    rival(&mut tree, 100);
    let mut now = SECOND;
    assert_rate(rate_of(&mut tree, queue, &mut now, 100), 100.0, "capped");
    tree.configure_node(set, capped(100, None), now);
    assert_rate(rate_of(&mut tree, queue, &mut now, 1), 500.0, "after it");
    tree.configure_node(set, capped(100, Some(0.0)), now);
    rate_of(&mut tree, queue, &mut now, 100);
    tree.set_entitled_weight(110, now);
    assert_rate(rate_of(&mut tree, queue, &mut now, 1), 500.0, "a wider cap");
}

/// On a destination limited by slots only, the cap is on slots: rounded down, at least one.
#[test]
fn f9_slots_are_capped() {
    for (all, of, borrow_max, owed) in [
        (50, 100, Some(0.0), 12),
        (50, 100, Some(0.5), 18),
        (50, 100, Some(3.0), 50),
        (50, 100, None, 50),
        (3, 1, Some(0.0), 1),
    ] {
        let mut tree = Tree::new(slots(all), 0);
        tree.set_entitled_weight(400, 0);
        let (set, _) = borrower(&mut tree, capped(of, borrow_max));
        let mut flights = Vec::new();
        while let Some(picked) = tree.pick(0) {
            flights.push(picked);
        }
        assert_eq!(tree.in_flight(set), owed, "{borrow_max:?} of {all}");
        tree.check();
        // One that ends makes room for one.
        let ended = flights.pop().expect("in flight");
        tree.settle(ended.queue, ended.charge, SECOND, SECOND);
        assert!(serve_one(&mut tree) && !serve_one(&mut tree));
    }
}

fn serve_one(tree: &mut Tree) -> bool {
    tree.pick(SECOND).is_some()
}

/// With rate and slots both are capped, and the slots never hold a set below its part of the rate.
#[test]
fn rate_and_slots_are_capped_together() {
    let limits = Limits {
        rate_per_sec: Some(100.0),
        burst: 1,
        in_flight_max: Some(10),
    };
    let both = TreeConfig { limits, ..config() };
    for (hold_us, owed) in [(1_000, 19.0), (SECOND, 2.0)] {
        let mut tree = Tree::new(both, 0);
        tree.set_entitled_weight(100, 0);
        let (_, queue) = borrower(&mut tree, capped(19, Some(0.0)));
        let mut flights = std::collections::VecDeque::new();
        let mut got = 0;
        for ms in 1_000..101_000 {
            let now = ms * 1_000;
            while flights.front().is_some_and(|(to, _)| *to <= now) {
                let (_, charge) = flights.pop_front().expect("in flight");
                tree.settle(queue, charge, hold_us, now);
            }
            while let Some(picked) = tree.pick(now) {
                flights.push_back((now + hold_us, picked.charge));
                got += 1;
            }
        }
        assert_rate(f64::from(got) / 100.0, owed, &format!("holds of {hold_us}"));
    }
}

/// A set that is freed and comes again has its cap, and one without it none.
#[test]
fn a_cap_ends_with_its_set() {
    let mut tree = Tree::new(rated(1_000.0), 0);
    tree.set_entitled_weight(400, 0);
    let set = tree.add(ROOT, NodeKind::Set, capped(100, Some(0.0)), 0);
    let mut freed = Vec::new();
    tree.sweep(10, 100 * SECOND, &mut freed);
    assert_eq!(freed, [set]);
    let queue = rival(&mut tree, 100);
    assert_eq!(
        tree.parent(tree.parent(queue).expect("a tenant")),
        Some(set)
    );
    let mut now = 100 * SECOND;
    let got = rate_of(&mut tree, queue, &mut now, 100);
    assert_rate(got, 1_000.0, "the id of a capped set");
    tree.set_entitled_weight(800, now);
    let got = rate_of(&mut tree, queue, &mut now, 100);
    assert_rate(got, 1_000.0, "after a change of weights");
}
