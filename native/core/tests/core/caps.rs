//! Hard caps over one and several shards, each with its thread: never a message more than fits, and none
//! less.

use crate::input::{self, configure_input};
use crate::shared::frames::HASH_KEY;
use crate::shared::{entities, frames, random, wire};
use entities::Change;
use fairlead_core::exchange::InputOp;
use fairlead_core::msgpack::Reader;
use fairlead_core::record::DeltaReader;
use fairlead_core::shard::{Memory, Options as ShardOptions, Shard};
use fairlead_core::usage::calendar::PeriodKind;
use fairlead_core::usage::reserve::Slots;
use frames::{Draft, Options};
use random::Random;

const NOW_MS: u64 = 1_700_000_000_000;
const PUBLISHER: u32 = 1;
const GATEWAY: u32 = 2;
const CAP_REACHED: u32 = 5006;
const SLOT: u32 = 3;
/// A cap of cost that some frames reach, and one of a million messages that nothing does.
const LIMIT: i128 = 30_000;

/// One shard and who publishes there.
struct Desk {
    shard: Shard,
    slots: &'static Slots,
    random: Random,
    exchange: u64,
    serial: u64,
    entries: Vec<(InputOp, u32, Vec<u8>)>,
    /// Cost that was accepted of the tenant with the cap.
    accepted: i128,
    /// Cost of those that were counted as sent.
    billed: i128,
    refused: u64,
    deliveries: Vec<u64>,
}

fn cap(name: &str, by: u64, slot: u32) -> Vec<u8> {
    input::cap((name, "messages"), by, PeriodKind::Month as u64, None, slot)
}

fn new_slots(limit: i128) -> &'static Slots {
    let slots: &'static Slots = Box::leak(Box::new(Slots::new()));
    slots.set(SLOT, PeriodKind::Month, limit);
    slots.set(SLOT + 1, PeriodKind::Month, 1_000_000);
    slots
}

impl Desk {
    fn new(number: u16, slots: &'static Slots, seed: u64) -> Self {
        let memory = Memory {
            retention_ms: 0,
            retention_bytes: 0,
            ..Memory::default()
        };
        let mut shard = Shard::new(ShardOptions {
            shard: number,
            boot_id: 1,
            hash_key: HASH_KEY,
            now_us: NOW_MS * 1000,
            memory,
        });
        shard.set_slots(slots);
        let destination = Change::Destination(0, Some(entities::PLAIN)).bytes();
        let all = [
            destination,
            cap("t0/spend", 1, SLOT),
            cap("t0/many", 0, SLOT + 1),
        ];
        let configured = shard.configure(NOW_MS * 1000, &configure_input(&all));
        configured.expect("configure");
        shard.recover_finish(NOW_MS * 1000).expect("an empty store");
        let mut desk = Self {
            shard,
            slots,
            random: Random(seed),
            exchange: 0,
            serial: u64::from(number) << 32,
            entries: Vec::new(),
            accepted: 0,
            billed: 0,
            refused: 0,
            deliveries: Vec::new(),
        };
        desk.entry(InputOp::Connect, PUBLISHER, wire::connect(1, None));
        desk.entry(InputOp::Connect, GATEWAY, wire::connect(2, None));
        let subscribe = wire::subscribe(0, 1, &frames::destination_name(0), 0);
        desk.entry(InputOp::Frame, GATEWAY, subscribe);
        desk.step(&[]);
        desk
    }

    fn entry(&mut self, op: InputOp, connection: u32, bytes: Vec<u8>) {
        self.entries.push((op, connection, bytes));
    }

    /// One exchange: what was laid out, and a frame of these messages.
    fn step(&mut self, drafts: &[Draft]) {
        if !drafts.is_empty() {
            let frame = frames::publish(1, 0, true, drafts);
            self.entry(InputOp::Frame, PUBLISHER, frame);
        }
        self.exchange += 1;
        let input = input::input(self.exchange, &std::mem::take(&mut self.entries));
        let now_us = (NOW_MS + self.exchange) * 1000;
        let output = self.shard.step(now_us, self.exchange - 1, &input);
        assert!(output.expect("a step").wants.is_empty(), "all is in memory");
        let mut effects = Vec::new();
        let needed = self.shard.emit(&mut effects).expect("emit");
        effects.resize(needed.expect_err("too small"), 0);
        self.shard.emit(&mut effects).expect("emit").expect("room");
        for effect in wire::parse_effects(&effects).entries {
            match (effect.op, effect.connection) {
                (7, _) => self.fold(effect.bytes),
                (1, GATEWAY) => {
                    let got = wire::deliveries(effect.bytes).into_iter().flatten();
                    self.deliveries.extend(got.map(|got| got.delivery));
                }
                (1, _) => self.answered(effect.bytes, drafts),
                _ => {}
            }
        }
        let (reserved, limit) = self.slots.read(SLOT, NOW_MS).expect("a cap");
        assert!(
            reserved <= limit.expect("a limit"),
            "{reserved} are reserved"
        );
    }

