//! Status events of one shard: their bound, how they are told piece by piece and again after a restart,
//! and their sequences. That they are right is checked in `life`.

use crate::shared::{bench, entities};
use bench::{Bench, PLAIN};
use entities::Change;
use fairlead_core::exchange::InputOp;
use fairlead_core::record::EventsRecord;
use fairlead_core::shard::{Bounds, EventBounds};

const OVERLOADED: u32 = 1010;
const PUBLISHER: u32 = 1;
const GATEWAY: u32 = 2;

fn bench_with(events: EventBounds) -> Bench {
    let bounds = Bounds {
        events,
        ..Bounds::default()
    };
    let mut bench = Bench::with_bounds(&[Change::Destination(0, Some(PLAIN))], bounds);
    bench.connect(PUBLISHER, 7);
    bench.step();
    bench
}

/// Publishes messages with a callback, or without.
fn publish(bench: &mut Bench, count: usize, with_callback: bool) {
    let message = ("acme", "49", "4911", 10);
    let messages = vec![message; count];
    if with_callback {
        bench.publish_told(PUBLISHER, 0, &messages, "https://acme.example/status");
    } else {
        bench.publish(PUBLISHER, 0, &messages);
    }
}

fn take(bench: &mut Bench, sequence: u64) {
    bench.entry(InputOp::EventsTaken, 0, &sequence.to_le_bytes());
}

fn statuses(told: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let records = told.iter();
    let events = records.flat_map(|(_, content)| {
        let record = EventsRecord::of_content(content).expect("events");
        record.events().map(|event| event.status)
    });
    events.collect()
}

fn stored(bench: &Bench) -> usize {
    bench.pages.range(vec![6]..vec![7]).count()
}

#[test]
fn messages_without_a_callback_store_nothing() {
    let mut bench = bench_with(EventBounds::default());
    publish(&mut bench, 100, false);
    bench.step();
    assert_eq!((stored(&bench), bench.told.len()), (0, 0));
    assert!(
        !bench.pages.contains_key(&vec![1, 4]),
        "no sequence is reserved"
    );
}

#[test]
fn past_the_bound_messages_with_a_callback_are_refused_and_others_are_not() {
    let mut bench = bench_with(EventBounds {
        stored_bytes: 3_000,
        ..EventBounds::default()
    });
    let mut refused = 0;
    for _ in 0..100 {
        publish(&mut bench, 1, true);
        bench.step();
        refused += bench
            .refused
            .iter()
            .filter(|code| **code == OVERLOADED)
            .count();
    }
    assert!(refused > 50, "{refused} of 100 refused");
    let accepted = bench.counters[0];
    assert_eq!(accepted + refused as u64, 100);
    publish(&mut bench, 1, false);
    bench.step();
    assert_eq!(
        bench.counters[0],
        accepted + 1,
        "one without a callback is accepted"
    );
    // What was accepted goes on, and what it has to tell is stored past the bound.
    bench.connect(GATEWAY, 7);
    bench.subscribe(GATEWAY, 1, 0, 1000);
    let took = bench.step();
    assert_eq!(took.len() as u64, accepted + 1);
    let sending = statuses(&bench.told)
        .into_iter()
        .filter(|status| *status == 4)
        .count();
    assert_eq!(sending as u64, accepted);
    let last = bench.told.last().expect("told").0;
    take(&mut bench, last);
    bench.step();
    assert_eq!(stored(&bench), 0);
    publish(&mut bench, 1, true);
    bench.step();
    assert_eq!(bench.counters[0], accepted + 2, "there is room again");
}

#[test]
fn after_a_restart_all_is_told_again_in_pieces_and_in_order() {
    let mut bench = bench_with(EventBounds {
        told_bytes: u64::MAX,
        exchange_bytes: 2_000,
        record_bytes: 600,
        ..EventBounds::default()
    });
    for _ in 0..10 {
        publish(&mut bench, 20, true);
        bench.step();
    }
    while bench.wake_after_ms == 0 {
        bench.step();
    }
    let first = std::mem::take(&mut bench.told);
    assert_eq!(statuses(&first).len(), 400);
    take(&mut bench, first[4].0);
    bench.step();
    bench.restart();
    bench.told.clear();
    let mut exchanges = 0;
    loop {
        let before = bench.told.len();
        bench.step();
        let bytes: usize = bench.told[before..].iter().map(|told| told.1.len()).sum();
        assert!(bytes <= 2_000, "{bytes} bytes in one exchange");
        exchanges += 1;
        if bench.wake_after_ms > 0 {
            break;
        }
    }
    assert!(exchanges > 10);
    assert_eq!(
        bench.told,
        first[5..],
        "the same records with the same sequences"
    );
}

#[test]
fn what_is_told_waits_for_what_was_told_to_be_taken() {
    let mut bench = bench_with(EventBounds {
        told_bytes: 1_500,
        record_bytes: 500,
        at_hand_bytes: 0,
        ..EventBounds::default()
    });
    for _ in 0..10 {
        publish(&mut bench, 20, true);
        bench.step();
        bench.step();
    }
    let bytes: usize = bench.told.iter().map(|told| told.1.len()).sum();
    assert!(bytes < 3_000, "{bytes} bytes are told and not taken");
    assert!(
        bench.wake_after_ms > 0,
        "nothing to do until something is taken"
    );
    let mut read_back = 0;
    while statuses(&bench.told).len() < 400 {
        let (last, _) = *bench.told.last().expect("told");
        take(&mut bench, last);
        bench.step();
        read_back += bench.wants;
    }
    assert!(read_back > 20, "records come from the store");
    let sequences: Vec<u64> = bench.told.iter().map(|told| told.0).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]));
}

#[test]
fn a_sequence_is_never_given_twice() {
    let mut bench = bench_with(EventBounds::default());
    let mut last = 0;
    for _ in 0..5 {
        publish(&mut bench, 1, true);
        bench.step();
        let told = std::mem::take(&mut bench.told);
        assert!(told.iter().all(|told| told.0 > last), "sequences ascend");
        last = told.last().expect("told").0;
        take(&mut bench, last);
        bench.step();
        assert_eq!(stored(&bench), 0, "nothing is left that would tell");
        bench.restart();
        bench.connect(PUBLISHER, 7);
        bench.step();
    }
}

#[test]
fn what_is_taken_before_it_is_told_again_is_not_told() {
    let mut bench = bench_with(EventBounds::default());
    publish(&mut bench, 10, true);
    bench.step();
    publish(&mut bench, 10, true);
    bench.step();
    let told = std::mem::take(&mut bench.told);
    bench.restart();
    take(&mut bench, told[0].0);
    bench.step();
    bench.step();
    assert_eq!(bench.told, told[1..]);
    // A sequence that was never given takes only what there is.
    take(&mut bench, u64::MAX);
    bench.step();
    assert_eq!(stored(&bench), 0);
    bench.told.clear();
    bench.connect(PUBLISHER, 7);
    publish(&mut bench, 1, true);
    bench.step();
    assert_eq!(statuses(&bench.told), [1, 3]);
}
