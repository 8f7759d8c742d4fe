//! What the usage counters are asked from outside, and how much of it: nothing of it ends them, and no
//! step does more than its part.

use crate::input;
use crate::shared_usage::{desk, wire};
use desk::{Desk, PLATFORM, SECOND_US, START_US};
use fairlead_core::exchange::InputOp;
use fairlead_core::msgpack::{write_array_len, write_bool, write_nil, write_str, write_uint};
use fairlead_core::record::Sums;
use fairlead_core::usage::UsageBounds;
use fairlead_core::usage::reserve::slots;
use wire::{Ask, DAY_MS, Event};

const TODAY: u32 = (START_US / 1000 / DAY_MS) as u32;

const ONE: Sums = Sums {
    count: 1,
    usage: 1,
    price: 0,
};

fn bounded(bounds: UsageBounds) -> Desk {
    let mut desk = Desk::new(&[]);
    desk.usage.set_bounds(bounds);
    desk
}

/// The codes that events are refused with, in their order; 0: counted.
fn codes(desk: &mut Desk, events: &[Event]) -> Vec<u64> {
    let used = desk.used_by(PLATFORM, events).unwrap();
    let mut codes = vec![0; events.len()];
    for (index, code, _) in used.refused {
        codes[index as usize] = code;
    }
    codes
}

#[test]
fn a_cursor_that_no_page_gave_is_refused() {
    let mut desk = Desk::new(&[]);
    desk.count(&[Event::of("acme", "calls", 5)]);
    let ask = Ask {
        account: Some("acme"),
        ..Ask::default()
    };
    let long = "a".repeat(2100);
    let wrong = [
        format!("acme/{long}//0"),
        format!("{long}/calls//0"),
        format!("acme/calls/{long}/0"),
        "acme/Calls//0".to_owned(),
        "acme/calls/\u{0}/0".to_owned(),
        "/calls//0".to_owned(),
        "acme/calls//".to_owned(),
        "acme/calls//-1".to_owned(),
        "acme/calls//0/".to_owned(),
        "x".to_owned(),
    ];
    for cursor in wrong {
        let answer = desk.asked(InputOp::UsageRecords, &wire::records(&ask, &cursor));
        assert_eq!(answer["error"], "invalidValue", "{cursor}");
        assert_eq!(answer["details"]["field"], "cursor");
    }
    let fits = wire::records(&ask, "acme/calla//0");
    let answer = desk.asked(InputOp::UsageRecords, &fits);
    assert_eq!(answer["items"].as_array().expect("rows").len(), 1);
}

#[test]
fn what_cannot_be_read_is_that_requests_error() {
    let mut desk = Desk::new(&[]);
    let long = "a".repeat(300);
    let tag = Ask {
        tag: Some(&long),
        ..Ask::default()
    };
    let questions = [
        (InputOp::UsageRecords, wire::records(&tag, "")),
        (InputOp::UsageRecords, vec![0xc1]),
        (InputOp::TriggerPut, vec![0x90]),
        (InputOp::TriggerDelete, vec![]),
        (InputOp::TriggerList, vec![0x96, 0xc0]),
        (InputOp::TriggerShow, vec![0x92, 0xc0, 0xc0]),
        (InputOp::TriggerRearm, vec![0x92, 0xc4, 0]),
    ];
    for (op, bytes) in questions {
        let answer = desk.asked(op, &bytes);
        assert_eq!(answer["error"], "invalidValue", "{op:?} {bytes:?}");
    }
    desk.count(&[Event::of("acme", "calls", 1)]);
}

#[test]
fn a_step_lists_no_more_cells_than_it_reads() {
    let family: Vec<_> = (0..8).map(|at| format!("t{at}")).collect();
    let parents: Vec<_> = family
        .iter()
        .map(|name| wire::parent(name, Some("top")))
        .collect();
    let mut desk = Desk::new(&parents);
    let mut sequence = 0;
    let tags: Vec<_> = (0..5000).map(|at| format!("tag{at}")).collect();
    for name in &family {
        let told: Vec<_> = tags
            .iter()
            .map(|tag| (name.as_str(), "calls", tag.as_str(), TODAY, ONE))
            .collect();
        for some in told.chunks(2500) {
            sequence += 1;
            desk.tell(1, &wire::deltas(sequence, some));
        }
    }
    desk.now_us += 6 * SECOND_US;
    desk.settle();
    let ask = Ask {
        account: Some("top"),
        tag: Some(""),
        period: 4,
        sub_accounts: true,
        ..Ask::default()
    };
    let said = desk.step(&[input::entry(
        InputOp::UsageRecords,
        1,
        &wire::records(&ask, ""),
    )]);
    assert!(said.is_empty(), "one step does not read all of it");
    // With the ends of its wants, one of each account.
    assert!(desk.given <= 16_384 + 8, "{} puts", desk.given);
    assert_eq!(desk.records(&ask).len(), 5000);
}

