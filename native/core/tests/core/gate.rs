//! The gate by behaviours: what is granted, who waits and in which order, leases, and its journal.

#[path = "gate/adaptive.rs"]
mod adaptive;
#[path = "gate/bench.rs"]
mod bench;
#[path = "gate/bounds.rs"]
mod bounds;
#[path = "gate/counts.rs"]
mod counts;
#[path = "gate/fairness.rs"]
mod fairness;
#[path = "gate/records.rs"]
mod records;
#[path = "gate/simulation.rs"]
mod simulation;
#[path = "gate/two_caps.rs"]
mod two_caps;
#[path = "gate/wire.rs"]
mod wire;

use crate::input::entry;
use crate::shared::{disk, random};
use bench::{Bench, PLATFORM, SECOND_US, START_US, options};
use fairlead_core::exchange::InputOp;
use fairlead_core::gate::Entered;
use wire::{Ask, Entry, Release, Resource, Said};

fn queue(limit: u64) -> Resource {
    Resource {
        limit: Some(limit),
        ..Resource::default()
    }
}

fn bench_of(resource: &Resource) -> Bench {
    Bench::new(&[wire::resource("calls", Some(resource))])
}

#[test]
fn grants_up_to_each_cap_and_counts_down() {
    let mut bench = Bench::new(&[
        wire::resource(
            "calls",
            Some(&Resource {
                limit: Some(5),
                tenant_limit: Some(3),
                mode: 0,
                ..Resource::default()
            }),
        ),
        wire::tenant("acme", Some(2), 100),
    ]);
    let a = bench.granted(PLATFORM, Ask::of("calls", "acme"));
    bench.granted(PLATFORM, Ask::of("calls", "acme"));
    assert_eq!(
        bench.impeded(PLATFORM, Ask::of("calls", "acme")),
        4002,
        "tenant's cap"
    );
    for _ in 0..3 {
        bench.granted(PLATFORM, Ask::of("calls", "beta"));
    }
    assert_eq!(
        bench.impeded(PLATFORM, Ask::of("calls", "beta")),
        4002,
        "key's limit"
    );
    assert_eq!(
        bench.impeded(PLATFORM, Ask::of("calls", "gamma")),
        4002,
        "resource's cap"
    );
    assert_eq!(bench.impeded(PLATFORM, Ask::of("sms", "gamma")), 4001);
    assert_eq!(
        bench.release(PLATFORM, &[Release::Permit(a)]),
        (1, 0, vec![])
    );
    assert_eq!(
        bench.release(PLATFORM, &[Release::Permit(a)]),
        (0, 1, vec![])
    );
    let entries = bench.acquire(
        PLATFORM,
        &[Ask::of("calls", "gamma"), Ask::of("calls", "acme")],
    );
    assert!(matches!(
        entries[0],
        Entry::Granted {
            used: 1,
            limit: Some(3),
            lease_ms: 30_000,
            ..
        }
    ));
    assert!(matches!(
        entries[1],
        Entry::Impeded {
            code: 4002,
            used: 1,
            limit: Some(3),
            ..
        }
    ));
    assert_eq!(bench.counters[0], 6, "granted");
    assert_eq!(bench.counters[18], 5, "permits");
}

#[test]
fn waits_in_order_and_is_told() {
    let mut bench = bench_of(&queue(1));
    bench.connect(2, "acme");
    let own = Ask {
        tenant: None,
        ..Ask::of("calls", "")
    };
    let first = bench.granted(2, own.clone());
    let entries = bench.acquire(2, &[own.clone(), own.clone()]);
    let Entry::Waiting {
        ticket: 1,
        position: 1,
        used: 1,
        ..
    } = entries[0]
    else {
        panic!("{entries:?}")
    };
    let Entry::Waiting {
        ticket: 2,
        position: 2,
        ..
    } = entries[1]
    else {
        panic!("{entries:?}")
    };
    let (1, 0, said) = bench.release(2, &[Release::Permit(first)]) else {
        panic!()
    };
    let [(2, Said::Admitted(1, second, 30_000))] = said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(
        bench.release(2, &[Release::Ticket(2)]),
        (1, 0, vec![]),
        "given up"
    );
    assert_eq!(
        bench.release(2, &[Release::Ticket(2), Release::Permit(second)]),
        (1, 1, vec![])
    );
    assert!(bench.gate.permits_now().is_empty());
}

