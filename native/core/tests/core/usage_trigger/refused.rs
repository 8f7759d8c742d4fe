//! Triggers that are refused, with the field that is wrong.

use super::desk::{Desk, spec};
use fairlead_core::usage::trigger::{Action, Callback, Recurring, Spec};

const START_MS: u64 = 1_795_000_020_000;

type Change = fn(&mut Spec);

/// What is changed in a sound trigger of the value 5, and the field that is said to be wrong.
const WRONG: [(&str, Change); 30] = [
    ("tenant", |spec| spec.account = "a b".into()),
    ("category", |spec| spec.category = "".into()),
    ("category", |spec| spec.category = "Calls".into()),
    ("category", |spec| spec.category = "x".repeat(65).into()),
    ("tag", |spec| spec.tag = "ä".into()),
    ("value", |spec| spec.value = 0),
    ("value", |spec| spec.value = -5),
    ("value", |spec| spec.value = 10_i128.pow(36) + 1),
    ("thresholds", |spec| spec.thresholds = [5].into()),
    ("thresholds", |spec| spec.thresholds = [9, 8].into()),
    ("thresholds", |spec| {
        spec.thresholds = [9, 10_i128.pow(37)].into();
    }),
    ("thresholds", |spec| spec.thresholds = (6..23).collect()),
    ("step", |spec| spec.step = Some(0)),
    ("relative", |spec| {
        (spec.relative, spec.recurring) = (true, Recurring::AllTime);
    }),
    ("relative", |spec| {
        (spec.relative, spec.window_ms) = (true, Some(5000));
    }),
    ("windowMs", |spec| spec.window_ms = Some(999)),
    ("windowMs", |spec| spec.window_ms = Some(32 * 86_400_000)),
    ("rearmBelow", |spec| spec.rearm_below = Some(6)),
    ("everyN", |spec| spec.every_n = 0),
    ("everyN", |spec| spec.every_n = 1_000_000_001),
    ("callbacks", |spec| {
        spec.callbacks = vec![callback("http://a", 0, 0); 6].into();
    }),
    ("callbacks", |spec| {
        spec.callbacks = [callback("ftp://a.example/", 0, 0)].into();
    }),
    ("callbacks", |spec| {
        spec.callbacks = [callback("https://a.example/ b", 0, 0)].into();
    }),
    ("callbacks", |spec| {
        spec.callbacks = [callback(&long_url(), 0, 0)].into();
    }),
    ("callbacks", |spec| {
        spec.callbacks = [callback("http://a", 2, 0)].into();
    }),
    ("callbacks", |spec| {
        spec.callbacks = [callback("http://a", 0, 2)].into();
    }),
    ("action", |spec| spec.action = Some(action(6, None))),
    ("action", |spec| {
        spec.action = Some(action(1, Some(f64::NAN)));
    }),
    ("action", |spec| spec.action = Some(action(1, Some(-1.0)))),
    ("friendlyName", |spec| {
        spec.friendly_name = Some("ä".repeat(65).into());
    }),
];

/// As far as each field goes.
const RIGHT: [Change; 8] = [
    |spec| spec.value = 10_i128.pow(36),
    |spec| spec.thresholds = (6..22).collect(),
    |spec| spec.window_ms = Some(1000),
    |spec| spec.window_ms = Some(31 * 86_400_000),
    |spec| spec.rearm_below = Some(5),
    |spec| spec.every_n = 1_000_000_000,
    |spec| spec.callbacks = vec![callback("https://a.example/", 1, 1); 5].into(),
    |spec| spec.friendly_name = Some("ä".repeat(64).into()),
];

fn callback(url: &str, method: u8, form: u8) -> Callback {
    let url = url.into();
    Callback { url, method, form }
}

fn long_url() -> String {
    format!("https://a.example/{}", "x".repeat(2048))
}

fn action(kind: u8, number: Option<f64>) -> Action {
    let code = None;
    Action { kind, number, code }
}

#[test]
fn says_which_field_is_wrong() {
    let mut desk = Desk::new(START_MS);
    for (field, change) in WRONG {
        let mut wrong = spec(5);
        change(&mut wrong);
        let answer: serde_json::Value = serde_json::from_str(&desk.put_now(1, &wrong)).unwrap();
        assert_eq!(answer["error"], "badTrigger", "{wrong:?}");
        assert_eq!(answer["details"]["field"], field, "{wrong:?}");
        let reason = answer["details"]["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("has to ") || reason.starts_with("is "),
            "{reason}"
        );
    }
    assert_eq!(desk.triggers.len(), 0);
}

#[test]
fn takes_what_is_at_its_bound() {
    let mut desk = Desk::new(START_MS);
    for (number, change) in (0..).zip(RIGHT) {
        let mut right = spec(5);
        change(&mut right);
        let answer = desk.put_now(number, &right);
        assert!(answer.starts_with(r#"{"sid""#), "{answer}");
    }
}
