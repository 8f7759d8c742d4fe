//! Properties of the codecs of frames and exchanges: arbitrary bytes never panic, a cut frame is
//! never taken for a whole one, and what was written is read back.

use fairlead_core::client_frame::{
    append_body, decode_credit, decode_publish, decode_settle, decode_subscribe, frame_kind_and_id,
};
use fairlead_core::daemon_frame::{
    DELIVER_HEADER_BYTES_MAX, DELIVERY_BYTES_MAX, Delivery, write_deliver_header, write_delivery,
    write_frame_error,
};
use fairlead_core::error::Code;
use fairlead_core::exchange::{
    InputEntry, InputOp, InputReader, decode_configure, decode_connect, decode_explain,
    decode_in_use, decode_stats, write_input,
};
use fairlead_core::message_id::{MessageId, Place, batch_hash};
use fairlead_core::msgpack::{
    Reader, write_array_len, write_bin, write_nil, write_str, write_uint,
};
use proptest::prelude::*;

type Message = (
    Option<String>,
    Option<String>,
    Option<String>,
    Vec<u8>,
    bool,
);

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._:+@-]{1,128}"
}

fn message() -> impl Strategy<Value = Message> {
    let name = || proptest::option::of(name());
    let payload = proptest::collection::vec(any::<u8>(), 0..400);
    (name(), name(), name(), payload, any::<bool>())
}

fn write_name(out: &mut Vec<u8>, name: Option<&str>) {
    match name {
        Some(name) => write_str(out, name),
        None => write_nil(out),
    }
}

fn publish_frame(id: u32, destination: &str, messages: &[Message]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_array_len(&mut frame, 4);
    write_uint(&mut frame, 1);
    write_uint(&mut frame, id.into());
    write_str(&mut frame, destination);
    write_array_len(&mut frame, messages.len());
    for (tenant, sender, recipient, payload, is_bin) in messages {
        write_array_len(&mut frame, 4);
        for name in [tenant, sender, recipient] {
            write_name(&mut frame, name.as_deref());
        }
        let start = frame.len();
        write_bin(&mut frame, payload);
        if !is_bin {
            frame[start] = if payload.len() < 256 { 0xd9 } else { 0xda };
        }
    }
    frame
}

fn settle_frame(deliveries: &[u32]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_array_len(&mut frame, 4);
    for field in [4, 5, 1] {
        write_uint(&mut frame, field);
    }
    write_array_len(&mut frame, deliveries.len());
    for delivery in deliveries {
        write_array_len(&mut frame, 3);
        for field in [*delivery, 2, 7] {
            write_uint(&mut frame, field.into());
        }
    }
    frame
}