#[test]
fn a_permit_of_another_tenant_is_gone() {
    let mut bench = bench_of(&queue(9));
    bench.connect(2, "acme");
    bench.connect(3, "beta");
    let permit = bench.granted(2, Ask::of("calls", "acme"));
    assert_eq!(bench.release(3, &[Release::Permit(permit)]).1, 1);
    assert_eq!(bench.renew(3, &[permit], 9_000, 2), [0]);
    let mut forged = permit;
    forged[15] ^= 1;
    assert_eq!(bench.release(2, &[Release::Permit(forged)]).1, 1);
    let said = bench.one(
        InputOp::Frame,
        3,
        &wire::acquire(5, &[Ask::of("calls", "acme")]),
    );
    assert_eq!(said, [(3, Said::Error(5, 2005))]);
    assert_eq!(bench.release(2, &[Release::Permit(permit)]).0, 1);
}

#[test]
fn a_lease_ends_unless_it_is_renewed() {
    let mut bench = bench_of(&queue(1));
    let permit = bench.granted(
        PLATFORM,
        Ask {
            lease_ms: Some(2000),
            ..Ask::of("calls", "a")
        },
    );
    let waiting = bench.waiting(PLATFORM, Ask::of("calls", "b"));
    bench.pass(1_500_000);
    assert_eq!(bench.renew(PLATFORM, &[permit], 2000, 0), [2000]);
    assert!(bench.wake_after_ms <= 2000, "{}", bench.wake_after_ms);
    assert_eq!(Bench::admitted(&bench.pass(1_990_000)), [0_u32; 0]);
    assert_eq!(Bench::admitted(&bench.pass(20_000)), [waiting]);
    assert_eq!(bench.renew(PLATFORM, &[permit], 2000, 0), [0], "gone");
    assert_eq!(bench.counters[2], 1, "expired");
}

#[test]
fn a_finishing_permit_has_its_last_lease() {
    let mut bench = bench_of(&queue(1));
    let permit = bench.granted(PLATFORM, Ask::of("calls", "a"));
    assert_eq!(bench.renew(PLATFORM, &[permit], 4000, 1), [4000]);
    bench.now_us += SECOND_US;
    assert_eq!(bench.renew(PLATFORM, &[permit], 60_000, 0), [3000]);
}

#[test]
fn a_dropped_connection_leaves_its_permits_to_be_claimed() {
    let mut bench = bench_of(&queue(2));
    bench.connect(2, "acme");
    let kept = bench.granted(2, Ask::of("calls", "acme"));
    bench.granted(2, Ask::of("calls", "acme"));
    bench.waiting(2, Ask::of("calls", "acme"));
    bench.waiting(2, Ask::of("calls", "acme"));
    assert_eq!(bench.disconnect(2), [], "its waiters are dropped");
    assert_eq!(bench.counters[17], 0);
    bench.connect(3, "acme");
    assert_eq!(bench.renew(3, &[kept], 30_000, 2), [30_000]);
    let waiting = bench.waiting(3, Ask::of("calls", "acme"));
    assert_eq!(Bench::admitted(&bench.pass(4_990_000)), [0_u32; 0]);
    assert_eq!(
        Bench::admitted(&bench.pass(20_000)),
        [waiting],
        "grace is over"
    );
    assert_eq!(bench.gate.permits_now().len(), 2);
}

#[test]
fn permits_count_after_a_restart_and_can_be_claimed() {
    let mut bench = bench_of(&queue(2));
    let kept = bench.granted(PLATFORM, Ask::of("calls", "acme"));
    let lost = bench.granted(PLATFORM, Ask::of("calls", "acme"));
    bench.pass(20 * SECOND_US);
    bench.restart(SECOND_US);
    assert_eq!(bench.gate.permits_now().len(), 2);
    let waiting = bench.waiting(PLATFORM, Ask::of("calls", "beta"));
    // One lease from the restart on.
    assert_eq!(Bench::admitted(&bench.pass(29 * SECOND_US)), [0_u32; 0]);
    assert_eq!(bench.renew(PLATFORM, &[kept], 30_000, 2), [30_000]);
    assert_eq!(Bench::admitted(&bench.pass(1_010_000)), [waiting]);
    assert_eq!(bench.renew(PLATFORM, &[kept, lost], 30_000, 0), [30_000, 0]);
    let other = bench.impeded(
        PLATFORM,
        Ask {
            mode: Some(0),
            ..Ask::of("calls", "acme")
        },
    );
    assert_eq!(other, 4002);
}

#[test]
fn an_id_names_one_permit_for_good() {
    let mut bench = bench_of(&queue(9));
    let old = bench.granted(PLATFORM, Ask::of("calls", "a"));
    bench.release(PLATFORM, &[Release::Permit(old)]);
    bench.restart(SECOND_US);
    for _ in 0..5 {
        let new = bench.granted(PLATFORM, Ask::of("calls", "a"));
        assert_ne!(new, old);
        assert_eq!(bench.release(PLATFORM, &[Release::Permit(old)]).1, 1);
        bench.release(PLATFORM, &[Release::Permit(new)]);
    }
}

