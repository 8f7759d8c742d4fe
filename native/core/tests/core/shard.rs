//! A shard by behaviours: its bounds, and a case for each fault it once had.
#![allow(clippy::cast_precision_loss)]

use crate::shared::{bench, entities, json, random, wire};
use bench::{Bench, Message, PLAIN, SECOND_US, Took};
use entities::{Change, Destination, Set, Tenant};
use fairlead_core::exchange::InputOp;
use fairlead_core::record::{JournalEntry, JournalReader, LogRecord, parse_key};
use fairlead_core::shard::Bounds;
use wire::Said;

const STRICT: Set = Set {
    weight: 100,
    rate_per_sec: None,
    burst: 1,
    in_flight_max: None,
    strict: true,
};
const FIFO: Set = Set {
    strict: false,
    ..STRICT
};
const TENANT: Tenant = Tenant {
    set: 0,
    weight: 100,
    rate_per_sec: None,
    burst: 1,
    in_flight_max: None,
    paused: false,
};

fn recipients(took: &[Took]) -> Vec<&str> {
    took.iter().map(|took| took.recipient.as_str()).collect()
}

/// The subscription of each.
fn numbers(took: &[Took]) -> Vec<u32> {
    took.iter().map(|took| took.number).collect()
}

#[test]
fn a_message_goes_to_its_gateway_once() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 1);
    bench.connect(2, 2);
    bench.subscribe(2, 1, 0, 10);
    bench.publish(1, 0, &[("t1", "a", "m1", 3), ("t1", "a", "m2", 0)]);
    let took = bench.step();
    assert_eq!(recipients(&took), ["m1", "m2"]);
    bench.settle(2, 1, &[Said::sent(1), Said::sent(2)]);
    assert!(bench.step().is_empty());
    bench.restart();
    bench.connect(2, 2);
    bench.subscribe(2, 1, 0, 10);
    assert!(bench.step().is_empty());
    bench.checkpoint();
    assert_eq!(bench.pages.len(), 3, "only marks are left");
}

/// Once a gateway that hung with most credit left took each message again to the end of its lease,
/// until all of them were given up, while another one waited for work.
#[test]
fn a_gateway_whose_lease_ended_comes_after_the_others() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 3);
    bench.connect(2, 2);
    bench.subscribe(1, 1, 0, 1000);
    bench.subscribe(2, 7, 0, 2);
    bench.publish(1, 0, &[("t1", "a", "m1", 1), ("t1", "a", "m2", 1)]);
    assert_eq!(numbers(&bench.step()), [1, 1]);
    bench.now_us += PLAIN.lease_ms * 1000;
    let took = bench.step();
    assert_eq!(numbers(&took), [7, 7], "the other one");
    assert!(took.iter().all(|took| took.attempt == 2));
    bench.publish(1, 0, &[("t1", "a", "m3", 1)]);
    assert_eq!(numbers(&bench.step()), [1], "better late than nobody");
    bench.credit(2, 7, 2);
    bench.publish(1, 0, &[("t1", "a", "m4", 1)]);
    assert_eq!(numbers(&bench.step()), [7]);
    bench.settle(1, 1, &[Said::sent(1)]);
    bench.publish(1, 0, &[("t1", "a", "m5", 1)]);
    assert_eq!(numbers(&bench.step()), [1], "it works, if slowly");
}

/// Once one that was closing, and gave back what it got, took the same message thousands of times.
#[test]
fn a_gateway_that_does_not_attempt_comes_after_the_others() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 3);
    bench.connect(2, 2);
    bench.subscribe(1, 1, 0, 1000);
    bench.subscribe(2, 7, 0, 2);
    bench.publish(1, 0, &[("t1", "a", "m1", 1)]);
    assert_eq!(numbers(&bench.step()), [1]);
    let untried = Said {
        outcome: 5,
        ..Said::sent(1)
    };
    bench.settle(1, 1, &[untried]);
    assert_eq!(numbers(&bench.step()), [7], "the other one");
}

/// Once only the message handed out under `strict` was waited for.
#[test]
fn strict_order_switched_on_waits_for_what_is_in_flight() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 2);
    bench.publish(
        1,
        0,
        &[
            ("t1", "a", "m1", 1),
            ("t1", "a", "m2", 1),
            ("t1", "a", "m3", 1),
        ],
    );
    assert_eq!(recipients(&bench.step()), ["m1", "m2"]);
    bench.configure(&Change::Set(0, Some(STRICT)));
    bench.credit(1, 1, 10);
    assert!(bench.step().is_empty());
    bench.settle(1, 1, &[Said::sent(1)]);
    assert!(bench.step().is_empty(), "one is still in flight");
    bench.settle(1, 1, &[Said::sent(2)]);
    assert_eq!(recipients(&bench.step()), ["m3"]);
}

