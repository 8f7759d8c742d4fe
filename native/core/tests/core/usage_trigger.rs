//! Triggers on usage: when they fire, how often, and what of it outlasts the process.

#[path = "usage_trigger/desk.rs"]
mod desk;
#[path = "usage_trigger/forms.rs"]
mod forms;
#[path = "usage_trigger/model.rs"]
mod model;
#[path = "usage_trigger/property.rs"]
mod property;
#[path = "usage_trigger/rates.rs"]
mod rates;
#[path = "usage_trigger/refused.rs"]
mod refused;
#[path = "usage_trigger/starts.rs"]
mod starts;

use crate::shared::random;
use desk::{Desk, brief, calls, noon_ms, spec};
use fairlead_core::usage::calendar::DAY_MS;
use fairlead_core::usage::trigger::{By, Callback, Recurring, Spec};

const MINUTE_MS: u64 = 60_000;
const NONE: [(u64, u64, &str, u64); 0] = [];

fn desk() -> Desk {
    Desk::new(noon_ms(2026, 11, 22))
}

fn recurring(value: i128, recurring: Recurring) -> Spec {
    Spec {
        recurring,
        ..spec(value)
    }
}

#[test]
fn fires_once_at_its_value() {
    let mut desk = desk();
    desk.put_now(7, &spec(3));
    assert_eq!(brief(&desk.call(2)), NONE);
    let fired = desk.call(1);
    assert_eq!(brief(&fired), [(7, 0, "alltime", 0)]);
    assert_eq!((&*fired[0].value, &*fired[0].current), ("3", "3"));
    assert_eq!((fired[0].sequence, fired[0].at_ms), (1, desk.now_ms));
    assert_eq!(brief(&desk.call(50)), NONE);
    let shown = desk.show(7);
    assert_eq!(
        (&shown["currentValue"], &shown["firings"]),
        (&"53".into(), &1.into())
    );
}

#[test]
fn only_its_own_counter_counts() {
    let mut desk = desk();
    desk.put_now(
        1,
        &Spec {
            tag: "red".into(),
            ..spec(1)
        },
    );
    desk.put_now(
        2,
        &Spec {
            category: "calls.out".into(),
            ..spec(1)
        },
    );
    desk.put_now(
        3,
        &Spec {
            account: "acme2".into(),
            ..spec(1)
        },
    );
    assert_eq!(brief(&desk.call(5)), NONE);
    let mut tagged = calls(desk.now_ms, 1);
    tagged.tag = "red";
    assert_eq!(brief(&desk.step(&[tagged])), [(1, 0, "alltime", 0)]);
}

#[test]
fn judges_count_usage_and_price() {
    let mut desk = desk();
    desk.put_now(
        1,
        &Spec {
            by: By::Usage,
            ..spec(121)
        },
    );
    desk.put_now(
        2,
        &Spec {
            by: By::Price,
            ..spec(10_000_000)
        },
    );
    assert_eq!(brief(&desk.call(1)), NONE);
    let fired = desk.call(1);
    assert_eq!(brief(&fired), [(2, 0, "alltime", 0)]);
    assert_eq!(
        (&*fired[0].value, &*fired[0].current),
        ("0.010000000", "0.010000000")
    );
    let fired = desk.call(1);
    assert_eq!((brief(&fired)[0].0, &*fired[0].current), (1, "180"));
}

/// A trigger of each kind of period fires again on the far side of the period's edge only.
fn fires_across(edge_ms: u64, kinds: [bool; 3]) {
    let mut desk = Desk::new(edge_ms - MINUTE_MS);
    let all = [Recurring::Daily, Recurring::Monthly, Recurring::Yearly];
    for (number, kind) in (1..).zip(all) {
        desk.put_now(number, &recurring(2, kind));
    }
    assert_eq!(desk.call(2).len(), 3);
    desk.now_ms = edge_ms - 1;
    assert_eq!(desk.call(2).len(), 0);
    desk.now_ms = edge_ms;
    assert_eq!(desk.call(1).len(), 0, "begins at 0");
    let fired = desk.call(1);
    let again: Vec<u64> = brief(&fired).iter().map(|one| one.0).collect();
    let expected: Vec<u64> = (1..4)
        .filter(|number| kinds[*number as usize - 1])
        .collect();
    assert_eq!(again, expected);
}

