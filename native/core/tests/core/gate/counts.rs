//! What tenants are counted for.

use super::bench::{Bench, PLATFORM, SECOND_US, START_US};
use super::wire::{self, Ask, Release, Resource};
use fairlead_core::exchange::InputOp;
use fairlead_core::gate::Entered;
use std::collections::BTreeMap;

const DAY_US: u64 = 86_400 * SECOND_US;

fn calls(limit: u64) -> Bench {
    let resource = Resource {
        limit: Some(limit),
        ..Resource::default()
    };
    Bench::new(&[wire::resource("calls", Some(&resource))])
}

/// `tenant category count usage`, the days of a category together.
fn counted(bench: &mut Bench) -> Vec<String> {
    let mut sums: BTreeMap<(String, String), (i64, i128)> = BTreeMap::new();
    for (tenant, category, _, count, usage) in bench.counted.drain(..) {
        let sum = sums.entry((tenant, category)).or_default();
        *sum = (sum.0 + count, sum.1 + usage);
    }
    let line =
        |((tenant, category), (count, usage))| format!("{tenant} {category} {count} {usage}");
    sums.into_iter().map(line).collect()
}

#[test]
fn permits_are_counted_with_the_seconds_they_were_held() {
    let mut bench = calls(2);
    let held = bench.granted(PLATFORM, Ask::of("calls", "acme"));
    let other = bench.granted(PLATFORM, Ask::of("calls", "acme"));
    assert_eq!(bench.impeded(PLATFORM, Ask::of("nowhere", "beta")), 4001);
    assert_eq!(
        counted(&mut bench),
        ["acme permits 2 2", "beta permits-impeded 1 1"]
    );
    bench.pass(1_700_000);
    bench.release(PLATFORM, &[Release::Permit(held)]);
    assert_eq!(counted(&mut bench), ["acme permit-seconds 1 1"]);
    bench.pass(400_000);
    bench.release(PLATFORM, &[Release::Permit(other), Release::Permit(other)]);
    // 0.7 of a second was left: of both it is 3.8.
    assert_eq!(counted(&mut bench), ["acme permit-seconds 1 2"]);
    bench.pass(SECOND_US);
    assert_eq!(counted(&mut bench), [""; 0]);
}

#[test]
fn who_waits_is_counted_when_the_wait_ends() {
    let mut bench = calls(1);
    let held = bench.granted(PLATFORM, Ask::of("calls", "acme"));
    bench.waiting(PLATFORM, Ask::of("calls", "beta"));
    bench.waiting(PLATFORM, Ask::of("calls", "gamma"));
    assert_eq!(counted(&mut bench), ["acme permits 1 1"]);
    bench.release(PLATFORM, &[Release::Permit(held)]);
    assert_eq!(
        counted(&mut bench),
        ["acme permit-seconds 1 0", "beta permits 1 1"]
    );
    // The lease of the one ends, and so does the wait of the other, whichever is first.
    bench.pass(3_600 * SECOND_US);
    let lines = counted(&mut bench);
    assert!(lines[0].starts_with("beta permit-seconds 1 "), "{lines:?}");
    assert!(
        lines[1..] == ["gamma permits 1 1"] || lines[1..] == ["gamma permits-impeded 1 1"],
        "{lines:?}"
    );
}

#[test]
fn who_leaves_the_line_and_the_platform_are_not_counted() {
    let mut bench = calls(1);
    bench.connect(2, "acme");
    bench.connect(3, "beta");
    let own = Ask {
        tenant: None,
        ..Ask::of("calls", "")
    };
    let held = bench.granted(PLATFORM, own);
    bench.waiting(2, Ask::of("calls", "acme"));
    bench.waiting(3, Ask::of("calls", "beta"));
    bench.one(InputOp::Disconnect, 2, &[]);
    assert_eq!(counted(&mut bench), [""; 0]);
    bench.release(PLATFORM, &[Release::Permit(held)]);
    assert_eq!(counted(&mut bench), ["beta permits 1 1"]);
}

#[test]
fn callers_within_the_process_are_counted_elsewhere() {
    let mut bench = calls(1);
    let now_us = bench.now_us;
    let enter = |bench: &mut Bench| bench.gate.enter(("calls", "acme"), 1, Some(0), now_us).0;
    let Entered::Passed { permit, .. } = enter(&mut bench) else {
        panic!("there is room");
    };
    assert!(matches!(enter(&mut bench), Entered::Impeded { .. }));
    assert!(bench.gate.leave(permit, Some(true), now_us + 5 * SECOND_US));
    bench.pass(10 * SECOND_US);
    assert_eq!(counted(&mut bench), [""; 0]);
}

#[test]
fn it_counts_in_the_day_in_which_it_happens_and_over_a_restart_from_then_on() {
    let mut bench = calls(1);
    let held = bench.granted(PLATFORM, Ask::of("calls", "acme"));
    let day = (START_US / DAY_US) as u32;
    assert!(bench.counted.iter().all(|told| told.2 == day));
    bench.counted.clear();
    bench.restart(2 * SECOND_US);
    bench.pass(3 * SECOND_US);
    bench.release(PLATFORM, &[Release::Permit(held)]);
    assert_eq!(counted(&mut bench), ["acme permit-seconds 1 3"]);
    bench.pass(DAY_US);
    bench.granted(PLATFORM, Ask::of("calls", "acme"));
    assert!(bench.counted.iter().all(|told| told.2 == day + 1));
}
