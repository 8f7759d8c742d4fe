//! One shard on a workbench: entries are laid out, `step` takes them and stores what it gives.

use super::disk::{self, Pages};
use super::entities::{self, Change, Destination, Entities};
use super::wire::{self, Frame, Publishing, Said};
use crate::input::input;
use fairlead_core::exchange::InputOp;
use fairlead_core::shard::{Bounds, Memory, Options, Shard};

pub const SECOND_US: u64 = 1_000_000;

pub const PLAIN: Destination = Destination {
    lease_ms: 30_000,
    ..entities::PLAIN
};

/// Tenant, sender, recipient and bytes of the payload.
pub type Message<'a> = (&'a str, &'a str, &'a str, usize);

/// A delivery as its gateway took it.
#[derive(Debug)]
pub struct Took {
    pub number: u32,
    pub delivery: u64,
    pub tenant: String,
    pub recipient: String,
    pub attempt: u32,
    pub flags: u8,
}

pub struct Bench {
    pub shard: Shard,
    pub now_us: u64,
    pub pages: Pages,
    pub entities: Entities,
    bounds: Bounds,
    entries: Vec<(InputOp, u32, Vec<u8>)>,
    exchange: u64,
    next_id: u32,
    effects: Vec<u8>,
    /// Of the last step.
    pub journal: Vec<u8>,
    pub counters: [u64; 28],
    pub wake_after_ms: u32,
    pub wants: usize,
    pub deliver_bytes: usize,
    pub frame_bytes_max: usize,
    pub errors: Vec<u32>,
    /// Codes of messages that were refused one by one.
    pub refused: Vec<u32>,
    /// Records of status events, by sequence; kept until the test takes them.
    pub told: Vec<(u64, Vec<u8>)>,
    /// Flags and lists of usage records, which the next step takes; kept until the test takes them.
    pub usage: Vec<(u32, Vec<u8>)>,
    pub json: Vec<String>,
}

/// Messages that ended are forgotten at once.
const NOTHING_REMEMBERED: Memory = Memory {
    retention_ms: 0,
    retention_bytes: 0,
    idempotency_keys: 1000,
    dead_letters: 0,
};

fn new_shard(now_us: u64, bounds: Bounds) -> Shard {
    let options = Options {
        shard: 0,
        boot_id: 1,
        hash_key: [7; 16],
        now_us,
        memory: NOTHING_REMEMBERED,
    };
    Shard::with_bounds(options, bounds)
}

impl Bench {
    pub fn new(changes: &[Change]) -> Self {
        Self::with_bounds(changes, Bounds::default())
    }

    pub fn with_bounds(changes: &[Change], bounds: Bounds) -> Self {
        let now_us = 1_700_000_000 * SECOND_US;
        let mut bench = Self {
            shard: new_shard(now_us, bounds),
            now_us,
            pages: Pages::default(),
            entities: Entities::default(),
            bounds,
            entries: Vec::new(),
            exchange: 0,
            next_id: 0,
            effects: Vec::new(),
            journal: Vec::new(),
            counters: [0; 28],
            wake_after_ms: 0,
            wants: 0,
            deliver_bytes: 0,
            frame_bytes_max: 0,
            errors: Vec::new(),
            refused: Vec::new(),
            told: Vec::new(),
            usage: Vec::new(),
            json: Vec::new(),
        };
        for change in changes {
            bench.entities.apply(change);
        }
        bench.restart();
        bench
    }

