//! The usage counters by behaviours: what counts, what is refused, and what records say of it.

use crate::shared_usage::{desk, wire};
use desk::{Desk, PLATFORM, SECOND_US, START_US, options};
use fairlead_core::exchange::{InputOp, SCOPE_USAGE};
use fairlead_core::record::Sums;
use wire::{Ask, DAY_MS, Event};

const NOW_MS: u64 = START_US / 1000;
const TODAY: u32 = (NOW_MS / DAY_MS) as u32;

fn sums(count: i64, usage: i128, price: i128) -> Sums {
    Sums {
        count,
        usage,
        price,
    }
}

/// Category, tag, from, to, count, usage and price of each row.
fn rows(desk: &mut Desk, ask: &Ask<'_>) -> Vec<String> {
    let rows = desk.records(ask);
    let line = |row: &desk::Row| {
        format!(
            "{} {} {} {}..{} {} {} {}",
            row.account,
            row.category,
            row.tag.as_deref().unwrap_or("-"),
            row.from,
            row.to,
            row.count,
            row.usage,
            row.price
        )
    };
    rows.iter().map(line).collect()
}

#[test]
fn an_event_counts_in_its_day_and_its_tag() {
    let mut desk = Desk::new(&[]);
    desk.count(&[
        Event::of("acme", "gb-hours", 5),
        Event::of("acme", "gb-hours", 7).tagged("blue"),
        Event::of("acme", "gb-hours", 1).at(NOW_MS - 2 * DAY_MS),
        Event {
            count: Some(3),
            ..Event::of("acme", "gb-hours", 2)
        },
    ]);
    let ask = Ask {
        account: Some("acme"),
        tag: Some(""),
        period: 1,
        ..Ask::default()
    };
    let expected = [
        "acme gb-hours - 2026-09-19..2026-09-19 1 1 0.000000000",
        "acme gb-hours - 2026-09-21..2026-09-21 5 14 0.000000000",
        "acme gb-hours blue 2026-09-21..2026-09-21 1 7 0.000000000",
    ];
    assert_eq!(rows(&mut desk, &ask), expected);
    let all_time = Ask { period: 4, ..ask };
    let of_all_time = [
        "acme gb-hours - 2026-09-19..2026-09-21 6 15 0.000000000",
        "acme gb-hours blue 2026-09-21..2026-09-21 1 7 0.000000000",
    ];
    assert_eq!(rows(&mut desk, &all_time), of_all_time);
    desk.now_us += 6 * SECOND_US;
    desk.settle();
    desk.check_store();
    assert_eq!(desk.counters[12], 0, "no cell is dirty");
    assert_eq!(rows(&mut desk, &all_time), of_all_time);
    desk.flush_all();
    desk.crash();
    assert_eq!(rows(&mut desk, &all_time), of_all_time);
}

#[test]
fn a_key_counts_once() {
    let mut desk = Desk::new(&[]);
    let event = Event::of("acme", "calls", 1).keyed("k1");
    let used = desk
        .used_by(PLATFORM, &[event.clone(), event.clone()])
        .unwrap();
    assert_eq!((used.counted, used.repeated), (1, 1));
    desk.flush_all();
    desk.crash();
    let other = Event::of("beta", "calls", 1).keyed("k1");
    let used = desk.used_by(PLATFORM, &[event.clone(), other]).unwrap();
    assert_eq!(
        (used.counted, used.repeated),
        (1, 1),
        "a key is its tenant's"
    );
    // The hour of the key and 24 more.
    desk.now_us += 25 * 3600 * SECOND_US;
    desk.settle();
    let used = desk.used_by(PLATFORM, &[event]).unwrap();
    assert_eq!((used.counted, used.repeated), (1, 0));
    desk.settle();
    assert_eq!(desk.counters[15], 1, "keys in memory");
    let stored = desk.disk.committed.keys().filter(|key| key[0] == 0x0f);
    assert_eq!(stored.count(), 1, "keys on disk");
}

