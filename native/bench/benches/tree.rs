//! Cost of a pick and its settlement by number of queues (F11: 100,000 at most 3 × 1,000).

use criterion::{Criterion, criterion_group, criterion_main};
use fairlead_core::tree::{FairBy, Limits, NodeConfig, NodeId, NodeKind, ROOT, Tree, TreeConfig};

/// `per_set` queues in each set; a tenant has ten queues at most.
fn tree(queues: u32, limits: Limits) -> Tree {
    let config = TreeConfig {
        limits,
        fair_by: FairBy::Auto,
        lease_us: 60_000_000,
    };
    let mut tree = Tree::new(config, 0);
    let (mut set, mut tenant): (NodeId, NodeId) = (ROOT, ROOT);
    for at in 0..queues {
        if at % queues.div_ceil(4) == 0 {
            set = tree.add(ROOT, NodeKind::Set, NodeConfig::default(), 0);
        }
        if at % 10 == 0 || at % queues.div_ceil(4) == 0 {
            let config = NodeConfig {
                weight: 50 + at % 101,
                ..NodeConfig::default()
            };
            tenant = tree.add(set, NodeKind::Tenant, config, 0);
        }
        let queue = tree.add(tenant, NodeKind::Queue, NodeConfig::default(), 0);
        tree.enqueue(queue, 2, 0);
    }
    tree
}

fn picks(criterion: &mut Criterion) {
    let slots = Limits {
        in_flight_max: Some(50),
        ..Limits::default()
    };
    let rate = Limits {
        rate_per_sec: Some(1e8),
        burst: 1_000,
        in_flight_max: None,
    };
    for (name, limits) in [
        ("free", Limits::default()),
        ("rate", rate),
        ("slots", slots),
    ] {
        for queues in [1, 1_000, 100_000, 1_000_000] {
            let mut tree = tree(queues, limits);
            let mut now_us = 1_000_000;
            criterion.bench_function(&format!("{name}/{queues}"), |bench| {
                bench.iter(|| {
                    now_us += 1;
                    let picked = tree.pick(now_us).expect("work waits");
                    tree.enqueue(picked.queue, 1, now_us);
                    tree.settle(picked.queue, picked.charge, 1_000, now_us);
                });
            });
            eprintln!(
                "{name}/{queues}: {} bytes a queue",
                tree.memory_bytes() / queues as usize
            );
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = picks
}
criterion_main!(benches);