#[test]
fn periods_end_at_their_edges() {
    let midnight = |year, month, day| noon_ms(year, month, day) - DAY_MS / 2;
    fires_across(midnight(2026, 11, 23), [true, false, false]);
    fires_across(midnight(2026, 12, 1), [true, true, false]);
    fires_across(midnight(2027, 1, 1), [true, true, true]);
    fires_across(midnight(2027, 3, 1), [true, true, false]);
    fires_across(midnight(2028, 2, 29), [true, false, false]);
    fires_across(midnight(2028, 3, 1), [true, true, false]);
    fires_across(midnight(2029, 1, 1), [true, true, true]);
}

#[test]
fn a_late_event_fires_for_its_own_period() {
    let mut desk = Desk::new(noon_ms(2026, 3, 3));
    // Counted before there was a trigger.
    desk.step(&[
        calls(noon_ms(2026, 2, 28), 4),
        calls(noon_ms(2026, 1, 31), 90),
    ]);
    desk.put_now(1, &recurring(5, Recurring::Daily));
    desk.put_now(2, &recurring(6, Recurring::Monthly));
    assert_eq!(
        brief(&desk.step(&[calls(noon_ms(2026, 2, 28), 1)])),
        [(1, 0, "2026-02-28", 0)]
    );
    assert_eq!(
        brief(&desk.step(&[calls(noon_ms(2026, 2, 1), 1)])),
        [(2, 0, "2026-02", 0)]
    );
    assert_eq!(
        brief(&desk.step(&[calls(noon_ms(2026, 1, 31), 1)])).len(),
        2
    );
    assert_eq!(brief(&desk.step(&[calls(noon_ms(2026, 1, 31), 1)])), NONE);
    assert_eq!(brief(&desk.call(5)), [(1, 0, "2026-03-03", 0)]);
    assert_eq!(brief(&desk.call(1)), [(2, 0, "2026-03", 0)]);
    let back = |days: u64| calls(desk.now_ms - days * DAY_MS, 9);
    let (last, over) = (back(36), back(37));
    assert_eq!(brief(&desk.step(&[last])), [(1, 0, "2026-01-26", 0)]);
    assert_eq!(
        brief(&desk.step(&[over])),
        NONE,
        "nothing is known of days before"
    );
}

#[test]
fn an_event_ahead_is_of_the_next_day_already() {
    let mut desk = Desk::new(noon_ms(2026, 11, 22) + DAY_MS / 2 - MINUTE_MS);
    desk.step(&[calls(desk.now_ms + 2 * MINUTE_MS, 1)]);
    desk.put_now(1, &recurring(2, Recurring::Daily));
    let ahead = calls(desk.now_ms + 2 * MINUTE_MS, 1);
    assert_eq!(brief(&desk.step(&[ahead])), [(1, 0, "2026-11-23", 0)]);
    assert_eq!(brief(&desk.call(2)), [(1, 0, "2026-11-22", 0)]);
}

#[test]
fn many_late_days_fire_each_once() {
    let mut desk = desk();
    desk.put_now(1, &recurring(3, Recurring::Daily));
    let mut fired = Vec::new();
    for _ in 0..5 {
        for back in 0..36 {
            let event = calls(desk.now_ms - back * DAY_MS, 1);
            fired.extend(desk.step(&[event]));
        }
    }
    assert_eq!(fired.len(), 36);
    assert!(fired.iter().all(|one| one.current == "3"));
}

#[test]
fn a_correction_does_not_unfire() {
    let mut desk = desk();
    desk.put_now(1, &spec(5));
    assert_eq!(desk.call(5).len(), 1);
    assert_eq!(desk.call(-5).len(), 0);
    assert_eq!(desk.call(20).len(), 0);
    assert_eq!(desk.show(1)["currentValue"], "20");
    desk.put_now(2, &spec(30));
    let twice = [calls(desk.now_ms, 12), calls(desk.now_ms, -3)];
    assert_eq!(
        desk.step(&twice).len(),
        0,
        "the total at the end of the step is what counts"
    );
}

