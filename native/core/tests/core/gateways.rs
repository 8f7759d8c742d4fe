//! Several gateways of a destination, through a whole shard: who takes what, within which limits.
#![allow(clippy::cast_precision_loss)]

#[path = "gateways/farm.rs"]
mod farm;

use crate::shared::{bench, entities, random, wire};
use bench::PLAIN;
use entities::{Change, Destination, Gateway};
use fairlead_core::exchange::InputOp;
use farm::{Farm, GATEWAY, OWN, Post};
use random::Random;

fn gateway(weight: u32, destinations: &[usize]) -> Gateway {
    Gateway {
        weight,
        destinations: destinations.to_vec(),
        ..GATEWAY
    }
}

fn rated(rate_per_sec: f64, destinations: &[usize]) -> Gateway {
    Gateway {
        rate_per_sec: Some(rate_per_sec),
        ..gateway(100, destinations)
    }
}

fn destination(rate_per_sec: Option<f64>) -> Destination {
    Destination {
        rate_per_sec,
        ..PLAIN
    }
}

/// Most that leaves its share over any interval of the cost that two lanes got, in messages.
fn drift(taken: &[(usize, u32)], weights: [f64; 2]) -> f64 {
    let (mut least, mut most, mut lead) = (0.0_f64, 0.0_f64, 0.0);
    for &(gateway, cost) in taken {
        let cost = f64::from(cost);
        // What the first got less its share.
        let share = weights[0] / (weights[0] + weights[1]);
        lead += if gateway == 0 { cost } else { 0.0 } - cost * share;
        least = least.min(lead);
        most = most.max(lead);
    }
    most - least
}

#[test]
fn backlogged_gateways_share_by_weight_over_any_interval() {
    for rate in [None, Some(500.0)] {
        let mut farm = Farm::new(&[destination(rate)], &[gateway(1, &[0]), gateway(3, &[0])]);
        farm.post(Post::gateway(0, 0, 400));
        farm.post(Post::gateway(1, 0, 400));
        farm.publish(0, 3_000);
        let taken = farm.run(4.0, 0.001);
        assert!(taken.len() > 1_500, "{} taken", taken.len());
        let gateways: Vec<(usize, u32)> = taken.iter().map(|took| (took.post, 1)).collect();
        let drift = drift(&gateways, [1.0, 3.0]);
        assert!(drift <= 1.0 + 1e-9, "drift of {drift} at {rate:?}");
    }
}

#[test]
fn shares_are_of_cost_not_of_messages() {
    let mut farm = Farm::new(
        &[destination(Some(1_000.0))],
        &[gateway(100, &[0]), gateway(300, &[0])],
    );
    farm.post(Post::gateway(0, 0, 400));
    farm.post(Post::gateway(1, 0, 400));
    let costs: Vec<u32> = (0..900).map(|at| [1, 2, 5, 9, 1, 1][at % 6]).collect();
    farm.publish_costs(0, &costs);
    let taken = farm.run(2.5, 0.001);
    let of: Vec<(usize, u32)> = taken.iter().map(|took| (took.post, took.cost)).collect();
    assert!(of.len() > 700, "{} taken", of.len());
    let drift = drift(&of, [1.0, 3.0]);
    assert!(drift <= 9.0 + 1e-9, "drift of {drift}, largest message 9");
}

#[test]
fn subscriptions_without_a_name_are_one_gateway_of_weight_100() {
    let mut farm = Farm::new(&[destination(Some(1_000.0))], &[gateway(300, &[0])]);
    farm.post(Post::unnamed(0, 400));
    farm.post(Post::unnamed(0, 400));
    farm.post(Post::gateway(0, 0, 400));
    farm.publish(0, 2_000);
    let taken = farm.run(1.0, 0.001);
    let of: Vec<(usize, u32)> = taken
        .iter()
        .map(|took| (usize::from(took.post == 2), 1))
        .collect();
    let drift = drift(&of, [1.0, 3.0]);
    assert!(drift <= 1.0 + 1e-9, "drift of {drift}");
    let first = taken.iter().filter(|took| took.post == 0).count();
    let second = taken.iter().filter(|took| took.post == 1).count();
    assert!(first.abs_diff(second) <= 2, "{first} and {second}");
}

