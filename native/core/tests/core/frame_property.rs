//! Properties of publish options and of the frames about accepted messages: what was written is read
//! back, a cut frame is never taken for a whole one, arbitrary bytes never panic, limits are exact.

use fairlead_core::client_frame::{
    AcquireItem, FrameError, KIND_CANCEL, KIND_STATUS, PublishItem, PublishOptions, Receipt,
    ReleaseItem, decode_acquire, decode_ids, decode_publish, decode_receipt, decode_release,
    decode_renew,
};
use fairlead_core::daemon_frame::{
    Repeated, StatusEntry, write_cancel_ok, write_frame_error, write_publish_ok, write_status_ok,
};
use fairlead_core::error::Code;
use fairlead_core::gate::PermitId;
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

/// Resource, tenant and the four options.
type AskParts = (String, Option<String>, [Option<u64>; 4]);

fn asks() -> impl Strategy<Value = Vec<AskParts>> {
    let options = (
        of(1_u64..=1000),
        of(1000_u64..=3_600_000),
        of(0_u64..=3_600_000),
        of(0_u64..=2),
    )
        .prop_map(|(seats, lease, wait, mode)| [seats, lease, wait, mode]);
    proptest::collection::vec((name(), of(name()), options), 0..6)
}

const ASK_OPTIONS: [&str; 4] = ["weight", "leaseMs", "waitMs", "mode"];

fn acquire_frame(asks: &[AskParts], with_nil: bool) -> Vec<u8> {
    let mut frame = Vec::new();
    write_array_len(&mut frame, 3);
    write_uint(&mut frame, 10);
    write_uint(&mut frame, 9);
    write_array_len(&mut frame, asks.len());
    for (resource, tenant, options) in asks {
        write_array_len(&mut frame, 3);
        write_str(&mut frame, resource);
        match tenant {
            Some(tenant) => write_str(&mut frame, tenant),
            None => write_nil(&mut frame),
        }
        let given: Vec<_> = ASK_OPTIONS
            .iter()
            .zip(options)
            .filter(|(_, value)| with_nil || value.is_some())
            .collect();
        write_map_len(&mut frame, given.len());
        for (key, value) in given {
            write_str(&mut frame, key);
            write_uint_or_nil(&mut frame, *value);
        }
    }
    frame
}

fn release_frame(items: &[ReleaseItem]) -> Vec<u8> {
    let mut frame = Vec::new();
    let has_failed = |at: &usize| matches!(items[*at], ReleaseItem::Failed(_));
    let failed: Vec<usize> = (0..items.len()).filter(has_failed).collect();
    write_array_len(&mut frame, 3 + usize::from(!failed.is_empty()));
    write_uint(&mut frame, 11);
    write_uint(&mut frame, 9);
    write_array_len(&mut frame, items.len());
    for item in items {
        match item {
            ReleaseItem::Permit(id) | ReleaseItem::Failed(id) => write_bin(&mut frame, &id.0),
            ReleaseItem::Ticket(ticket) => write_uint(&mut frame, u64::from(*ticket)),
        }
    }
    if !failed.is_empty() {
        write_array_len(&mut frame, failed.len());
        for at in failed {
            write_uint(&mut frame, at as u64);
        }
    }
    frame
}

fn renew_frame(ids: &[[u8; 16]], lease_ms: u64, flags: Option<u32>) -> Vec<u8> {
    let mut frame = Vec::new();
    write_array_len(&mut frame, 4 + usize::from(flags.is_some()));
    write_uint(&mut frame, 12);
    write_uint(&mut frame, 9);
    write_array_len(&mut frame, ids.len());
    for id in ids {
        write_bin(&mut frame, id);
    }
    write_uint(&mut frame, lease_ms);
    if let Some(flags) = flags {
        write_uint(&mut frame, flags.into());
    }
    frame
}

/// The fault of an acquire of one entry whose options are one pair.
fn ask_fault(key: &str, value: u64) -> Result<AcquireItem, Code> {
    let mut frame = Vec::new();
    write_array_len(&mut frame, 3);
    write_uint(&mut frame, 10);
    write_uint(&mut frame, 9);
    write_array_len(&mut frame, 1);
    write_array_len(&mut frame, 3);
    write_str(&mut frame, "calls");
    write_nil(&mut frame);
    write_map_len(&mut frame, 1);
    write_str(&mut frame, key);
    write_uint(&mut frame, value);
    let mut items = Vec::new();
    match decode_acquire(&frame, &mut items) {
        Ok(_) => Ok(items[0]),
        Err(error) => {
            assert_eq!((error.index, error.key.as_deref()), (Some(0), Some(key)));
            Err(error.code)
        }
    }
}

