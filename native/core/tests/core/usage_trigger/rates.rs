//! Rates: more than a value within a window.

use super::desk::{Desk, Fired, brief, calls, noon_ms, sid, spec};
use super::random::Random;
use fairlead_core::usage::calendar::DAY_MS;
use fairlead_core::usage::trigger::{Recurring, Spec};

const START_MS: u64 = 1_795_000_020_000;

fn rate(value: i128, window_ms: u64) -> Spec {
    Spec {
        window_ms: Some(window_ms),
        ..spec(value)
    }
}

fn desk_of(spec: &Spec) -> Desk {
    let mut desk = Desk::new(START_MS);
    desk.put_now(1, spec);
    desk
}

#[test]
fn fires_when_more_is_counted_within_the_window() {
    let mut desk = desk_of(&rate(10, 60_000));
    for _ in 0..30 {
        assert_eq!(desk.call(5).len(), 0, "5 in each 31 s: 10 in a minute");
        desk.now_ms += 31_000;
    }
    assert_eq!(desk.call(5).len(), 0);
    let fired = desk.call(1);
    assert_eq!(
        (brief(&fired)[0], &*fired[0].current),
        ((1, 0, "alltime", 0), "11")
    );
    desk.now_ms += 600_000;
    assert_eq!(desk.call(50).len(), 0, "once");
}

#[test]
fn what_is_older_than_the_window_is_gone() {
    let mut desk = desk_of(&rate(10, 60_000));
    desk.call(10);
    desk.now_ms += 58_999;
    assert_eq!(desk.show(1)["currentValue"], "10");
    desk.now_ms += 1_001;
    assert_eq!(desk.show(1)["currentValue"], "0");
    assert_eq!(desk.call(10).len(), 0);
    assert_eq!(desk.call(1).len(), 1);
}

#[test]
fn a_rate_that_fell_is_armed_again() {
    let armed = Spec {
        rearm_below: Some(4),
        ..rate(10, 60_000)
    };
    let mut desk = desk_of(&armed);
    assert_eq!(brief(&desk.call(11)), [(1, 0, "alltime", 0)]);
    desk.now_ms += 30_000;
    assert_eq!(desk.call(20).len(), 0, "it has not fallen");
    desk.now_ms += 120_000;
    assert_eq!(desk.call(5).len(), 0);
    assert_eq!(brief(&desk.call(6)), [(1, 0, "alltime", 1)]);
}

#[test]
fn a_recurring_rate_fires_once_a_day() {
    let mut desk = desk_of(&Spec {
        recurring: Recurring::Daily,
        ..rate(1, 60_000)
    });
    let mut days = Vec::new();
    for _ in 0..60 {
        days.extend(desk.call(2).into_iter().map(|one| one.period));
        desk.now_ms += 3_600_000;
    }
    assert_eq!(days, ["2026-11-18", "2026-11-19", "2026-11-20"]);
}

#[test]
fn events_of_days_before_the_window_are_left_out() {
    let mut desk = Desk::new(noon_ms(2026, 11, 22) - DAY_MS / 2 + 30_000);
    desk.put_now(1, &rate(5, 60_000));
    let day_before = |days| calls(desk.now_ms - days * DAY_MS, 100);
    let (yesterday, older) = (day_before(1), day_before(2));
    assert_eq!(desk.step(&[older]).len(), 0);
    assert_eq!(
        desk.step(&[yesterday]).len(),
        1,
        "it may be from a minute ago"
    );
}

#[test]
fn several_values_and_every_nth_event() {
    let mut desk = desk_of(&Spec {
        thresholds: [20, 40].into(),
        every_n: 3,
        ..rate(10, 60_000)
    });
    assert_eq!(desk.call(2).len(), 0);
    let mut all = calls(START_MS, 42);
    all.events = 1;
    assert_eq!(brief(&desk.step(&[all.clone()])).len(), 3);
    desk.rearm(1);
    desk.step(&[]);
    assert_eq!(
        desk.step(&[all.clone(), all.clone()]).len(),
        0,
        "two events"
    );
    assert_eq!(
        brief(&desk.step(&[all])),
        [0, 1, 2].map(|index| (1, index, "alltime", 1))
    );
}

#[test]
fn a_rate_outlasts_the_process() {
    let mut desk = desk_of(&rate(100, 600_000));
    desk.call(1);
    for _ in 0..9 {
        desk.now_ms += 10_000;
        assert_eq!(desk.call(10).len(), 0);
    }
    desk.restart();
    assert_eq!(desk.show(1)["currentValue"], "91");
    assert_eq!(desk.call(9).len(), 0);
    assert_eq!(desk.call(1).len(), 1);
    desk.restart();
    desk.now_ms -= 3_600_000;
    desk.restart();
    assert_eq!(
        desk.show(1)["currentValue"],
        "0",
        "a clock that was set back"
    );
    assert_eq!(desk.call(1000).len(), 0, "it has fired");
}

/// Never more than what was counted within the window, never less than within 59/60 of it.
#[test]
fn says_no_more_than_was_counted() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let window_ms = random.range(1000, 100_000);
        let mut desk = desk_of(&rate(1_000_000_000, window_ms));
        let mut events: Vec<(u64, i64)> = Vec::new();
        for _ in 0..400 {
            let pause = if random.permille(20) {
                window_ms * 2
            } else {
                window_ms / 20
            };
            desk.now_ms += random.range(0, pause);
            let count = random.range(1, 9).cast_signed();
            desk.call(count);
            events.push((desk.now_ms, count));
            let shown: i64 = desk.shown().parse().unwrap();
            let within = |window_ms: u64| -> i64 {
                let counted = events
                    .iter()
                    .filter(|event| event.0 + window_ms > desk.now_ms);
                counted.map(|event| event.1).sum()
            };
            let (low, high) = (within(window_ms / 60 * 59), within(window_ms));
            assert!(
                low <= shown && shown <= high,
                "seed {seed}: {low} {shown} {high}"
            );
        }
    }
}

impl Desk {
    fn shown(&mut self) -> String {
        self.show(1)["currentValue"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_rate_that_finds_no_room_to_fire_is_noted_once() {
    let mut desk = Desk::new(START_MS);
    let many = Spec {
        step: Some(1),
        ..spec(1)
    };
    for number in 0..101 {
        desk.put(number, &many);
    }
    desk.step(&[]);
    // Nobody takes firings, until there are as many as there may be.
    desk.call(1100);
    while desk.triggers.wake_after_ms() == Some(0) {
        desk.step(&[]);
    }
    assert!(desk.triggers.firings_untold() >= 100_000);
    desk.put(500, &rate(5, 60_000));
    for _ in 0..50 {
        desk.call(10);
        assert!((1..=2).contains(&desk.triggers.rates_waiting()));
    }
    let untold = desk.triggers.firings_untold() as u64;
    for firing in 1..=untold {
        desk.triggers.firing_told(firing);
    }
    let mut fired = Vec::new();
    while desk.triggers.wake_after_ms() == Some(0) {
        fired.extend(desk.step(&[]));
    }
    let of_rate = |one: &&Fired| one.sid == sid(500);
    assert_eq!(fired.iter().filter(of_rate).count(), 1, "it fires then");
}
