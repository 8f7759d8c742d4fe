//! A shard's share of a message by number of queues that wait: taking a frame of 100 in, handing
//! 100 out, settling 100. Each includes what stands around it in an exchange: the journal, and the
//! effects with their payloads.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fairlead_core::client_frame::{KIND_CREDIT, KIND_PUBLISH, KIND_SETTLE, KIND_SUBSCRIBE};
use fairlead_core::exchange::{
    EFFECTS_HEADER_BYTES, ENTRY_HEADER_BYTES, EffectOp, InputEntry, InputOp, SCOPE_CONSUME,
    SCOPE_PLATFORM, SCOPE_PUBLISH, write_input,
};
use fairlead_core::msgpack::{
    write_array_len, write_bin, write_bool, write_nil, write_str, write_uint,
};
use fairlead_core::record::{JournalEntry, JournalReader};
use fairlead_core::shard::{Memory, Options, Shard};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Messages of a frame.
const MESSAGES: u64 = 100;
/// Messages that wait at least, so that a hand-out never runs dry.
const BACKLOG_MIN: u64 = 400;
const PAYLOAD: [u8; 160] = [0x5a; 160];
const QUEUES_PER_TENANT: u64 = 10;
const CONNECTION: u32 = 1;
const SUBSCRIPTION: u64 = 1;
/// Keys of batch records: a tag and where the record begins.
const RECORD_KEY_BYTES: usize = 9;
const BATCH_KEY_TAG: u8 = 2;
/// Between two exchanges.
const STEP_US: u64 = 500;

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Publish,
    Pick,
    Settle,
}

/// A shard with one destination, whose backlog is the same after each round.
struct World {
    shard: Shard,
    now_us: u64,
    exchange: u64,
    queues: u64,
    /// Takes the next message.
    next_queue: u64,
    next_delivery: u64,
    effects: Vec<u8>,
    stored: HashMap<Vec<u8>, Vec<u8>>,
    usage_told: [u8; 8],
}

impl World {
    fn new(queues: u64) -> Self {
        let now_us = 1_000_000;
        let options = Options {
            shard: 0,
            boot_id: 1,
            hash_key: [7; 16],
            now_us,
            memory: Memory::default(),
        };
        let mut world = Self {
            shard: Shard::new(options),
            now_us,
            exchange: 0,
            queues,
            next_queue: 0,
            next_delivery: 1,
            effects: vec![0; 4 * 1024 * 1024 + EFFECTS_HEADER_BYTES],
            stored: HashMap::new(),
            usage_told: [0; 8],
        };
        world
            .shard
            .configure(now_us, &destination_input())
            .expect("a good configure");
        world
            .shard
            .recover_finish(now_us)
            .expect("nothing to recover");
        let scopes = [SCOPE_PUBLISH | SCOPE_CONSUME | SCOPE_PLATFORM, 0];
        world.exchange(InputOp::Connect, &scopes);
        world.exchange(InputOp::Frame, &subscribe_frame());
        for _ in 0..queues.max(BACKLOG_MIN).div_ceil(MESSAGES) {
            let frame = world.publish_frame();
            world.exchange(InputOp::Frame, &frame);
        }
        let counters = world.shard.counters();
        assert_eq!((counters.queues, counters.refused), (queues, 0));
        world
    }

    /// Publishes, hands out and settles one frame each; returns the time of one of the three.
    fn round(&mut self, timed: Phase) -> Duration {
        let waiting = self.shard.counters().waiting;
        let publish = self.publish_frame();
        let settle = self.settle_frame();
        let frames = [
            (Phase::Publish, publish),
            (Phase::Pick, credit_frame()),
            (Phase::Settle, settle),
        ];
        let mut time = Duration::ZERO;
        for (phase, frame) in frames {
            let took = self.exchange(InputOp::Frame, &frame);
            if phase == timed {
                time = took;
            }
        }
        let counters = self.shard.counters();
        assert_eq!((counters.waiting, counters.in_flight), (waiting, 0));
        time
    }

    fn exchange(&mut self, op: InputOp, bytes: &[u8]) -> Duration {
        self.now_us += STEP_US;
        self.exchange += 1;
        let entry = InputEntry {
            op,
            connection: CONNECTION,
            bytes,
        };
        let taken = InputEntry {
            op: InputOp::UsageTaken,
            connection: 0,
            bytes: &self.usage_told,
        };
        let input = write_input(self.exchange, &[taken, entry]);
        let mut start = Instant::now();
        let output = self
            .shard
            .step(self.now_us, self.exchange - 1, &input)
            .expect("a good input");
        let mut took = start.elapsed();
        self.keep(&output.journal);
        let wanted: Vec<&[u8]> = output
            .wants
            .chunks_exact(RECORD_KEY_BYTES)
            .map(|key| self.stored[key].as_slice())
            .collect();
        start = Instant::now();
        for (index, record) in wanted.into_iter().enumerate() {
            self.shard.provide(index, record).expect("a good record");
        }
        let written = self.shard.emit(&mut self.effects).expect("good records");
        took += start.elapsed();
        written.expect("room for the effects");
        self.note_usage();
        took
    }