/// Once a queue that was blocked stayed so until the outcome came.
#[test]
fn strict_order_switched_off_lets_the_others_go() {
    let plain = Change::Destination(0, Some(PLAIN));
    let mut bench = Bench::new(&[plain, Change::Set(0, Some(STRICT))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 10);
    bench.publish(1, 0, &[("t1", "a", "m1", 1), ("t1", "a", "m2", 1)]);
    assert_eq!(recipients(&bench.step()), ["m1"]);
    bench.configure(&Change::Set(0, Some(FIFO)));
    assert_eq!(recipients(&bench.step()), ["m2"]);
}

#[test]
fn a_tenant_that_moves_takes_the_order_of_its_new_set() {
    let plain = Change::Destination(0, Some(PLAIN));
    let mut bench = Bench::new(&[plain, Change::Set(1, Some(STRICT))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 1);
    bench.publish(1, 0, &[("t1", "a", "m1", 1), ("t1", "a", "m2", 1)]);
    assert_eq!(recipients(&bench.step()), ["m1"]);
    bench.configure(&Change::Tenant(1, Some(Tenant { set: 1, ..TENANT })));
    bench.credit(1, 1, 10);
    assert!(bench.step().is_empty());
    bench.configure(&Change::Tenant(1, None));
    assert_eq!(recipients(&bench.step()), ["m2"]);
}

/// Once a message in a timer was forgotten by its queue at a restart, and the next one passed it.
#[test]
fn strict_order_waits_for_a_retry_over_a_restart() {
    let plain = Change::Destination(0, Some(PLAIN));
    let mut bench = Bench::new(&[plain, Change::Set(0, Some(STRICT))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 10);
    bench.publish(1, 0, &[("t1", "a", "m1", 1), ("t1", "a", "m2", 1)]);
    assert_eq!(recipients(&bench.step()), ["m1"]);
    let retry = Said {
        outcome: 2,
        retry_after_ms: Some(5000),
        ..Said::sent(1)
    };
    bench.settle(1, 1, &[retry]);
    assert!(bench.step().is_empty());
    bench.restart();
    bench.connect(1, 2);
    bench.subscribe(1, 1, 0, 10);
    assert!(bench.step().is_empty(), "m2 waits for m1");
    bench.now_us += 6 * SECOND_US;
    let took = bench.step();
    assert_eq!(recipients(&took), ["m1"]);
    assert_eq!((took[0].attempt, took[0].flags), (2, 0));
}

/// Once deliveries kept the lease they were made with.
#[test]
fn a_shorter_lease_ends_deliveries_that_are_out() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 10);
    bench.publish(1, 0, &[("t1", "a", "m1", 1)]);
    assert_eq!(bench.step().len(), 1);
    bench.now_us += 2 * SECOND_US;
    bench.configure(&Change::Destination(
        0,
        Some(Destination {
            lease_ms: 1000,
            ..PLAIN
        }),
    ));
    let took = bench.step();
    assert_eq!((took[0].attempt, took[0].flags), (2, 1));
}

/// Once a destination that only stored work knew took new messages too.
#[test]
fn work_of_a_lost_destination_waits_until_it_is_back() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 1);
    bench.publish(1, 0, &[("t1", "a", "m1", 1)]);
    bench.step();
    bench.entities.apply(&Change::Destination(0, None));
    bench.restart();
    bench.connect(1, 1);
    bench.connect(2, 2);
    bench.publish(1, 0, &[("t1", "a", "m2", 1)]);
    bench.subscribe(2, 1, 0, 10);
    assert!(bench.step().is_empty());
    assert_eq!(bench.errors, [3001, 3001]);
    bench.configure(&Change::Destination(0, Some(PLAIN)));
    bench.subscribe(2, 2, 0, 10);
    assert_eq!(recipients(&bench.step()), ["m1"]);
}

