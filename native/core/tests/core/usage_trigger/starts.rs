//! What outlasts the process: nothing fires twice, nothing that was reached is forgotten.

use super::desk::{Desk, Fired, brief, calls, noon_ms, spec};
use fairlead_core::usage::calendar::DAY_MS;
use fairlead_core::usage::trigger::{Recurring, Spec};

fn desk() -> Desk {
    Desk::new(noon_ms(2026, 11, 22))
}

fn new(fired: Vec<Fired>) -> Vec<Fired> {
    fired.into_iter().filter(|one| !one.told_again).collect()
}

#[test]
fn a_firing_is_told_again_until_it_is_told() {
    let mut desk = desk();
    desk.put_now(
        1,
        &Spec {
            step: Some(5),
            ..spec(5)
        },
    );
    let first = desk.call(11);
    assert_eq!(first.len(), 2);
    let mut again = desk.restart();
    assert!(again.iter().all(|one| one.told_again));
    for one in &mut again {
        one.told_again = false;
    }
    assert_eq!(again, first, "the same sequence and content");
    desk.triggers.firing_told(1);
    desk.triggers.firing_told(1);
    desk.step(&[]);
    assert_eq!(desk.restart().len(), 1);
    desk.triggers.firing_told(2);
    desk.step(&[]);
    assert_eq!(desk.restart(), []);
    assert_eq!(desk.triggers.firings_untold(), 0);
    assert_eq!(desk.call(4)[0].index, 2);
}

#[test]
fn what_was_crossed_and_not_stored_fires_after_the_start() {
    let mut desk = desk();
    desk.put_now(1, &spec(5));
    desk.put_now(
        2,
        &Spec {
            every_n: 1000,
            ..spec(7)
        },
    );
    desk.call(1);
    let before = desk.disk.clone();
    assert_eq!(desk.call(9).len(), 1);
    // Its records are lost, what was counted is not: as if it was counted by another way.
    desk.disk = before;
    let fired = new(desk.restart());
    assert_eq!(brief(&fired), [(1, 0, "alltime", 0), (2, 0, "alltime", 0)]);
    assert_eq!(new(desk.restart()), []);
}

#[test]
fn what_was_counted_while_sums_were_read_is_judged_after_a_start() {
    let mut desk = desk();
    let daily = Spec {
        recurring: Recurring::Daily,
        ..spec(5)
    };
    let late = desk.now_ms - 9 * DAY_MS;
    desk.step(&[calls(late, 4)]);
    desk.put_now(1, &daily);
    desk.put_now(
        2,
        &Spec {
            every_n: 1_000_000,
            ..daily
        },
    );
    desk.reads_at_once = false;
    assert_eq!(
        desk.step(&[calls(late, 1)]).len(),
        0,
        "its day is to be read"
    );
    desk.now_ms += 3 * DAY_MS;
    desk.reads_at_once = true;
    let fired = desk.restart();
    assert_eq!(
        brief(&fired),
        [(1, 0, "2026-11-13", 0), (2, 0, "2026-11-13", 0)]
    );
    assert_eq!(new(desk.restart()), []);
}

#[test]
fn sums_that_are_read_later_fire_then() {
    let mut desk = desk();
    desk.call(4);
    desk.reads_at_once = false;
    desk.put(1, &spec(6));
    desk.call(1);
    desk.call(1);
    assert_eq!(desk.replies.len(), 0);
    desk.read();
    let fired = desk.step(&[]);
    assert_eq!(fired[0].current, "6");
    assert_eq!(desk.replies.len(), 1);
    desk.read();
    assert_eq!(desk.step(&[]), []);
}

#[test]
fn a_trigger_that_is_gone_leaves_nothing() {
    let mut desk = desk();
    desk.reads_at_once = false;
    desk.put(1, &spec(6));
    desk.step(&[]);
    assert_eq!(desk.loads.len(), 1);
    desk.delete(1);
    desk.put(
        2,
        &Spec {
            category: "other".into(),
            ..spec(1)
        },
    );
    desk.call(10);
    desk.read();
    assert_eq!(
        desk.step(&[]),
        [],
        "the sums of one counter are not taken for another's"
    );
    desk.delete(2);
    desk.step(&[]);
    assert_eq!(desk.disk.len(), 0);
    assert_eq!((desk.triggers.len(), desk.triggers.watched()), (0, 0));
    assert!(desk.triggers.watch(b"acme", b"calls", b"", false).is_none());
    desk.restart();
    assert!(desk.triggers.is_empty());
}

#[test]
fn order_of_creation_and_arming_outlast_the_process() {
    let mut desk = desk();
    for number in [5, 3, 9, 1] {
        desk.put_now(number, &spec(2));
    }
    desk.call(2);
    desk.rearm(9);
    desk.delete(3);
    desk.step(&[]);
    desk.restart();
    let order: Vec<u64> = brief(&desk.call(1)).iter().map(|one| one.0).collect();
    assert_eq!(order, [9]);
    desk.put_now(2, &spec(1));
    for number in [5, 9, 1, 2] {
        desk.rearm(number);
    }
    let order: Vec<u64> = brief(&desk.call(1)).iter().map(|one| one.0).collect();
    assert_eq!(order, [2, 5, 9, 1], "by value, then by age");
}

#[test]
fn a_day_of_sums_is_read_again_after_a_start() {
    let mut desk = desk();
    desk.put_now(
        1,
        &Spec {
            recurring: Recurring::Daily,
            ..spec(10)
        },
    );
    for _ in 0..9 {
        desk.call(1);
        desk.restart();
    }
    assert_eq!(desk.call(1).len(), 1);
    desk.now_ms += DAY_MS;
    desk.restart();
    desk.call(5);
    desk.now_ms += DAY_MS;
    desk.call(5);
    desk.now_ms += DAY_MS;
    assert_eq!(brief(&desk.call(10)), [(1, 0, "2026-11-25", 0)]);
}
