//! A shard with admission by time, its publishers and one gateway, in simulated time.

use super::random::Random;
use crate::input::{configure_input, entry};
use fairlead_core::exchange::{EFFECTS_HEADER_BYTES, EffectOp, InputOp, write_input};
use fairlead_core::msgpack::{
    Reader, write_array_len, write_bin, write_bool, write_nil, write_str, write_uint,
};
use fairlead_core::shard::{Memory, Options, Shard};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

pub const SECOND_US: u64 = 1_000_000;
const START_US: u64 = 1_700_000_000 * SECOND_US;
const WOULD_EXPIRE: u32 = 3023;

#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Shadow = 1,
    On = 2,
}

/// A tenant and what it sends.
#[derive(Clone, Copy)]
pub struct Load {
    pub weight: u32,
    /// Messages a second, at random times; from `then_from_us` on the other.
    pub per_sec: f64,
    pub then_per_sec: f64,
    pub cost_max: u32,
}

#[derive(Clone)]
pub struct Scenario {
    pub rate_per_sec: Option<f64>,
    pub in_flight_max: Option<u32>,
    pub hold_us: u64,
    pub validity_ms: u64,
    /// Messages have a validity of their own, from a fifth of this to all of it.
    pub mixed: bool,
    pub loads: Vec<Load>,
    pub seconds: u64,
    pub then_from_us: u64,
    pub seed: u64,
}

/// What became of the messages after the first validity.
#[derive(Debug, Default)]
pub struct Figures {
    pub accepted: u64,
    pub refused: u64,
    pub sent: u64,
    pub expired: u64,
    /// Shadow: marked messages, and those of them that were sent.
    pub marked_sent: u64,
    pub marked_expired: u64,
    /// As the shard counts.
    pub would_have_made_it: u64,
    pub accepted_then_expired: u64,
}

impl Figures {
    /// Marked messages whose time is over.
    pub fn marked_over(&self) -> u64 {
        self.marked_sent + self.marked_expired
    }
}

struct Sent {
    at_us: u64,
    validity_us: u64,
    marked: bool,
    counts: bool,
}

pub struct Run {
    shard: Shard,
    scenario: Scenario,
    now_us: u64,
    exchange: u64,
    pages: super::disk::Pages,
    effects: Vec<u8>,
    /// By number, which is the recipient's name too.
    sent: BTreeMap<u64, Sent>,
    next_number: u64,
    settle_at: BinaryHeap<Reverse<(u64, u64)>>,
    wake_us: u64,
    counters: [u64; 28],
    pub figures: Figures,
}

fn destination(scenario: &Scenario, mode: Mode) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_uint(&mut out, 1);
    write_str(&mut out, "d");
    write_array_len(&mut out, 14);
    float(&mut out, scenario.rate_per_sec);
    write_uint(&mut out, 1);
    match scenario.in_flight_max {
        Some(slots) => write_uint(&mut out, slots.into()),
        None => write_nil(&mut out),
    }
    for value in [30_000, 16, 0, 0] {
        write_uint(&mut out, value);
    }
    write_bool(&mut out, false);
    write_uint(&mut out, 1_000);
    write_uint(&mut out, 600_000);
    float(&mut out, Some(0.2));
    write_uint(&mut out, scenario.validity_ms);
    write_bool(&mut out, false);
    write_uint(&mut out, mode as u64);
    out
}

fn float(out: &mut Vec<u8>, value: Option<f64>) {
    let Some(value) = value else {
        return write_nil(out);
    };
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

fn tenant(place: usize, load: &Load) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_uint(&mut out, 3);
    write_str(&mut out, &format!("t{place}"));
    write_array_len(&mut out, 6);
    write_str(&mut out, "default");
    write_uint(&mut out, load.weight.into());
    write_nil(&mut out);
    write_uint(&mut out, 1);
    write_nil(&mut out);
    write_bool(&mut out, false);
    out
}

impl Run {
    pub fn new(scenario: &Scenario, mode: Mode) -> Self {
        let mut shard = Shard::new(Options {
            shard: 0,
            boot_id: 1,
            hash_key: [7; 16],
            now_us: START_US,
            memory: Memory {
                retention_ms: 0,
                ..Memory::default()
            },
        });
        let tenants = scenario.loads.iter().enumerate();
        let mut all = vec![destination(scenario, mode)];
        all.extend(tenants.map(|(place, load)| tenant(place, load)));
        shard
            .configure(START_US, &configure_input(&all))
            .expect("configure");
        shard.recover_finish(START_US).expect("recovery");
        let mut run = Self {
            shard,
            now_us: START_US,
            exchange: 0,
            pages: super::disk::Pages::default(),
            effects: vec![0; 1 << 20],
            sent: BTreeMap::new(),
            next_number: 0,
            settle_at: BinaryHeap::new(),
            wake_us: u64::MAX,
            counters: [0; 28],
            figures: Figures::default(),
            scenario: scenario.clone(),
        };
        run.greet();
        run
    }