    fn fold(&mut self, bytes: &[u8]) {
        let (sequence, list) = bytes.split_at(8);
        for delta in DeltaReader::parse(list).expect("a list").deltas() {
            if delta.account == b"t0" && delta.category.number() == 12 {
                self.billed += delta.sums.usage;
            }
        }
        self.entry(InputOp::UsageTaken, 0, sequence.to_vec());
    }

    /// What was neither refused nor repeated is accepted.
    fn answered(&mut self, bytes: &[u8], drafts: &[Draft]) {
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.array_len(), Ok(6), "the answer to a publish");
        for _ in 0..4 {
            reader.skip().expect("a field");
        }
        let mut taken = vec![true; drafts.len()];
        let mut cut = false;
        let mut capped = Vec::new();
        if !reader.nil().expect("refused ones") {
            for _ in 0..reader.array_len().expect("refused ones") {
                assert_eq!(reader.array_len(), Ok(3));
                let index = reader.uint().expect("an index") as usize;
                assert_eq!(reader.uint32(), Ok(CAP_REACHED));
                // The end of November.
                let ends_ms = 1_701_388_800_000 - (NOW_MS + self.exchange);
                assert_eq!(reader.uint(), Ok(ends_ms), "when there is room again");
                assert_eq!(drafts[index].tenant, 0, "whose cap it is");
                taken[index] = false;
                capped.push(index);
                self.refused += 1;
                cut = true;
            }
        }
        if !reader.nil().expect("repeated ones") {
            for _ in 0..reader.array_len().expect("repeated ones") {
                assert_eq!(reader.array_len(), Ok(2));
                let index = reader.uint().expect("an index") as usize;
                reader.skip().expect("an id");
                taken[index] = false;
            }
        }
        let own = |index: &usize| drafts[*index].tenant == 0;
        let after = capped.first().map_or(drafts.len(), |first| *first);
        let past: Vec<usize> = (after..drafts.len()).filter(own).collect();
        assert!(
            !cut || past.iter().all(|index| !taken[*index]),
            "nothing passes by what was refused"
        );
        let accepted = (0..drafts.len()).filter(own).filter(|index| taken[*index]);
        let costs = accepted.map(|index| i128::from(drafts[index].options.cost.max(1)));
        self.accepted += costs.sum::<i128>();
    }

    fn draft(&mut self, tenant: usize, cost: u32, key: Option<u64>) -> Draft {
        self.serial += 1;
        Draft {
            serial: self.serial,
            tenant,
            sender: 0,
            payload_bytes: 10,
            options: Options {
                key,
                cost,
                ..Options::default()
            },
        }
    }

    fn random_frame(&mut self) -> Vec<Draft> {
        let count = self.random.range(1, 60);
        let cost_max = *self.random.choose(&[1, 5, 200]);
        (0..count)
            .map(|_| {
                let tenant = usize::from(self.random.permille(200));
                let cost = self.random.range(1, cost_max) as u32;
                let key = self.random.permille(300).then(|| self.random.range(0, 40));
                self.draft(tenant, cost, key)
            })
            .collect()
    }

    fn flood(&mut self) {
        let before = self.refused;
        while self.refused < before + 500 {
            let frame = self.random_frame();
            self.step(&frame);
        }
    }

    /// Takes single messages until not even one of the least cost fits.
    fn fill(&mut self) {
        let before = self.refused;
        while self.refused == before {
            let draft = self.draft(0, 1, None);
            self.step(&[draft]);
        }
    }

    /// A gateway takes everything and sends some of it.
    fn settle_all(&mut self) {
        loop {
            let said = std::mem::take(&mut self.deliveries);
            let said: Vec<_> = said
                .into_iter()
                .map(|delivery| {
                    let outcome = if self.random.permille(500) { 0 } else { 3 };
                    (delivery, outcome, None, None)
                })
                .collect();
            let is_over = said.is_empty() && self.shard.counters().waiting == 0;
            if !said.is_empty() {
                self.entry(InputOp::Frame, GATEWAY, frames::settle(0, 1, &said));
            }
            self.entry(InputOp::Frame, GATEWAY, wire::credit(0, 1, 500));
            self.step(&[]);
            if is_over && self.deliveries.is_empty() {
                self.step(&[]);
                return;
            }
        }
    }
}