/// Once what was decided of a message in doubt was not journaled, and a later restart judged it
/// again by other settings.
#[test]
fn a_message_in_doubt_is_judged_once() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 10);
    bench.publish(1, 0, &[("t1", "a", "m1", 1)]);
    assert_eq!(bench.step().len(), 1);
    bench.restart();
    bench.step();
    let fail = Destination {
        fail_in_doubt: true,
        ..PLAIN
    };
    bench.entities.apply(&Change::Destination(0, Some(fail)));
    bench.restart();
    bench.connect(1, 2);
    bench.subscribe(1, 1, 0, 10);
    let took = bench.step();
    assert_eq!((took[0].attempt, took[0].flags), (2, 1));
    bench.restart();
    bench.step();
    assert_eq!(
        bench.counters[10], 1,
        "in doubt again, now by the other setting"
    );
    assert_eq!(bench.counters[11], 0);
}

#[test]
fn a_connection_number_used_again_returns_what_was_out() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 10);
    bench.publish(1, 0, &[("t1", "a", "m1", 1)]);
    assert_eq!(bench.step().len(), 1);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 10);
    let took = bench.step();
    assert_eq!(
        (took[0].delivery, took[0].attempt, took[0].flags),
        (1, 2, 1)
    );
}

/// Once those that had their turn could stand before those that had none.
#[test]
fn a_full_exchange_is_continued_with_those_it_did_not_serve() {
    let changes: Vec<Change> = (0..5)
        .map(|place| Change::Destination(place, Some(PLAIN)))
        .collect();
    let mut bench = Bench::new(&changes);
    bench.connect(1, 3);
    for place in 0..5 {
        bench.subscribe(1, place as u32 + 1, place, 65_536);
        let messages = vec![("t1", "a", "m", 65_000); 15];
        for _ in 0..4 {
            bench.publish(1, place, &messages);
        }
    }
    let mut served = [0; 5];
    for _ in 0..5 {
        for took in bench.step() {
            served[took.number as usize - 1] += 1;
        }
        let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
        assert!(most - least <= 64, "{served:?}");
    }
    assert_eq!(served, [60; 5]);
}

#[test]
fn an_exchange_has_its_bounds() {
    let mut bench = Bench::with_bounds(
        &[Change::Destination(0, Some(PLAIN))],
        Bounds {
            cache_bytes: 0,
            ..Bounds::default()
        },
    );
    let wide = Destination {
        in_flight_max: Some(100_000),
        ..PLAIN
    };
    bench.configure(&Change::Destination(
        0,
        Some(Destination {
            paused: true,
            ..wide.clone()
        }),
    ));
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 65_536);
    // 3,000 records of one small message, then 10,000 small ones and 200 large ones in few records.
    for _ in 0..3000 {
        bench.publish(1, 0, &[("t1", "a", "m", 10)]);
        bench.step();
    }
    for _ in 0..10 {
        bench.publish(1, 0, &vec![("t1", "a", "m", 10); 1000]);
    }
    bench.step();
    for _ in 0..20 {
        bench.publish(1, 0, &vec![("t1", "a", "m", 65_536); 10]);
        bench.step();
    }
    bench.configure(&Change::Destination(0, Some(wide)));
    let mut sizes = Vec::new();
    loop {
        sizes.push((bench.step().len(), bench.wants));
        assert!(bench.deliver_bytes <= 4 << 20 && bench.frame_bytes_max <= 1 << 20);
        if bench.wake_after_ms > 0 {
            break;
        }
    }
    assert_eq!(sizes[..2], [(1024, 1024), (1024, 1024)], "{sizes:?}");
    assert!(sizes.contains(&(4096, sizes[3].1)), "{sizes:?}");
    assert_eq!(sizes.iter().map(|size| size.0).sum::<usize>(), 13_200);
    assert!(sizes.iter().all(|size| size.0 <= 4096 && size.1 <= 1024));
}

/// More indexes than a batch has, in one exchange.
#[test]
fn an_exchange_may_fill_several_batches() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 1);
    for _ in 0..34 {
        bench.publish(1, 0, &vec![("t1", "a", "m", 0); 4000]);
    }
    bench.step();
    bench.check();
    assert_eq!(bench.counters[11], 136_000);
    bench.restart();
    bench.step();
    bench.check();
    assert_eq!(bench.counters[11], 136_000);
}

#[test]
fn a_drained_shard_hands_out_no_more() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 10);
    bench.request(InputOp::Drain, &[]);
    bench.publish(1, 0, &[("t1", "a", "m1", 1)]);
    assert!(bench.step().is_empty());
    assert_eq!(bench.counters[11], 1, "it is accepted and kept");
    assert!(bench.wake_after_ms > 0);
}