    /// The usage record that was told, which the next exchange takes.
    fn note_usage(&mut self) {
        let u32_at = |at: usize| {
            let bytes = self.effects[at..at + 4].try_into();
            u32::from_le_bytes(bytes.expect("4 bytes"))
        };
        let mut at = EFFECTS_HEADER_BYTES;
        for _ in 0..u32_at(4) {
            let bytes = at + ENTRY_HEADER_BYTES;
            if self.effects[at] == EffectOp::Usage as u8 {
                self.usage_told = self.effects[bytes..bytes + 8].try_into().expect("8 bytes");
            }
            at = bytes + u32_at(at + 8) as usize;
        }
    }

    /// Does with the batch records what the environment on disk would.
    fn keep(&mut self, journal: &[u8]) {
        for entry in JournalReader::new(journal).expect("a good journal") {
            match entry.expect("a good journal") {
                JournalEntry::Put { key, value } if key[0] == BATCH_KEY_TAG => {
                    self.stored.insert(key.to_vec(), value.to_vec());
                }
                JournalEntry::Delete { key } => {
                    self.stored.remove(key);
                }
                JournalEntry::Put { .. } => {}
            }
        }
    }

    fn publish_frame(&mut self) -> Vec<u8> {
        let mut frame = Vec::new();
        head(&mut frame, KIND_PUBLISH, 1);
        write_str(&mut frame, "bench");
        write_array_len(&mut frame, MESSAGES as usize);
        for _ in 0..MESSAGES {
            let queue = self.next_queue;
            self.next_queue = (queue + 1) % self.queues;
            write_array_len(&mut frame, 4);
            write_str(&mut frame, &format!("t{:06}", queue / QUEUES_PER_TENANT));
            write_str(&mut frame, &format!("+1555{queue:07}"));
            write_str(&mut frame, &format!("+49170{queue:07}"));
            write_bin(&mut frame, &PAYLOAD);
        }
        frame
    }

    /// For the deliveries of the hand-out that comes next.
    fn settle_frame(&mut self) -> Vec<u8> {
        let mut frame = Vec::new();
        head(&mut frame, KIND_SETTLE, 0);
        write_uint(&mut frame, SUBSCRIPTION);
        write_array_len(&mut frame, MESSAGES as usize);
        for _ in 0..MESSAGES {
            write_uint(&mut frame, self.next_delivery);
            self.next_delivery += 1;
        }
        frame
    }
}

fn destination_input() -> Vec<u8> {
    let mut bytes = Vec::new();
    write_array_len(&mut bytes, 3);
    write_uint(&mut bytes, 1);
    write_str(&mut bytes, "bench");
    // Rate, burst, in flight, lease, attempts, in doubt, fair by, paused.
    write_array_len(&mut bytes, 8);
    write_nil(&mut bytes);
    for value in [1, 1_000_000, 30_000, 16, 0, 0] {
        write_uint(&mut bytes, value);
    }
    write_bool(&mut bytes, false);
    write_input(
        0,
        &[InputEntry {
            op: InputOp::Configure,
            connection: 0,
            bytes: &bytes,
        }],
    )
}

fn subscribe_frame() -> Vec<u8> {
    let mut frame = Vec::new();
    write_array_len(&mut frame, 5);
    write_uint(&mut frame, KIND_SUBSCRIBE.into());
    write_uint(&mut frame, 0);
    write_uint(&mut frame, SUBSCRIPTION);
    write_str(&mut frame, "bench");
    write_uint(&mut frame, 0);
    frame
}

fn credit_frame() -> Vec<u8> {
    let mut frame = Vec::new();
    head(&mut frame, KIND_CREDIT, 0);
    write_uint(&mut frame, SUBSCRIPTION);
    write_uint(&mut frame, MESSAGES);
    frame
}

fn head(frame: &mut Vec<u8>, kind: u32, id: u64) {
    write_array_len(frame, 4);
    write_uint(frame, kind.into());
    write_uint(frame, id);
}

fn phases(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shard");
    group.throughput(Throughput::Elements(MESSAGES));
    for queues in [1, 1_000, 100_000] {
        let mut world = World::new(queues);
        for (name, phase) in [
            ("publish", Phase::Publish),
            ("pick", Phase::Pick),
            ("settle", Phase::Settle),
        ] {
            group.bench_function(BenchmarkId::new(name, queues), |bench| {
                bench.iter_custom(|rounds| (0..rounds).map(|_| world.round(phase)).sum());
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = phases
}
criterion_main!(benches);
