//! Properties of publish options and of the frames about accepted messages: what was written is read
//! back, a cut frame is never taken for a whole one, arbitrary bytes never panic, limits are exact.

use fairlead_core::client_frame::{
    FrameError, KIND_CANCEL, KIND_STATUS, PublishItem, PublishOptions, Receipt, decode_ids,
    decode_publish, decode_receipt,
};
use fairlead_core::daemon_frame::{
    Repeated, StatusEntry, write_cancel_ok, write_frame_error, write_publish_ok, write_status_ok,
};
use fairlead_core::error::Code;
use fairlead_core::message_id::MessageId;
use fairlead_core::msgpack::{
    Reader, write_array_len, write_bin, write_map_len, write_nil, write_str, write_uint,
    write_uint_or_nil,
};
use proptest::option::of;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Options {
    key: Option<String>,
    level: Option<u8>,
    cost: Option<u32>,
    at_ms: Option<u64>,
    ttl_ms: Option<u64>,
    callback: Option<String>,
    callback_events: Option<u32>,
    order_key: Option<String>,
    tag: Option<String>,
}

impl Options {
    fn expected(&self) -> PublishOptions<'_> {
        PublishOptions {
            key: self.key.as_deref().map(str::as_bytes),
            level: self.level.unwrap_or(0),
            cost: self.cost.unwrap_or(1),
            at_ms: self.at_ms,
            ttl_ms: self.ttl_ms,
            callback: self.callback.as_deref(),
            callback_events: self.callback_events,
            order_key: self.order_key.as_deref().map(str::as_bytes),
            tag: self.tag.as_deref().map(str::as_bytes),
        }
    }

    /// All nine keys from the `first`-th on, absent ones as nil or not at all.
    fn write(&self, out: &mut Vec<u8>, first: usize, with_nil: bool) {
        let mut pairs: Vec<Vec<u8>> = Vec::new();
        let texts = [
            ("k", &self.key),
            ("cb", &self.callback),
            ("o", &self.order_key),
            ("g", &self.tag),
        ];
        for (name, value) in texts {
            if with_nil || value.is_some() {
                let mut pair = Vec::new();
                write_str(&mut pair, name);
                match value {
                    Some(text) => write_str(&mut pair, text),
                    None => write_nil(&mut pair),
                }
                pairs.push(pair);
            }
        }
        let numbers = [
            ("l", self.level.map(u64::from)),
            ("c", self.cost.map(u64::from)),
            ("at", self.at_ms),
            ("ttl", self.ttl_ms),
            ("ce", self.callback_events.map(u64::from)),
        ];
        for (name, value) in numbers {
            if with_nil || value.is_some() {
                let mut pair = Vec::new();
                write_str(&mut pair, name);
                write_uint_or_nil(&mut pair, value);
                pairs.push(pair);
            }
        }
        write_map_len(out, pairs.len());
        let count = pairs.len();
        pairs.rotate_left(if count == 0 { 0 } else { first % count });
        out.extend(pairs.concat());
    }
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._:+@-]{1,128}"
}

fn options() -> impl Strategy<Value = Options> {
    let texts = (
        of("\\PC{1,60}"),
        of("https?://[!-~]{1,300}"),
        of(name()),
        of(name()),
    );
    let numbers = (
        of(0_u8..=7),
        of(1_u32..=65_535),
        of(any::<u64>()),
        of(1_u64..=2_592_000_000),
        of((0_u32..=0x3ff).prop_map(|bits| bits << 1)),
    );
    (texts, numbers).prop_map(
        |((key, callback, order_key, tag), (level, cost, at_ms, ttl_ms, callback_events))| {
            Options {
                key,
                level,
                cost,
                at_ms,
                ttl_ms,
                callback,
                callback_events,
                order_key,
                tag,
            }
        },
    )
}

