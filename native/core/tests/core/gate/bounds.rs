//! What happens at bounds, and what a restart with lower ones finds.

use super::bench::{Bench, PLATFORM, SECOND_US, START_US, options};
use super::wire::{self, Ask, Id, Release, Resource, Said};
use fairlead_core::exchange::InputOp;
use fairlead_core::gate::Entered;

fn at_most(limit: u64) -> Resource {
    Resource {
        limit: Some(limit),
        ..Resource::default()
    }
}

#[test]
fn who_waits_is_let_in_above_the_most_permits_and_nobody_else() {
    let mut few = options(START_US);
    few.permits_max = 4;
    let calls = wire::resource("calls", Some(&at_most(2)));
    let sms = wire::resource("sms", Some(&at_most(2)));
    let mut bench = Bench::with(few, &[calls, sms]);
    for _ in 0..2 {
        bench.granted(PLATFORM, Ask::of("calls", "a"));
    }
    let waiting: Vec<u32> = (0..3)
        .map(|_| bench.waiting(PLATFORM, Ask::of("calls", "a")))
        .collect();
    for _ in 0..2 {
        bench.granted(PLATFORM, Ask::of("sms", "a"));
    }
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "b")), 4008);
    let said = bench.resource("calls", &at_most(5));
    assert_eq!(Bench::admitted(&said), waiting);
    assert_eq!(bench.gate.permits_now().len(), 7);
    let ids: Vec<Id> = bench
        .gate
        .permits_now()
        .iter()
        .map(|one| one.id.0)
        .collect();
    for id in &ids[..3] {
        bench.release(PLATFORM, &[Release::Permit(*id)]);
        assert_eq!(bench.impeded(PLATFORM, Ask::of("sms", "b")), 4008);
    }
    bench.release(PLATFORM, &[Release::Permit(ids[3])]);
    bench.granted(PLATFORM, Ask::of("calls", "b"));
}

#[test]
fn fewer_permits_than_are_held_are_granted_to_nobody() {
    let mut bench = Bench::new(&[wire::resource("calls", Some(&Resource::default()))]);
    let held: Vec<Id> = (0..6)
        .map(|_| bench.granted(PLATFORM, Ask::of("calls", "a")))
        .collect();
    // Free slots below those that are held.
    bench.release(
        PLATFORM,
        &[Release::Permit(held[0]), Release::Permit(held[1])],
    );
    bench.options.permits_max = 3;
    bench.restart(SECOND_US);
    assert_eq!(bench.gate.permits_now().len(), 4);
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "a")), 4008);
    bench.release(PLATFORM, &[Release::Permit(held[2])]);
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "a")), 4008);
    bench.release(PLATFORM, &[Release::Permit(held[3])]);
    bench.granted(PLATFORM, Ask::of("calls", "a"));
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "a")), 4008);
}

#[test]
fn stored_keys_are_taken_however_many_there_may_be() {
    let mut bench = Bench::new(&[wire::resource("calls", Some(&Resource::default()))]);
    let held: Vec<Id> = ["a", "b", "c"]
        .iter()
        .map(|tenant| bench.granted(PLATFORM, Ask::of("calls", tenant)))
        .collect();
    bench.options.keys_max = 1;
    bench.restart(SECOND_US);
    assert_eq!(bench.gate.permits_now().len(), 3, "nothing is lost");
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "d")), 4006);
    let all: Vec<Release> = held.iter().map(|id| Release::Permit(*id)).collect();
    assert_eq!(bench.release(PLATFORM, &all), (3, 0, vec![]));
    bench.granted(PLATFORM, Ask::of("calls", "d"));
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "e")), 4006);
}

#[test]
fn a_last_lease_is_the_last_after_a_restart_too() {
    let mut bench = Bench::new(&[wire::resource("calls", Some(&at_most(2)))]);
    let old = bench.granted(PLATFORM, Ask::of("calls", "a"));
    bench.renew(PLATFORM, &[old], 4000, 1);
    // Granted and told to be the last within one step.
    let first = wire::acquire(70, &[Ask::of("calls", "a")]);
    let entry = |bytes| crate::input::entry(InputOp::Frame, PLATFORM, bytes);
    let said = bench.step(&[entry(&first)]);
    assert_eq!(said.len(), 1);
    for round in 0..3 {
        if round == 2 {
            // Of a snapshot too.
            bench.options.log_bytes_max = 0;
        }
        bench.restart(SECOND_US);
        assert_eq!(bench.gate.permits_now().len(), 2);
        for _ in 0..4 {
            bench.pass(10_000);
        }
        assert!(bench.renew(PLATFORM, &[old], 60_000, 2)[0] < 4000);
    }
    bench.restart(SECOND_US);
    assert_eq!(bench.renew(PLATFORM, &[old], 60_000, 2), [4000]);
}

