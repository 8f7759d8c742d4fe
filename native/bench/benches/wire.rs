//! What the wire costs a message: decode and copy on the way in, splice on the way out.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fairlead_core::client_frame::{append_body, decode_publish};
use fairlead_core::daemon_frame::{Delivery, write_delivery};
use fairlead_core::message_id::MessageId;
use fairlead_core::msgpack::{write_array_len, write_bin, write_nil, write_str, write_uint};
use fairlead_core::record::{BatchRecord, BatchRecordBuilder};

const PAYLOAD: [u8; 160] = [0x61; 160];

fn publish_frame(messages: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    write_array_len(&mut frame, 4);
    write_uint(&mut frame, 1);
    write_uint(&mut frame, 7);
    write_str(&mut frame, "sms.out");
    write_array_len(&mut frame, messages);
    for _ in 0..messages {
        write_array_len(&mut frame, 4);
        write_str(&mut frame, "tenant-0042");
        write_str(&mut frame, "+15550100");
        write_nil(&mut frame);
        write_bin(&mut frame, &PAYLOAD);
    }
    frame
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    for messages in [1, 100, 500] {
        let frame = publish_frame(messages);
        let mut items = Vec::new();
        let head = decode_publish(&frame, &mut items).expect("the frame is right");
        assert_eq!((head.destination, items.len()), ("sms.out", messages));
        group.throughput(Throughput::Elements(messages as u64));
        group.bench_function(format!("decode {messages} × 160 B"), |bencher| {
            bencher.iter(|| {
                decode_publish(black_box(&frame), &mut items).expect("the frame is right");
                black_box(items.len())
            });
        });
        let mut bodies = Vec::new();
        group.bench_function(format!("decode and append {messages} × 160 B"), |bencher| {
            bencher.iter(|| {
                decode_publish(black_box(&frame), &mut items).expect("the frame is right");
                bodies.clear();
                for item in &items {
                    append_body(&frame, item, b"", &mut bodies);
                }
                black_box(bodies.len())
            });
        });
    }
}

fn records(criterion: &mut Criterion) {
    let frame = publish_frame(500);
    let mut items = Vec::new();
    decode_publish(&frame, &mut items).expect("the frame is right");
    let mut builder = BatchRecordBuilder::new();
    let mut build = || {
        builder.begin(7, 1_790_000_000_123, 1);
        let mut values = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let write = |out: &mut Vec<u8>| append_body(&frame, item, b"", out);
            values.extend(builder.push(index as u16, 0, "sms.out", None, write));
        }
        values.extend(builder.finish());
        values
    };
    let closed = build();
    assert_eq!(
        closed
            .iter()
            .map(|record| usize::from(record.count))
            .sum::<usize>(),
        500
    );
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(500));
    group.bench_function("build 500 × 160 B", |bencher| bencher.iter(&mut build));
    group.bench_function("parse 500 × 160 B", |bencher| {
        bencher.iter(|| {
            for record in &closed {
                black_box(BatchRecord::parse(black_box(&record.value)).expect("it is ours"));
            }
        });
    });
}

fn deliver(criterion: &mut Criterion) {
    let frame = publish_frame(1);
    let mut items = Vec::new();
    decode_publish(&frame, &mut items).expect("the frame is right");
    let mut body = Vec::new();
    append_body(&frame, &items[0], b"", &mut body);
    let id = MessageId::new(0x1234, 1, 42, 3);
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("deliver");
    group.throughput(Throughput::Elements(500));
    group.bench_function("write 500 × 160 B", |bencher| {
        bencher.iter(|| {
            out.clear();
            for number in 1..=500 {
                let accepted_ms = 1_790_000_000_123;
                let delivery = Delivery {
                    delivery: number,
                    id,
                    attempt: 1,
                    accepted_ms,
                    flags: 0,
                    expires_ms: Some(accepted_ms + 36_000_000),
                };
                write_delivery(&mut out, &delivery, black_box(&body));
            }
            black_box(out.len())
        });
    });
}

criterion_group!(wire, publish, records, deliver);
criterion_main!(wire);
