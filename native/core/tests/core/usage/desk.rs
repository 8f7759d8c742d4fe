//! The usage counters with their store: what is written is committed and flushed after a while.

use super::disk::{Disk, Pages, apply};
use super::wire::{self, Ask, Effects, Event, Used, read_effects, read_used};
use crate::input::{self, configure_input, entry};
use fairlead_core::exchange::{InputEntry, InputOp, SCOPE_PLATFORM, SCOPE_USAGE, write_input};
use fairlead_core::record::parse_usage_key;
use fairlead_core::usage::{Options, Usage};
use std::collections::VecDeque;

/// 2026-09-21T13:46:40Z
pub const START_US: u64 = 1_790_000_000_000_000;
pub const SECOND_US: u64 = 1_000_000;
/// The platform's connection, which names tenants.
pub const PLATFORM: u32 = 1;

pub fn options(now_us: u64) -> Options {
    Options {
        boot_id: 7,
        hash_key: *b"0123456789abcdef",
        now_us,
        event_key_hours: 24,
        event_keys_max: 1_000_000,
        counters_max: 10_000,
    }
}

/// Stored records as recovery reads them, day cells left out, cut into chunks.
pub fn chunks(pages: &Pages, entries: usize) -> Vec<Vec<u8>> {
    input::chunks(pages, entries, |key| key[0] != 0x0d)
}

/// What a step wants, read from the store as the main thread does.
pub fn answer(pages: &Pages, wants: &[u8]) -> Vec<u8> {
    if wants.is_empty() {
        return Vec::new();
    }
    let mut given = vec![0; 4];
    let mut count = 0_u32;
    let mut put = |key: &[u8], value: &[u8]| {
        given.extend_from_slice(&[1, key.len() as u8, (key.len() >> 8) as u8, 0]);
        given.extend_from_slice(&(value.len() as u32).to_le_bytes());
        given.extend_from_slice(key);
        given.extend_from_slice(value);
        count += 1;
    };
    let mut rest = &wants[4..];
    let text = |rest: &mut &[u8]| {
        let length = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
        let key = rest[2..2 + length].to_vec();
        *rest = &rest[2 + length..];
        key
    };
    for _ in 0..u32::from_le_bytes(wants[..4].try_into().unwrap()) {
        let kind = rest[0];
        rest = &rest[1..];
        let key = text(&mut rest);
        if kind == 0 {
            if let Some(value) = pages.get(&key) {
                put(&key, value);
            }
        } else {
            let to = text(&mut rest);
            assert!(key <= to, "{key:02x?} to {to:02x?}");
            for (key, value) in pages.range(key..to) {
                put(key, value);
            }
        }
        put(b"", b"");
    }
    assert!(rest.is_empty());
    given[..4].copy_from_slice(&count.to_le_bytes());
    given
}

pub struct Desk {
    pub usage: Usage,
    pub options: Options,
    pub disk: Disk,
    /// Exchanges whose journal is not committed yet, and not flushed; with their marks.
    to_commit: VecDeque<(u64, u64, Vec<u8>)>,
    to_flush: VecDeque<(u64, Vec<u8>)>,
    /// Goes with the journal of each step; those that were flushed.
    pub mark: u64,
    pub flushed_marks: Vec<u64>,
    committed: u64,
    /// How many journals are written before they are committed.
    pub lag: usize,
    pub now_us: u64,
    pub exchange: u64,
    pub entities: Vec<Vec<u8>>,
    pub wake_after_ms: u32,
    /// Puts that the last step was given, with those that end a want.
    pub given: u32,
    pub counters: [u64; 28],
    pub flush: bool,
    pub journal: Vec<u8>,
    next_request: u32,
    /// Effects that were answers to nobody who waited.
    pub fired: Vec<(bool, Vec<u8>)>,
}

impl Desk {
    pub fn new(entities: &[Vec<u8>]) -> Self {
        Self::with(options(START_US), entities)
    }

    pub fn with(options: Options, entities: &[Vec<u8>]) -> Self {
        let mut desk = Self {
            usage: Usage::new(options.clone()),
            now_us: options.now_us,
            options,
            disk: Disk::default(),
            to_commit: VecDeque::new(),
            to_flush: VecDeque::new(),
            mark: 0,
            flushed_marks: Vec::new(),
            committed: 0,
            lag: 0,
            exchange: 0,
            entities: entities.to_vec(),
            wake_after_ms: 0,
            given: 0,
            counters: [0; 28],
            flush: false,
            journal: Vec::new(),
            next_request: 0,
            fired: Vec::new(),
        };
        desk.start();
        desk
    }

    fn start(&mut self) {
        let input = configure_input(&self.entities);
        self.usage.configure(self.now_us, &input).unwrap();
        for chunk in chunks(&self.disk.committed, 7) {
            self.usage.recover(self.now_us, &chunk).unwrap();
        }
        self.usage.recover_finish(self.now_us).unwrap();
        self.usage.check();
        self.connect(PLATFORM, SCOPE_USAGE | SCOPE_PLATFORM, "");
    }

    /// Ends as `kill -9` does; another begins with what was flushed.
    pub fn crash(&mut self) {
        self.to_commit.clear();
        self.to_flush.clear();
        self.disk.committed = self.disk.flushed.clone();
        self.options.now_us = self.now_us;
        self.usage = Usage::new(self.options.clone());
        self.exchange = 0;
        self.committed = 0;
        self.start();
    }

    /// All that was written is flushed.
    pub fn flush_all(&mut self) {
        self.commit(0);
        self.flush_some(0);
    }

