//! One gate on one core: steps with frames of 50 acquires and the release of those before.
//!
//! What is timed is the machine alone: decoding, judging, counting, answers and journal.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fairlead_core::exchange::{
    EFFECTS_HEADER_BYTES, ENTRY_HEADER_BYTES, InputEntry, InputOp, SCOPE_GATE, write_input,
};
use fairlead_core::gate::table::Table;
use fairlead_core::gate::{Gate, Options};
use fairlead_core::msgpack::{
    Reader, write_array_len, write_bin, write_nil, write_str, write_uint, write_uint_or_nil,
};
use std::hint::black_box;
use std::sync::Arc;

const ENTRIES: usize = 50;
const FRAMES: usize = 8;
const START_US: u64 = 1_790_000_000_000_000;

fn gate(limit: Option<u64>, tenants: usize) -> Gate {
    let options = Options {
        boot_id: 1,
        hash_key: *b"0123456789abcdef",
        now_us: START_US,
        relaxed: false,
        grace_ms: 5000,
        permits_max: 1_000_000,
        keys_max: 1_000_000,
        log_bytes_max: 4 * 1024 * 1024,
        instance: 0,
    };
    let mut gate = Gate::new(options, Arc::new(Table::new(tenants * 2 + 100)));
    let mut entity = Vec::new();
    write_array_len(&mut entity, 3);
    write_uint(&mut entity, 12);
    write_str(&mut entity, "calls.create");
    write_array_len(&mut entity, 8);
    for value in [
        limit,
        None,
        Some(1),
        Some(1000),
        Some(10_000),
        None,
        Some(30_000),
        None,
    ] {
        write_uint_or_nil(&mut entity, value);
    }
    let configure = InputEntry {
        op: InputOp::Configure,
        connection: 0,
        bytes: &entity,
    };
    gate.configure(START_US, &write_input(0, &[configure]))
        .unwrap();
    gate.recover_finish(START_US).unwrap();
    let connect = InputEntry {
        op: InputOp::Connect,
        connection: 1,
        bytes: &[SCOPE_GATE, 0],
    };
    gate.step(START_US, &write_input(1, &[connect])).unwrap();
    gate
}

fn acquire(tenants: usize, round: usize) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_uint(&mut out, 10);
    write_uint(&mut out, 1);
    write_array_len(&mut out, ENTRIES);
    for entry in 0..ENTRIES {
        write_array_len(&mut out, 3);
        write_str(&mut out, "calls.create");
        write_str(
            &mut out,
            &format!("tenant-{}", (round * ENTRIES + entry) * 7 % tenants),
        );
        write_nil(&mut out);
    }
    out
}

/// Permits granted by the last step, each frame's as one release.
fn releases(effects: &[u8]) -> Vec<Vec<u8>> {
    let (mut at, mut frames) = (EFFECTS_HEADER_BYTES, Vec::new());
    while at < effects.len() {
        let length = u32::from_le_bytes(effects[at + 8..at + 12].try_into().unwrap()) as usize;
        let body = &effects[at + ENTRY_HEADER_BYTES..at + ENTRY_HEADER_BYTES + length];
        at += ENTRY_HEADER_BYTES + length;
        let mut reader = Reader::new(body);
        if reader.array_len() != Ok(3) {
            continue;
        }
        reader.skip().unwrap();
        reader.skip().unwrap();
        let mut permits = Vec::new();
        for _ in 0..reader.array_len().unwrap() {
            let fields = reader.array_len().unwrap();
            assert_eq!(fields, 4, "all are granted");
            permits.push(reader.bin().unwrap().to_vec());
            (0..3).for_each(|_| reader.skip().unwrap());
        }
        let mut out = Vec::new();
        write_array_len(&mut out, 3);
        write_uint(&mut out, 11);
        write_uint(&mut out, 2);
        write_array_len(&mut out, permits.len());
        for permit in &permits {
            write_bin(&mut out, permit);
        }
        frames.push(out);
    }
    frames
}

fn pairs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gate");
    group.throughput(Throughput::Elements((ENTRIES * FRAMES) as u64));
    for (name, limit, tenants) in [
        ("1 tenant, no limits", None, 1),
        ("1,000 tenants, a limit", Some(100_000), 1000),
        ("100,000 tenants, a limit", Some(100_000), 100_000),
    ] {
        group.bench_function(format!("acquire and release, {name}"), |bencher| {
            let mut gate = gate(limit, tenants);
            let (mut now_us, mut exchange, mut round) = (START_US, 1, 0);
            let mut before: Vec<Vec<u8>> = Vec::new();
            bencher.iter_custom(|rounds| {
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..rounds {
                    let mut frames: Vec<Vec<u8>> = (0..FRAMES)
                        .map(|frame| acquire(tenants, round + frame))
                        .collect();
                    round += FRAMES;
                    frames.append(&mut before);
                    let entries: Vec<InputEntry<'_>> = frames
                        .iter()
                        .map(|bytes| InputEntry {
                            op: InputOp::Frame,
                            connection: 1,
                            bytes,
                        })
                        .collect();
                    exchange += 1;
                    now_us += 1000;
                    let input = write_input(exchange, &entries);
                    let begun = std::time::Instant::now();
                    black_box(gate.step(now_us, black_box(&input)).unwrap());
                    spent += begun.elapsed();
                    before = releases(gate.effects());
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pairs);
criterion_main!(benches);
