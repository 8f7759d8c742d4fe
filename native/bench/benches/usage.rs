//! The usage counters on one core: frames of 1,000 events without and with keys, and a shard's deltas.
//!
//! What is timed is the machine alone: decoding, counting, log, checkpoint pieces, answers. Its store is
//! a map beside it, whose time does not count. First it is checked that records say what was counted.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fairlead_core::exchange::{
    EFFECTS_HEADER_BYTES, ENTRY_HEADER_BYTES, InputEntry, InputOp, SCOPE_PLATFORM, SCOPE_USAGE,
    write_input,
};
use fairlead_core::msgpack::{write_array_len, write_bool, write_nil, write_str, write_uint};
use fairlead_core::record::{BuiltIn, Delta, DeltaWriter, JournalEntry, JournalReader, Sums};
use fairlead_core::usage::{Options, Usage};
use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

const EVENTS: usize = 1000;
const FRAMES: usize = 4;
const START_US: u64 = 1_790_000_000_000_000;

/// The machine with a store that commits at once.
struct Desk {
    usage: Usage,
    cells: HashMap<Vec<u8>, Vec<u8>>,
    exchange: u64,
    now_us: u64,
    spent: Duration,
}

impl Desk {
    fn new(event_keys_max: u32) -> Self {
        let options = Options {
            boot_id: 1,
            hash_key: *b"0123456789abcdef",
            now_us: START_US,
            event_key_hours: 24,
            event_keys_max,
            counters_max: 10_000,
        };
        let mut usage = Usage::new(options);
        usage.recover_finish(START_US).unwrap();
        let mut desk = Self {
            usage,
            cells: HashMap::new(),
            exchange: 0,
            now_us: START_US,
            spent: Duration::ZERO,
        };
        desk.step(&[(InputOp::Connect, 1, &[SCOPE_USAGE | SCOPE_PLATFORM, 0])]);
        desk
    }

    fn step(&mut self, entries: &[(InputOp, u32, &[u8])]) {
        self.exchange += 1;
        self.now_us += 2000;
        let entries: Vec<InputEntry<'_>> = entries
            .iter()
            .map(|&(op, connection, bytes)| InputEntry {
                op,
                connection,
                bytes,
            })
            .collect();
        let input = write_input(self.exchange, &entries);
        let begun = Instant::now();
        let step = self.usage.step(self.now_us, self.exchange - 1, &input);
        black_box(step.unwrap());
        self.spent += begun.elapsed();
        let given = self.answer();
        let begun = Instant::now();
        black_box(self.usage.give(&given).unwrap());
        self.spent += begun.elapsed();
        for entry in JournalReader::new(self.usage.journal()).unwrap() {
            if let JournalEntry::Put { key, value } = entry.unwrap()
                && key[0] == 0x0d
            {
                self.cells.insert(key.to_vec(), value.to_vec());
            }
        }
    }

    /// Only day cells are asked for here, one by one.
    fn answer(&self) -> Vec<u8> {
        let wants = self.usage.wants();
        if wants.is_empty() {
            return Vec::new();
        }
        let (mut given, mut count, mut at) = (vec![0; 4], 0_u32, 4);
        let mut put = |key: &[u8], value: &[u8]| {
            given.extend_from_slice(&[1, key.len() as u8, (key.len() >> 8) as u8, 0]);
            given.extend_from_slice(&(value.len() as u32).to_le_bytes());
            given.extend_from_slice(key);
            given.extend_from_slice(value);
            count += 1;
        };
        while at < wants.len() {
            let kind = wants[at];
            let length = usize::from(u16::from_le_bytes([wants[at + 1], wants[at + 2]]));
            let key = &wants[at + 3..at + 3 + length];
            at += 3 + length;
            if kind == 1 {
                at += 2 + usize::from(u16::from_le_bytes([wants[at], wants[at + 1]]));
            }
            if let Some(value) = self.cells.get(key) {
                put(key, value);
            }
            put(b"", b"");
        }
        given[..4].copy_from_slice(&count.to_le_bytes());
        given
    }

    /// The usage that records say of a day of an account's category, all in memory.
    fn usage_of(&mut self, account: &str, category: &str) -> u64 {
        let day = START_US / 86_400_000_000;
        let mut ask = Vec::new();
        write_array_len(&mut ask, 9);
        write_str(&mut ask, account);
        write_str(&mut ask, category);
        write_nil(&mut ask);
        for number in [1, day, day] {
            write_uint(&mut ask, number);
        }
        write_bool(&mut ask, false);
        write_str(&mut ask, "");
        write_uint(&mut ask, 10);
        self.step(&[(InputOp::UsageRecords, 7, &ask)]);
        let effects = self.usage.effects();
        let json = &effects[EFFECTS_HEADER_BYTES + ENTRY_HEADER_BYTES..];
        let json: serde_json::Value = serde_json::from_slice(json).expect("JSON");
        json["items"][0]["usage"].as_u64().expect("a row")
    }
}

