//! Forms: records, JSON, and what is refused.

use super::desk::{Desk, HASH_KEY, calls, named, noon_ms, put_bytes, sid, spec};
use crate::golden::hex;
use fairlead_core::msgpack::{
    write_array_len, write_nil, write_str, write_uint, write_uint_or_nil,
};
use fairlead_core::usage::trigger::{Action, By, Callback, Recurring, Spec, Triggers};

const START_MS: u64 = 1_795_000_020_000;

fn full() -> Spec {
    Spec {
        account: "acme".into(),
        category: "messages".into(),
        tag: "red".into(),
        by: By::Price,
        value: 1_500_000_000,
        relative: false,
        thresholds: [2_000_000_000, 10_i128.pow(30)].into(),
        step: Some(250_000_000),
        recurring: Recurring::Monthly,
        window_ms: None,
        rearm_below: Some(-1),
        every_n: 3,
        callbacks: [
            ("https://a.example/u?x=\"", 0, 0),
            ("http://b.example/", 1, 1),
        ]
        .map(|(url, method, form)| Callback {
            url: url.into(),
            method,
            form,
        })
        .into(),
        action: Some(Action {
            kind: 1,
            number: Some(2.5),
            code: Some(30_001),
        }),
        friendly_name: Some("Näh \"1\"\n".into()),
        sub_accounts: true,
    }
}

#[test]
fn a_trigger_is_shown_with_all_it_has() {
    let mut desk = Desk::new(START_MS);
    let shown = desk.put_now(3, &full());
    let expected = concat!(
        r#"{"sid":"UT00000000000000030000000000000055","account":"acme","category":"messages","#,
        r#""tag":"red","by":"price","value":"1.500000000","relative":false,"base":null,"#,
        r#""thresholds":["2.000000000","1000000000000000000000.000000000"],"step":"0.250000000","#,
        r#""recurring":"monthly","windowMs":null,"rearmBelow":"-0.000000001","everyN":3,"#,
        r#""callbacks":[{"url":"https://a.example/u?x=\"","method":"POST","form":"form"},"#,
        r#"{"url":"http://b.example/","method":"GET","form":"standard"}],"#,
        r#""action":{"kind":"capRate","number":2.5,"code":30001},"friendlyName":"Näh \"1\"\u000a","#,
        r#""subAccounts":true,"currentValue":"0.000000000","firedMs":null,"firedValue":null,"#,
        r#""firings":0,"skipped":0,"arming":0,"createdMs":1795000020000,"updatedMs":1795000020000}"#,
    );
    assert_eq!(shown, expected);
    let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(value["friendlyName"], "Näh \"1\"\n");
}

/// The bytes on disk of version 1: they have to be read for good.
#[test]
fn a_stored_trigger_has_these_bytes() {
    let mut desk = Desk::new(START_MS);
    desk.put_now(3, &full());
    let (key, value) = desk.disk.iter().next().unwrap();
    assert_eq!(hex(key), "1000000000000000030000000000000055");
    assert_eq!(hex(value), TRIGGER_RECORD);
    let mut event = calls(START_MS, 600);
    (event.category, event.tag) = ("messages", "red");
    assert_eq!(desk.step(&[event]).len(), 2);
    let firing: Vec<_> = desk.disk.iter().filter(|(key, _)| key[0] == 0x11).collect();
    assert_eq!(hex(firing[1].0), "110000000000000002");
    assert_eq!(hex(firing[1].1), FIRING_RECORD);
}

const TRIGGER_RECORD: &str = "462d01004ae9334adc0010a461636d65a86d65737361676573a372656402ce59682f00c292ce77359400bf31303030303030303030303030303030303030303030303030303030303030ce0ee6b28002c0d3ffffffffffffffff039293b768747470733a2f2f612e6578616d706c652f753f783d22000093b1687474703a2f2f622e6578616d706c652f01019301cb4004000000000000cd7531a94ec3a468202231220ac39c01cf000001a1ee56ac20cf000001a1ee56ac200000009193cd5f0200010000c000c0";

const FIRING_RECORD: &str = "462e0100a0ca1c439fc41000000000000000030000000000000055a461636d65a86d65737361676573a3726564020201ab322e303030303030303030ab332e303030303030303030a7323032362d313100cf000001a1ee56ac209293b768747470733a2f2f612e6578616d706c652f753f783d22000093b1687474703a2f2f622e6578616d706c652f01019301cb4004000000000000cd7531a94ec3a468202231220a";