    /// The process ends and a new one recovers what is stored.
    pub fn restart(&mut self) {
        self.entries.clear();
        self.exchange = 0;
        self.shard = new_shard(self.now_us, self.bounds);
        self.shard
            .configure(self.now_us, &self.entities.input())
            .expect("configure");
        for chunk in disk::chunks(&self.pages, 1 << 20) {
            self.shard.recover(self.now_us, &chunk).expect("recover");
        }
        self.shard
            .recover_finish(self.now_us)
            .expect("the end of recovery");
        self.shard.check();
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn frame(&mut self, connection: u32, bytes: Vec<u8>) {
        self.entries.push((InputOp::Frame, connection, bytes));
    }

    pub fn connect(&mut self, connection: u32, scopes: u8) {
        self.entries
            .push((InputOp::Connect, connection, wire::connect(scopes, None)));
    }

    pub fn configure(&mut self, change: &Change) {
        self.entities.apply(change);
        self.entries.push((InputOp::Configure, 0, change.bytes()));
    }

    pub fn entry(&mut self, op: InputOp, connection: u32, bytes: &[u8]) {
        self.entries.push((op, connection, bytes.to_vec()));
    }

    pub fn request(&mut self, op: InputOp, bytes: &[u8]) {
        let id = self.id();
        self.entries.push((op, id, bytes.to_vec()));
    }

    pub fn subscribe(&mut self, connection: u32, number: u32, destination: usize, credit: u32) {
        let name = entities::destination_name(destination);
        let id = self.id();
        self.frame(connection, wire::subscribe(id, number, &name, credit));
    }

    pub fn subscribe_as(
        &mut self,
        connection: u32,
        number: u32,
        destination: usize,
        credit: u32,
        gateway: &str,
    ) {
        let name = entities::destination_name(destination);
        let id = self.id();
        let bytes = wire::subscribe_as(id, number, &name, credit, gateway);
        self.frame(connection, bytes);
    }

    pub fn credit(&mut self, connection: u32, number: u32, add: u32) {
        self.frame(connection, wire::credit(0, number, add));
    }

    pub fn settle(&mut self, connection: u32, number: u32, said: &[Said]) {
        self.frame(connection, wire::settle(0, number, said, true));
    }

    /// Messages as (tenant, sender, recipient, bytes of payload).
    pub fn publish(&mut self, connection: u32, destination: usize, messages: &[Message<'_>]) {
        self.publish_with(connection, destination, messages, &[]);
    }

    /// The same, to be sent at a time.
    pub fn publish_at(
        &mut self,
        connection: u32,
        destination: usize,
        messages: &[Message<'_>],
        at_ms: u64,
    ) {
        let mut options = vec![0x81, 0xa2, b'a', b't', 0xcf];
        options.extend_from_slice(&at_ms.to_be_bytes());
        self.publish_with(connection, destination, messages, &options);
    }

    /// The same, whose status is told to a URL.
    pub fn publish_told(
        &mut self,
        connection: u32,
        destination: usize,
        messages: &[Message<'_>],
        callback: &str,
    ) {
        let mut options = vec![0x81, 0xa2, b'c', b'b', 0xd9, callback.len() as u8];
        options.extend_from_slice(callback.as_bytes());
        self.publish_with(connection, destination, messages, &options);
    }

    /// One of a cost.
    pub fn publish_cost(
        &mut self,
        connection: u32,
        destination: usize,
        message: Message<'_>,
        cost: u32,
    ) {
        let mut options = vec![0x81, 0xa1, b'c', 0xcd];
        options.extend_from_slice(&(cost as u16).to_be_bytes());
        self.publish_with(connection, destination, &[message], &options);
    }

    /// One with a tag.
    pub fn publish_tagged(
        &mut self,
        connection: u32,
        destination: usize,
        message: (&str, &str, &str, usize),
        tag: &str,
    ) {
        let mut options = vec![0x81, 0xa1, b'g', 0xa0 + tag.len() as u8];
        options.extend_from_slice(tag.as_bytes());
        self.publish_with(connection, destination, &[message], &options);
    }

    fn publish_with(
        &mut self,
        connection: u32,
        destination: usize,
        messages: &[Message<'_>],
        options: &[u8],
    ) {
        let payload = vec![b'x'; messages.iter().map(|message| message.3).max().unwrap_or(0)];
        let messages: Vec<Publishing<'_>> = messages
            .iter()
            .map(|(tenant, sender, recipient, bytes)| Publishing {
                tenant: Some(tenant),
                sender: Some(sender),
                recipient,
                payload: &payload[..*bytes],
                as_str: false,
                options,
            })
            .collect();
        let id = self.id();
        let name = entities::destination_name(destination);
        self.frame(connection, wire::publish(id, &name, &messages));
    }

    /// Takes what was laid out; deliveries in the order of their frames.
    pub fn step(&mut self) -> Vec<Took> {
        self.exchange += 1;
        let input = input(self.exchange, &std::mem::take(&mut self.entries));
        let output = self
            .shard
            .step(self.now_us, self.exchange - 1, &input)
            .expect("a step");
        self.wants = output.wants.len() / 9;
        for (index, key) in output.wants.chunks(9).enumerate() {
            self.shard
                .provide(index, &self.pages[key])
                .expect("a record");
        }
        disk::apply(&mut self.pages, &output.journal);
        self.journal = output.journal;
        let mut effects = std::mem::take(&mut self.effects);
        let mut written = self.shard.emit(&mut effects).expect("emit");
        if let Err(needed) = written {
            effects.resize(needed, 0);
            written = self.shard.emit(&mut effects).expect("emit");
        }
        let took = self.read(&effects[..written.expect("room enough")]);
        self.effects = effects;
        took
    }

    fn read(&mut self, effects: &[u8]) -> Vec<Took> {
        let effects = wire::parse_effects(effects);
        self.counters = effects.counters;
        self.wake_after_ms = effects.wake_after_ms;
        (self.deliver_bytes, self.frame_bytes_max) = (0, 0);
        self.errors.clear();
        self.refused.clear();
        self.json.clear();
        let mut took = Vec::new();
        for effect in &effects.entries {
            if effect.op == 2 {
                self.json
                    .push(String::from_utf8(effect.bytes.to_vec()).expect("UTF-8"));
                continue;
            }
            if effect.op == 7 {
                let (sequence, list) = effect.bytes.split_at(8);
                self.usage.push((effect.connection, list.to_vec()));
                let taken = (InputOp::UsageTaken, 0, sequence.to_vec());
                self.entries.push(taken);
                continue;
            }
            if effect.op == 5 {
                let (sequence, content) = effect.bytes.split_at(8);
                let sequence = u64::from_le_bytes(sequence.try_into().expect("8 bytes"));
                self.told.push((sequence, content.to_vec()));
                continue;
            }
            match wire::parse_frame(effect.bytes) {
                Frame::Ok {
                    rest: wire::OkRest::Published { refused, .. },
                    ..
                } => self.refused.extend(refused.iter().map(|(_, code)| *code)),
                Frame::Ok { .. } => {}
                Frame::Error { code, .. } => self.errors.push(code),
                Frame::Deliver {
                    subscription,
                    deliveries,
                } => {
                    self.deliver_bytes += effect.bytes.len();
                    self.frame_bytes_max = self.frame_bytes_max.max(effect.bytes.len());
                    took.extend(deliveries.iter().map(|got| Took {
                        number: subscription,
                        delivery: got.delivery,
                        tenant: got.tenant.to_owned(),
                        recipient: got.recipient.to_owned(),
                        attempt: got.attempt,
                        flags: got.flags,
                    }));
                }
            }
        }
        took
    }

    pub fn check(&self) {
        self.shard.check();
    }

    /// A whole checkpoint, and the deletes after it.
    pub fn checkpoint(&mut self) {
        self.request(InputOp::Checkpoint, &[]);
        self.step();
        while self.wake_after_ms == 0 {
            self.step();
        }
    }

    /// Bytes of the stored log.
    pub fn log_bytes(&self) -> usize {
        self.pages
            .range(vec![3]..vec![4])
            .map(|(_, value)| value.len())
            .sum()
    }
}
