//! Caps that follow the latency, fed with latencies that were recorded.

use super::bench::{Bench, PLATFORM, START_US};
use super::wire::{self, Ask, Id, Release, Resource};
use std::collections::BTreeMap;

/// Requests under way → latencies, µs.
fn recorded() -> BTreeMap<u64, Vec<u64>> {
    include_str!("latency.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
            (numbers.next().unwrap(), numbers.collect())
        })
        .collect()
}

struct Run {
    bench: Bench,
    limits: Vec<u64>,
}

impl Run {
    fn new(min: u64, max: u64) -> Self {
        let fields = Resource {
            mode: 0,
            lease_ms: 3_600_000,
            adaptive: Some((min, max, 0.5)),
            ..Resource::default()
        };
        let bench = Bench::new(&[wire::resource("calls", Some(&fields))]);
        Self {
            bench,
            limits: Vec::new(),
        }
    }

    fn limit(&mut self) -> u64 {
        let said = self.bench.one(
            fairlead_core::exchange::InputOp::GateExplain,
            7,
            &wire::explain("calls", "a"),
        );
        let [(7, wire::Said::Json(text))] = &said[..] else {
            panic!("{said:?}")
        };
        let why: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(why["chain"][2]["limit"], why["adaptive"]["limit"]);
        why["adaptive"]["limit"].as_u64().unwrap()
    }

    /// As many at a time as the cap lets in, at most `demand`; each takes what was recorded.
    fn rounds(&mut self, rounds: usize, demand: u64, slower: u64) {
        let recorded = recorded();
        for round in 0..rounds {
            let asks = vec![Ask::of("calls", "a"); demand as usize];
            let entries = self.bench.acquire(PLATFORM, &asks);
            let held: Vec<Id> = entries
                .iter()
                .filter_map(|entry| match entry {
                    wire::Entry::Granted { permit, .. } => Some(*permit),
                    _ => None,
                })
                .collect();
            let (_, latencies) = recorded.range(..=held.len() as u64).next_back().unwrap();
            self.bench.now_us += latencies[round % latencies.len()] * slower;
            let items: Vec<Release> = held.iter().map(|id| Release::Permit(*id)).collect();
            self.bench.release(PLATFORM, &items);
            let limit = self.limit();
            self.limits.push(limit);
        }
    }
}

#[test]
fn a_cap_finds_the_knee_of_what_was_recorded() {
    let mut run = Run::new(2, 60);
    run.rounds(3000, 200, 1);
    // The server serves 8 at a time; up to 16 its latency is at most double.
    let settled = &run.limits[1000..];
    let mean = settled.iter().sum::<u64>() / settled.len() as u64;
    assert!((8..=26).contains(&mean), "{mean}: {:?}", &settled[..50]);
    assert!(run.limits.iter().all(|limit| (2..=60).contains(limit)));
    for pair in run.limits.windows(2) {
        // A tenth at most, but for the end of a measurement at half the limit.
        let is_back = pair[1] > pair[0] * 3 / 2;
        assert!(is_back || pair[1] * 10 <= pair[0] * 11 + 10, "{pair:?}");
    }
    assert!(
        run.limits
            .windows(2)
            .any(|pair| pair[1] * 10 <= pair[0] * 6),
        "measured anew"
    );
    run.rounds(300, 200, 3);
    let slower = run.limits[3010..3100].iter().min().unwrap();
    assert!(*slower < mean, "three times as slow: {slower} of {mean}");
}

#[test]
fn a_cap_that_is_not_used_does_not_grow() {
    let mut run = Run::new(10, 100);
    run.rounds(500, 3, 1);
    assert_eq!(run.limits.iter().max(), Some(&10));
}

#[test]
fn leases_that_are_over_lower_the_cap() {
    let mut run = Run::new(2, 60);
    run.rounds(200, 200, 1);
    let before = run.limit();
    for _ in 0..before {
        run.bench.granted(
            PLATFORM,
            Ask {
                lease_ms: Some(1000),
                ..Ask::of("calls", "a")
            },
        );
    }
    run.bench.pass(1_100_000);
    run.bench.pass(1_100_000);
    let after = run.limit();
    assert_eq!(after, before * 9 / 10, "{before}");
    assert!(run.bench.now_us > START_US);
}

#[test]
fn work_that_failed_lowers_the_cap() {
    let mut run = Run::new(2, 60);
    run.rounds(200, 200, 1);
    let before = run.limit();
    let permit = run.bench.granted(PLATFORM, Ask::of("calls", "a"));
    let frame = wire::release_failed(5, &[permit, permit]);
    let said = run
        .bench
        .one(fairlead_core::exchange::InputOp::Frame, PLATFORM, &frame);
    assert_eq!(said, [(PLATFORM, wire::Said::Released(5, 1, 1))]);
    run.bench.pass(1_100_000);
    assert_eq!(run.limit(), before * 9 / 10, "{before}");
}