    fn greet(&mut self) {
        let mut frame = Vec::new();
        write_array_len(&mut frame, 5);
        for value in [2, 1, 1] {
            write_uint(&mut frame, value);
        }
        write_str(&mut frame, "d");
        write_uint(&mut frame, 60_000);
        self.step(&[(InputOp::Connect, vec![7, 0]), (InputOp::Frame, frame)]);
    }

    /// Arrivals at random times until the end, gateway and shard in between.
    pub fn run(mut self) -> Figures {
        let end_us = START_US + self.scenario.seconds * SECOND_US;
        let mut random = Random(self.scenario.seed);
        let mut arrivals = BinaryHeap::new();
        for place in 0..self.scenario.loads.len() {
            let gap_us = self.gap_us(place, START_US, &mut random);
            arrivals.push(Reverse((START_US + gap_us, place)));
        }
        while let Some(&Reverse((arrives_us, place))) = arrivals.peek() {
            let settles_us = self.settle_at.peek().map_or(u64::MAX, |first| first.0.0);
            let next_us = arrives_us.min(settles_us).min(self.wake_us);
            if next_us > end_us {
                break;
            }
            self.now_us = self.now_us.max(next_us);
            if arrives_us == next_us {
                arrivals.pop();
                let gap_us = self.gap_us(place, self.now_us, &mut random);
                arrivals.push(Reverse((self.now_us + gap_us, place)));
                self.arrive(place, &mut random);
            } else {
                self.settle_due();
            }
        }
        self.finish()
    }