/// The body that a record has to hold, written without looking at the frame.
fn stored_body(message: &Message, default_tenant: &str) -> Vec<u8> {
    let (tenant, sender, recipient, payload, _) = message;
    let mut body = Vec::new();
    write_str(&mut body, tenant.as_deref().unwrap_or(default_tenant));
    write_name(&mut body, sender.as_deref());
    write_name(&mut body, recipient.as_deref());
    write_bin(&mut body, payload);
    body
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 1_u8..5,
    ) {
        // As they come, and behind a head that leads further into each decoder.
        let headed = [&[0x94, kind, 7][..], &bytes].concat();
        for frame in [&bytes, &headed] {
            let mut out = Vec::new();
            if let Err(error) = frame_kind_and_id(frame) {
                write_frame_error(&mut out, &error);
            }
            let mut items = Vec::new();
            match decode_publish(frame, &mut items) {
                Ok(_) => items.iter().for_each(|item| append_body(frame, item, b"x", &mut out)),
                Err(error) => write_frame_error(&mut out, &error),
            }
            let _ = decode_subscribe(frame);
            let _ = decode_credit(frame);
            let _ = decode_settle(frame, &mut Vec::new());
            let _ = Reader::new(frame).skip();
        }
        let _ = InputReader::new(&bytes).map(Iterator::count);
        let _ = (decode_connect(&bytes), decode_configure(&bytes), decode_explain(&bytes));
        let _ = (decode_stats(&bytes), decode_in_use(&bytes));
    }

    #[test]
    fn a_publish_is_read_back(
        id in any::<u32>(),
        destination in name(),
        messages in proptest::collection::vec(message(), 0..20),
        default_tenant in name(),
    ) {
        let frame = publish_frame(id, &destination, &messages);
        let mut items = Vec::new();
        let head = decode_publish(&frame, &mut items).expect("the frame is right");
        prop_assert_eq!((head.id, head.destination), (id, destination.as_str()));
        prop_assert_eq!(frame_kind_and_id(&frame), Ok((1, id)));
        prop_assert_eq!(items.len(), messages.len());
        for (item, message) in items.iter().zip(&messages) {
            prop_assert_eq!(item.tenant(&frame), message.0.as_deref().map(str::as_bytes));
            prop_assert_eq!(item.sender(&frame), message.1.as_deref().map(str::as_bytes));
            prop_assert_eq!(item.recipient(&frame), message.2.as_deref().map(str::as_bytes));
            prop_assert_eq!(item.payload(&frame), &message.3[..]);
            let mut body = Vec::new();
            append_body(&frame, item, default_tenant.as_bytes(), &mut body);
            prop_assert!(body.len() <= item.body_bytes_max(default_tenant.as_bytes()));
            // Headers longer than needed are kept as they are; all here are in the short form but
            // those of str payloads, which are written anew.
            prop_assert_eq!(body, stored_body(message, &default_tenant));
        }
        for end in 0..frame.len() {
            let error = decode_publish(&frame[..end], &mut items).expect_err("the frame is cut");
            prop_assert_eq!(error.code, Code::MalformedFrame);
        }
    }

    #[test]
    fn a_settle_is_read_back_and_never_cut(
        deliveries in proptest::collection::vec(any::<u32>(), 0..40),
    ) {
        let frame = settle_frame(&deliveries);
        let mut outcomes = Vec::new();
        decode_settle(&frame, &mut outcomes).expect("the frame is right");
        prop_assert_eq!(outcomes.iter().map(|it| it.delivery as u32).collect::<Vec<_>>(), deliveries);
        prop_assert!(outcomes.iter().all(|it| it.outcome == 2 && it.code == Some(7)));
        for end in 0..frame.len() {
            let error = decode_settle(&frame[..end], &mut outcomes).expect_err("the frame is cut");
            prop_assert_eq!(error.code, Code::MalformedFrame);
        }
    }

    #[test]
    fn a_delivery_is_msgpack_within_its_bound(
        message in message(),
        numbers in any::<(u32, u32, u64, u8)>(),
        count in 0_usize..70_000,
    ) {
        let body = stored_body(&message, "t");
        let (delivery, attempt, accepted_ms, flags) = numbers;
        let id = MessageId::new(1, 2, 3, 4);
        let mut out = Vec::new();
        let fixed = Delivery { delivery: delivery.into(), id, attempt, accepted_ms, flags, expires_ms: Some(accepted_ms) };
        write_delivery(&mut out, &fixed, &body);
        prop_assert!(out.len() <= DELIVERY_BYTES_MAX + body.len());
        let mut reader = Reader::new(&out);
        prop_assert_eq!(reader.skip().and_then(|()| reader.end()), Ok(()));
        out.clear();
        write_deliver_header(&mut out, delivery, count);
        prop_assert!(out.len() <= DELIVER_HEADER_BYTES_MAX);
    }

    #[test]
    fn a_message_id_says_its_place_to_its_own_key_only(
        key in any::<[u8; 16]>(),
        (shard, batch, index) in (any::<u16>(), 0_u64..1 << 48, any::<u16>()),
        bit in 0_usize..112,
    ) {
        let id = MessageId::new(batch_hash(&key, shard, batch), shard, batch, index);
        prop_assert_eq!(id.place(&key), Some(Place { shard, batch, index }));
        prop_assert_eq!(MessageId::parse(&id.0), Some(id));
        let mut other = id;
        other.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!other.verify(&key));
        let mut other_key = key;
        other_key[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!id.verify(&other_key));
    }

    #[test]
    fn an_input_is_read_back_and_never_cut(
        entries in proptest::collection::vec(
            (any::<u32>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..20),
        exchange in any::<u64>(),
    ) {
        let entries = entries.iter().map(|(connection, bytes)| {
            InputEntry { op: InputOp::Frame, connection: *connection, bytes }
        }).collect::<Vec<_>>();
        let input = write_input(exchange, &entries);
        let reader = InputReader::new(&input).expect("a header");
        prop_assert_eq!(reader.exchange(), exchange);
        prop_assert_eq!(reader.collect::<Result<Vec<_>, _>>(), Ok(entries));
        for end in 0..input.len() {
            let cut = InputReader::new(&input[..end]).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            prop_assert!(cut.is_err());
        }
    }
}

#[test]
fn limits_of_a_publish_are_exact() {
    let message = |bytes| (None, None, None, vec![0; bytes], true);
    let mut items = Vec::new();
    let mut code = |messages: &[Message]| {
        let frame = publish_frame(1, "mail", messages);
        decode_publish(&frame, &mut items)
            .map(|_| ())
            .map_err(|error| (error.code, error.index))
    };
    assert_eq!(code(&[message(65_536)]), Ok(()));
    assert_eq!(
        code(&[message(1), message(65_537)]),
        Err((Code::PayloadTooLarge, Some(1)))
    );
    assert_eq!(code(&vec![message(0); 4096]), Ok(()));
    assert_eq!(
        code(&vec![message(0); 4097]),
        Err((Code::TooManyMessages, None))
    );
    assert_eq!(
        code(&vec![message(65_536); 16]),
        Err((Code::FrameTooLarge, None))
    );
}

#[test]
fn a_nested_value_of_any_depth_is_skipped() {
    let mut deep = vec![0x91; 100_000];
    deep.push(0xc0);
    let mut reader = Reader::new(&deep);
    assert_eq!(reader.skip().and_then(|()| reader.end()), Ok(()));
    assert_eq!(
        Reader::new(&deep[..100_000]).skip(),
        Err(Code::MalformedFrame)
    );
}
