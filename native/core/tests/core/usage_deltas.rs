//! Lists of usage deltas: golden bytes, what was written is read back, and no bytes make the reader
//! panic or pass what nobody would write.

use crate::golden::{bytes, golden, hex, rows, text};
use fairlead_core::exchange::{
    Billable, CapBy, Change, UsageChange, decode_configure, decode_usage_configure,
};
use fairlead_core::record::{
    BuiltIn, Category, Delta, DeltaReader, DeltaWriter, RecordError, Sums, parse_usage_record,
    write_usage_record,
};
use fairlead_core::usage::calendar::PeriodKind;
use fairlead_core::usage::price::{PriceBy, PriceList};
use fairlead_core::usage::trigger::By;
use proptest::prelude::*;
use serde_json::{Value, json};

const FILE: &str = "usage-deltas.json";

/// Wide numbers as texts, since JSON has no integers of 128 bits.
fn meaning(list: &[u8]) -> Value {
    let deltas = DeltaReader::parse(list).expect("a delta list").deltas();
    deltas
        .map(|delta| {
            json!({
                "account": text(delta.account),
                "number": delta.category.number(),
                "category": text(delta.category.name()),
                "tag": text(delta.tag),
                "day": delta.day,
                "count": delta.sums.count.to_string(),
                "usage": delta.sums.usage.to_string(),
                "price": delta.sums.price.to_string(),
            })
        })
        .collect()
}

fn rewritten(list: &[u8]) -> Vec<u8> {
    let mut writer = DeltaWriter::new();
    for delta in DeltaReader::parse(list).expect("a delta list").deltas() {
        writer.add(&delta);
    }
    let mut out = Vec::new();
    writer.finish(&mut out);
    assert!(writer.is_empty() && writer.bytes() == 0);
    out
}

#[test]
fn lists_mean_what_they_should_and_have_their_bytes() {
    let golden = golden(FILE);
    let lists = rows(&golden["lists"]);
    assert!(lists.len() >= 4);
    for row in lists {
        let list = bytes(&row["hex"]);
        assert_eq!(meaning(&list), row["meaning"], "{}", row["name"]);
        assert_eq!(hex(&rewritten(&list)), row["hex"], "{}", row["name"]);
    }
    for row in rows(&golden["bad"]) {
        assert!(
            DeltaReader::parse(&bytes(&row["hex"])).is_none(),
            "{}",
            row["name"]
        );
    }
}

fn price_meaning(list: &PriceList) -> Value {
    let by = match list.by() {
        PriceBy::Count => "count",
        PriceBy::Usage => "usage",
    };
    let step = |step: &fairlead_core::usage::price::PriceStep| {
        json!([step.from_ms, step.nano.to_string()])
    };
    let steps: Vec<_> = list.steps().iter().map(step).collect();
    json!({ "by": by, "steps": steps })
}

const fn period_name(kind: PeriodKind) -> &'static str {
    match kind {
        PeriodKind::Day => "day",
        PeriodKind::Month => "month",
        PeriodKind::Year => "year",
        PeriodKind::AllTime => "alltime",
    }
}

/// Kind and fields as shards read them; they are not told the value of a cap.
fn as_shards_read(bytes: &[u8]) -> (Value, Value, Value) {
    let told = decode_configure(bytes).expect("a configure");
    let (kind, fields) = match &told.change {
        Change::Price(list) => ("price", list.as_ref().map_or(Value::Null, price_meaning)),
        Change::Cap(fields) => (
            "cap",
            fields.as_ref().map_or(Value::Null, |cap| {
                let by = match cap.by {
                    CapBy::Count => "count",
                    CapBy::Usage => "usage",
                    CapBy::Price => "price",
                };
                let period = period_name(cap.period);
                json!({ "category": cap.category, "by": by, "period": period, "slot": cap.slot })
            }),
        ),
        Change::Billable(billable) => (
            "billable",
            match billable {
                Billable::Accepted => json!("accepted"),
                Billable::Sent => json!("sent"),
                Billable::Delivered => json!("delivered"),
            },
        ),
        other => panic!("{other:?}"),
    };
    (kind.into(), told.name.into(), fields)
}