    fn gap_us(&self, place: usize, now_us: u64, random: &mut Random) -> u64 {
        let load = &self.scenario.loads[place];
        let later = now_us >= START_US + self.scenario.then_from_us;
        let per_sec = if later {
            load.then_per_sec
        } else {
            load.per_sec
        };
        let unit = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - unit).ln() / per_sec * 1e6) as u64 + 1
    }

    fn arrive(&mut self, place: usize, random: &mut Random) {
        let cost = random.range(1, self.scenario.loads[place].cost_max.into());
        let whole = self.scenario.validity_ms;
        let validity_ms = if self.scenario.mixed {
            random.range(whole / 5, whole)
        } else {
            whole
        };
        let before = self.counters[26];
        let accepted = self.publish(place, cost, validity_ms);
        let refused = self.counters[26] > before;
        // Before that the pace is not known, or the queues are not yet full.
        let counts = self.now_us > START_US + 2 * whole.max(10_000) * 1000;
        if accepted && refused {
            self.sent
                .last_entry()
                .expect("just published")
                .get_mut()
                .marked = true;
        }
        self.figures.refused += u64::from(counts && refused);
        self.figures.accepted += u64::from(counts && !refused);
    }

    /// Publishes one message in an exchange of its own; whether it was accepted.
    fn publish(&mut self, place: usize, cost: u64, ttl_ms: u64) -> bool {
        let number = self.next_number;
        self.next_number += 1;
        let counts = self.now_us > START_US + 2 * self.scenario.validity_ms.max(10_000) * 1000;
        let sent = Sent {
            at_us: self.now_us / 1000 * 1000,
            validity_us: ttl_ms * 1000,
            marked: false,
            counts,
        };
        self.sent.insert(number, sent);
        let mut frame = Vec::new();
        write_array_len(&mut frame, 4);
        write_uint(&mut frame, 1);
        write_uint(&mut frame, 0);
        write_str(&mut frame, "d");
        write_array_len(&mut frame, 1);
        let own = ttl_ms != self.scenario.validity_ms;
        write_array_len(&mut frame, 5);
        write_str(&mut frame, &format!("t{place}"));
        write_nil(&mut frame);
        write_str(&mut frame, &number.to_string());
        write_bin(&mut frame, b"x");
        frame.push(0x81 + u8::from(own));
        write_str(&mut frame, "c");
        write_uint(&mut frame, cost);
        if own {
            write_str(&mut frame, "ttl");
            write_uint(&mut frame, ttl_ms);
        }
        let before = self.counters[0];
        self.step(&[(InputOp::Frame, frame)]);
        let accepted = self.counters[0] > before;
        if !accepted {
            self.sent.remove(&number);
        }
        accepted
    }

    fn settle_due(&mut self) {
        let mut due = Vec::new();
        while let Some(&Reverse((at_us, delivery))) = self.settle_at.peek() {
            if at_us > self.now_us {
                break;
            }
            self.settle_at.pop();
            due.push(delivery);
        }
        if due.is_empty() {
            return self.step(&[]);
        }
        let mut frame = Vec::new();
        write_array_len(&mut frame, 4);
        for value in [4, 0, 1] {
            write_uint(&mut frame, value);
        }
        write_array_len(&mut frame, due.len());
        for delivery in &due {
            write_uint(&mut frame, *delivery);
        }
        let mut credit = Vec::new();
        write_array_len(&mut credit, 4);
        for value in [3, 0, 1, due.len() as u64] {
            write_uint(&mut credit, value);
        }
        self.step(&[(InputOp::Frame, frame), (InputOp::Frame, credit)]);
    }

    fn step(&mut self, entries: &[(InputOp, Vec<u8>)]) {
        self.exchange += 1;
        let entries: Vec<_> = entries
            .iter()
            .map(|(op, bytes)| entry(*op, 1, bytes))
            .collect();
        let input = write_input(self.exchange, &entries);
        let output = self
            .shard
            .step(self.now_us, self.exchange - 1, &input)
            .expect("a step");
        assert!(output.wants.is_empty() || !self.pages.is_empty());
        for (index, key) in output.wants.chunks(9).enumerate() {
            self.shard
                .provide(index, &self.pages[key])
                .expect("a record");
        }
        super::disk::apply(&mut self.pages, &output.journal);
        let mut effects = std::mem::take(&mut self.effects);
        let mut written = self.shard.emit(&mut effects).expect("emit");
        if let Err(needed) = written {
            effects.resize(needed, 0);
            written = self.shard.emit(&mut effects).expect("emit");
        }
        self.read(&effects[..written.expect("room")]);
        self.effects = effects;
    }

    fn read(&mut self, effects: &[u8]) {
        let u32_at =
            |at: usize| u32::from_le_bytes(effects[at..at + 4].try_into().expect("4 bytes"));
        let wake_after_ms = u32_at(20);
        self.wake_us = self.now_us + u64::from(wake_after_ms) * 1000;
        for (place, counter) in self.counters.iter_mut().enumerate() {
            let at = 24 + 8 * place;
            *counter = u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        }
        let mut at = EFFECTS_HEADER_BYTES;
        for _ in 0..u32_at(4) {
            let length = u32_at(at + 8) as usize;
            // Usage is no frame.
            if effects[at] != EffectOp::Usage as u8 {
                self.frame(&effects[at + 12..at + 12 + length]);
            }
            at += 12 + length;
        }
    }

    fn frame(&mut self, bytes: &[u8]) {
        let mut reader = Reader::new(bytes);
        let fields = reader.array_len().expect("an array");
        let kind = reader.uint32().expect("a kind");
        let _ = reader.uint32().expect("an id");
        if kind == 65 {
            let code = reader.uint32().expect("a code");
            assert!(code == 1015 || code == WOULD_EXPIRE, "an error {code}");
            return;
        }
        if kind != 66 || fields != 4 {
            return;
        }
        let _ = reader.uint32().expect("a subscription");
        for _ in 0..reader.array_len().expect("deliveries") {
            reader.array_len().expect("a delivery");
            let delivery = reader.uint().expect("its number");
            reader.bin().expect("an id");
            reader.str().expect("a tenant");
            assert!(reader.nil().expect("no sender"));
            let number = reader.str().expect("a recipient");
            let number = std::str::from_utf8(number).expect("digits");
            self.took(number.parse().expect("a number"));
            for _ in 0..5 {
                reader.skip().expect("the rest");
            }
            let at_us = self.now_us + self.scenario.hold_us;
            self.settle_at.push(Reverse((at_us, delivery)));
        }
    }

    fn took(&mut self, number: u64) {
        let sent = self.sent.remove(&number).expect("it was published");
        let in_time = self.now_us / 1000 * 1000 < sent.at_us + sent.validity_us;
        assert!(in_time, "sent after its validity");
        if sent.counts {
            self.figures.sent += u64::from(!sent.marked);
            self.figures.marked_sent += u64::from(sent.marked);
        }
    }

    fn finish(mut self) -> Figures {
        let now_us = self.now_us;
        let over = |sent: &&Sent| sent.at_us + sent.validity_us <= now_us;
        for sent in self.sent.values().filter(over).filter(|sent| sent.counts) {
            self.figures.expired += u64::from(!sent.marked);
            self.figures.marked_expired += u64::from(sent.marked);
        }
        self.figures.would_have_made_it = self.counters[27];
        self.figures.accepted_then_expired = self.counters[25];
        self.shard.check();
        self.figures
    }
}
