//! A shard whose gateways settle what they get after a while and give the credit back: time goes on
//! in steps, and also to every time that the shard asked for.

use super::bench::{Bench, Took};
use super::entities::{self, Change, Destination, Gateway};
use super::wire::{self, Said};
use fairlead_core::exchange::InputOp;
use fairlead_core::record::{JournalEntry, JournalReader, Key, LogRecord, parse_key};
use std::collections::{BTreeMap, VecDeque};

/// Consumes, and is one of the daemon's own connections.
pub const OWN: u8 = 2 | 8;

pub const GATEWAY: Gateway = Gateway {
    kind: 0,
    destinations: Vec::new(),
    weight: 100,
    rate_per_sec: None,
    burst: 1,
    in_flight_max: None,
    paused: false,
};

/// One subscription, on a connection of its own.
#[derive(Clone, Debug)]
pub struct Post {
    gateway: Option<usize>,
    destination: usize,
    credit: u32,
    hold_us: u64,
}

impl Post {
    pub fn gateway(gateway: usize, destination: usize, credit: u32) -> Self {
        Self {
            gateway: Some(gateway),
            ..Self::unnamed(destination, credit)
        }
    }

    pub fn unnamed(destination: usize, credit: u32) -> Self {
        Self {
            gateway: None,
            destination,
            credit,
            hold_us: 0,
        }
    }

    pub fn holding(self, seconds: f64) -> Self {
        #[allow(clippy::cast_sign_loss, reason = "a time is positive")]
        let hold_us = (seconds * 1e6) as u64;
        Self { hold_us, ..self }
    }
}

/// A message that was handed out.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub post: usize,
    pub cost: u32,
    pub at_us: u64,
}

struct Held {
    due_us: u64,
    post: usize,
    delivery: u64,
}

pub struct Farm {
    pub bench: Bench,
    posts: Vec<Post>,
    held: Vec<Held>,
    throttle: Option<(usize, u64)>,
    next_message: u32,
    pub in_flight_most: usize,
    /// The shard checks itself after every step.
    pub checks: bool,
}

impl Farm {
    pub fn new(destinations: &[Destination], gateways: &[Gateway]) -> Self {
        let mut changes: Vec<Change> = Vec::new();
        for (place, fields) in destinations.iter().enumerate() {
            changes.push(Change::Destination(place, Some(fields.clone())));
        }
        for (place, fields) in gateways.iter().enumerate() {
            changes.push(Change::Gateway(place, Some(fields.clone())));
        }
        let mut bench = Bench::new(&changes);
        bench.connect(1, 1);
        Self {
            bench,
            posts: Vec::new(),
            held: Vec::new(),
            throttle: None,
            next_message: 0,
            in_flight_most: 0,
            checks: false,
        }
    }

    /// Connection of a post; its subscription has the number of the post too.
    fn connection(post: usize) -> u32 {
        post as u32 + 100
    }

    pub fn post(&mut self, post: Post) {
        let place = self.posts.len();
        let (connection, number) = (Self::connection(place), place as u32 + 1);
        self.bench.connect(connection, 2);
        let (destination, credit) = (post.destination, post.credit);
        match post.gateway {
            Some(gateway) => {
                let name = entities::gateway_name(gateway);
                self.bench
                    .subscribe_as(connection, number, destination, credit, &name);
            }
            None => self
                .bench
                .subscribe(connection, number, destination, credit),
        }
        self.posts.push(post);
    }

    pub fn publish(&mut self, destination: usize, count: usize) {
        self.publish_costs(destination, &vec![1; count]);
    }

    /// Messages of these costs, all of one queue, told in their recipients.
    pub fn publish_costs(&mut self, destination: usize, costs: &[u32]) {
        for &cost in costs {
            self.next_message += 1;
            let recipient = format!("m{}-{cost}", self.next_message);
            self.bench
                .publish_cost(1, destination, ("t1", "a", &recipient, 1), cost);
        }
    }

    pub fn tell_up(&mut self, gateway: usize, up: bool) {
        let bytes = wire::gateway_up(&entities::gateway_name(gateway), up);
        self.bench.request(InputOp::GatewayUp, &bytes);
    }