/// Nobody picks at a paused destination, and nothing else goes on: its messages expire all the same.
#[test]
fn what_waits_at_a_paused_destination_expires_in_time() {
    const VALIDITY_US: u64 = 36_000_000_000;
    const EXPIRED: usize = 16;
    let paused = entities::Destination {
        paused: true,
        ..PLAIN
    };
    for restarts in [false, true] {
        let mut bench = Bench::new(&[
            Change::Destination(0, Some(PLAIN)),
            Change::Destination(1, Some(paused.clone())),
        ]);
        bench.connect(1, 3);
        bench.publish(1, 1, &[("t1", "a", "m1", 1), ("t2", "b", "m2", 1)]);
        bench.step();
        if restarts {
            bench.restart();
            bench.step();
        }
        bench.now_us += VALIDITY_US - 2 * SECOND_US;
        bench.step();
        assert_eq!(bench.counters[EXPIRED], 0);
        assert!(bench.wake_after_ms <= 2_000, "{}", bench.wake_after_ms);
        bench.now_us += u64::from(bench.wake_after_ms) * 1000;
        bench.step();
        assert_eq!(bench.counters[EXPIRED], 2);
        assert_eq!(bench.wake_after_ms, 60_000, "nothing is left to look at");
        bench.check();
    }
}

/// With steady traffic the log is replaced by states at its bound, so the disk does not grow.
#[test]
fn the_log_is_deleted_at_its_bound() {
    let bounds = Bounds {
        log_bytes: 1 << 20,
        ..Bounds::default()
    };
    let mut bench = Bench::with_bounds(&[Change::Destination(0, Some(PLAIN))], bounds);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 65_536);
    for _ in 0..20 {
        bench.publish(1, 0, &vec![("t1", "a", "m", 0); 1000]);
    }
    let mut out: Vec<u64> = bench.step().iter().map(|took| took.delivery).collect();
    let mut most = 0;
    let mut shrunk = 0;
    let mut random = random::Random(1);
    while shrunk < 4 {
        // In no order: runs would take no room.
        for at in (1..out.len()).rev() {
            out.swap(at, random.below(at + 1));
        }
        let back = |delivery: &u64| Said {
            outcome: 5,
            ..Said::sent(*delivery)
        };
        bench.settle(1, 1, &out.iter().map(back).collect::<Vec<_>>());
        bench.credit(1, 1, out.len() as u32);
        out = bench.step().iter().map(|took| took.delivery).collect();
        while bench.wake_after_ms == 0 {
            out.extend(bench.step().iter().map(|took| took.delivery));
        }
        let log = bench.log_bytes();
        shrunk += usize::from(log + (1 << 19) < most);
        most = if log + (1 << 19) < most {
            log
        } else {
            most.max(log)
        };
        assert!(log < 11 << 19, "a log of {log} bytes");
    }
    bench.check();
    bench.restart();
    bench.check();
    bench.step();
    assert_eq!(bench.counters[11], 20_000);
}