#[test]
fn one_that_goes_down_leaves_all_to_the_other_and_comes_back_without_a_burst() {
    let mut farm = Farm::new(
        &[destination(Some(400.0))],
        &[gateway(100, &[0]), gateway(100, &[0])],
    );
    farm.post(Post::gateway(0, 0, 400));
    farm.post(Post::gateway(1, 0, 400));
    farm.publish(0, 3_000);
    farm.run(1.0, 0.001);
    farm.tell_up(0, false);
    let alone = farm.run(2.0, 0.001);
    assert!(alone.iter().all(|took| took.post == 1), "one is down");
    assert!(alone.len() >= 798, "{} by the other alone", alone.len());
    farm.tell_up(0, true);
    let back = farm.run(1.0, 0.001);
    let of: Vec<(usize, u32)> = back.iter().map(|took| (took.post, 1)).collect();
    let drift = drift(&of, [1.0, 1.0]);
    assert!(drift <= 1.0 + 1e-9, "drift of {drift} after it came back");
    assert!(of.len() >= 398, "{} after it came back", of.len());
}

#[test]
fn a_gateway_that_nobody_knows_is_told_of() {
    let mut farm = Farm::new(&[destination(None)], &[gateway(1, &[0])]);
    farm.bench
        .request(InputOp::GatewayUp, &wire::gateway_up("g0", false));
    farm.bench
        .request(InputOp::GatewayUp, &wire::gateway_up("g1", true));
    farm.bench.step();
    assert_eq!(
        farm.bench.json,
        [r#"{"ok":true}"#, r#"{"error":"unknownGateway"}"#]
    );
}

/// Deliveries of a window, against what a bucket that begins full lets through.
fn check_windows(at_us: &[u64], rate: f64, what: &str) {
    let depth = 1.0 + rate * 0.005;
    let (mut left, mut before) = (depth, 0);
    for &at_us in at_us {
        left = (left + (at_us - before) as f64 / 1e6 * rate).min(depth) - 1.0;
        before = at_us;
        assert!(left > -0.001, "{what}: {} over at {at_us}", -left);
    }
}

#[test]
fn the_rate_is_the_least_of_the_destinations_and_the_sum_of_those_up() {
    for (own, expected) in [(None, 150.0), (Some(120.0), 120.0), (Some(1_000.0), 150.0)] {
        let mut farm = Farm::new(
            &[destination(own)],
            &[rated(50.0, &[0]), rated(100.0, &[0])],
        );
        farm.post(Post::gateway(0, 0, 400));
        farm.post(Post::gateway(1, 0, 400));
        farm.publish(0, 3_000);
        farm.run(1.0, 0.0007);
        let taken = farm.run(5.0, 0.0007);
        let rate = taken.len() as f64 / 5.0;
        assert!(
            rate >= expected * 0.985 && rate <= expected * 1.01,
            "{rate} of {expected}"
        );
        for (post, most) in [(0, 50.0), (1, 100.0)] {
            let times: Vec<u64> = taken
                .iter()
                .filter(|took| took.post == post)
                .map(|took| took.at_us)
                .collect();
            check_windows(&times, most, "a gateway");
        }
    }
}

#[test]
fn a_rate_holds_over_all_destinations_and_each_gets_its_turn() {
    let mut farm = Farm::new(
        &[destination(None), destination(None), destination(None)],
        &[rated(60.0, &[0, 1, 2])],
    );
    for place in 0..3 {
        farm.post(Post::gateway(0, place, 400));
        farm.publish(place, 400);
    }
    let taken = farm.run(6.0, 0.001);
    let times: Vec<u64> = taken.iter().map(|took| took.at_us).collect();
    check_windows(&times, 60.0, "over all destinations");
    assert!(taken.len() >= 354, "{} taken", taken.len());
    for post in 0..3 {
        let own = taken.iter().filter(|took| took.post == post).count();
        assert!(
            own.abs_diff(taken.len() / 3) <= 2,
            "{own} of {}",
            taken.len()
        );
    }
    // One that has nothing more to send leaves its turns to the others.
    farm.bench.configure(&Change::Destination(
        1,
        Some(Destination {
            paused: true,
            ..PLAIN
        }),
    ));
    let taken = farm.run(4.0, 0.001);
    assert!(taken.len() >= 236, "{} taken by two", taken.len());
    assert!(taken.iter().all(|took| took.post != 1));
}

#[test]
fn a_dear_message_at_one_destination_is_not_starved_by_cheap_ones_at_another() {
    let mut farm = Farm::new(
        &[destination(None), destination(None)],
        &[rated(50.0, &[0, 1])],
    );
    farm.post(Post::gateway(0, 0, 400));
    farm.post(Post::gateway(0, 1, 400));
    farm.publish(0, 2_000);
    farm.publish_costs(1, &[20; 30]);
    let taken = farm.run(10.0, 0.001);
    let dear = taken.iter().filter(|took| took.post == 1).count();
    let cost: u32 = taken.iter().map(|took| took.cost).sum();
    assert!(dear >= 20, "{dear} dear ones");
    assert!((490..=506).contains(&cost), "{cost} of 500");
}

#[test]
fn a_cap_holds_over_two_destinations_and_a_place_that_frees_goes_to_who_waits() {
    let capped = Gateway {
        in_flight_max: Some(4),
        ..gateway(100, &[0, 1])
    };
    let mut farm = Farm::new(&[destination(None), destination(None)], &[capped]);
    farm.post(Post::gateway(0, 0, 400).holding(0.1));
    farm.post(Post::gateway(0, 1, 400).holding(0.1));
    farm.publish(0, 400);
    farm.publish(1, 400);
    let taken = farm.run(5.0, 0.001);
    assert_eq!(farm.in_flight_most, 4, "in flight at most");
    // Four places of 0.1 s each, with up to 1 ms of the loop between two: 40 a second less 1 %.
    assert!(taken.len() >= 194, "{} taken", taken.len());
    let first = taken.iter().filter(|took| took.post == 0).count();
    assert!(first.abs_diff(taken.len() / 2) <= 4, "{first} by one");
}

#[test]
fn a_throttled_gateway_rests_alone_and_at_all_its_destinations() {
    let mut farm = Farm::new(
        &[destination(Some(100.0)), destination(Some(100.0))],
        &[gateway(100, &[0, 1]), gateway(100, &[0])],
    );
    farm.post(Post::gateway(0, 0, 400));
    farm.post(Post::gateway(0, 1, 400));
    farm.post(Post::gateway(1, 0, 400));
    farm.publish(0, 4_000);
    farm.publish(1, 4_000);
    farm.run(1.0, 0.001);
    farm.throttle_next(0, 2_000);
    farm.run(0.05, 0.001);
    let resting = farm.run(1.8, 0.001);
    assert!(
        resting.iter().all(|took| took.post == 2),
        "only the other gateway goes on"
    );
    assert!(resting.len() >= 178, "{} by the other", resting.len());
    // Half of it at first: 50 a second, for two destinations.
    farm.run(0.4, 0.001);
    let halved = farm.run(0.9, 0.001);
    let slow = halved.iter().filter(|took| took.post != 2).count();
    assert!((40..=58).contains(&slow), "{slow} at half of the rate");
    // All of it after ten seconds.
    farm.run(10.0, 0.001);
    let whole = farm.run(2.0, 0.001);
    let alone = whole.iter().filter(|took| took.post == 1).count();
    assert!(alone >= 197, "{alone} at the whole rate");
}

#[test]
fn a_deleted_gateway_gets_nothing_and_what_it_has_in_flight_settles() {
    let mut farm = Farm::new(&[destination(None)], &[gateway(100, &[0])]);
    farm.post(Post::gateway(0, 0, 5).holding(1.0));
    farm.publish(0, 20);
    let taken = farm.run(0.1, 0.001);
    assert_eq!(taken.len(), 5);
    assert!(farm.is_in_use(0));
    farm.bench.configure(&Change::Gateway(0, None));
    let taken = farm.run(3.0, 0.01);
    assert!(taken.is_empty(), "{} after it was deleted", taken.len());
    assert_eq!(farm.bench.counters[3], 5, "settled");
    farm.bench
        .configure(&Change::Gateway(0, Some(gateway(100, &[0]))));
    assert_eq!(farm.run(0.5, 0.01).len(), 5, "its subscription lives again");
    farm.bench
        .configure(&Change::Gateway(0, Some(gateway(100, &[1]))));
    assert!(farm.run(3.0, 0.01).is_empty(), "it names another one");
}

#[test]
fn who_may_subscribe_under_which_name() {
    let webhook = Gateway {
        kind: 1,
        ..gateway(100, &[0])
    };
    let mut farm = Farm::new(
        &[destination(None), destination(None)],
        &[webhook, gateway(1, &[0])],
    );
    let bench = &mut farm.bench;
    bench.connect(7, 2);
    bench.subscribe_as(7, 1, 0, 1, "nobody");
    bench.subscribe_as(7, 2, 0, 1, "g0");
    bench.subscribe_as(7, 3, 1, 1, "g1");
    bench.subscribe_as(7, 4, 0, 1, "g1");
    bench.step();
    assert_eq!(bench.errors, [3029, 3029, 3029]);
    bench.connect(8, OWN);
    bench.subscribe_as(8, 1, 0, 1, "g0");
    bench.step();
    assert_eq!(bench.errors, [0; 0]);
    bench.connect(9, 8);
    bench.subscribe_as(9, 1, 0, 1, "g0");
    bench.step();
    assert_eq!(bench.errors, [2004], "the scope alone does not consume");
}

#[test]
fn a_restart_forgets_what_was_told_and_loses_nothing() {
    let mut farm = Farm::new(&[destination(None)], &[gateway(1, &[0]), gateway(1, &[0])]);
    farm.post(Post::gateway(0, 0, 3).holding(10.0));
    farm.publish(0, 10);
    assert_eq!(farm.run(0.1, 0.001).len(), 3);
    farm.tell_up(1, false);
    farm.restart();
    farm.post(Post::gateway(1, 0, 100));
    let taken = farm.run(0.5, 0.001);
    assert_eq!(taken.len(), 10, "it is up again, and has all of them");
}

#[test]
fn explain_tells_the_gateways() {
    let mut farm = Farm::new(
        &[destination(Some(500.0))],
        &[
            Gateway {
                in_flight_max: Some(3),
                ..rated(20.0, &[0])
            },
            gateway(7, &[0]),
            gateway(7, &[1]),
        ],
    );
    farm.post(Post::gateway(0, 0, 9).holding(60.0));
    farm.post(Post::unnamed(0, 2).holding(60.0));
    farm.publish(0, 50);
    farm.run(1.0, 0.001);
    farm.tell_up(1, false);
    let told = farm.explain(0);
    let gateways = told.split_once(r#""gateways":"#).expect("gateways").1;
    assert_eq!(
        gateways,
        concat!(
            r#"[{"name":null,"type":"pull","up":true,"paused":false,"weight":100,"#,
            r#""ratePerSec":null,"inFlight":2,"inFlightMax":null,"credit":0,"restsMs":0,"#,
            r#""part":1,"served":2},"#,
            r#"{"name":"g0","type":"pull","up":true,"paused":false,"weight":100,"#,
            r#""ratePerSec":20,"inFlight":3,"inFlightMax":3,"credit":6,"#,
            r#""restsMs":0,"part":1,"served":3},"#,
            r#"{"name":"g1","type":"pull","up":false,"paused":false,"weight":7,"#,
            r#""ratePerSec":null,"inFlight":0,"inFlightMax":null,"credit":0,"restsMs":0,"#,
            r#""part":1,"served":0}]}"#
        )
    );
}

/// Random gateways, limits and holds over three destinations: after every step the shard checks that
/// nobody who could be served waits, and the same seed does the same.
#[test]
fn random_gateways_lose_no_wake_and_replay_the_same() {
    for seed in 1..=10 {
        assert_eq!(storm(seed), storm(seed), "seed {seed}");
    }
}

fn storm(seed: u64) -> Vec<(usize, u64)> {
    let mut random = Random(seed);
    let limits = |random: &mut Random| Gateway {
        weight: *random.choose(&[1, 30, 100, 10_000]),
        rate_per_sec: *random.choose(&[None, None, Some(3.0), Some(70.0), Some(900.0)]),
        burst: *random.choose(&[1, 1, 20]),
        in_flight_max: *random.choose(&[None, Some(1), Some(5)]),
        destinations: (0..3).filter(|_| random.permille(800)).collect(),
        ..GATEWAY
    };
    let own = |random: &mut Random| destination(*random.choose(&[None, Some(40.0), Some(400.0)]));
    let destinations = [own(&mut random), own(&mut random), own(&mut random)];
    let gateways = [limits(&mut random), limits(&mut random)];
    let mut farm = Farm::new(&destinations, &gateways);
    farm.checks = true;
    for place in 0..3 {
        for (which, gateway) in gateways.iter().enumerate() {
            if gateway.destinations.contains(&place) {
                let credit = *random.choose(&[1, 4, 200]);
                let hold = *random.choose(&[0.0, 0.02, 0.3]);
                farm.post(Post::gateway(which, place, credit).holding(hold));
            }
        }
        if random.permille(300) {
            farm.post(Post::unnamed(place, 2).holding(0.1));
        }
        let costs: Vec<u32> = (0..120)
            .map(|_| *random.choose(&[1, 1, 1, 4, 30]))
            .collect();
        farm.publish_costs(place, &costs);
    }
    let mut taken = Vec::new();
    for _ in 0..25 {
        match random.below(5) {
            0 => farm.tell_up(random.below(2), random.permille(600)),
            1 => {
                let place = random.below(2);
                let change = Change::Gateway(place, Some(limits(&mut random)));
                farm.bench.configure(&change);
            }
            2 => {
                let after_ms = *random.choose(&[0, 40, 900]);
                farm.throttle_next(random.below(2), after_ms);
            }
            _ => {}
        }
        let step = *random.choose(&[0.0008, 0.004, 0.03]);
        let some = farm.run(0.3, step);
        taken.extend(some.iter().map(|took| (took.post, took.at_us)));
    }
    taken
}