#[test]
fn options_of_an_acquire_have_exact_bounds() {
    let bounds = [
        ("weight", 1, 1000),
        ("leaseMs", 1000, 3_600_000),
        ("waitMs", 0, 3_600_000),
        ("mode", 0, 2),
    ];
    for (key, min, max) in bounds {
        assert!(
            ask_fault(key, min).is_ok() && ask_fault(key, max).is_ok(),
            "{key}"
        );
        assert_eq!(ask_fault(key, max + 1), Err(Code::InvalidOption), "{key}");
        if min > 0 {
            assert_eq!(ask_fault(key, min - 1), Err(Code::InvalidOption), "{key}");
        }
    }
    assert_eq!(ask_fault("other", 1), Err(Code::InvalidOption));
}

#[test]
fn a_frame_holds_a_thousand_permits() {
    let ask: AskParts = ("calls".to_owned(), None, [None; 4]);
    for (count, is_ok) in [(1000, true), (1001, false)] {
        let frames = [
            decode_acquire(
                &acquire_frame(&vec![ask.clone(); count], false),
                &mut Vec::new(),
            )
            .map(|_| ()),
            decode_release(
                &release_frame(&vec![ReleaseItem::Ticket(1); count]),
                &mut Vec::new(),
            )
            .map(|_| ()),
            decode_renew(
                &renew_frame(&vec![[0; 16]; count], 1, None),
                &mut Vec::new(),
            )
            .map(|_| ()),
        ];
        for decoded in frames {
            let code = decoded.map_err(|error| error.code);
            assert_eq!(
                code,
                if is_ok {
                    Ok(())
                } else {
                    Err(Code::TooManyMessages)
                }
            );
        }
    }
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
    fn frames_about_permits_are_read_back(
        asks in asks(),
        with_nil in any::<bool>(),
        ids in proptest::collection::vec(any::<[u8; 16]>(), 0..5),
        tickets in proptest::collection::vec(any::<u32>(), 0..5),
        lease_ms in any::<u64>(),
        flags in of(any::<u32>()),
    ) {
        let frame = acquire_frame(&asks, with_nil);
        let mut items = Vec::new();
        prop_assert_eq!(decode_acquire(&frame, &mut items).map_err(|error| error.code), Ok(9));
        prop_assert_eq!(items.len(), asks.len());
        for (item, (resource, tenant, options)) in items.iter().zip(&asks) {
            prop_assert_eq!(item.resource(&frame), resource.as_bytes());
            prop_assert_eq!(item.tenant(&frame), tenant.as_deref().map(str::as_bytes));
            let read = [
                Some(u64::from(item.seats)),
                item.lease_ms.map(u64::from),
                item.wait_ms.map(u64::from),
                item.mode.map(u64::from),
            ];
            prop_assert_eq!(read, [Some(options[0].unwrap_or(1)), options[1], options[2], options[3]]);
        }
        cut_is_malformed(&frame, |cut| decode_acquire(cut, &mut Vec::new()).err());

        let mut given: Vec<ReleaseItem> =
            ids.iter().map(|id| ReleaseItem::Permit(PermitId(*id))).collect();
        given.extend(ids.iter().map(|id| {
            let id = PermitId(*id);
            if id.0[0] & 1 == 0 { ReleaseItem::Permit(id) } else { ReleaseItem::Failed(id) }
        }));
        given.extend(tickets.iter().map(|ticket| ReleaseItem::Ticket(*ticket)));
        let frame = release_frame(&given);
        let mut read = Vec::new();
        prop_assert_eq!(decode_release(&frame, &mut read).map_err(|error| error.code), Ok(9));
        prop_assert_eq!(read, given);
        cut_is_malformed(&frame, |cut| decode_release(cut, &mut Vec::new()).err());

        let frame = renew_frame(&ids, lease_ms, flags);
        let mut read = Vec::new();
        let head = decode_renew(&frame, &mut read).map_err(|error| error.code).unwrap();
        prop_assert_eq!((head.id, head.lease_ms, head.flags), (9, lease_ms, flags.unwrap_or(0)));
        prop_assert_eq!(read, ids.iter().map(|id| PermitId(*id)).collect::<Vec<_>>());
        cut_is_malformed(&frame, |cut| decode_renew(cut, &mut Vec::new()).err());
    }

    #[test]
    fn any_bytes_are_judged_as_frames_about_permits(
        kind in 10_u8..=12,
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut frame = vec![0x94, kind, 7];
        frame.extend_from_slice(&bytes);
        let _ = decode_acquire(&frame, &mut Vec::new());
        let _ = decode_release(&frame, &mut Vec::new());
        let _ = decode_renew(&frame, &mut Vec::new());
    }

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