/// As the counters read them; which outcome is billable is nothing to them.
fn as_counters_read(bytes: &[u8]) -> (Value, Value, Value) {
    let told = decode_usage_configure(bytes).expect("a configure of usage");
    let (kind, fields) = match told.change {
        UsageChange::Price(list) => {
            let list = list.map(|list| PriceList::decode(list).expect("a list of prices"));
            ("price", list.as_ref().map_or(Value::Null, price_meaning))
        }
        UsageChange::Cap(cap) => (
            "cap",
            cap.map_or(Value::Null, |cap| {
                let by = match cap.by {
                    By::Count => "count",
                    By::Usage => "usage",
                    By::Price => "price",
                };
                let (period, value) = (period_name(cap.period), cap.value.to_string());
                json!({ "category": cap.category, "by": by, "period": period, "value": value, "slot": cap.slot })
            }),
        ),
        UsageChange::OfShards => ("billable", Value::Null),
        UsageChange::Parent(parent) => panic!("{parent:?}"),
    };
    (kind.into(), told.name.into(), fields)
}

#[test]
fn prices_caps_and_what_is_billable_mean_the_same_to_shards_and_counters() {
    for row in rows(&golden(FILE)["configure"]) {
        let bytes = bytes(&row["hex"]);
        let mut expected = (
            row["kind"].clone(),
            row["name"].clone(),
            row["fields"].clone(),
        );
        if row["kind"] == "billable" {
            assert_eq!(as_counters_read(&bytes).2, Value::Null);
        } else {
            assert_eq!(as_counters_read(&bytes), expected);
        }
        if let Some(fields) = expected.2.as_object_mut() {
            fields.remove("value");
        }
        assert_eq!(as_shards_read(&bytes), expected);
        for length in 0..bytes.len() {
            assert!(
                decode_configure(&bytes[..length]).is_err(),
                "{row}, cut at {length}"
            );
            assert!(
                decode_usage_configure(&bytes[..length]).is_err(),
                "{row}, cut at {length}"
            );
        }
    }
}

#[test]
fn categories_have_their_numbers_and_names() {
    let rows: Vec<_> = BuiltIn::all()
        .map(|category| json!([category.number(), category.name()]))
        .collect();
    assert_eq!(Value::from(rows), golden(FILE)["categories"]);
    for category in BuiltIn::all() {
        assert_eq!(BuiltIn::of_number(category.number()), Some(category));
        let name = category.name().as_bytes();
        assert_eq!(Category::of_name(name), Some(category.into()));
    }
    assert_eq!(BuiltIn::of_number(0), None);
    assert_eq!(
        Category::of_name(b"a.b_c-9"),
        Some(Category::Free(b"a.b_c-9"))
    );
    assert_eq!(
        Category::of_name(&[b'a'; 64]),
        Some(Category::Free(&[b'a'; 64]))
    );
    for bad in [b"".as_slice(), b"Upper", b"a b", b"a+b", &[b'a'; 65]] {
        assert_eq!(Category::of_name(bad), None);
    }
}

#[test]
fn sums_stay_at_the_end_of_their_range() {
    let mut sums = Sums {
        count: i64::MAX,
        usage: i128::MIN,
        price: 3,
    };
    sums.add(&Sums {
        count: 1,
        usage: -1,
        price: -3,
    });
    assert_eq!(
        (sums.count, sums.usage, sums.price),
        (i64::MAX, i128::MIN, 0)
    );
    assert!(!sums.is_zero() && Sums::default().is_zero());
}