/// Each shard in a thread of its own, on its table of that number.
fn in_threads(
    tables: &[&'static Slots],
    seed: u64,
    act: impl Fn(&mut Desk) + Sync,
) -> Vec<(i128, i128)> {
    std::thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = (0..tables.len())
            .map(|number| {
                scope.spawn(move || {
                    let seed = seed * 100 + number as u64;
                    let mut desk = Desk::new(number as u16, tables[number], seed);
                    act(&mut desk);
                    (desk.accepted, desk.billed)
                })
            })
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|result| result.expect("a thread")).collect()
    })
}

#[test]
fn what_is_accepted_comes_to_the_cap_and_no_further() {
    for shards in [1, 4] {
        for seed in 1..=12 {
            let slots = new_slots(LIMIT);
            let results = in_threads(&vec![slots; shards], seed, |desk| {
                desk.flood();
                desk.fill();
            });
            let accepted: i128 = results.iter().map(|result| result.0).sum();
            assert_eq!(accepted, LIMIT, "{shards} shards, seed {seed}");
            let read = slots.read(SLOT, NOW_MS);
            assert_eq!(
                read,
                Some((LIMIT, Some(LIMIT))),
                "{shards} shards, seed {seed}"
            );
        }
    }
}

/// The test can fail: shards that do not share what is reserved go past the cap.
#[test]
fn without_a_table_of_all_the_cap_is_passed() {
    let tables = [new_slots(LIMIT), new_slots(LIMIT)];
    let results = in_threads(&tables, 1, Desk::fill);
    let accepted: i128 = results.iter().map(|result| result.0).sum();
    assert_eq!(accepted, 2 * LIMIT);
}

#[test]
fn what_fails_makes_room_for_as_much() {
    for shards in [1, 4] {
        for seed in 1..=6 {
            let slots = new_slots(LIMIT);
            let results = in_threads(&vec![slots; shards], seed, |desk| {
                for _ in 0..4 {
                    desk.flood();
                    desk.settle_all();
                }
            });
            let billed: i128 = results.iter().map(|result| result.1).sum();
            let accepted: i128 = results.iter().map(|result| result.0).sum();
            let read = slots.read(SLOT, NOW_MS);
            assert_eq!(
                read,
                Some((billed, Some(LIMIT))),
                "{shards} shards, seed {seed}"
            );
            assert!(
                billed > LIMIT * 3 / 4 && accepted > LIMIT * 5 / 4,
                "{billed} of {accepted}"
            );
        }
    }
}

/// A cap that is put while messages wait counts them, and one whose limit alone changes does not twice.
#[test]
fn a_new_cap_counts_what_waits() {
    let slots = new_slots(LIMIT);
    let mut desk = Desk::new(0, slots, 1);
    let drafts = [
        desk.draft(0, 30, None),
        desk.draft(1, 30, None),
        desk.draft(0, 5, None),
    ];
    desk.step(&drafts);
    // The shards first; the main thread then gives the slot its limit.
    for limit in [None, Some(50)] {
        desk.entry(InputOp::Configure, 5, cap("t0/late", 1, 9));
        desk.step(&[]);
        assert_eq!(slots.read(9, NOW_MS), Some((35, limit)));
        slots.set(9, PeriodKind::Month, 50);
    }
    let more = [desk.draft(0, 15, None), desk.draft(0, 1, None)];
    desk.step(&more);
    assert_eq!(slots.read(9, NOW_MS), Some((50, Some(50))));
    assert_eq!(desk.refused, 1, "what waited is within the limit");
    // What comes in the same exchange before it counts, too.
    let early = [desk.draft(1, 7, None)];
    let frame = frames::publish(1, 0, true, &early);
    desk.entry(InputOp::Frame, PUBLISHER, frame);
    desk.entry(InputOp::Configure, 5, cap("t1/late", 1, 10));
    desk.step(&[]);
    assert_eq!(slots.read(10, NOW_MS), Some((37, None)));
    desk.settle_all();
    let reserved = slots.read(9, NOW_MS).expect("a cap").0;
    assert_eq!(reserved, desk.billed, "what failed went back");
}
