//! Lists of usage deltas: golden bytes, what was written is read back, and no bytes make the reader
//! panic or pass what nobody would write.

use fairlead_core::record::{
    BuiltIn, Category, Delta, DeltaReader, DeltaWriter, RecordError, Sums, parse_usage_record,
    write_usage_record,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write as _;

fn golden() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../test/golden/usage-deltas.json"
    );
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).expect("golden files are JSON")
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("hex");
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect()
}

#[allow(clippy::format_collect, reason = "a test's rows are short")]
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("names are ASCII")
}

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
    let golden = golden();
    let rows = golden["lists"].as_array().expect("rows");
    assert!(rows.len() >= 4);
    for row in rows {
        let list = bytes(&row["hex"]);
        assert_eq!(meaning(&list), row["meaning"], "{}", row["name"]);
        assert_eq!(hex(&rewritten(&list)), row["hex"], "{}", row["name"]);
    }
    for row in golden["bad"].as_array().expect("rows") {
        assert!(
            DeltaReader::parse(&bytes(&row["hex"])).is_none(),
            "{}",
            row["name"]
        );
    }
}

#[test]
fn categories_have_their_numbers_and_names() {
    let rows: Vec<_> = BuiltIn::all()
        .map(|category| json!([category.number(), category.name()]))
        .collect();
    assert_eq!(Value::from(rows), golden()["categories"]);
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
    let list = bytes(&golden()["lists"][1]["hex"]);
    let mut record = Vec::new();
    write_usage_record(&mut record, &list);
    assert_eq!(parse_usage_record(&record).expect("a record").bytes(), list);
    assert_eq!(
        hex(&record),
        golden()["record"]["hex"].as_str().expect("hex")
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
