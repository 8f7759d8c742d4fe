//! F8: rates and their windows, with timers of 1 ms, across restarts.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::needless_for_each
)]

use crate::shared::tree as support;
use fairlead_core::tree::{Limits, NodeConfig, NodeKind, ROOT, Tree};
use support::{Random, SECOND, Windows, config, rated, serve};

const RATES: [f64; 5] = [10.0, 100.0, 1_000.0, 5_000.0, 1_234.5];

/// Timers of 1 ms that are late by up to 3 ms more.
fn late(random: &mut Random, now_us: u64, wake_us: u64) -> u64 {
    let tick = wake_us.max(now_us + 1).div_ceil(1_000) * 1_000;
    tick + if random.below(10) == 0 {
        random.below(3_000)
    } else {
        random.below(100)
    }
}

#[test]
fn f8_the_rate_is_used_and_never_exceeded() {
    for (seed, rate) in (70..).zip(RATES) {
        let mut random = Random(seed);
        let start = random.below(SECOND);
        let mut tree = Tree::new(rated(rate), start);
        let set = support::set(&mut tree, 100);
        let (_, queue) = support::tenant(&mut tree, set, 100);
        tree.enqueue(queue, 10_000_000, start);
        let mut windows = Windows::new(rate, 1.0);
        let mut now = start;
        let end = start + 300 * SECOND;
        loop {
            while serve(&mut tree, now).is_some() {
                windows.add(now, 1.0, seed);
            }
            now = late(&mut random, now, tree.next_wake_us().expect("work waits"));
            if now > end {
                break;
            }
        }
        let used = windows.count / (rate * 300.0);
        assert!(
            (0.995..=1.0).contains(&used),
            "seed {seed}: {used} of {rate}/s"
        );
    }
}

#[test]
fn f8_no_window_is_above_the_bound_across_restarts() {
    for (seed, rate) in (80..).zip(RATES) {
        let mut random = Random(seed);
        let mut windows = Windows::new(rate, 1.0);
        let mut now = 0;
        for _ in 0..200 {
            let mut tree = Tree::new(rated(rate), now);
            let set = support::set(&mut tree, 100);
            let (_, queue) = support::tenant(&mut tree, set, 100);
            tree.enqueue(queue, 1_000_000, now);
            let end = now + random.below(SECOND);
            while now < end {
                while serve(&mut tree, now).is_some() {
                    windows.add(now, 1.0, seed);
                }
                now = late(&mut random, now, tree.next_wake_us().expect("work waits"));
            }
        }
        assert!(windows.count > 0.0);
    }
}

/// Node buckets: made late, freed and made again, changed live, with messages of several costs.
#[test]
fn a_node_gains_nothing_by_being_freed() {
    for seed in 90..94 {
        let mut random = Random(seed);
        let mut tree = Tree::new(config(), 0);
        let set = support::set(&mut tree, 100);
        let limits = Limits {
            rate_per_sec: Some(500.0),
            burst: 20,
            in_flight_max: None,
        };
        let limited = NodeConfig {
            limits,
            ..NodeConfig::default()
        };
        let mut windows = Windows::new(500.0, 20.0);
        let mut tenant = None;
        let mut freed = Vec::new();
        let mut now = 0;
        for _ in 0..20_000 {
            let pause = random.below(20) == 0;
            now += random.below(if pause { 100_000 } else { 2_000 });
            freed.clear();
            tree.sweep(4, now, &mut freed);
            if tenant.is_some_and(|tenant| freed.contains(&tenant)) {
                tenant = None;
            }
            let set = if tree.kind(set) == Some(NodeKind::Set) {
                set
            } else {
                tree.add(ROOT, NodeKind::Set, NodeConfig::default(), now)
            };
            let of = tenant.unwrap_or_else(|| tree.add(set, NodeKind::Tenant, limited, now));
            tenant = Some(of);
            let queue = tree.add(of, NodeKind::Queue, NodeConfig::default(), now);
            tree.enqueue(queue, random.below(40) as u32, now);
            while serve(&mut tree, now).is_some() {
                windows.add(now, 1.0, seed);
            }
            tree.dequeue(queue, tree.due(queue), now);
        }
        tree.check();
    }
}

/// A message that costs more than the bucket holds goes when it is full, and the rate is kept.
#[test]
fn a_cost_above_the_depth_goes_when_the_bucket_is_full() {
    let mut tree = Tree::new(config(), 0);
    let set = support::set(&mut tree, 100);
    let tenant = tree.add(set, NodeKind::Tenant, NodeConfig::default(), 0);
    let limits = Limits {
        rate_per_sec: Some(100.0),
        burst: 1,
        in_flight_max: None,
    };
    let limited = NodeConfig {
        limits,
        ..NodeConfig::default()
    };
    let queue = tree.add(tenant, NodeKind::Queue, limited, 0);
    tree.set_head_cost(queue, 50, 0);
    tree.enqueue(queue, 1_000, 0);
    let mut now = 0;
    let mut count = 0;
    while now < 100 * SECOND {
        count += u32::from(serve(&mut tree, now).is_some());
        now = tree.next_wake_us().expect("work waits");
    }
    assert!(
        (199..=200).contains(&count),
        "{count} messages of cost 50 in 100 s at 100/s"
    );
}

/// A live change of rate or burst keeps the fill.
#[test]
fn a_changed_bucket_keeps_its_fill() {
    let mut tree = Tree::new(rated(10.0), 0);
    let set = support::set(&mut tree, 100);
    let (_, queue) = support::tenant(&mut tree, set, 100);
    tree.enqueue(queue, 1_000_000, 0);
    assert!(serve(&mut tree, SECOND).is_some());
    assert!(serve(&mut tree, SECOND).is_none());
    let limits = Limits {
        rate_per_sec: Some(5_000.0),
        burst: 500,
        in_flight_max: None,
    };
    tree.configure(
        fairlead_core::tree::TreeConfig { limits, ..config() },
        SECOND,
    );
    assert!(
        serve(&mut tree, SECOND).is_none(),
        "a raised rate gives no tokens at once"
    );
    let got = (0..1_000_000)
        .take_while(|_| serve(&mut tree, SECOND + 100_000).is_some())
        .count();
    assert!((499..=501).contains(&got), "{got} of 500");
}