/// Events of `tenants` accounts in ten categories; with a key each if `key` is some.
fn frame(tenants: usize, round: usize, key: Option<&mut u64>) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_uint(&mut out, 20);
    write_uint(&mut out, 1);
    write_array_len(&mut out, EVENTS);
    let mut key = key;
    for event in 0..EVENTS {
        let number = round * EVENTS + event;
        write_array_len(&mut out, if key.is_some() { 4 } else { 3 });
        write_str(&mut out, &format!("tenant-{}", number * 7 % tenants));
        write_str(&mut out, &format!("category-{}", number % 10));
        write_uint(&mut out, 3);
        if let Some(key) = &mut key {
            write_str(&mut out, &format!("event-{:020}", **key));
            **key += 1;
        }
    }
    out
}

fn counted(desk: &Desk) -> u64 {
    let effects = desk.usage.effects();
    u64::from_le_bytes(effects[24..32].try_into().unwrap())
}

/// Frames of events until criterion has enough.
fn use_frames(
    criterion: &mut Criterion,
    (name, tenants): (&str, usize),
    (keyed, live_keys): (bool, u64),
) {
    let mut group = criterion.benchmark_group("usage");
    group.throughput(Throughput::Elements((EVENTS * FRAMES) as u64));
    group.sample_size(20);
    let (mut round, mut key) = (0, 0);
    let mut send = |desk: &mut Desk, frames: usize| {
        let frames: Vec<Vec<u8>> = (0..frames)
            .map(|_| {
                round += 1;
                frame(tenants, round, keyed.then_some(&mut key))
            })
            .collect();
        let entries: Vec<_> = frames
            .iter()
            .map(|bytes| (InputOp::Frame, 1, &**bytes))
            .collect();
        desk.step(&entries);
    };
    // Made when the first sample is taken: it takes a while, and samples go on with it.
    let mut made: Option<Desk> = None;
    group.bench_function(name, |bencher| {
        let desk = made.get_or_insert_with(|| {
            let mut desk = Desk::new(u32::MAX);
            send(&mut desk, FRAMES);
            assert_eq!(counted(&desk), (EVENTS * FRAMES) as u64);
            if tenants == 1 {
                let usage = desk.usage_of("tenant-0", "category-3");
                assert_eq!(usage, 3 * (EVENTS * FRAMES / 10) as u64);
            }
            for _ in 0..live_keys / (EVENTS * FRAMES) as u64 {
                send(&mut desk, FRAMES);
            }
            desk
        });
        bencher.iter_custom(|rounds| {
            desk.spent = Duration::ZERO;
            let before = counted(desk);
            for _ in 0..rounds {
                send(desk, FRAMES);
            }
            let expected = rounds * (EVENTS * FRAMES) as u64;
            assert_eq!(counted(desk) - before, expected, "all were counted");
            desk.spent
        });
    });
    group.finish();
}

fn events(criterion: &mut Criterion) {
    use_frames(criterion, ("use, 1 tenant", 1), (false, 0));
    use_frames(criterion, ("use, 1,000 tenants", 1000), (false, 0));
    use_frames(
        criterion,
        ("use with keys, 10^7 live keys", 1000),
        (true, 10_000_000),
    );
}

fn deltas(criterion: &mut Criterion) {
    const ACCOUNTS: usize = 200;
    let mut group = criterion.benchmark_group("usage");
    let day = (START_US / 86_400_000_000) as u32;
    let built_in: Vec<BuiltIn> = BuiltIn::all().take(6).collect();
    let mut writer = DeltaWriter::new();
    for account in 0..ACCOUNTS {
        for category in &built_in {
            writer.add(&Delta {
                account: format!("tenant-{account}").as_bytes(),
                category: (*category).into(),
                tag: b"",
                day,
                sums: Sums {
                    count: 5,
                    usage: 7,
                    price: 0,
                },
            });
        }
    }
    let mut list = Vec::new();
    let cells = writer.cells();
    writer.finish(&mut list);
    group.throughput(Throughput::Elements(cells));
    group.bench_function("fold of a shard's deltas, 1,200 cells", |bencher| {
        let mut desk = Desk::new(1);
        let mut sequence = 0_u64;
        let mut tell = |desk: &mut Desk| {
            sequence += 1;
            let mut bytes = vec![0];
            bytes.extend_from_slice(&sequence.to_le_bytes());
            bytes.extend_from_slice(&list);
            desk.step(&[(InputOp::UsageDeltas, 1, &bytes)]);
        };
        tell(&mut desk);
        tell(&mut desk);
        let name = built_in[0].name();
        assert_eq!(desk.usage_of("tenant-7", name), 14);
        bencher.iter_custom(|rounds| {
            desk.spent = Duration::ZERO;
            for _ in 0..rounds {
                tell(&mut desk);
            }
            desk.spent
        });
    });
    group.finish();
}

criterion_group!(benches, events, deltas);
criterion_main!(benches);