    /// The next message that the gateway settles is throttled instead.
    pub fn throttle_next(&mut self, gateway: usize, after_ms: u64) {
        self.throttle = Some((gateway, after_ms));
    }

    pub fn is_in_use(&mut self, gateway: usize) -> bool {
        let name = entities::gateway_name(gateway);
        self.bench.request(InputOp::InUse, &wire::in_use(6, &name));
        self.bench.step();
        self.bench.json == [r#"{"inUse":true}"#]
    }

    pub fn explain(&mut self, destination: usize) -> String {
        let name = entities::destination_name(destination);
        self.bench
            .request(InputOp::Explain, &wire::explain(&name, 0, 0));
        self.bench.step();
        self.bench.json.pop().expect("an answer")
    }

    pub fn restart(&mut self) {
        self.bench.restart();
        self.bench.connect(1, 1);
        self.posts.clear();
        self.held.clear();
    }

    /// Goes on for a time; `every` seconds something may come in.
    pub fn run(&mut self, seconds: f64, every: f64) -> Vec<Taken> {
        #[allow(clippy::cast_sign_loss, reason = "times are positive")]
        let (long_us, every_us) = ((seconds * 1e6) as u64, (every * 1e6) as u64);
        let end_us = self.bench.now_us + long_us;
        let mut taken = Vec::new();
        while self.bench.now_us < end_us {
            self.settle();
            taken.extend(self.step());
            let after_us = u64::from(self.bench.wake_after_ms) * 1000;
            self.bench.now_us += every_us.min(after_us.max(1));
        }
        self.bench.check();
        taken
    }

    fn settle(&mut self) {
        let now_us = self.bench.now_us;
        let mut rest = Vec::new();
        for held in std::mem::take(&mut self.held) {
            if held.due_us > now_us {
                rest.push(held);
                continue;
            }
            let post = &self.posts[held.post];
            let mut said = Said::sent(held.delivery);
            if let Some((gateway, after_ms)) = self.throttle
                && post.gateway == Some(gateway)
            {
                said.outcome = 4;
                said.retry_after_ms = Some(after_ms);
                self.throttle = None;
            }
            let (connection, number) = (Self::connection(held.post), held.post as u32 + 1);
            self.bench.settle(connection, number, &[said]);
            self.bench.credit(connection, number, 1);
        }
        self.held = rest;
    }

    fn step(&mut self) -> Vec<Taken> {
        let took = self.bench.step();
        if self.checks {
            self.bench.check();
        }
        let now_us = self.bench.now_us;
        let mut taken = Vec::new();
        for got in in_order(took, &self.bench.journal) {
            let post = got.number as usize - 1;
            let cost = got.recipient.split_once('-').expect("its cost").1;
            taken.push(Taken {
                post,
                cost: cost.parse().expect("a number"),
                at_us: now_us,
            });
            self.held.push(Held {
                due_us: now_us + self.posts[post].hold_us,
                post,
                delivery: got.delivery,
            });
        }
        self.in_flight_most = self.in_flight_most.max(self.held.len());
        taken
    }
}

/// Deliveries in the order in which they were picked, which the log tells.
fn in_order(took: Vec<Took>, journal: &[u8]) -> Vec<Took> {
    let mut frames: BTreeMap<u32, VecDeque<Took>> = BTreeMap::new();
    for got in took {
        frames.entry(got.number).or_default().push_back(got);
    }
    let mut all = Vec::new();
    for entry in JournalReader::new(journal).expect("a journal") {
        let JournalEntry::Put { key, value } = entry.expect("a journal entry") else {
            continue;
        };
        if !matches!(parse_key(key), Some(Key::Log { .. })) {
            continue;
        }
        let log = LogRecord::parse(value).expect("a log record");
        for to in log.handed_to() {
            let frame = frames.get_mut(&to.subscription).expect("its frame");
            all.extend(frame.drain(..to.count as usize));
        }
    }
    assert!(frames.values().all(VecDeque::is_empty), "all are logged");
    all
}