    /// Commits until `left` journals are not.
    pub fn commit(&mut self, left: usize) {
        while self.to_commit.len() > left {
            let (exchange, mark, journal) = self.to_commit.pop_front().unwrap();
            apply(&mut self.disk.committed, &journal);
            self.committed = exchange;
            self.to_flush.push_back((mark, journal));
        }
    }

    pub fn flush_some(&mut self, left: usize) {
        while self.to_flush.len() > left {
            let (mark, journal) = self.to_flush.pop_front().unwrap();
            apply(&mut self.disk.flushed, &journal);
            self.flushed_marks.push(mark);
        }
    }

    pub fn step(&mut self, entries: &[InputEntry<'_>]) -> Vec<(u8, u32, Vec<u8>)> {
        self.exchange += 1;
        let input = write_input(self.exchange, entries);
        let wants = self
            .usage
            .step(self.now_us, self.committed, &input)
            .unwrap();
        assert_eq!(wants, self.usage.wants().len());
        let given = answer(&self.disk.committed, self.usage.wants());
        self.given = given
            .first_chunk()
            .map_or(0, |count| u32::from_le_bytes(*count));
        let turn = self.usage.give(&given).unwrap();
        assert_eq!(turn.effects_bytes, self.usage.effects().len());
        assert_eq!(turn.journal_bytes, self.usage.journal().len());
        self.flush = turn.flush;
        self.journal = self.usage.journal().to_vec();
        self.to_commit
            .push_back((self.exchange, self.mark, self.journal.clone()));
        self.commit(self.lag);
        let Effects {
            wake_after_ms,
            counters,
            said,
        } = read_effects(self.usage.effects());
        self.wake_after_ms = wake_after_ms;
        self.counters = counters;
        self.usage.check();
        for (op, connection, bytes) in &said {
            if *op == 8 {
                self.fired.push((*connection == 1, bytes.clone()));
            }
        }
        said
    }

    pub fn connect(&mut self, connection: u32, scopes: u8, tenant: &str) {
        let bytes = input::connect(scopes, tenant);
        self.step(&[entry(InputOp::Connect, connection, &bytes)]);
    }

    pub fn used_by(&mut self, connection: u32, events: &[Event]) -> Result<Used, u64> {
        let frame = wire::use_frame(5, events);
        let said = self.step(&[entry(InputOp::Frame, connection, &frame)]);
        let (_, _, bytes) = said
            .iter()
            .find(|(op, to, _)| *op == 1 && *to == connection)
            .expect("an answer");
        read_used(bytes)
    }

    /// Counts events, none of them refused.
    pub fn count(&mut self, events: &[Event]) {
        let used = self.used_by(PLATFORM, events).expect("no error");
        assert_eq!(used.refused, [], "of {events:?}");
        assert_eq!(used.counted as usize, events.len());
    }

    pub fn tell(&mut self, source: u32, deltas: &[u8]) {
        self.step(&[entry(InputOp::UsageDeltas, source, deltas)]);
    }

    /// Steps until nothing is to be done at once.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            self.step(&[]);
            if self.wake_after_ms > 1 {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// An answer in JSON.
    pub fn asked(&mut self, op: InputOp, bytes: &[u8]) -> serde_json::Value {
        self.next_request += 1;
        let request = self.next_request;
        let mut said = self.step(&[entry(op, request, bytes)]);
        for _ in 0..100_000 {
            let reply = said.iter().find(|(op, to, _)| *op == 2 && *to == request);
            if let Some((_, _, bytes)) = reply {
                return serde_json::from_slice(bytes).expect("JSON");
            }
            assert!(self.wake_after_ms <= 1, "nobody answers");
            said = self.step(&[]);
        }
        panic!("no answer");
    }

    /// All rows, page by page.
    pub fn records(&mut self, ask: &Ask<'_>) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let answer = self.asked(InputOp::UsageRecords, &wire::records(ask, &cursor));
            let items = answer["items"].as_array().expect("items");
            assert!(items.len() as u64 <= ask.limit.unwrap_or(1000));
            rows.extend(items.iter().map(Row::of));
            match answer["cursor"].as_str() {
                Some(next) => {
                    assert_ne!(next, cursor, "a cursor moves on");
                    next.clone_into(&mut cursor);
                }
                None => return rows,
            }
        }
    }

    /// Whatever is stored has a key that is known.
    pub fn check_store(&self) {
        for key in self.disk.committed.keys() {
            assert!(parse_usage_key(key).is_some(), "{key:02x?}");
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub account: String,
    pub category: String,
    pub tag: Option<String>,
    pub from: String,
    pub to: String,
    pub count: i64,
    pub usage: i128,
    pub price: String,
}

/// A number, beyond 2^53 as text.
fn whole(value: &serde_json::Value) -> i128 {
    let value = match value {
        serde_json::Value::String(text) => {
            let value: i128 = text.parse().expect("a whole number");
            assert!(value.unsigned_abs() >= 1 << 53);
            return value;
        }
        number => i128::from(number.as_i64().expect("a whole number")),
    };
    assert!(value.unsigned_abs() < 1 << 53);
    value
}

impl Row {
    fn of(row: &serde_json::Value) -> Self {
        let text = |field: &str| row[field].as_str().expect(field).to_owned();
        Self {
            account: text("account"),
            category: text("category"),
            tag: row["tag"].as_str().map(str::to_owned),
            from: text("from"),
            to: text("to"),
            count: whole(&row["count"]).try_into().expect("count"),
            usage: whole(&row["usage"]),
            price: text("price"),
        }
    }
}