#[test]
fn a_record_has_its_checksum() {
    let list = bytes(&golden(FILE)["lists"][1]["hex"]);
    let mut record = Vec::new();
    write_usage_record(&mut record, &list);
    assert_eq!(parse_usage_record(&record).expect("a record").bytes(), list);
    assert_eq!(
        hex(&record),
        golden(FILE)["record"]["hex"].as_str().expect("hex")
    );
    for at in 0..record.len() {
        for bit in 0..8 {
            let mut changed = record.clone();
            changed[at] ^= 1 << bit;
            assert!(
                parse_usage_record(&changed).is_err(),
                "byte {at}, bit {bit}"
            );
        }
        assert!(parse_usage_record(&record[..at]).is_err(), "cut at {at}");
    }
    let mut damaged = Vec::new();
    write_usage_record(&mut damaged, &[1]);
    assert_eq!(
        parse_usage_record(&damaged).err(),
        Some(RecordError::Damaged)
    );
}

/// Account, category, tag, day and sums.
type Row = (String, Option<u8>, String, String, u32, (i64, i128, i128));

fn row() -> impl Strategy<Value = Row> {
    let account = prop_oneof![3 => "[ab]", 1 => "[A-Za-z0-9._:+@-]{1,128}"];
    let number = proptest::option::of(prop_oneof![1..=13_u8, 20..=26_u8]);
    let tag = prop_oneof![Just(String::new()), "[A-Za-z0-9._:+@-]{1,128}"];
    let sums = (any::<i64>(), any::<i128>(), any::<i128>());
    (
        account,
        number,
        "x[a-z0-9._-]{0,63}",
        tag,
        any::<u32>(),
        sums,
    )
}

fn delta_of((account, number, free, tag, day, sums): &Row) -> Delta<'_> {
    Delta {
        account: account.as_bytes(),
        category: match number {
            Some(number) => BuiltIn::of_number(*number).expect("a number").into(),
            None => Category::Free(free.as_bytes()),
        },
        tag: tag.as_bytes(),
        day: *day,
        sums: Sums {
            count: sums.0,
            usage: sums.1,
            price: sums.2,
        },
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(rows in proptest::collection::vec(row(), 0..40)) {
        let mut writer = DeltaWriter::new();
        for row in &rows {
            writer.add(&delta_of(row));
        }
        prop_assert_eq!(writer.cells(), rows.len() as u64);
        let mut list = Vec::new();
        writer.finish(&mut list);
        let read: Vec<_> = DeltaReader::parse(&list).expect("a list").deltas().collect();
        prop_assert_eq!(read, rows.iter().map(delta_of).collect::<Vec<_>>());
        for at in 0..list.len() {
            prop_assert!(DeltaReader::parse(&list[..at]).is_none());
        }
        list.push(0);
        prop_assert!(DeltaReader::parse(&list).is_none());
    }

    #[test]
    fn an_account_at_once_has_the_same_bytes(
        cells in proptest::collection::vec((1..=12_u8, 0..70_i64, 0..200_i128, 0..3_i128), 1..12),
        day in prop_oneof![Just(0), Just(16_383), Just(16_384), 20_000..22_000_u32, Just(1 << 21), any::<u32>()],
    ) {
        let (mut one, mut other) = (DeltaWriter::new(), DeltaWriter::new());
        for account in [b"acme".as_slice(), b"b"] {
            one.account(account, cells.len() as u32);
            for &(number, count, usage, price) in &cells {
                let category = BuiltIn::of_number(number).expect("a number");
                let sums = Sums { count, usage, price };
                one.cell(category, day, &sums);
                let delta = Delta { account, category: category.into(), tag: &[], day, sums };
                other.add(&delta);
            }
        }
        prop_assert_eq!(one.cells(), other.cells());
        let (mut first, mut second) = (Vec::new(), Vec::new());
        one.finish(&mut first);
        other.finish(&mut second);
        prop_assert_eq!(first, second);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut list in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Some(first) = list.first_mut() {
            *first &= 3;
        }
        if let Some(reader) = DeltaReader::parse(&list) {
            prop_assert_eq!(meaning(&list).as_array().map(Vec::len), Some(reader.deltas().count()));
        }
    }
}