#[test]
fn refuses_entry_by_entry() {
    let mut desk = Desk::new(&[]);
    desk.connect(2, SCOPE_USAGE, "acme");
    let own = |category: &str, quantity| Event {
        tenant: None,
        ..Event::of("acme", category, quantity)
    };
    let late = NOW_MS - 35 * DAY_MS - 1;
    let early = NOW_MS + 5 * 60_000 + 1;
    let events = [
        own("calls", 1),
        own("messages", 1),
        own("calls", 1).at(late),
        own("calls", 1).at(early),
        own("calls", -1),
        own("calls", 1).at(late + 1),
        own("calls", 1).at(early - 1),
    ];
    let used = desk.used_by(2, &events).unwrap();
    let refused = [
        (1, 5004, None),
        (2, 5001, None),
        (3, 5001, None),
        (4, 5003, None),
    ];
    assert_eq!(used.refused, refused);
    assert_eq!(used.counted, 3);
    assert_eq!(desk.used_by(2, &[Event::of("beta", "calls", 1)]), Err(2005));
    assert_eq!(desk.used_by(PLATFORM, &[own("calls", 1)]), Err(3013));
    desk.connect(3, 1, "acme");
    assert_eq!(desk.used_by(3, &[own("calls", 1)]), Err(2004));
    for category in ["", "Calls", "a/b", &"x".repeat(65)] {
        assert_eq!(
            desk.used_by(2, &[own(category, 1)]),
            Err(1008),
            "{category}"
        );
    }
    let end = 1_i64 << 53;
    for (quantity, fits) in [
        (end, false),
        (end - 1, true),
        (-end, false),
        (1 - end, true),
    ] {
        let said = desk.used_by(PLATFORM, &[Event::of("acme", "calls", quantity)]);
        assert_eq!(said.is_ok(), fits, "{quantity}");
    }
}

#[test]
fn corrections_take_back() {
    let mut desk = Desk::new(&[wire::price("calls", 1, &[(0, 1_500_000_000)])]);
    desk.count(&[
        Event::of("acme", "calls", 10),
        Event::of("acme", "calls", -4),
    ]);
    let ask = Ask {
        account: Some("acme"),
        period: 4,
        ..Ask::default()
    };
    let expected = [
        "acme calls - 2026-09-21..2026-09-21 1 6 9.000000000",
        "acme totalprice - 2026-09-21..2026-09-21 0 0 9.000000000",
    ];
    assert_eq!(rows(&mut desk, &ask), expected);
}

#[test]
fn prices_are_those_of_the_events_time_and_of_the_tenant() {
    let yesterday = NOW_MS - DAY_MS;
    let mut desk = Desk::new(&[
        wire::price("calls", 0, &[(0, 100), (yesterday, 250)]),
        wire::price("calls/beta", 1, &[(0, 7)]),
    ]);
    desk.count(&[
        Event::of("acme", "calls", 5),
        Event::of("acme", "calls", 5).at(yesterday - 1),
        Event::of("acme", "calls", 5).at(yesterday),
        Event::of("beta", "calls", 3),
        Event::of("beta", "other", 3),
    ]);
    let ask = Ask {
        period: 4,
        ..Ask::default()
    };
    let expected = [
        "acme calls - 2026-09-20..2026-09-21 3 15 0.000000600",
        "acme totalprice - 2026-09-20..2026-09-21 0 0 0.000000600",
        "beta calls - 2026-09-21..2026-09-21 1 3 0.000000021",
        "beta other - 2026-09-21..2026-09-21 1 3 0.000000000",
        "beta totalprice - 2026-09-21..2026-09-21 0 0 0.000000021",
    ];
    assert_eq!(rows(&mut desk, &ask), expected);
}

