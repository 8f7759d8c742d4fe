//! Who is next: between keys by weight and by what they hold, within a key by arrival; and when
//! waiting is not worth it.

use super::bench::{Bench, PLATFORM, SECOND_US};
use super::random::Random;
use super::wire::{self, Ask, Entry, Id, Policy, Release, Resource, Said};
use fairlead_core::exchange::InputOp::{GateExplain, GateList, GateTop};
use std::collections::BTreeMap;

fn calls(limit: u64) -> Bench {
    let fields = Resource {
        limit: Some(limit),
        lease_ms: 3_600_000,
        ..Resource::default()
    };
    Bench::new(&[wire::resource("calls", Some(&fields))])
}

fn admitted(said: &[(u32, Said)]) -> Vec<(u32, Id)> {
    said.iter()
        .filter_map(|(_, what)| match what {
            Said::Admitted(ticket, permit, _) => Some((*ticket, *permit)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_flood_does_not_delay_a_quiet_tenant() {
    let mut bench = calls(4);
    let mut held: Vec<Id> = (0..4)
        .map(|_| bench.granted(PLATFORM, Ask::of("calls", "flood")))
        .collect();
    for _ in 0..10 {
        let asks = vec![Ask::of("calls", "flood"); 1000];
        let entries = bench.acquire(PLATFORM, &asks);
        assert!(
            entries
                .iter()
                .all(|entry| matches!(entry, Entry::Waiting { .. }))
        );
    }
    // Some are served, so that the flood has a debt or none: it makes no difference.
    for round in 0..40 {
        bench.now_us += 100_000;
        let (_, _, said) = bench.release(PLATFORM, &[Release::Permit(held.remove(0))]);
        let [(_, permit)] = admitted(&said)[..] else {
            panic!("{said:?}")
        };
        held.push(permit);
        if round % 10 == 9 {
            let quiet = bench.waiting(PLATFORM, Ask::of("calls", "quiet"));
            bench.now_us += 100_000;
            let (_, _, said) = bench.release(PLATFORM, &[Release::Permit(held.remove(0))]);
            let [(ticket, permit)] = admitted(&said)[..] else {
                panic!("{said:?}")
            };
            assert_eq!(ticket, quiet, "the next seat is the quiet tenant's");
            held.push(permit);
        }
    }
}

/// Seats × time of each tenant while all have waiters, for `rounds` releases.
fn shares(bench: &mut Bench, tenants: &[(&str, u64)], slots: u64, rounds: usize) -> Vec<f64> {
    let mut random = Random(11);
    let mut held: BTreeMap<(u64, u64), (Id, usize, u64)> = BTreeMap::new();
    let mut tickets: BTreeMap<u32, usize> = BTreeMap::new();
    let mut sums = vec![0.0; tenants.len()];
    let mut count = 0;
    let mut blockers: Vec<Id> = (0..slots)
        .map(|_| bench.granted(PLATFORM, Ask::of("calls", "blocker")))
        .collect();
    for (at, (tenant, _)) in tenants.iter().enumerate() {
        for _ in 0..4 * slots {
            tickets.insert(bench.waiting(PLATFORM, Ask::of("calls", tenant)), at);
        }
    }
    let mut done = 0;
    while done < rounds {
        let permit = if let Some(blocker) = blockers.pop() {
            blocker
        } else {
            let (&place, _) = held.iter().next().expect("all slots are in use");
            let (permit, at, since_us) = held.remove(&place).unwrap();
            bench.now_us = bench.now_us.max(place.0);
            #[allow(clippy::cast_precision_loss)]
            if done > rounds / 10 {
                sums[at] += (bench.now_us - since_us) as f64;
            }
            done += 1;
            permit
        };
        let (_, _, said) = bench.release(PLATFORM, &[Release::Permit(permit)]);
        for (ticket, permit) in admitted(&said) {
            let at = tickets.remove(&ticket).unwrap();
            let hold_us = tenants[at].1 * random.range(500, 1500) / 1000;
            count += 1;
            held.insert((bench.now_us + hold_us, count), (permit, at, bench.now_us));
            let next = bench.waiting(PLATFORM, Ask::of("calls", tenants[at].0));
            tickets.insert(next, at);
        }
    }
    let sum: f64 = sums.iter().sum();
    sums.iter().map(|one| one / sum).collect()
}

fn near(shares: &[f64], expected: &[f64], by: f64) {
    for (share, expected) in shares.iter().zip(expected) {
        assert!((share - expected).abs() < by, "{shares:?}");
    }
}

#[test]
fn shares_are_by_weight() {
    let mut bench = calls(6);
    for (tenant, weight) in [("a", 100), ("b", 200), ("c", 500)] {
        bench.configure(wire::tenant(tenant, None, weight));
    }
    let of = [("a", 50_000), ("b", 50_000), ("c", 50_000)];
    near(
        &shares(&mut bench, &of, 6, 6000),
        &[0.125, 0.25, 0.625],
        0.02,
    );
}

#[test]
fn shares_are_of_time_not_of_counts() {
    let mut bench = calls(6);
    let of = [("slow", 1_000_000), ("quick", 20_000)];
    near(&shares(&mut bench, &of, 6, 6000), &[0.5, 0.5], 0.05);
}

#[test]
fn a_weight_weighs_what_waits_already() {
    let mut bench = calls(2);
    let of = [("a", 50_000), ("b", 50_000)];
    near(&shares(&mut bench, &of, 2, 2000), &[0.5, 0.5], 0.03);
    bench.policy(
        "calls",
        "a",
        &Policy {
            weight: Some(900),
            ..Policy::default()
        },
    );
    // What waited before is still there: it is given up with its connection.
    bench.disconnect(PLATFORM);
    bench.connect(PLATFORM, "");
    bench.pass(6 * SECOND_US);
    near(&shares(&mut bench, &of, 2, 3000), &[0.9, 0.1], 0.03);
}

#[test]
fn many_seats_are_not_starved_by_few() {
    let mut bench = calls(10);
    let mut held: Vec<Id> = (0..10)
        .map(|at| bench.granted(PLATFORM, Ask::of("calls", &format!("t{at}"))))
        .collect();
    let large = bench.waiting(PLATFORM, Ask::of("calls", "large").seats(8));
    let mut released = 0;
    loop {
        // A stream of new tenants, each with no debt at all.
        for _ in 0..3 {
            let name = format!("new{}", bench.exchange);
            bench.waiting(PLATFORM, Ask::of("calls", &name));
        }
        let (_, _, said) = bench.release(PLATFORM, &[Release::Permit(held.remove(0))]);
        released += 1;
        let let_in = admitted(&said);
        if let_in.iter().any(|(ticket, _)| *ticket == large) {
            break;
        }
        assert!(
            let_in.is_empty(),
            "the seats add up for the one that is first"
        );
        assert!(released < 10);
    }
    assert_eq!(released, 8);
}

#[test]
fn a_key_at_its_own_limit_is_in_nobodys_way() {
    let fields = Resource {
        limit: Some(10),
        tenant_limit: Some(2),
        ..Resource::default()
    };
    let mut bench = Bench::new(&[wire::resource("calls", Some(&fields))]);
    for _ in 0..2 {
        bench.granted(PLATFORM, Ask::of("calls", "full"));
    }
    bench.waiting(PLATFORM, Ask::of("calls", "full"));
    bench.granted(PLATFORM, Ask::of("calls", "other"));
}

#[test]
fn a_raised_limit_lets_in_at_once_and_a_lowered_one_drains() {
    let mut bench = calls(1);
    let first = bench.granted(PLATFORM, Ask::of("calls", "a"));
    let waiting: Vec<u32> = (0..3)
        .map(|_| bench.waiting(PLATFORM, Ask::of("calls", "a")))
        .collect();
    let said = bench.resource(
        "calls",
        &Resource {
            limit: Some(3),
            ..Resource::default()
        },
    );
    assert_eq!(Bench::admitted(&said), waiting[..2]);
    let said = bench.resource(
        "calls",
        &Resource {
            limit: Some(1),
            ..Resource::default()
        },
    );
    assert_eq!(said, []);
    assert_eq!(bench.gate.permits_now().len(), 3, "nobody is aborted");
    let (_, _, said) = bench.release(PLATFORM, &[Release::Permit(first)]);
    assert_eq!(said, []);
    let said = bench.configure(wire::resource("calls", None));
    let [(PLATFORM, Said::Refused(ticket, 4001, None))] = said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(ticket, waiting[2]);
}

#[test]
fn a_floor_is_kept_free() {
    let mut bench = calls(4);
    let floor = Policy {
        floor: 2,
        ..Policy::default()
    };
    bench.policy("calls", "vip", &floor);
    for _ in 0..2 {
        bench.granted(PLATFORM, Ask::of("calls", "a"));
    }
    bench.waiting(PLATFORM, Ask::of("calls", "a"));
    for _ in 0..2 {
        bench.granted(PLATFORM, Ask::of("calls", "vip"));
    }
    bench.waiting(PLATFORM, Ask::of("calls", "vip"));
}

#[test]
fn floors_above_the_limit_count_in_proportion() {
    let mut bench = calls(12);
    for tenant in ["a", "b", "c"] {
        let floor = Policy {
            floor: 4,
            ..Policy::default()
        };
        bench.policy("calls", tenant, &floor);
    }
    bench.waiting(PLATFORM, Ask::of("calls", "other"));
    // Each has two of the six; whole floors would keep all of them free for each other.
    bench.resource(
        "calls",
        &Resource {
            limit: Some(6),
            ..Resource::default()
        },
    );
    for tenant in ["a", "b", "c"] {
        for _ in 0..2 {
            bench.granted(PLATFORM, Ask::of("calls", tenant));
        }
        bench.waiting(PLATFORM, Ask::of("calls", tenant));
    }
    let said = bench.resource(
        "calls",
        &Resource {
            limit: Some(12),
            ..Resource::default()
        },
    );
    assert_eq!(
        Bench::admitted(&said).len(),
        3,
        "not the other's: whole again"
    );
}

#[test]
fn delayed_ones_go_on_at_their_pace() {
    let fields = Resource {
        limit: Some(2),
        mode: 2,
        rate_per_sec: Some(10.0),
        ..Resource::default()
    };
    let mut bench = Bench::new(&[wire::resource("calls", Some(&fields))]);
    let first = bench.granted(PLATFORM, Ask::of("calls", "a"));
    let second = bench.granted(PLATFORM, Ask::of("calls", "a"));
    let waiting: Vec<u32> = (0..3)
        .map(|_| bench.waiting(PLATFORM, Ask::of("calls", "a")))
        .collect();
    let (_, _, said) = bench.release(PLATFORM, &[Release::Permit(first), Release::Permit(second)]);
    assert_eq!(said, [], "not before its time");
    assert_eq!(Bench::admitted(&bench.pass(99_000)), [0_u32; 0]);
    assert_eq!(Bench::admitted(&bench.pass(3_000)), waiting[..1]);
    assert_eq!(Bench::admitted(&bench.pass(90_000)), [0_u32; 0]);
    assert_eq!(Bench::admitted(&bench.pass(15_000)), waiting[1..2]);
    // Looked at again: there is no room for the third.
    assert_eq!(Bench::admitted(&bench.pass(SECOND_US)), [0_u32; 0]);
    let permit = bench.gate.permits_now()[0].id.0;
    let (_, _, said) = bench.release(PLATFORM, &[Release::Permit(permit)]);
    assert_eq!(Bench::admitted(&said), waiting[2..]);
}

#[test]
fn waits_only_as_long_and_as_many_as_is_worth_it() {
    let mut bench = calls(1);
    for _ in 0..10 {
        let permit = bench.granted(PLATFORM, Ask::of("calls", "a"));
        bench.now_us += SECOND_US;
        bench.release(PLATFORM, &[Release::Permit(permit)]);
    }
    bench.granted(PLATFORM, Ask::of("calls", "a"));
    let ask = |wait_ms| Ask {
        wait_ms: Some(wait_ms),
        ..Ask::of("calls", "a")
    };
    let Entry::Waiting {
        estimate_ms: 1000,
        ticket,
        ..
    } = bench.acquire(PLATFORM, &[ask(1500)])[0]
    else {
        panic!()
    };
    let Entry::Impeded {
        code: 4003,
        retry_after_ms: Some(500),
        estimate_ms: Some(2000),
        ..
    } = bench.acquire(PLATFORM, &[ask(1500)])[0]
    else {
        panic!()
    };
    let fields = Resource {
        limit: Some(1),
        waiters_max: 1,
        ..Resource::default()
    };
    bench.resource("calls", &fields);
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "a")), 4004);
    assert_eq!(bench.pass(1_400_000), []);
    let said = bench.pass(102_000);
    let [(PLATFORM, Said::Refused(refused, 4007, Some(_)))] = said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(refused, ticket);
    // More than there is at all never comes.
    assert_eq!(
        bench.impeded(PLATFORM, Ask::of("calls", "a").seats(2)),
        4002
    );
}

#[test]
fn operators_see_why() {
    let mut bench = calls(2);
    bench.policy(
        "calls",
        "a",
        &Policy {
            limit: Some(5),
            floor: 1,
            ..Policy::default()
        },
    );
    for tenant in ["a", "b"] {
        bench.granted(PLATFORM, Ask::of("calls", tenant));
    }
    for tenant in ["a", "b"] {
        bench.waiting(PLATFORM, Ask::of("calls", tenant));
    }
    bench.now_us += SECOND_US;
    let mut ask = |op, bytes: Vec<u8>| -> serde_json::Value {
        let said = bench.one(op, 77, &bytes);
        let [(77, Said::Json(text))] = &said[..] else {
            panic!("{said:?}")
        };
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let why = ask(GateExplain, wire::explain("calls", "a"));
    assert_eq!(why["blockedBy"], "resource");
    assert_eq!(
        (why["waiting"].as_u64(), why["oldestWaitMs"].as_u64()),
        (Some(1), Some(1000))
    );
    assert_eq!(why["chain"][2]["used"], 2);
    assert_eq!(why["chain"][0]["limit"], 5);
    assert_eq!(why["queue"].as_array().map(Vec::len), Some(2));
    assert_eq!(why["decisions"][1]["what"], "waiting");
    assert_eq!(
        ask(GateExplain, wire::explain("sms", "a"))["error"],
        "unknownResource"
    );
    let page = ask(GateList, wire::list(Some("calls"), None, "", 1));
    assert_eq!(page["items"][0]["floor"], 1);
    let cursor = page["cursor"].as_str().unwrap().to_owned();
    let page = ask(GateList, wire::list(Some("calls"), None, &cursor, 9));
    assert_eq!(
        (page["items"][0]["tenant"].as_str(), page["cursor"].as_str()),
        (Some("b"), None)
    );
    let top = ask(GateTop, wire::top("used", 1));
    assert_eq!(top["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn there_are_only_so_many_keys_and_permits() {
    let mut few = super::bench::options(super::bench::START_US);
    (few.keys_max, few.permits_max) = (2, 3);
    let mut bench = Bench::with(few, &[wire::resource("calls", Some(&Resource::default()))]);
    let held: Vec<Id> = ["a", "b", "b"]
        .iter()
        .map(|tenant| bench.granted(PLATFORM, Ask::of("calls", tenant)))
        .collect();
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "a")), 4008);
    bench.release(PLATFORM, &[Release::Permit(held[1])]);
    assert_eq!(bench.impeded(PLATFORM, Ask::of("calls", "c")), 4006);
    bench.release(PLATFORM, &[Release::Permit(held[0])]);
    bench.granted(PLATFORM, Ask::of("calls", "c"));
}

/// Who is let in next, again and again, with the hold of each permit before it, µs.
fn turns(
    bench: &mut Bench,
    of: &BTreeMap<u32, &'static str>,
    held: &mut Id,
    holds: &[u64],
) -> String {
    let mut order = String::new();
    for hold_us in holds {
        bench.now_us += hold_us;
        let (_, _, said) = bench.release(PLATFORM, &[Release::Permit(*held)]);
        let [(ticket, permit)] = admitted(&said)[..] else {
            panic!("{said:?}")
        };
        *held = permit;
        order.push_str(of[&ticket]);
    }
    order
}

#[test]
fn a_long_hold_is_charged_when_it_ends() {
    let mut bench = calls(1);
    let mut held = bench.granted(PLATFORM, Ask::of("calls", "x"));
    let mut of = BTreeMap::new();
    for _ in 0..100 {
        for tenant in ["a", "b"] {
            of.insert(bench.waiting(PLATFORM, Ask::of("calls", tenant)), tenant);
        }
    }
    let order = turns(&mut bench, &of, &mut held, &[10_000; 20]);
    assert_eq!(order.matches('a').count(), 10, "{order}");
    // Whoever holds it now holds it for a second, and pays for it.
    let last = order.chars().last().unwrap();
    let mut holds = [10_000; 41];
    holds[0] = 1_000_000;
    let order = turns(&mut bench, &of, &mut held, &holds);
    assert_eq!(order.matches(last).count(), 0, "{last}: {order}");
}

#[test]
fn time_away_gives_no_credit() {
    let mut bench = calls(1);
    let mut held = bench.granted(PLATFORM, Ask::of("calls", "c"));
    let mut of = BTreeMap::new();
    for _ in 0..60 {
        for tenant in ["a", "b"] {
            of.insert(bench.waiting(PLATFORM, Ask::of("calls", tenant)), tenant);
        }
    }
    turns(&mut bench, &of, &mut held, &[10_000; 40]);
    for _ in 0..30 {
        of.insert(bench.waiting(PLATFORM, Ask::of("calls", "c")), "c");
    }
    let order = turns(&mut bench, &of, &mut held, &[10_000; 30]);
    let count = order.matches('c').count();
    assert!((9..=12).contains(&count), "a third, not all: {order}");
}

#[test]
fn weights_count_within_one_step() {
    let mut bench = calls(1);
    bench.configure(wire::tenant("a", None, 400));
    bench.granted(PLATFORM, Ask::of("calls", "x"));
    let mut of = BTreeMap::new();
    for _ in 0..20 {
        for tenant in ["a", "b"] {
            of.insert(bench.waiting(PLATFORM, Ask::of("calls", tenant)), tenant);
        }
    }
    let said = bench.resource(
        "calls",
        &Resource {
            limit: Some(11),
            ..Resource::default()
        },
    );
    let order: String = admitted(&said)
        .iter()
        .map(|(ticket, _)| of[ticket])
        .collect();
    assert_eq!(order.matches('a').count(), 8, "{order}");
}

#[test]
fn a_debt_weighs_as_the_new_weight_does() {
    let turns_until_a = |weight: u64| {
        let mut bench = calls(1);
        let mut held = bench.granted(PLATFORM, Ask::of("calls", "x"));
        let mut of = BTreeMap::new();
        for _ in 0..500 {
            for tenant in ["a", "b"] {
                of.insert(bench.waiting(PLATFORM, Ask::of("calls", tenant)), tenant);
            }
        }
        let first = turns(&mut bench, &of, &mut held, &[10_000; 20]);
        let last = first.chars().last().unwrap();
        if last == 'b' {
            turns(&mut bench, &of, &mut held, &[10_000]);
        }
        // `a` holds it, for a second: a debt of a hundred turns of the other.
        let order = turns(&mut bench, &of, &mut held, &[1_000_000]);
        assert_eq!(order, "b");
        bench.configure(wire::tenant("a", None, weight));
        let order = turns(&mut bench, &of, &mut held, &[10_000; 420]);
        order.find('a').expect("its turn comes")
    };
    let turns = [25, 100, 400].map(turns_until_a);
    for (turns, around) in turns.iter().zip([400, 100, 25]) {
        assert!(turns.abs_diff(around) <= around / 5, "{turns} of {around}");
    }
}
