//! Admission by time against a real shard: who is refused would have expired, who is accepted does not.
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]

#[path = "admission/bench.rs"]
mod bench;

use crate::shared::{disk, random};
use bench::{Figures, Load, Mode, Run, SECOND_US, Scenario};

const RATE_PER_SEC: f64 = 100.0;
const TENANTS: usize = 10;

/// Ten tenants of these weights in turn. `even`: each sends alike; else each by its weight.
fn loads(weights: &[u32], even: bool, load: f64, then: f64) -> Vec<Load> {
    let weight = |place: usize| weights[place % weights.len()];
    let all: u32 = (0..TENANTS).map(weight).sum();
    let share = |place: usize| {
        let part = if even {
            1.0 / TENANTS as f64
        } else {
            f64::from(weight(place)) / f64::from(all)
        };
        RATE_PER_SEC * part
    };
    let of = |place| Load {
        weight: weight(place),
        per_sec: share(place) * load,
        then_per_sec: share(place) * then,
        cost_max: 1,
    };
    (0..TENANTS).map(of).collect()
}

fn scenario(loads: Vec<Load>, validity_sec: u64) -> Scenario {
    Scenario {
        rate_per_sec: Some(RATE_PER_SEC),
        in_flight_max: None,
        hold_us: 50_000,
        validity_ms: validity_sec * 1000,
        mixed: false,
        loads,
        seconds: 4 * validity_sec.max(10) + 60,
        then_from_us: u64::MAX / 2,
        seed: 7,
    }
}

fn part(of: u64, all: u64) -> f64 {
    of as f64 / all.max(1) as f64
}

/// Part of the accepted that expired, with `on`; part of the marked that expired, in shadow.
fn both(name: &str, scenario: &Scenario) -> (f64, f64) {
    let on = Run::new(scenario, Mode::On).run();
    let shadow = Run::new(scenario, Mode::Shadow).run();
    let expired = part(on.expired, on.sent + on.expired);
    let right = 1.0 - part(shadow.marked_sent, shadow.marked_over());
    let counted = |figures: &Figures| {
        let Figures {
            accepted_then_expired,
            would_have_made_it,
            ..
        } = figures;
        format!(
            "{accepted_then_expired} accepted then expired, {would_have_made_it} would have made it"
        )
    };
    println!(
        "{name}: on: {} refused, {} accepted, {:.2} % of these expired; shadow: {} refused, {:.1} % of these expired; counters: {}; {}",
        on.refused,
        on.accepted,
        100.0 * expired,
        shadow.refused,
        100.0 * right,
        counted(&on),
        counted(&shadow),
    );
    assert!(
        on.refused > 100 && shadow.refused > 100,
        "nothing was tested"
    );
    (expired, right)
}

/// Every tenant sends more than its share, all alike.
#[test]
fn steady_overload() {
    for (validity_sec, load) in [
        (5, 1.5),
        (5, 3.0),
        (20, 1.3),
        (20, 2.0),
        (60, 1.5),
        (60, 3.0),
    ] {
        let scenario = scenario(loads(&[100], false, load, load), validity_sec);
        let (expired, right) = both(&format!("even, {validity_sec} s, load {load}"), &scenario);
        assert!(expired <= 0.01, "{expired} of the accepted expired");
        assert!(right >= 0.95, "{right} of the refused would have expired");
    }
}

/// The same by their weights. A tenant's turns no longer come at equal intervals, and a queue that is
/// full to the last message that fits is judged by a part of a turn: one message is refused that would
/// have fitted, and one accepted that does not.
#[test]
fn steady_overload_by_weight() {
    for (validity_sec, load) in [(5, 3.0), (20, 1.3), (20, 2.0), (60, 1.5)] {
        let scenario = scenario(loads(&[50, 100, 400], false, load, load), validity_sec);
        let name = format!("by weight, {validity_sec} s, load {load}");
        let (expired, right) = both(&name, &scenario);
        assert!(expired <= 0.01, "{expired} of the accepted expired");
        assert!(right >= 0.75, "{right} of the refused would have expired");
    }
}

/// Some tenants send less than their share, by chance more or less: what they leave to the others is
/// known on average only.
#[test]
fn overload_of_some() {
    for (validity_sec, load) in [(5, 2.0), (20, 1.3), (20, 2.0)] {
        let scenario = scenario(loads(&[50, 100, 400], true, load, load), validity_sec);
        let (expired, right) = both(&format!("some, {validity_sec} s, load {load}"), &scenario);
        assert!(expired <= 0.03, "{expired} of the accepted expired");
        assert!(right >= 0.6, "{right} of the refused would have expired");
    }
}

#[test]
fn load_doubles() {
    for (load, then) in [(1.3, 2.6), (0.8, 1.6)] {
        let mut scenario = scenario(loads(&[50, 100, 400], false, load, then), 20);
        scenario.seconds = 240;
        scenario.then_from_us = 120 * SECOND_US;
        let (expired, right) = both(&format!("load {load}, then {then}"), &scenario);
        assert!(expired <= 0.05, "{expired} of the accepted expired");
        assert!(right >= 0.7, "{right} of the refused would have expired");
    }
}

/// Slots bind: nothing says how much goes but what went.
#[test]
fn slots_bind() {
    let mut scenario = scenario(loads(&[50, 100, 400], false, 2.0, 2.0), 20);
    scenario.rate_per_sec = None;
    scenario.in_flight_max = Some(50);
    scenario.hold_us = 500_000;
    let (expired, right) = both("50 slots of 0.5 s", &scenario);
    println!("{expired} {right}");
}

/// Validities from 4 to 20 s in one queue, costs from 1 to 6.
#[test]
fn mixed_validities_and_costs() {
    let mut scenario = scenario(loads(&[100], false, 0.6, 0.6), 20);
    scenario.mixed = true;
    for load in &mut scenario.loads {
        load.cost_max = 6;
    }
    let (expired, right) = both("mixed", &scenario);
    println!("{expired} {right}");
}