#[test]
fn deltas_told_again_are_skipped() {
    let mut desk = Desk::new(&[]);
    let first = wire::deltas(
        5,
        &[
            ("acme", "messages", "", TODAY, sums(2, 3, 40)),
            ("acme", "messages", "t", TODAY, sums(2, 3, 40)),
        ],
    );
    let second = wire::deltas(9, &[("acme", "messages", "", TODAY, sums(1, 1, 20))]);
    desk.tell(1, &first);
    desk.tell(1, &first);
    desk.tell(2, &first);
    desk.tell(1, &second);
    desk.flush_all();
    desk.now_us += 6 * SECOND_US;
    desk.settle();
    desk.flush_all();
    desk.crash();
    desk.tell(1, &second);
    desk.tell(1, &first);
    desk.tell(0, &second);
    desk.tell(0, &second);
    let ask = Ask {
        account: Some("acme"),
        tag: Some(""),
        period: 2,
        ..Ask::default()
    };
    let expected = [
        "acme messages - 2026-09-01..2026-09-30 7 9 140.000000000",
        "acme messages t 2026-09-01..2026-09-30 4 6 80.000000000",
        "acme totalprice - 2026-09-01..2026-09-30 0 0 140.000000000",
    ];
    let scaled: Vec<String> = rows(&mut desk, &ask);
    let nano = |row: &str| {
        row.replace("140.000000000", "0.000000140")
            .replace("80.000000000", "0.000000080")
    };
    assert_eq!(scaled, expected.map(nano));
}

#[test]
fn counters_of_an_account_are_bounded() {
    let mut desk = Desk::with(
        fairlead_core::usage::Options {
            counters_max: 3,
            ..options(START_US)
        },
        &[],
    );
    desk.count(&[
        Event::of("acme", "a", 1).tagged("t"),
        Event::of("acme", "b", 1),
        Event::of("beta", "a", 1),
    ]);
    let events = [
        Event::of("acme", "c", 1),
        Event::of("acme", "a", 1).tagged("u"),
        Event::of("acme", "a", 1),
        Event::of("acme", "a", 1).tagged("t"),
    ];
    let used = desk.used_by(PLATFORM, &events).unwrap();
    assert_eq!(used.refused, [(0, 5002, None), (1, 5002, None)]);
    desk.flush_all();
    desk.crash();
    let used = desk.used_by(PLATFORM, &events).unwrap();
    assert_eq!(used.refused, [(0, 5002, None), (1, 5002, None)]);
    // The daemon's own are always counted, but for tags.
    desk.tell(
        1,
        &wire::deltas(
            1,
            &[
                ("acme", "messages", "", TODAY, sums(1, 1, 0)),
                ("acme", "messages", "t", TODAY, sums(1, 1, 0)),
            ],
        ),
    );
    let ask = Ask {
        account: Some("acme"),
        category: Some("messages"),
        tag: Some(""),
        period: 0,
        ..Ask::default()
    };
    let expected = ["acme messages - 2026-09-21..2026-09-21 1 1 0.000000000"];
    assert_eq!(rows(&mut desk, &ask), expected);
}

#[test]
fn event_keys_of_an_account_are_bounded() {
    let mut desk = Desk::with(
        fairlead_core::usage::Options {
            event_keys_max: 2,
            ..options(START_US)
        },
        &[],
    );
    let event = |key: &str| Event::of("acme", "a", 1).keyed(key);
    desk.count(&[event("1"), event("2")]);
    let beta = Event::of("beta", "a", 1).keyed("1");
    let unkeyed = Event::of("acme", "a", 1);
    let used = desk
        .used_by(PLATFORM, &[event("3"), event("1"), beta, unkeyed])
        .unwrap();
    let hour_ms = 3_600_000;
    let leaves_ms = (NOW_MS / hour_ms + 25) * hour_ms - NOW_MS;
    assert_eq!(used.refused, [(0, 5005, Some(leaves_ms))]);
    assert_eq!((used.counted, used.repeated), (2, 1));
    desk.now_us += leaves_ms * 1000;
    desk.settle();
    desk.count(&[event("3"), event("1")]);
}