#[test]
fn relaxed_waits_after_an_unclean_end_only() {
    let mut relaxed = options(START_US);
    relaxed.relaxed = true;
    let mut bench = Bench::with(relaxed, &[wire::resource("calls", Some(&queue(1)))]);
    assert!(bench.flush, "the first step has marks");
    bench.granted(
        PLATFORM,
        Ask {
            lease_ms: Some(20_000),
            ..Ask::of("calls", "a")
        },
    );
    assert!(bench.flush, "a longer lease than is stored");
    let stored = bench.pages.clone();
    let waiting = bench.waiting(PLATFORM, Ask::of("calls", "a"));
    let permit = bench.gate.permits_now()[0].id.0;
    let (_, _, said) = bench.release(PLATFORM, &[Release::Permit(permit)]);
    assert_eq!(Bench::admitted(&said), [waiting]);
    assert!(bench.flush, "its lease is 30 s");
    bench.pages = stored;
    bench.restart(0);
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "b")), 4009);
    assert!(bench.counters[25] > 0);
    bench.pass(19 * SECOND_US);
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "b")), 4009);
    bench.pass(SECOND_US + 10_000);
    bench.granted(PLATFORM, Ask::of("calls", "b"));
    let said = bench.one(InputOp::Drain, 5, b"");
    assert_eq!(said, [(5, Said::Json(r#"{"ok":true}"#.to_owned()))]);
    assert!(bench.flush);
    bench.restart(60 * SECOND_US);
    bench.granted(PLATFORM, Ask::of("calls", "b"));
}

#[test]
fn callers_within_the_process_share_the_limits() {
    let mut bench = bench_of(&queue(1));
    let Entered::Passed {
        permit, used: 1, ..
    } = bench.gate.enter(("calls", "a"), 1, None, bench.now_us).0
    else {
        panic!()
    };
    let waiting = bench.waiting(PLATFORM, Ask::of("calls", "b"));
    let Entered::Waiting { ticket, .. } = bench.gate.enter(("calls", "a"), 1, None, bench.now_us).0
    else {
        panic!()
    };
    let Entered::Impeded { code: 4002, .. } =
        bench.gate.enter(("calls", "a"), 1, Some(0), bench.now_us).0
    else {
        panic!()
    };
    assert!(bench.gate.leave(permit, Some(true), bench.now_us));
    assert!(!bench.gate.leave(permit, Some(true), bench.now_us), "once");
    assert!(bench.gate.wants_step());
    let said = bench.step(&[]);
    assert_eq!(Bench::admitted(&said), [waiting]);
    let wired = bench.gate.permits_now()[0].id.0;
    let (_, _, said) = bench.release(PLATFORM, &[Release::Permit(wired)]);
    let [(told, Said::Entered(Some(permit), 0))] = said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(told, ticket);
    assert!(bench.gate.leave(permit, Some(false), bench.now_us));
    assert!(!bench.gate.give_up(ticket, bench.now_us));
    assert!(bench.gate.permits_now().is_empty());
}

#[test]
fn what_is_granted_and_ends_in_one_step_is_not_written() {
    let mut bench = bench_of(&queue(1));
    bench.connect(2, "acme");
    bench.pass(1000);
    let id = bench.granted(2, Ask::of("calls", "acme"));
    bench.release(2, &[Release::Permit(id)]);
    // The next permit's id, so that its release can stand in one step with its grant.
    let slot_and_generation = |at: u32| {
        let mut gate = bench_of(&queue(1));
        gate.connect(2, "acme");
        gate.pass(1000);
        let mut last = gate.granted(2, Ask::of("calls", "acme"));
        for _ in 0..at {
            gate.release(2, &[Release::Permit(last)]);
            last = gate.granted(2, Ask::of("calls", "acme"));
        }
        last
    };
    let next = slot_and_generation(1);
    let acquire = wire::acquire(50, &[Ask::of("calls", "acme")]);
    let release = wire::release(51, &[Release::Permit(next)]);
    let pages = bench.pages.clone();
    let said = bench.step(&[
        entry(InputOp::Frame, 2, &acquire),
        entry(InputOp::Frame, 2, &release),
    ]);
    assert!(said.contains(&(2, Said::Released(51, 1, 0))), "{said:?}");
    assert_eq!(bench.journal.len(), 4, "nothing is written");
    assert_eq!(bench.pages, pages);
}
