//! What tenants are counted for.

use super::bench::{Bench, PLATFORM, SECOND_US, START_US};
use super::wire::{self, Ask, Release, Resource};
use fairlead_core::exchange::InputOp;
use fairlead_core::gate::Entered;
use fairlead_core::limits::{GATE_COUNTS_GATHER_MS, GATE_COUNTS_LIST};
use std::collections::BTreeMap;

const DAY_US: u64 = 86_400 * SECOND_US;

fn calls(limit: u64) -> Bench {
    let resource = Resource {
        limit: Some(limit),
        ..Resource::default()
    };
    Bench::new(&[wire::resource("calls", Some(&resource))])
}

const GATHER_US: u64 = GATE_COUNTS_GATHER_MS * 1000;

/// `tenant category count usage`, the days of a category together; `GATHER_US` later, when all are told.
fn counted(bench: &mut Bench) -> Vec<String> {
    bench.pass(GATHER_US);
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
    bench.pass(1_700_000 - GATHER_US);
    bench.release(PLATFORM, &[Release::Permit(held)]);
    assert_eq!(counted(&mut bench), ["acme permit-seconds 1 1"]);
    bench.pass(400_000 - GATHER_US);
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

#[test]
fn the_first_is_told_at_once_and_those_that_follow_together_a_day_for_itself() {
    let mut bench = calls(100);
    bench.granted(PLATFORM, Ask::of("calls", "acme"));
    assert_eq!(bench.counted.len(), 1, "at the end of its step");
    for _ in 0..3 {
        bench.granted(PLATFORM, Ask::of("calls", "acme"));
    }
    assert_eq!(bench.counted.len(), 1);
    assert!(u64::from(bench.wake_after_ms) <= GATE_COUNTS_GATHER_MS);
    bench.pass(GATHER_US);
    let day = (START_US / DAY_US) as u32;
    let permits = |count: i64, day| {
        let (tenant, category) = ("acme".to_owned(), "permits".to_owned());
        (tenant, category, day, count, i128::from(count))
    };
    assert_eq!(bench.counted, [permits(1, day), permits(3, day)]);

    // The leases of all of them end with it.
    let to_midnight_us = DAY_US - bench.now_us % DAY_US;
    bench.pass(to_midnight_us - 1);
    bench.counted.clear();
    bench.granted(PLATFORM, Ask::of("calls", "acme"));
    bench.now_us += 1;
    bench.granted(PLATFORM, Ask::of("calls", "acme"));
    bench.pass(GATHER_US);
    assert_eq!(bench.counted, [permits(1, day), permits(1, day + 1)]);
}

#[test]
fn a_full_list_and_the_end_of_the_daemon_do_not_wait() {
    let mut bench = calls(1);
    bench.granted(PLATFORM, Ask::of("calls", "acme"));
    bench.counted.clear();
    for tenant in 0..GATE_COUNTS_LIST {
        assert_eq!(bench.counted.len(), 0, "{tenant}");
        let tenant = format!("t{tenant}");
        assert_eq!(bench.impeded(PLATFORM, Ask::of("nowhere", &tenant)), 4001);
    }
    assert_eq!(bench.counted.len(), GATE_COUNTS_LIST);

    bench.counted.clear();
    bench.impeded(PLATFORM, Ask::of("nowhere", "acme"));
    assert_eq!(bench.counted.len(), 0);
    bench.one(InputOp::Drain, 1, &[]);
    assert_eq!(bench.counted.len(), 1);
}
