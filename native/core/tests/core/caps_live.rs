//! A cap that is made while a shard counts: what the shard had counted before, told or not, is in the
//! cap's base once, whichever way it comes.

use crate::shared::{bench, entities, wire};
use crate::shared_usage::desk::{Desk, options};
use bench::{Bench, PLAIN};
use entities::Change;
use fairlead_core::exchange::InputOp;
use fairlead_core::msgpack::{write_array_len, write_str, write_uint};
use fairlead_core::shard::{Bounds, UsageBounds};
use fairlead_core::usage::reserve::slots;
use wire::Said;

const MONTHLY: u64 = 2;

fn cap(name: &str, slot: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_uint(&mut out, 15);
    write_str(&mut out, name);
    write_array_len(&mut out, 5);
    write_str(&mut out, "messages");
    for value in [0, MONTHLY, 1000, slot.into()] {
        write_uint(&mut out, value);
    }
    out
}

/// A shard and the counters, which take what it tells when the test says so.
struct Pair {
    bench: Bench,
    desk: Desk,
    taken: usize,
}

impl Pair {
    /// `told_bytes`: how much the shard tells that was not taken.
    fn new(told_bytes: u64) -> Self {
        let bounds = Bounds {
            usage: UsageBounds {
                told_bytes,
                exchange_bytes: 1,
                record_bytes: 1,
                ..UsageBounds::default()
            },
            ..Bounds::default()
        };
        let mut bench = Bench::with_bounds(&[Change::Destination(0, Some(PLAIN))], bounds);
        bench.connect(1, 1);
        bench.connect(2, 2);
        bench.subscribe(2, 1, 0, 4);
        let desk = Desk::with(options(bench.now_us), &[]);
        Self {
            bench,
            desk,
            taken: 0,
        }
    }

    /// The counters take the lists that were told so far, whose numbers begin with 1.
    fn take(&mut self) {
        for (at, (flags, list)) in self.bench.usage.iter().enumerate().skip(self.taken) {
            let mut told = vec![*flags as u8];
            told.extend_from_slice(&(at as u64 + 1).to_le_bytes());
            told.extend_from_slice(list);
            // Shard 0.
            self.desk.tell(1, &told);
        }
        self.taken = self.bench.usage.len();
    }

    fn reserved(&self, slot: u32) -> Option<i128> {
        let read = slots().read(slot, self.bench.now_us / 1000);
        read.map(|(reserved, _)| reserved)
    }
}

#[test]
fn what_a_shard_counted_and_had_not_told_yet_is_not_let_through() {
    const SLOT: u32 = 64_900;
    let mut pair = Pair::new(1);
    let bench = &mut pair.bench;
    let message = ("t0", "a", "m", 1);
    // Records of others come first, so those of t0 wait to be told.
    bench.publish(1, 0, &[("t1", "a", "m", 1), ("t2", "a", "m", 1), message]);
    let deliveries = bench.step();
    bench.publish(1, 0, &[message, message, message]);
    let own = deliveries.iter().find(|took| took.tenant == "t0");
    bench.settle(2, 1, &[Said::sent(own.expect("a delivery").delivery)]);
    let more = bench.step();
    assert_eq!(more.len(), 1, "one more is in flight, two wait");
    // One is sent in the exchange that brings the cap, before it; one after it.
    bench.settle(2, 1, &[Said::sent(more[0].delivery)]);
    bench.entry(InputOp::Configure, 9, &cap("t0/late", SLOT));
    bench.credit(2, 1, 1);
    let last = bench.step();
    let told = bench.usage.len();
    pair.take();
    assert_eq!(pair.reserved(SLOT), Some(2), "what the shard holds");
    pair.desk.asked(InputOp::Configure, &cap("t0/late", SLOT));
    pair.bench.settle(2, 1, &[Said::sent(last[0].delivery)]);
    for _ in 0..20 {
        pair.bench.step();
        pair.take();
    }
    assert!(
        pair.taken >= told + 3,
        "what was sent was told after the cap was made"
    );
    pair.desk.settle();
    assert_eq!(pair.reserved(SLOT), Some(4), "three were sent, one waits");
    slots().clear(SLOT);
}