#[test]
fn relative_values_count_from_when_it_was_made() {
    let mut desk = desk();
    desk.call(100);
    let made = desk.put_now(
        1,
        &Spec {
            relative: true,
            thresholds: [20].into(),
            ..spec(10)
        },
    );
    assert!(made.contains(r#""relative":true,"base":"100""#), "{made}");
    assert!(made.contains(r#""currentValue":"0""#), "{made}");
    assert_eq!(desk.call(9).len(), 0);
    let fired = desk.call(1);
    assert_eq!((&*fired[0].value, &*fired[0].current), ("10", "10"));
    assert_eq!(brief(&desk.call(10)), [(1, 1, "alltime", 0)]);
    assert_eq!(desk.show(1)["base"], "100");
}

#[test]
fn relative_values_know_what_came_while_the_total_was_read() {
    let mut desk = desk();
    desk.call(100);
    desk.reads_at_once = false;
    desk.put(
        1,
        &Spec {
            relative: true,
            ..spec(10)
        },
    );
    desk.call(4);
    assert_eq!(desk.replies, [], "it is not known yet");
    desk.restart();
    desk.call(5);
    desk.read();
    desk.step(&[]);
    assert_eq!(desk.show(1)["currentValue"], "9");
    assert_eq!(desk.call(1).len(), 1);
}

#[test]
fn one_event_fires_every_value_it_passes() {
    let mut desk = desk();
    let steps = Spec {
        thresholds: [10, 25].into(),
        step: Some(100),
        ..spec(5)
    };
    desk.put_now(1, &steps);
    let indexes = |desk: &mut Desk, count| -> Vec<u64> {
        desk.call(count).iter().map(|one| one.index).collect()
    };
    assert_eq!(indexes(&mut desk, 12), [0, 1]);
    assert_eq!(indexes(&mut desk, 12), [0_u64; 0]);
    assert_eq!(indexes(&mut desk, 301), [2, 3, 4, 5]);
    let fired = desk.call(100);
    assert_eq!(
        (&*fired[0].value, &*fired[0].current, fired[0].index),
        ("425", "425", 6)
    );
}

#[test]
fn firings_of_one_event_are_in_the_order_of_their_values() {
    let mut desk = desk();
    desk.put_now(
        1,
        &Spec {
            step: Some(10),
            ..spec(10)
        },
    );
    desk.put_now(
        2,
        &Spec {
            thresholds: [20, 25].into(),
            ..spec(15)
        },
    );
    desk.put_now(3, &spec(20));
    let fired = desk.call(30);
    let order: Vec<(u64, &str)> = brief(&fired)
        .iter()
        .zip(&fired)
        .map(|(one, fired)| (one.0, &*fired.value))
        .collect();
    let expected = [
        (1, "10"),
        (2, "15"),
        (1, "20"),
        (2, "20"),
        (3, "20"),
        (2, "25"),
        (1, "30"),
    ];
    assert_eq!(order, expected);
    let sequences: Vec<u64> = fired.iter().map(|one| one.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn too_many_steps_of_one_event_are_passed_over() {
    let mut desk = desk();
    desk.put_now(
        1,
        &Spec {
            step: Some(1),
            ..spec(1)
        },
    );
    let fired = desk.call(1_000_000);
    let indexes: Vec<u64> = fired.iter().map(|one| one.index).collect();
    let expected: Vec<u64> = (0..999).chain([999_999]).collect();
    assert_eq!(indexes, expected);
    let shown = desk.show(1);
    assert_eq!(
        (&shown["firings"], &shown["skipped"]),
        (&1000.into(), &999_000.into())
    );
    assert_eq!(brief(&desk.call(1)), [(1, 1_000_000, "alltime", 0)]);
    let huge = Spec {
        step: Some(1),
        value: 1,
        by: By::Usage,
        ..spec(1)
    };
    desk.put_now(2, &huge);
    assert_eq!(desk.call(i64::MAX / 2).len(), 2 * 1000);
}

#[test]
fn more_firings_than_a_step_takes_come_in_the_next() {
    let mut desk = desk();
    for number in 0..10 {
        desk.put_now(
            number,
            &Spec {
                step: Some(1),
                ..spec(1)
            },
        );
    }
    let mut fired = desk.call(600);
    assert_eq!(fired.len(), 4096);
    assert_eq!(desk.triggers.wake_after_ms(), Some(0));
    fired.extend(desk.restart().into_iter().filter(|one| !one.told_again));
    while desk.triggers.wake_after_ms().is_some() {
        fired.extend(desk.step(&[]));
    }
    assert_eq!(fired.len(), 6000);
    let mut all = brief(&fired);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 6000, "each once");
}

#[test]
fn large_firings_are_few_a_step() {
    let mut desk = desk();
    let url = format!("https://a.example/{}", "x".repeat(2000)).into_boxed_str();
    let callback = Callback {
        url,
        method: 0,
        form: 0,
    };
    desk.put_now(
        1,
        &Spec {
            step: Some(1),
            callbacks: vec![callback; 5].into(),
            ..spec(1)
        },
    );
    let mut all = desk.call(300);
    assert!(
        (100..110).contains(&all.len()),
        "{} of 10 KB in 1 MiB",
        all.len()
    );
    while desk.triggers.wake_after_ms().is_some() {
        all.extend(desk.step(&[]));
    }
    let indexes: Vec<u64> = all.iter().map(|one| one.index).collect();
    assert_eq!(indexes, (0..300).collect::<Vec<u64>>());
}

#[test]
fn nothing_fires_while_too_many_wait_to_be_told() {
    let mut desk = desk();
    desk.put_now(
        1,
        &Spec {
            step: Some(1),
            ..spec(1)
        },
    );
    for _ in 0..100 {
        assert_eq!(desk.call(1000).len(), 1000);
    }
    assert_eq!(desk.triggers.firings_untold(), 100_000);
    assert_eq!(desk.call(7).len(), 0);
    assert_eq!(desk.triggers.wake_after_ms(), None);
    (1..=3).for_each(|sequence| desk.triggers.firing_told(sequence));
    assert_eq!(desk.step(&[]).len(), 3);
    (4..=100).for_each(|sequence| desk.triggers.firing_told(sequence));
    let later: Vec<u64> = desk.step(&[]).iter().map(|one| one.index).collect();
    assert_eq!(later, [100_003, 100_004, 100_005, 100_006]);
}

#[test]
fn made_above_its_value_it_fires_at_the_next_counted_event() {
    let mut desk = desk();
    desk.call(10);
    desk.put_now(1, &spec(5));
    assert_eq!(desk.step(&[]).len(), 0);
    assert_eq!(desk.restart().len(), 0, "nothing was counted since");
    assert_eq!(desk.call(-1).len(), 0, "nor is a correction");
    let fired = desk.call(1);
    assert_eq!((brief(&fired)[0].0, &*fired[0].current), (1, "10"));
    desk.put_now(2, &recurring(3, Recurring::Daily));
    let yesterday = calls(desk.now_ms - DAY_MS, 1);
    assert_eq!(desk.step(&[yesterday]).len(), 0, "its own day counts");
    assert_eq!(
        desk.restart().iter().filter(|one| !one.told_again).count(),
        0
    );
    assert_eq!(brief(&desk.call(1)), [(2, 0, "2026-11-22", 0)]);
}

#[test]
fn an_event_of_the_same_step_is_before_a_trigger_put_after_it() {
    let mut desk = desk();
    desk.put_now(1, &spec(1000));
    let watch = desk.triggers.watch(b"acme", b"calls", b"", false).unwrap();
    let event = calls(desk.now_ms, 50);
    desk.triggers.counted(watch, event.day, &event.sums, 50);
    desk.put(2, &spec(10));
    assert_eq!(desk.step(&[]).len(), 0);
    assert_eq!(desk.call(1).len(), 1);
}

#[test]
fn a_total_below_arms_it_again() {
    let mut desk = desk();
    desk.put_now(
        1,
        &Spec {
            rearm_below: Some(4),
            thresholds: [20].into(),
            ..spec(10)
        },
    );
    assert_eq!(brief(&desk.call(11)), [(1, 0, "alltime", 0)]);
    assert_eq!(desk.call(-7).len(), 0);
    assert_eq!(desk.call(8).len(), 0, "4 was not below");
    assert_eq!(brief(&desk.call(10)), [(1, 1, "alltime", 0)]);
    assert_eq!(desk.call(-19).len(), 0);
    assert_eq!(desk.show(1)["arming"], 1);
    desk.restart();
    assert_eq!(
        brief(&desk.call(20)),
        [(1, 0, "alltime", 1), (1, 1, "alltime", 1)]
    );
    assert_eq!(desk.call(-22).len(), 0);
    assert_eq!(desk.call(-1).len(), 0);
    assert_eq!(desk.show(1)["arming"], 2, "once, not at each correction");
}

#[test]
fn an_operator_arms_it_again() {
    let mut desk = desk();
    desk.put_now(1, &recurring(5, Recurring::Daily));
    assert_eq!(desk.call(6).len(), 1);
    desk.rearm(1);
    assert_eq!(desk.step(&[]).len(), 0);
    let answer = desk.replies.pop().unwrap().1;
    assert!(answer.contains(r#""arming":1"#), "{answer}");
    assert_eq!(
        desk.restart().iter().filter(|one| !one.told_again).count(),
        0
    );
    assert_eq!(brief(&desk.call(1)), [(1, 0, "2026-11-22", 1)]);
    assert_eq!(desk.call(1).len(), 0);
    desk.now_ms += DAY_MS;
    assert_eq!(brief(&desk.call(5)), [(1, 0, "2026-11-23", 1)]);
}

#[test]
fn is_judged_at_each_nth_event() {
    let mut desk = desk();
    desk.put_now(
        1,
        &Spec {
            every_n: 10,
            ..spec(12)
        },
    );
    let counts = [9, 2, 5, 3];
    for count in counts {
        assert_eq!(desk.call(count).len(), 0, "at the tenth it was 11");
    }
    assert_eq!(desk.call(1)[0].current, "20");
    desk.put_now(
        2,
        &Spec {
            every_n: 1000,
            ..recurring(30, Recurring::Daily)
        },
    );
    assert_eq!(desk.call(979).len(), 0, "999 today");
    assert_eq!(desk.call(1).len(), 1);
}

#[test]
fn sub_accounts_count_for_those_above() {
    let mut desk = desk();
    desk.set_parent("east", "acme");
    desk.set_parent("harbour", "east");
    let of = |account, count| {
        let mut event = calls(noon_ms(2026, 11, 22), count);
        event.account = account;
        event
    };
    desk.step(&[of("harbour", 3), of("west", 50)]);
    desk.put_now(
        1,
        &Spec {
            sub_accounts: true,
            ..spec(10)
        },
    );
    desk.put_now(2, &spec(10));
    assert_eq!(desk.show(1)["currentValue"], "3");
    desk.step(&[of("east", 3), of("acme", 3)]);
    assert_eq!(
        brief(&desk.step(&[of("harbour", 1)])),
        [(1, 0, "alltime", 0)]
    );
    assert_eq!(brief(&desk.step(&[of("acme", 7)])), [(2, 0, "alltime", 0)]);
    desk.put_now(
        3,
        &Spec {
            sub_accounts: true,
            ..spec(70)
        },
    );
    desk.set_parent("west", "harbour");
    assert_eq!(desk.step(&[]).len(), 0);
    assert_eq!(desk.show(1)["currentValue"], "67");
    assert_eq!(brief(&desk.step(&[of("west", 3)])), [(3, 0, "alltime", 0)]);
}

#[test]
fn another_parent_while_sums_are_read_makes_them_read_again() {
    let mut desk = desk();
    let mut west = calls(desk.now_ms, 40);
    west.account = "west";
    desk.step(&[west.clone()]);
    desk.reads_at_once = false;
    desk.put(
        1,
        &Spec {
            sub_accounts: true,
            ..spec(42)
        },
    );
    desk.step(&[]);
    let open = std::mem::take(&mut desk.loads);
    desk.set_parent("west", "acme");
    let none = fairlead_core::record::Sums::default();
    desk.triggers
        .loaded(open[0].watch, open[0].days, &none, &[]);
    desk.step(&[]);
    assert_eq!(desk.loads.len(), 1, "asked for again");
    desk.read();
    west.sums.count = 2;
    assert_eq!(desk.step(&[west]).len(), 1);
}
