//! One destination with its tenants and a gateway, from the first message to the end, in simulated time.

use super::bench::Bench;
use super::entities::{Change, tenant_name};
use super::random::Random;
use super::wire::Said;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const GATEWAY: u32 = 1;
const PUBLISHER: u32 = 2;
const SUBSCRIPTION: u32 = 1;
const CREDIT: u32 = 60_000;

/// Sent.
pub const SENT: u8 = 0;
/// Comes back, was an attempt.
pub const RETRY: u8 = 2;
/// Comes back, was none.
pub const NOT_ATTEMPTED: u8 = 5;

/// A message, and what its gateway does with it each time.
#[derive(Clone)]
pub struct Message {
    pub at_us: u64,
    /// Whose it is.
    pub owner: u32,
    /// As which tenant it is published.
    pub tenant: u32,
    pub sender: u32,
    pub hold_us: u64,
    pub outcome: u8,
    pub retry_after_ms: u64,
}

/// What one sender sends: messages at random times (exponential gaps) in [from, to).
#[derive(Clone, Copy)]
pub struct Stream {
    pub tenant: u32,
    pub sender: u32,
    pub per_sec: f64,
    pub from_us: u64,
    pub to_us: u64,
    pub hold_us: u64,
}

impl Stream {
    /// `seed` and tenant decide, so that what other tenants do changes nothing here.
    pub fn messages(self, seed: u64) -> Vec<Message> {
        let lane = u64::from(self.tenant) << 32 | u64::from(self.sender) << 16;
        let mut random = Random(seed << 40 ^ lane ^ 0x5eed);
        let mut messages = Vec::new();
        let mut at_us = self.from_us;
        loop {
            let unit = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
            at_us += (-(1.0 - unit).ln() / self.per_sec * 1e6) as u64 + 1;
            if at_us >= self.to_us {
                return messages;
            }
            messages.push(Message {
                at_us,
                owner: self.tenant,
                tenant: self.tenant,
                sender: self.sender,
                hold_us: self.hold_us,
                outcome: SENT,
                retry_after_ms: 0,
            });
        }
    }
}

/// Messages of several streams in the order of their times.
pub fn merge(parts: Vec<Vec<Message>>) -> Vec<Message> {
    let mut all: Vec<_> = parts.into_iter().flatten().collect();
    all.sort_by_key(|message| (message.at_us, message.tenant, message.sender));
    all
}

/// When each message was handed out, by its place; times in µs since the begin.
pub struct Given {
    pub handed: Vec<Vec<u64>>,
    pub end_us: u64,
}

impl Given {
    /// From publishing to the first attempt; what still waits waits to the end.
    pub fn wait_us(&self, place: usize, message: &Message) -> u64 {
        let first = self.handed[place].first();
        first.copied().unwrap_or(self.end_us) - message.at_us
    }
}

/// Runs until `end_us`; time moves to the next message, settlement or wake time of the shard.
pub fn run(changes: &[Change], messages: &[Message], end_us: u64) -> Given {
    let mut bench = Bench::new(changes);
    bench.connect(GATEWAY, 2);
    bench.connect(PUBLISHER, 1);
    bench.subscribe(GATEWAY, SUBSCRIPTION, 0, CREDIT);
    let start_us = bench.now_us;
    let mut given = Given {
        handed: vec![Vec::new(); messages.len()],
        end_us,
    };
    let mut settles: BinaryHeap<Reverse<(u64, u64, usize)>> = BinaryHeap::new();
    let mut next = 0;
    let mut now_us = 0;
    while now_us < end_us {
        bench.now_us = start_us + now_us;
        settle_due(&mut bench, &mut settles, messages, now_us);
        while next < messages.len() && messages[next].at_us <= now_us {
            publish(&mut bench, &messages[next], next);
            next += 1;
        }
        for took in bench.step() {
            let place: usize = took.recipient.parse().expect("a number");
            given.handed[place].push(now_us);
            let until_us = now_us + messages[place].hold_us;
            settles.push(Reverse((until_us, took.delivery, place)));
        }
        assert!(bench.errors.is_empty(), "refused: {:?}", bench.errors);
        let wake_us = now_us + (u64::from(bench.wake_after_ms) * 1000).max(50);
        let settle_us = settles.peek().map_or(u64::MAX, |first| first.0.0);
        let arrival_us = messages.get(next).map_or(u64::MAX, |first| first.at_us);
        now_us = wake_us.min(settle_us).min(arrival_us).max(now_us + 1);
    }
    bench.check();
    given
}

fn publish(bench: &mut Bench, message: &Message, place: usize) {
    let tenant = tenant_name(message.tenant as usize);
    let sender = format!("s{}", message.sender);
    let recipient = place.to_string();
    bench.publish(PUBLISHER, 0, &[(&tenant, &sender, &recipient, 1)]);
}

fn settle_due(
    bench: &mut Bench,
    settles: &mut BinaryHeap<Reverse<(u64, u64, usize)>>,
    messages: &[Message],
    now_us: u64,
) {
    let mut said = Vec::new();
    while let Some(&Reverse((at_us, delivery, place))) = settles.peek() {
        if at_us > now_us {
            break;
        }
        settles.pop();
        let Message {
            outcome,
            retry_after_ms,
            ..
        } = messages[place];
        said.push(Said {
            delivery,
            outcome,
            retry_after_ms: (outcome != SENT).then_some(retry_after_ms),
            scope: None,
        });
    }
    if !said.is_empty() {
        bench.settle(GATEWAY, SUBSCRIPTION, &said);
        bench.credit(GATEWAY, SUBSCRIPTION, said.len() as u32);
    }
}