#[test]
fn what_is_stored_is_read_as_it_was() {
    let mut desk = Desk::new(START_MS);
    let rate = Spec {
        window_ms: Some(60_000),
        recurring: Recurring::Daily,
        ..spec(3)
    };
    let relative = Spec {
        relative: true,
        ..spec(3)
    };
    for (number, spec) in (1..).zip([full(), rate, relative, spec(i128::from(u64::MAX) + 9)]) {
        desk.put_now(number, &spec);
    }
    desk.call(5);
    desk.rearm(2);
    desk.call(5);
    let before: Vec<_> = (1..5).map(|number| desk.show(number)).collect();
    desk.now_ms += 10_000;
    desk.call(0);
    desk.restart();
    let after: Vec<_> = (1..5).map(|number| desk.show(number)).collect();
    assert_eq!(before, after);
    assert_eq!(after[3]["value"], "18446744073709551624");
}

#[test]
fn damaged_records_are_refused() {
    let mut desk = Desk::new(START_MS);
    desk.put_now(
        3,
        &Spec {
            window_ms: Some(5000),
            ..full()
        },
    );
    let (_, value) = desk.disk.iter().next().unwrap();
    let mut triggers = Triggers::new(&HASH_KEY);
    for at in 0..value.len() {
        let mut damaged = value.clone();
        damaged[at] ^= 1;
        assert!(
            triggers.recover_trigger(sid(3), &damaged).is_err(),
            "byte {at}"
        );
        assert!(
            triggers.recover_trigger(sid(3), &value[..at]).is_err(),
            "length {at}"
        );
    }
    triggers.recover_trigger(sid(3), value).unwrap();
    assert!(triggers.recover_trigger(sid(3), value).is_err(), "twice");
    assert!(
        triggers.recover_firing(1, value).is_err(),
        "of another type"
    );
}