/// Equal tenants that all have work get equal shares of a rate, also one that sends most.
#[test]
fn backlogged_tenants_share_alike() {
    let rated = Destination {
        rate_per_sec: Some(1000.0),
        burst: 10,
        ..PLAIN
    };
    let mut bench = Bench::new(&[Change::Destination(0, Some(rated))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 65_536);
    let mut served = [0_i64; 4];
    let names = ["t0", "t1", "t2", "t3"];
    for second in 0..60 {
        for (place, name) in names.iter().enumerate() {
            let count = if place == 0 { 600 } else { 300 };
            let sender = format!("s{}", second % 7);
            bench.publish(1, 0, &vec![(*name, sender.as_str(), "m", 20); count]);
        }
        for _ in 0..100 {
            bench.now_us += SECOND_US / 100;
            let took = bench.step();
            let said: Vec<Said> = took.iter().map(|took| Said::sent(took.delivery)).collect();
            for took in &took {
                let place = names.iter().position(|name| **name == took.tenant);
                served[place.expect("one of them")] += 1;
            }
            bench.settle(1, 1, &said);
            bench.credit(1, 1, took.len() as u32);
            let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
            assert!(most - least <= 2, "{served:?}");
        }
    }
    let all: i64 = served.iter().sum();
    assert!((59_700..=60_100).contains(&all), "{all} in 60 s of 1,000/s");
}

/// A bench with a million messages that `publish` takes in frames of 500, and the bytes of index that each takes.
fn a_million(publish: impl Fn(&mut Bench, u64, &[Message<'_>])) -> (Bench, f64) {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 1);
    let before = bench.shard.memory_bytes();
    for round in 0..20 {
        for tenant in 0..100 {
            let name = format!("tenant{tenant}");
            let messages = vec![(name.as_str(), "s", "+4479111", 160); 500];
            publish(&mut bench, round * 7 + tenant, &messages);
            if (tenant + round) % 4 == 3 {
                bench.step();
            }
        }
    }
    bench.step();
    let each = (bench.shard.memory_bytes() - before) as f64 / 1e6;
    println!("{each:.1} bytes of index a message");
    (bench, each)
}

/// A waiting message takes at most 32 bytes of the index.
#[test]
fn a_million_waiting_messages_take_little_memory() {
    let (bench, each) = a_million(|bench, _, messages| bench.publish(1, 0, messages));
    assert_eq!(bench.counters[11], 1_000_000);
    assert!(each <= 32.0, "{each} bytes a message");
}

/// A message that waits for its time takes at most 64 bytes of the index, its timers included.
#[test]
fn a_million_scheduled_messages_take_little_memory() {
    let (bench, each) = a_million(|bench, later_ms, messages| {
        bench.publish_at(1, 0, messages, 1_700_000_060_000 + later_ms);
    });
    assert_eq!(bench.counters[20], 1_000_000);
    assert!(each <= 64.0, "{each} bytes a message");
}

#[test]
fn answers_to_an_operator_are_json() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 1);
    bench.publish(
        1,
        0,
        &[
            ("t1", "a", "m1", 1),
            ("t2", "b", "m2", 1),
            ("t2", "b", "m3", 1),
        ],
    );
    bench.step();
    bench.request(InputOp::Explain, &wire::explain("d0", 0, 10));
    bench.request(InputOp::Explain, &wire::explain("nowhere", 0, 10));
    bench.request(InputOp::Stats, &wire::stats(1));
    bench.request(InputOp::InUse, &wire::in_use(3, "t2"));
    bench.request(InputOp::InUse, &wire::in_use(2, "set1"));
    bench.step();
    assert_eq!(bench.json.len(), 5);
    for text in &bench.json {
        json::check(text.as_bytes());
    }
    assert_eq!(json::number(bench.json[0].as_bytes(), "waiting"), Some(2));
    assert_eq!(
        json::number(bench.json[0].as_bytes(), "queueCount"),
        Some(2)
    );
    assert!(bench.json[3].contains("true") && bench.json[4].contains("false"));
}

/// Lists name no id, and wait in line all the same: one too many is refused.
#[test]
fn questions_that_wait_are_bounded() {
    const LOOKUPS_PER_SHARD: usize = 65_536;
    // Any destination, tenant, status and time, from the start, one message a page.
    let list = [0x97, 0xc0, 0xc0, 0, 0, 0xcd, 0xff, 0xff, 0xa0, 1];
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    for _ in 0..=LOOKUPS_PER_SHARD {
        bench.request(InputOp::List, &list);
    }
    let mut refused = 0;
    let mut answered = 0;
    while refused + answered <= LOOKUPS_PER_SHARD {
        bench.step();
        for text in &bench.json {
            if text.contains("overloaded") {
                refused += 1;
            } else {
                answered += 1;
            }
        }
    }
    assert_eq!((refused, answered), (1, LOOKUPS_PER_SHARD));
}

/// What a restart decides stands in the log of its first exchange.
#[test]
fn a_restart_is_journaled() {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 10);
    bench.publish(1, 0, &[("t1", "a", "m1", 1)]);
    bench.step();
    bench.restart();
    bench.step();
    let log = JournalReader::new(&bench.journal)
        .expect("a journal")
        .find_map(|entry| match entry {
            Ok(JournalEntry::Put { key, value })
                if matches!(parse_key(key), Some(fairlead_core::record::Key::Log { .. })) =>
            {
                Some(
                    LogRecord::parse(value)
                        .expect("a log record")
                        .returns()
                        .collect::<Vec<_>>(),
                )
            }
            _ => None,
        });
    let returns = log.expect("a log record");
    assert_eq!(
        (returns[0].reason, returns[0].attempts, returns[0].flags),
        (18, 1, 1)
    );
}