/// A publish of messages that have the given options, written by `write`.
fn publish_frame(count: usize, mut write: impl FnMut(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut frame = Vec::new();
    write_array_len(&mut frame, 4);
    write_uint(&mut frame, 1);
    write_uint(&mut frame, 7);
    write_str(&mut frame, "mail");
    write_array_len(&mut frame, count);
    for index in 0..count {
        write_array_len(&mut frame, 5);
        write_str(&mut frame, "acme");
        write_nil(&mut frame);
        write_nil(&mut frame);
        write_bin(&mut frame, b"hello");
        write(index, &mut frame);
    }
    frame
}

/// The fault of a publish of one message whose options are one pair.
fn option_fault(key: &str, write: impl Fn(&mut Vec<u8>)) -> Result<(), (Code, Option<String>)> {
    let frame = publish_frame(1, |_, out| {
        write_map_len(out, 1);
        write_str(out, key);
        write(out);
    });
    decode_publish(&frame, &mut Vec::new())
        .map(|_| ())
        .map_err(|error| {
            assert_eq!(error.index, Some(0));
            assert!(error.message.contains(key), "{}", error.message);
            (error.code, error.key)
        })
}

fn ids_frame(kind: u32, ids: &[[u8; 16]]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_array_len(&mut frame, 3);
    write_uint(&mut frame, kind.into());
    write_uint(&mut frame, 9);
    write_array_len(&mut frame, ids.len());
    for id in ids {
        write_bin(&mut frame, id);
    }
    frame
}

fn receipt_frame(receipts: &[Receipt]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_array_len(&mut frame, 3);
    write_uint(&mut frame, 5);
    write_uint(&mut frame, 9);
    write_array_len(&mut frame, receipts.len());
    for receipt in receipts {
        write_array_len(&mut frame, 3);
        write_bin(&mut frame, &receipt.id.0);
        write_uint(&mut frame, receipt.status.into());
        write_uint_or_nil(&mut frame, receipt.code.map(u64::from));
    }
    frame
}

fn cut_is_malformed(frame: &[u8], decode: impl Fn(&[u8]) -> Option<FrameError>) {
    for end in 0..frame.len() {
        let error = decode(&frame[..end]).expect("the frame is cut");
        assert_eq!(error.code, Code::MalformedFrame, "cut at {end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn options_are_read_back(
        all in proptest::collection::vec((options(), any::<usize>(), any::<bool>()), 1..5),
    ) {
        let frame = publish_frame(all.len(), |index, out| {
            let (options, first, with_nil) = &all[index];
            options.write(out, *first, *with_nil);
        });
        let mut items: Vec<PublishItem> = Vec::new();
        decode_publish(&frame, &mut items).expect("the frame is right");
        for (item, (options, ..)) in items.iter().zip(&all) {
            let expected = options.expected();
            prop_assert_eq!(item.options(&frame), expected);
            prop_assert_eq!(item.has_options(), expected != PublishOptions::NONE);
            prop_assert_eq!(item.payload(&frame), b"hello");
        }
        cut_is_malformed(&frame, |cut| decode_publish(cut, &mut Vec::new()).err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        key in prop_oneof![Just("k"), Just("l"), Just("at"), Just("cb"), Just("o"), Just("zz")],
    ) {
        let optioned = publish_frame(1, |_, out| {
            write_map_len(out, 1);
            write_str(out, key);
            out.extend_from_slice(&bytes);
        });
        let listed = [&[0x93, 7, 1, 0x92][..], &bytes].concat();
        let receipts = [&[0x93, 5, 1, 0x91, 0x92][..], &bytes].concat();
        let mut out = Vec::new();
        for frame in [&bytes, &optioned, &listed, &receipts] {
            let mut items = Vec::new();
            match decode_publish(frame, &mut items) {
                Ok(_) => items.iter().for_each(|item| { item.options(frame); }),
                Err(error) => write_frame_error(&mut out, &error),
            }
            for kind in [KIND_CANCEL, KIND_STATUS] {
                if let Err(error) = decode_ids(frame, kind, &mut Vec::new()) {
                    write_frame_error(&mut out, &error);
                }
            }
            if let Err(error) = decode_receipt(frame, &mut Vec::new()) {
                write_frame_error(&mut out, &error);
            }
        }
        let mut reader = Reader::new(&out);
        while reader.left() > 0 {
            prop_assert_eq!(reader.skip(), Ok(()));
        }
    }

    #[test]
    fn ids_are_read_back_and_never_cut(
        ids in proptest::collection::vec(any::<[u8; 16]>(), 0..30),
        kind in prop_oneof![Just(KIND_CANCEL), Just(KIND_STATUS)],
    ) {
        let frame = ids_frame(kind, &ids);
        let mut read = vec![MessageId([0; 16])];
        prop_assert_eq!(decode_ids(&frame, kind, &mut read), Ok(9));
        prop_assert_eq!(read.iter().map(|id| id.0).collect::<Vec<_>>(), ids);
        let other = KIND_CANCEL + KIND_STATUS - kind;
        prop_assert!(decode_ids(&frame, other, &mut Vec::new()).is_err());
        cut_is_malformed(&frame, |cut| decode_ids(cut, kind, &mut Vec::new()).err());
    }

    #[test]
    fn receipts_are_read_back_and_never_cut(
        receipts in proptest::collection::vec(
            (any::<[u8; 16]>(), 6_u8..=8, of(any::<u32>())).prop_map(|(id, status, code)| {
                Receipt { id: MessageId(id), status, code }
            }), 0..30),
    ) {
        let frame = receipt_frame(&receipts);
        let mut read = Vec::new();
        prop_assert_eq!(decode_receipt(&frame, &mut read), Ok(9));
        prop_assert_eq!(&read, &receipts);
        cut_is_malformed(&frame, |cut| decode_receipt(cut, &mut Vec::new()).err());
    }

    #[test]
    fn answers_are_one_msgpack_value(
        pairs in proptest::collection::vec(any::<(u32, u32)>(), 0..40),
        entries in proptest::collection::vec(
            of(any::<(u8, u32, u64, Option<u64>, Option<u64>, Option<u32>)>()), 0..40),
        first in of(any::<[u8; 16]>()),
    ) {
        let id = MessageId([7; 16]);
        let repeated = pairs.iter().map(|(index, _)| Repeated { index: *index, id });
        let repeated = repeated.collect::<Vec<_>>();
        let entries = entries.iter().map(|entry| {
            entry.map(|(status, attempts, accepted_ms, due_ms, ended_ms, code)| StatusEntry {
                status, attempts, accepted_ms, due_ms, ended_ms, code,
            })
        }).collect::<Vec<_>>();
        let mut out = [Vec::new(), Vec::new(), Vec::new()];
        write_publish_ok(&mut out[0], 1, first.map(MessageId).as_ref(), 5, &[], &repeated);
        write_cancel_ok(&mut out[1], 1, 5, &pairs);
        write_status_ok(&mut out[2], 1, &entries);
        for frame in out {
            let mut reader = Reader::new(&frame);
            prop_assert_eq!(reader.skip().and_then(|()| reader.end()), Ok(()));
        }
    }
}

#[test]
fn limits_of_options_are_exact() {
    let fault = |code: Code, key: &str| Err((code, Some(key.to_owned())));
    let uint = |key: &str, value: u64| option_fault(key, |out| write_uint(out, value));
    let text = |key: &str, text: &str| option_fault(key, |out| write_str(out, text));
    for (key, min, max) in [("l", 0, 7), ("c", 1, 65_535), ("ttl", 1, 2_592_000_000)] {
        assert_eq!(uint(key, min), Ok(()));
        assert_eq!(uint(key, max), Ok(()));
        assert_eq!(uint(key, max + 1), fault(Code::InvalidOption, key));
        if min > 0 {
            assert_eq!(uint(key, 0), fault(Code::InvalidOption, key));
        }
    }
    assert_eq!(uint("at", u64::MAX), Ok(()));
    let url = format!("http://{}", "x".repeat(2041));
    for (key, longest) in [
        ("k", "k".repeat(255)),
        ("cb", url),
        ("o", "o".repeat(128)),
        ("g", "g".repeat(128)),
    ] {
        assert_eq!(text(key, &longest), Ok(()));
        let longer = format!("{longest}x");
        assert_eq!(text(key, &longer), fault(Code::FieldTooLong, key));
        assert_eq!(uint(key, 1), fault(Code::WrongType, key));
    }
    for bad in ["", "http://", "//x", "HTTP://x", "https://x\n", "https://é"] {
        assert_eq!(text("cb", bad), fault(Code::InvalidOption, "cb"), "{bad}");
    }
    assert_eq!(text("o", ""), fault(Code::InvalidName, "o"));
}

#[test]
fn a_frame_has_at_most_4096_ids() {
    let ids = vec![[1; 16]; 4097];
    let code = |result: Result<u32, FrameError>| result.map_err(|error| error.code);
    let mut read = Vec::new();
    assert_eq!(
        code(decode_ids(&ids_frame(6, &ids[1..]), 6, &mut read)),
        Ok(9)
    );
    assert_eq!(read.len(), 4096);
    assert_eq!(
        code(decode_ids(&ids_frame(6, &ids), 6, &mut read)),
        Err(Code::TooManyMessages)
    );
    let receipt = Receipt {
        id: MessageId([1; 16]),
        status: 6,
        code: None,
    };
    let receipts = vec![receipt; 4097];
    assert_eq!(
        code(decode_receipt(&receipt_frame(&receipts), &mut Vec::new())),
        Err(Code::TooManyMessages)
    );
}