#[test]
fn a_damaged_request_makes_no_trigger() {
    let bytes = put_bytes(sid(1), &full());
    let mut triggers = Triggers::new(&HASH_KEY);
    let mut faults = 0;
    for length in 0..bytes.len() {
        faults += usize::from(triggers.put(START_MS, 1, &bytes[..length]).is_err());
    }
    assert_eq!(triggers.len(), 0);
    let mut refused = 0;
    triggers.replies(|_, json| {
        assert!(json.starts_with(br#"{"error":"badTrigger","#));
        refused += 1;
    });
    assert_eq!(faults + refused, bytes.len());
    for at in 0..bytes.len() {
        for byte in [0x00, 0x7f, 0xc0, 0xc1, 0xff, bytes[at] ^ 1] {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            let _ = triggers.put(START_MS, 1, &damaged);
        }
    }
    assert!(
        triggers
            .delete(START_MS, 1, &[0x92, 0xc4, 1, 1, 0xc0])
            .is_err()
    );
    assert!(triggers.list(START_MS, 1, b"\x90").is_err());
}

#[test]
fn a_tenant_has_so_many_triggers_and_no_more() {
    let mut desk = Desk::new(START_MS);
    for number in 0..1000 {
        desk.put(number, &spec(5));
    }
    desk.step(&[]);
    assert_eq!(
        desk.put_now(1000, &spec(5)),
        r#"{"error":"tooManyTriggers"}"#
    );
    assert!(
        desk.put_now(999, &spec(6)).contains(r#""value":"6""#),
        "a change is no new one"
    );
    assert!(
        desk.put_now(
            1001,
            &Spec {
                account: "beta".into(),
                ..spec(5)
            }
        )
        .starts_with(r#"{"sid"#)
    );
    desk.delete(0);
    assert!(desk.put_now(1000, &spec(5)).starts_with(r#"{"sid"#));
}

#[test]
fn a_change_of_what_fires_begins_anew() {
    let mut desk = Desk::new(noon_ms(2026, 11, 22));
    desk.put_now(1, &spec(5));
    assert_eq!(desk.call(6).len(), 1);
    desk.now_ms += 1;
    let kept = desk.put_now(
        1,
        &Spec {
            friendly_name: Some("x".into()),
            ..spec(5)
        },
    );
    assert!(
        kept.contains(r#""arming":0"#) && kept.contains(r#""friendlyName":"x""#),
        "{kept}"
    );
    assert_eq!(desk.call(1).len(), 0);
    let changed = desk.put_now(
        1,
        &Spec {
            relative: true,
            ..spec(5)
        },
    );
    assert!(
        changed.contains(r#""arming":1"#) && changed.contains(r#""base":"7""#),
        "{changed}"
    );
    assert!(changed.contains(r#""firings":1"#), "{changed}");
    assert_eq!(desk.call(5)[0].arming, 1);
    let other = Spec {
        account: "beta".into(),
        ..spec(5)
    };
    assert_eq!(desk.put_now(1, &other), r#"{"error":"triggerNotFound"}"#);
}

#[test]
fn only_its_own_account_finds_it() {
    let mut desk = Desk::new(START_MS);
    desk.put_now(1, &spec(5));
    let not_found = r#"{"error":"triggerNotFound"}"#;
    for (of, account) in [(1, Some("beta")), (2, None), (2, Some("acme"))] {
        let bytes = named(sid(of), account);
        desk.triggers.show(START_MS, 2, &bytes).unwrap();
        desk.triggers.rearm(START_MS, 3, &bytes).unwrap();
        desk.triggers.delete(START_MS, 4, &bytes).unwrap();
        desk.step(&[]);
        let expected = [2, 3, 4].map(|request| (request, not_found.to_owned()));
        assert_eq!(std::mem::take(&mut desk.replies), expected);
    }
    desk.triggers
        .delete(START_MS, 4, &named(sid(1), Some("acme")))
        .unwrap();
    desk.step(&[]);
    assert_eq!(desk.replies, [(4, r#"{"ok":true}"#.to_owned())]);
}

fn list(
    desk: &mut Desk,
    account: Option<&str>,
    filters: [Option<u64>; 2],
    cursor: &str,
    limit: u64,
) -> (Vec<String>, Option<String>) {
    let mut out = Vec::new();
    write_array_len(&mut out, 6);
    match account {
        Some(account) => write_str(&mut out, account),
        None => write_nil(&mut out),
    }
    write_nil(&mut out);
    for filter in filters {
        write_uint_or_nil(&mut out, filter);
    }
    write_str(&mut out, cursor);
    write_uint(&mut out, limit);
    desk.triggers.list(desk.now_ms, 1, &out).unwrap();
    desk.step(&[]);
    let page: serde_json::Value = serde_json::from_str(&desk.replies.pop().unwrap().1).unwrap();
    let items = page["items"].as_array().unwrap();
    let sids = items
        .iter()
        .map(|item| item["sid"].as_str().unwrap()[2..18].to_owned());
    (sids.collect(), page["cursor"].as_str().map(str::to_owned))
}

#[test]
fn lists_in_the_order_of_creation() {
    let mut desk = Desk::new(START_MS);
    for number in (0..20).rev() {
        let account = if number % 2 == 0 { "acme" } else { "beta" };
        let recurring = if number % 5 == 0 {
            Recurring::Daily
        } else {
            Recurring::None
        };
        desk.put_now(
            number,
            &Spec {
                account: account.into(),
                recurring,
                ..spec(5)
            },
        );
    }
    let numbers = |pages: Vec<String>| -> Vec<u64> {
        pages
            .iter()
            .map(|sid| u64::from_str_radix(sid, 16).unwrap())
            .collect()
    };
    let (page, cursor) = list(&mut desk, None, [None; 2], "", 15);
    assert_eq!(numbers(page), (5..20).rev().collect::<Vec<u64>>());
    let (page, cursor) = list(&mut desk, None, [None; 2], &cursor.unwrap(), 15);
    assert_eq!((numbers(page), cursor), (vec![4, 3, 2, 1, 0], None));
    let (page, cursor) = list(&mut desk, Some("beta"), [None; 2], "", 4);
    assert_eq!(numbers(page), [19, 17, 15, 13]);
    desk.restart();
    let (page, cursor) = list(&mut desk, Some("beta"), [None; 2], &cursor.unwrap(), 100);
    assert_eq!((numbers(page), cursor), (vec![11, 9, 7, 5, 3, 1], None));
    let daily = [Some(Recurring::Daily as u64), Some(By::Count as u64)];
    let (page, _) = list(&mut desk, Some("acme"), daily, "", 100);
    assert_eq!(numbers(page), [10, 0]);
    let (page, cursor) = list(&mut desk, Some("nobody"), [None; 2], "", 100);
    assert_eq!((page.len(), cursor), (0, None));
    let (page, _) = list(&mut desk, None, [None, Some(By::Price as u64)], "", 100);
    assert_eq!(page.len(), 0);
}