#[test]
fn sub_accounts_are_summed_up_when_asked_for() {
    let mut desk = Desk::new(&[
        wire::parent("child", Some("acme")),
        wire::parent("grandchild", Some("child")),
    ]);
    desk.count(&[
        Event::of("acme", "calls", 1),
        Event::of("child", "calls", 2),
        Event::of("grandchild", "calls", 4),
        Event::of("grandchild", "other", 8).tagged("t"),
        Event::of("stranger", "calls", 16),
    ]);
    let ask = Ask {
        account: Some("acme"),
        period: 4,
        sub_accounts: true,
        ..Ask::default()
    };
    let expected = [
        "acme calls - 2026-09-21..2026-09-21 3 7 0.000000000",
        "acme other - 2026-09-21..2026-09-21 1 8 0.000000000",
    ];
    assert_eq!(rows(&mut desk, &ask), expected);
    desk.now_us += 6 * SECOND_US;
    desk.settle();
    desk.count(&[Event::of("child", "calls", 2)]);
    let only = Ask {
        category: Some("calls"),
        ..ask.clone()
    };
    assert_eq!(
        rows(&mut desk, &only),
        ["acme calls - 2026-09-21..2026-09-21 4 9 0.000000000"]
    );
    let alone = Ask {
        sub_accounts: false,
        ..only.clone()
    };
    assert_eq!(
        rows(&mut desk, &alone),
        ["acme calls - 2026-09-21..2026-09-21 1 1 0.000000000"]
    );
    let away = wire::parent("child", None);
    desk.asked(InputOp::Configure, &away);
    assert_eq!(
        rows(&mut desk, &only),
        ["acme calls - 2026-09-21..2026-09-21 1 1 0.000000000"]
    );
    // A circle neither hangs nor counts twice.
    for (name, parent) in [("acme", "grandchild"), ("child", "acme")] {
        desk.asked(InputOp::Configure, &wire::parent(name, Some(parent)));
    }
    assert_eq!(
        rows(&mut desk, &only),
        ["acme calls - 2026-09-21..2026-09-21 4 9 0.000000000"]
    );
}

#[test]
fn pages_go_through_all_rows() {
    let mut desk = Desk::new(&[]);
    let accounts = ["a", "a-b", "b", "c"];
    for day in 0..3 {
        let mut events = Vec::new();
        for account in accounts {
            for category in ["x", "y.z", "y"] {
                for tag in ["p", "q"] {
                    let at = NOW_MS - day * DAY_MS;
                    events.push(Event::of(account, category, 1).tagged(tag).at(at));
                }
            }
        }
        desk.count(&events);
        if day == 1 {
            desk.now_us += 6 * SECOND_US;
            desk.settle();
        }
    }
    for period in 0..=4 {
        for tag in [None, Some(""), Some("q")] {
            for account in [None, Some("b")] {
                for category in [None, Some("y")] {
                    for limit in [1, 2, 5, 1000] {
                        let ask = Ask {
                            account,
                            category,
                            tag,
                            period,
                            limit: Some(limit),
                            ..Ask::default()
                        };
                        let rows = desk.records(&ask);
                        let of_one = if tag == Some("") { 3 } else { 1 };
                        let periods = if period == 1 { 3 } else { 1 };
                        let expected =
                            account.map_or(4, |_| 1) * category.map_or(3, |_| 1) * of_one * periods;
                        assert_eq!(rows.len(), expected, "{ask:?}");
                        let mut sorted = rows.clone();
                        sorted.sort_by(|one, other| {
                            let key = |row: &desk::Row| {
                                let names = (row.account.clone(), row.category.clone());
                                (names, row.tag.clone(), row.from.clone())
                            };
                            key(one).cmp(&key(other))
                        });
                        assert_eq!(rows, sorted, "{ask:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn stats_and_in_use() {
    let mut desk = Desk::new(&[wire::parent("child", Some("acme"))]);
    desk.count(&[Event::of("acme", "calls", 1).keyed("k")]);
    let told = wire::deltas(1, &[("acme", "segments", "", TODAY, sums(1, 1, 0))]);
    for _ in 0..2 {
        desk.tell(1, &told);
    }
    let stats = desk.asked(InputOp::UsageStats, b"");
    assert_eq!(stats["dirtyCells"], 4);
    assert_eq!(stats["counters"], 2);
    let lists = (&stats["lists"], &stats["listsRepeated"], &stats["folded"]);
    assert_eq!(lists, (&1.into(), &1.into(), &2.into()));
    assert_eq!(stats["eventKeys"], 1);
    assert!(stats["logBytes"].as_u64().unwrap() > 0);
    for (name, in_use) in [("acme", true), ("child", false), ("none", false)] {
        let mut bytes = vec![0x92, 3];
        fairlead_core::msgpack::write_str(&mut bytes, name);
        let answer = desk.asked(InputOp::InUse, &bytes);
        assert_eq!(answer["inUse"], in_use, "{name}");
    }
}