#[test]
fn sums_that_no_double_holds_are_text() {
    let mut desk = Desk::new(&[]);
    let most = (1 << 53) - 1;
    let ask = Ask {
        account: Some("acme"),
        ..Ask::default()
    };
    let usage = |desk: &mut Desk| {
        let answer = desk.asked(InputOp::UsageRecords, &wire::records(&ask, ""));
        answer["items"][0]["usage"].clone()
    };
    desk.count(&[Event::of("acme", "bytes", most)]);
    assert_eq!(
        usage(&mut desk),
        serde_json::json!(9_007_199_254_740_991_u64)
    );
    desk.count(&[Event::of("acme", "bytes", 1)]);
    assert_eq!(usage(&mut desk), serde_json::json!("9007199254740992"));
    desk.count(&[
        Event::of("acme", "bytes", -most),
        Event::of("acme", "bytes", -most),
        Event::of("acme", "bytes", -most),
    ]);
    assert_eq!(usage(&mut desk), serde_json::json!("-18014398509481981"));
}

#[test]
fn counters_of_all_are_bounded_also_those_of_tags() {
    let mut desk = bounded(UsageBounds {
        counters: 3,
        ..UsageBounds::default()
    });
    let told = |sequence, tag| {
        let cells = [
            ("acme", "segments", "", TODAY, ONE),
            ("acme", "segments", tag, TODAY, ONE),
        ];
        wire::deltas(sequence, &cells)
    };
    desk.tell(1, &told(1, "red"));
    let calls = Event::of("beta", "calls", 1);
    assert_eq!(codes(&mut desk, std::slice::from_ref(&calls)), [0]);
    // There are three.
    let others = [Event::of("beta", "pages", 1), calls.clone().tagged("t")];
    assert_eq!(codes(&mut desk, &others), [5002, 5002]);
    desk.tell(1, &told(2, "blue"));
    desk.tell(1, &told(3, "red"));
    // What the daemon counts itself is not left out, but for its tags.
    desk.tell(
        1,
        &wire::deltas(4, &[("gamma", "segments", "", TODAY, ONE)]),
    );
    assert_eq!(codes(&mut desk, &[calls]), [0]);
    let ask = Ask {
        category: Some("segments"),
        tag: Some(""),
        period: 4,
        ..Ask::default()
    };
    let rows: Vec<_> = desk
        .records(&ask)
        .into_iter()
        .map(|row| (row.account, row.tag.unwrap_or_default(), row.count))
        .collect();
    let row = |account: &str, tag: &str, count| (account.to_owned(), tag.to_owned(), count);
    let expected = [
        row("acme", "", 3),
        row("acme", "red", 2),
        row("gamma", "", 1),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn dirty_cells_are_bounded_until_a_checkpoint_made_room() {
    let mut desk = bounded(UsageBounds {
        dirty_cells: 4,
        ..UsageBounds::default()
    });
    // A cell of the day and one of all time each.
    let events: Vec<_> = (0..3)
        .map(|at| Event::of("acme", &format!("calls{at}"), 1))
        .collect();
    assert_eq!(codes(&mut desk, &events[..2]), [0, 0]);
    let used = desk.used_by(PLATFORM, &events[..1]).unwrap();
    assert_eq!(
        used.refused,
        [(0, 1010, Some(1000))],
        "also a known counter"
    );
    // What shards told is on disk there, and taken.
    desk.tell(1, &wire::deltas(1, &[("acme", "segments", "", TODAY, ONE)]));
    desk.now_us += 6 * SECOND_US;
    desk.settle();
    assert_eq!(codes(&mut desk, &events[2..]), [0]);
    let ask = Ask {
        account: Some("acme"),
        ..Ask::default()
    };
    assert_eq!(desk.records(&ask).len(), 4);
}

#[test]
fn event_keys_of_all_are_bounded() {
    let mut desk = bounded(UsageBounds {
        event_keys: 2,
        ..UsageBounds::default()
    });
    let event = |tenant, key| Event::of(tenant, "calls", 1).keyed(key);
    let events = [
        event("acme", "k1"),
        event("beta", "k1"),
        event("gamma", "k1"),
        event("acme", "k1"),
        Event::of("gamma", "calls", 1),
    ];
    let used = desk.used_by(PLATFORM, &events).unwrap();
    assert_eq!((used.counted, used.repeated), (3, 1));
    let [(2, 5005, Some(retry_after_ms))] = used.refused[..] else {
        panic!("{:?}", used.refused);
    };
    desk.now_us += retry_after_ms * 1000;
    desk.settle();
    assert_eq!(
        codes(&mut desk, &events[2..3]),
        [0],
        "room when it was said"
    );
}

/// By count, of a thousand.
fn cap(name: &str, period: u64, slot: u32) -> Vec<u8> {
    input::cap((name, "messages"), 0, period, Some(1000), slot)
}

#[test]
fn a_base_that_is_read_after_midnight_is_the_new_days() {
    const FIRST: u32 = 64_000;
    // So many years are more days than a step reads: the cap of a day has to wait.
    let mut caps: Vec<_> = (0..50)
        .map(|at| cap(&format!("acme/year{at:02}"), 3, FIRST + 1 + at))
        .collect();
    caps.push(cap("acme/zday", 1, FIRST));
    let mut desk = Desk::new(&[]);
    desk.tell(1, &wire::deltas(1, &[("acme", "messages", "", TODAY, ONE)]));
    desk.flush_all();
    desk.entities = caps;
    let midnight_us = u64::from(TODAY + 1) * DAY_MS * 1000;
    desk.now_us = midnight_us - 1;
    desk.crash();
    assert_eq!(desk.counters[22], 51 - 45, "caps whose base is not set");
    desk.now_us = midnight_us;
    desk.settle();
    let of_day = slots().read(FIRST, midnight_us / 1000);
    assert_eq!(of_day, Some((0, Some(1000))));
    let of_year = slots().read(FIRST + 50, midnight_us / 1000);
    assert_eq!(of_year, Some((1, Some(1000))));
}

/// A trigger with a name and the code of an action, as bytes.
fn trigger(name: &[u8], code: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 17);
    out.extend_from_slice(&[0xc4, 16]);
    out.extend_from_slice(&[9; 16]);
    for text in ["acme", "calls", ""] {
        write_str(&mut out, text);
    }
    write_uint(&mut out, 0);
    write_uint(&mut out, 5);
    write_bool(&mut out, false);
    write_array_len(&mut out, 0);
    write_nil(&mut out);
    write_uint(&mut out, 0);
    write_nil(&mut out);
    write_nil(&mut out);
    write_uint(&mut out, 1);
    write_array_len(&mut out, 0);
    write_array_len(&mut out, 3);
    write_uint(&mut out, 3);
    write_nil(&mut out);
    out.extend_from_slice(code);
    out.push(0xa0 + name.len() as u8);
    out.extend_from_slice(name);
    write_bool(&mut out, false);
    out
}

#[test]
fn a_field_of_a_trigger_that_cannot_be_read_is_named() {
    let mut desk = Desk::new(&[]);
    let put = |desk: &mut Desk, name: &[u8], code: &[u8]| {
        let answer = desk.asked(InputOp::TriggerPut, &trigger(name, code));
        (answer["error"].clone(), answer["details"]["field"].clone())
    };
    let bad = |field: &str| ("badTrigger".into(), field.into());
    assert_eq!(put(&mut desk, b"name", &[0xff]), bad("action"), "-1");
    let beyond = [0xcf, 0, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(put(&mut desk, b"name", &beyond), bad("action"), "2^32");
    // Half of a pair of surrogates.
    let half = [0xed, 0xa0, 0x80];
    assert_eq!(put(&mut desk, &half, &[0xc0]), bad("friendlyName"));
    let sound = put(&mut desk, b"name", &[0xc0]);
    assert_eq!(sound, (serde_json::Value::Null, serde_json::Value::Null));
}

#[test]
fn no_time_is_too_far_to_be_refused() {
    let mut desk = Desk::new(&[]);
    let far = Event::of("acme", "calls", 1).at(u64::MAX);
    let used = desk.used_by(PLATFORM, &[far]).unwrap();
    assert_eq!(used.refused, [(0, 5001, None)]);
}