#[test]
fn a_resource_that_is_looked_at_stays_while_room_is_made_for_the_look() {
    let mut one = options(START_US);
    one.keys_max = 1;
    let mut bench = Bench::with(one, &[wire::resource("calls", Some(&Resource::default()))]);
    let permit = bench.granted(PLATFORM, Ask::of("calls", "a"));
    bench.configure(wire::resource("calls", None));
    bench.release(PLATFORM, &[Release::Permit(permit)]);
    let said = bench.one(InputOp::GateExplain, 7, &wire::explain("calls", "b"));
    let [(7, Said::Json(text))] = &said[..] else {
        panic!("{said:?}")
    };
    assert!(
        text.starts_with(r#"{"resource":"calls","tenant":"b""#),
        "{text}"
    );
    bench.resource("calls", &Resource::default());
    bench.granted(PLATFORM, Ask::of("calls", "b"));
}

fn passed(bench: &mut Bench, tenant: &str) -> u64 {
    match bench.gate.enter(("calls", tenant), 1, None, bench.now_us).0 {
        Entered::Passed { permit, .. } => permit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_is_next_by_its_pace_is_looked_at_in_time_though_another_gave_up() {
    let fields = Resource {
        mode: 2,
        rate_per_sec: Some(1.0),
        ..at_most(1)
    };
    let mut bench = Bench::new(&[wire::resource("calls", Some(&fields))]);
    let held = passed(&mut bench, "a");
    let tickets: Vec<u32> = (0..2)
        .map(
            |_| match bench.gate.enter(("calls", "a"), 1, None, bench.now_us).0 {
                Entered::Waiting { ticket, .. } => ticket,
                other => panic!("{other:?}"),
            },
        )
        .collect();
    // The first may go on by now, and finds no room.
    bench.pass(1_100_000);
    assert!(bench.wake_after_ms > 1000, "{}", bench.wake_after_ms);
    bench.gate.give_up(tickets[0], bench.now_us);
    assert!(bench.gate.wants_step(), "for the time of the second");
    bench.step(&[]);
    assert!(bench.wake_after_ms <= 1000, "{}", bench.wake_after_ms);
    assert!(!bench.gate.wants_step());
    bench.gate.leave(held, Some(true), bench.now_us);
}

#[test]
fn a_cap_that_adapts_does_so_for_callers_within_the_process() {
    let fields = Resource {
        mode: 0,
        adaptive: Some((2, 40, 0.5)),
        ..Resource::default()
    };
    let mut bench = Bench::new(&[wire::resource("calls", Some(&fields))]);
    let mut steps = 0;
    for _ in 0..1000 {
        let permits: Vec<u64> = (0..4).map(|_| passed(&mut bench, "a")).collect();
        bench.now_us += 10_000;
        for permit in permits {
            bench.gate.leave(permit, Some(true), bench.now_us);
            if bench.gate.wants_step() {
                bench.step(&[]);
                steps += 1;
                let has_window = bench.wake_after_ms <= 1000;
                assert_eq!(has_window, steps % 2 == 1, "{}", bench.wake_after_ms);
            }
        }
    }
    // One when a window begins, one when it is full.
    assert!((40..=80).contains(&steps), "{steps}");
    let held: Vec<u64> = (0..5).map(|_| passed(&mut bench, "a")).collect();
    for permit in held {
        bench.gate.leave(permit, None, bench.now_us);
    }
}

#[test]
fn a_handle_is_of_one_key_for_as_long_as_it_is_open() {
    let mut one = options(START_US);
    one.keys_max = 1;
    let mut bench = Bench::with(one, &[wire::resource("calls", Some(&at_most(5)))]);
    let now_us = bench.now_us;
    let enter = |bench: &mut Bench, tenant| {
        let (entered, handle) = bench.gate.enter(("calls", tenant), 1, None, now_us);
        let Entered::Passed { permit, .. } = entered else {
            panic!("{entered:?}")
        };
        (permit, handle.unwrap())
    };
    let (permit, handle) = enter(&mut bench, "a");
    let again = bench.gate.enter_key(handle, 2, None, now_us);
    let Some(Entered::Passed {
        permit: second,
        used: 3,
        ..
    }) = again
    else {
        panic!("{again:?}")
    };
    for permit in [permit, second] {
        assert!(bench.gate.leave(permit, Some(true), now_us));
    }
    // The only place is another's, and then the same one's again.
    let (permit, other) = enter(&mut bench, "b");
    assert_eq!(other.index, handle.index);
    assert_eq!(bench.gate.enter_key(handle, 1, None, now_us), None);
    bench.gate.leave(permit, Some(true), now_us);
    let (permit, newer) = enter(&mut bench, "a");
    bench.gate.leave(permit, Some(true), now_us);
    for old in [handle, other] {
        assert_eq!(bench.gate.enter_key(old, 1, None, now_us), None);
    }
    let impeded = |bench: &mut Bench, expected| {
        let entered = bench.gate.enter_key(newer, 1, None, now_us);
        let Some(Entered::Impeded { code, .. }) = entered else {
            panic!("{entered:?}")
        };
        assert_eq!(code, expected);
    };
    bench.configure(wire::resource("calls", None));
    impeded(&mut bench, 4001);
    bench.one(InputOp::Drain, 5, b"");
    impeded(&mut bench, 4009);
}
