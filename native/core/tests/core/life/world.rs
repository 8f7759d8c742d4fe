//! One shard, what comes in, its disk, and crashes; each step is compared with the model.

use super::caps::Caps;
use super::disk::{self, Pages};
use super::frames::{self, Draft, Filter, Options, id_of};
use super::model::{
    CANCELLED, DEAD, DELIVERED, EXPIRED, Event, Expected, FAILED, GIVEN_UP, IN_FLIGHT, Key, Model,
    Record, SENT, Usage, billed,
};
use super::random::Random;
use super::settings::{DESTINATIONS, SENDERS, Settings, TENANTS};
use super::{HASH_KEY, SHARD, wire};
use crate::input::{configure_input, entry};
use fairlead_core::daemon_frame::{
    Refused, Repeated, write_cancel_ok, write_publish_ok, write_settle_ok,
};
use fairlead_core::exchange::{InputEntry, InputOp, write_input};
use fairlead_core::message_id::MessageId;
use fairlead_core::msgpack::Reader;
use fairlead_core::record::{
    self, BatchRecord, DeltaReader, EventsRecord, JournalEntry, JournalReader, LogRecord,
    MESSAGE_REDACTED, message_key, parse_key, parse_usage_record,
};
use fairlead_core::shard::{
    Bounds, EventBounds, Memory, Options as ShardOptions, Shard, UsageBounds,
};
use fairlead_core::usage::reserve::Slots;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Connections: the platform's publisher, one of each tenant behind it, and two gateways.
const PLATFORM: u32 = 1;
const GATEWAYS: [u32; 2] = [20, 21];
const MESSAGES_MAX: usize = 250;

/// An answer that is due.
enum Reply {
    Bytes(Vec<u8>),
    Error(u32),
    Status(u32, Vec<Option<Status>>),
    Json(String),
    Trace(String, Vec<(u64, &'static str)>),
    Any,
}

/// Status, attempts, acceptance, due, code; then the end, and whether it is known exactly.
type Status = ((u8, u32, u64, Option<u64>, Option<u32>), Option<u64>, bool);

/// What one exchange tells: sequences of events records and their contents.
type Told = Vec<(u64, Vec<u8>)>;
/// The same of usage records: also whether each is told again.
type ToldUsage = Vec<(u64, bool, Vec<u8>)>;

/// A request that takes more than one exchange.
#[derive(Clone, Debug)]
enum Job {
    Cancel(Vec<Option<Key>>),
    Status(Vec<Option<Key>>),
    Find(Option<Key>),
    Trace(Option<Key>, Option<(String, Vec<(u64, &'static str)>)>),
    Redact(Option<Key>),
    Forget(Option<Key>),
    Replay(Vec<Option<Key>>),
    Purge(Vec<Option<Key>>),
    ReplayAll(Filter),
    PurgeAll(Filter),
    CancelAll(Filter, u64),
    Erase(usize),
}

#[derive(Clone, Debug)]
struct Asked {
    op: u8,
    connection: u32,
    id: u32,
    tenant: Option<usize>,
    job: Job,
    exchange: u64,
}

/// What one entry means.
enum Plan {
    Publish {
        connection: u32,
        op: u8,
        id: u32,
        destination: usize,
        drafts: Vec<Draft>,
    },
    Settle {
        connection: u32,
        id: u32,
        number: u32,
        said: Vec<frames::SettledAs>,
    },
    Receipts {
        id: u32,
        receipts: Vec<(Option<Key>, u8, Option<u32>)>,
    },
    Job(Asked),
    Configure(Box<Settings>),
    Prices(Vec<(u64, u64)>),
    Disconnect(u32),
    /// Nothing that messages notice; its answers are of no interest.
    Quiet,
}

struct Entry {
    op: InputOp,
    connection: u32,
    bytes: Vec<u8>,
    plan: Plan,
}

pub struct World {
    pub random: Random,
    shard: Shard,
    pub model: Model,
    settings: Settings,
    memory: Memory,
    bounds: Bounds,
    now_ms: u64,
    pages: Pages,
    /// Journals that are not committed, and the model after each.
    pending: VecDeque<(Vec<u8>, Model, (Told, ToldUsage))>,
    /// Every events record that left the shard, by its sequence; the last of them that was taken.
    ledger: BTreeMap<u64, Vec<u8>>,
    taken: u64,
    /// The last sequence told since the start.
    last_told: u64,
    /// What the exchange that is judged tells.
    telling: Told,
    telling_usage: ToldUsage,
    /// Usage as whoever is told folds it, up to which record, and up to which it was told since the
    /// start.
    folded: Usage,
    folded_through: u64,
    usage_told: u64,
    /// Usage records that are stored after the exchange that is judged.
    usage_records: BTreeMap<u64, Vec<u8>>,
    /// Prices as the operator has them, and the table of this process.
    caps: Caps,
    slots: &'static Slots,
    /// What the exchange that is judged knows to be committed.
    committed: u64,
    committed_model: Model,
    exchange: u64,
    jobs: Vec<Asked>,
    serial: u64,
    next_id: u32,
    ever: Vec<Key>,
    wake_after_ms: u64,
    pub json: BTreeMap<u32, String>,
    large_memory: bool,
    crash: u64,
}

fn new_shard(now_ms: u64, memory: Memory, bounds: Bounds) -> Shard {
    let options = ShardOptions {
        shard: SHARD,
        boot_id: 1,
        hash_key: HASH_KEY,
        now_us: now_ms * 1000,
        memory,
    };
    Shard::with_bounds(options, bounds)
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let large_memory = random.permille(600);
        let memory = Memory {
            retention_ms: *random.choose(&[0, 5_000, 3_600_000]),
            retention_bytes: if large_memory { 1 << 30 } else { 20_000 },
            idempotency_keys: *random.choose(&[3, 100_000, 100_000]),
            dead_letters: *random.choose(&[0, 3, 1000, 1000]),
        };
        let bounds = Bounds {
            cache_bytes: *random.choose(&[0, 5_000, 1 << 20]),
            log_bytes: *random.choose(&[300, 5_000, 16 << 20]),
            log_kept_bytes: *random.choose(&[0, 10_000, 1 << 30]),
            batches_per_step: *random.choose(&[1, 256]),
            deletes_per_step: *random.choose(&[1, 500]),
            events: EventBounds {
                told_bytes: *random.choose(&[1, 500, 1 << 20]),
                exchange_bytes: *random.choose(&[1, 300, 1 << 20]),
                record_bytes: *random.choose(&[1, 200, 1 << 16]),
                at_hand_bytes: *random.choose(&[0, 400, 1 << 20]),
                ..EventBounds::default()
            },
            usage: UsageBounds {
                told_bytes: *random.choose(&[1, 200, 1 << 20]),
                exchange_bytes: *random.choose(&[1, 200, 1 << 20]),
                record_bytes: *random.choose(&[1, 200, 1 << 16]),
                tagged_bytes: u64::MAX,
            },
        };
        let billable = random.range(0, 2);
        let caps = Caps::new(&mut random);
        let settings = Settings::new(&mut random);
        let mut model = Model::new(&settings, memory);
        model.billable = billable;
        model.caps = caps.clone();
        let crash = *random.choose(&[0, 10, 60]);
        let mut world = Self {
            shard: new_shard(0, memory, bounds),
            committed_model: model.clone(),
            model,
            settings,
            memory,
            bounds,
            now_ms: 1_700_000_000_000,
            pages: Pages::default(),
            pending: VecDeque::new(),
            ledger: BTreeMap::new(),
            taken: 0,
            last_told: 0,
            telling: Vec::new(),
            telling_usage: Vec::new(),
            folded: Usage::new(),
            folded_through: 0,
            usage_told: 0,
            usage_records: BTreeMap::new(),
            slots: caps.slots(0, |_, _| 0),
            caps,
            committed: 0,
            exchange: 0,
            jobs: Vec::new(),
            serial: 0,
            next_id: 100,
            ever: Vec::new(),
            wake_after_ms: 0,
            json: BTreeMap::new(),
            large_memory,
            random,
            crash,
        };
        world.start();
        world
    }

    pub fn run(&mut self, steps: u64) {
        for step in 0..steps {
            super::STEP.set(step);
            self.advance();
            let entries = self.plan();
            self.exchange(entries);
            while self.pending.len() > 3 || (!self.pending.is_empty() && self.random.permille(600))
            {
                self.commit();
            }
            if self.random.permille(self.crash) {
                self.crash();
            }
            if self.random.permille(20) {
                self.inspect();
            }
        }
        super::STEP.set(steps);
        self.settle_down();
        self.inspect();
        self.tell_all();
        self.check_ledger();
    }

    fn advance(&mut self) {
        let random = &mut self.random;
        self.now_ms += match random.weighted(&[20, 30, 25, 10, 12, 3, 1]) {
            0 => 0,
            1 => random.range(1, 20),
            2 => random.range(20, 3_000),
            3 => random.range(3_000, 70_000),
            4 => self.wake_after_ms,
            5 => random.range(600_000, 7_200_000),
            _ => random.range(10, 26) * 3_600_000,
        };
    }

    fn commit(&mut self) {
        let (journal, model, told) = self.pending.pop_front().expect("an exchange");
        disk::apply(&mut self.pages, &journal);
        self.committed_model = model;
        self.receive(told.0);
        self.receive_usage(told.1);
    }

    /// What is told of usage arrives when it is stored, and is folded once.
    fn receive_usage(&mut self, told: ToldUsage) {
        for (sequence, again, list) in told {
            assert!(sequence > self.usage_told, "usage told out of order");
            self.usage_told = sequence;
            if sequence <= self.folded_through {
                assert!(again, "usage told twice");
                self.model.count("usage told again");
                continue;
            }
            judge::fold(&mut self.folded, &list);
            self.folded_through = sequence;
        }
    }

    /// What is told arrives when it is stored: again after a restart, but in order and the same.
    fn receive(&mut self, told: Told) {
        for (sequence, content) in told {
            assert!(sequence > self.last_told, "told out of order");
            // What was taken may come again, of which nothing was stored, or not.
            let from = self.last_told.max(self.taken);
            let missed = self
                .ledger
                .keys()
                .filter(|known| (from + 1..sequence).contains(known));
            assert_eq!(missed.count(), 0, "told with gaps");
            self.last_told = sequence;
            if let Some(known) = self.ledger.insert(sequence, content.clone()) {
                assert_eq!(known, content, "sequence {sequence} was given twice");
                self.model.count("events told again");
            }
        }
    }

    /// The events of the ledger are the stories of the model.
    fn check_ledger(&self) {
        let mut stories: BTreeMap<Key, Vec<Event>> = BTreeMap::new();
        for content in self.ledger.values() {
            for event in EventsRecord::of_content(content).expect("events").events() {
                let place = event.id.place(&HASH_KEY).expect("our own id");
                let key = message_key(place.batch, place.index);
                let story = stories.entry(key).or_default();
                assert_eq!(event.info.is_some(), story.is_empty(), "info of {key:x}");
                story.push((event.status, event.code, event.at_ms, event.attempts));
            }
        }
        for (key, story) in &self.model.stories {
            assert_eq!(stories.get(key), Some(story), "what was told of {key:x}");
        }
        assert_eq!(stories.len(), self.model.stories.len(), "who was told of");
    }

    /// The power goes: some of what was not committed survives.
    fn crash(&mut self) {
        let survivors = self.random.below(self.pending.len() + 1);
        for _ in 0..survivors {
            self.commit();
        }
        self.pending.clear();
        let counts = std::mem::take(&mut self.model.counts);
        self.model = self.committed_model.clone();
        self.model.counts = counts;
        self.model.count("crashes");
        self.now_ms += self.random.range(0, 5_000);
        if self.random.permille(50) {
            self.now_ms += 30 * 3_600_000;
        }
        self.start();
    }

    fn start(&mut self) {
        self.exchange = 0;
        (self.last_told, self.usage_told) = (0, 0);
        self.usage_records.clear();
        for (key, value) in self.pages.range(vec![10]..vec![11]) {
            let sequence = u64::from_be_bytes(key[1..].try_into().expect("8 bytes"));
            let list = parse_usage_record(value).expect("a usage record").bytes();
            self.usage_records.insert(sequence, list.to_vec());
        }
        self.jobs.clear();
        self.wake_after_ms = 0;
        self.shard = new_shard(self.now_ms, self.memory, self.bounds);
        let now_us = self.now_ms * 1000;
        let mut all = self.settings.all();
        all.push(frames::billable(self.model.billable));
        all.extend(self.caps.configure());
        self.shard
            .configure(now_us, &configure_input(&all))
            .expect("configure");
        let usage = &self.model.usage;
        self.slots = self
            .caps
            .slots(self.now_ms, |tenant, of| billed(usage, tenant, of));
        self.shard.set_slots(self.slots);
        self.model.caps.prices.clone_from(&self.caps.prices);
        for chunk in disk::chunks(&self.pages, 1 << 20) {
            self.shard.recover(now_us, &chunk).expect("recover");
        }
        self.shard.recover_finish(now_us).expect("recovered");
        self.model.restart(&self.settings, self.now_ms);
        self.compare();
        let mut entries = Vec::new();
        entries.push(connect(PLATFORM, 1, None));
        for tenant in 0..TENANTS {
            entries.push(connect(PLATFORM + 1 + tenant as u32, 1, Some(tenant)));
        }
        for gateway in GATEWAYS {
            Self::gateway(gateway, &mut entries);
        }
        self.exchange(entries);
    }

    fn gateway(gateway: u32, entries: &mut Vec<Entry>) {
        entries.push(connect(gateway, 2, None));
        for destination in 0..DESTINATIONS {
            let number = destination as u32 + 1;
            let name = frames::destination_name(destination);
            let bytes = wire::subscribe(0, number, &name, 60_000);
            entries.push(quiet(InputOp::Frame, gateway, bytes));
        }
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn plan(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for _ in 0..self.random.range(0, 6) {
            match self.random.weighted(&[30, 30, 12, 15, 8, 3, 8, 2]) {
                0 => self.plan_publish(&mut entries),
                1 => self.plan_settle(&mut entries),
                2 => self.plan_receipts(&mut entries),
                3 => self.plan_ids(&mut entries),
                4 => {
                    let bytes = self.settings.change(&mut self.random);
                    let id = self.id();
                    entries.push(Entry {
                        op: InputOp::Configure,
                        connection: id,
                        bytes,
                        plan: Plan::Configure(Box::new(self.settings.clone())),
                    });
                }
                5 if self.random.permille(500) => {
                    let id = self.id();
                    entries.push(quiet(InputOp::Checkpoint, id, Vec::new()));
                }
                5 => {
                    let now_ms = self.now_ms;
                    self.caps.change_prices(&mut self.random, now_ms);
                    entries.push(Entry {
                        op: InputOp::Configure,
                        connection: self.id(),
                        bytes: self.caps.configure_prices(),
                        plan: Plan::Prices(self.caps.prices.clone()),
                    });
                }
                6 => {
                    self.plan_taken(&mut entries);
                    let bytes = self.folded_through.to_le_bytes().to_vec();
                    entries.push(quiet(InputOp::UsageTaken, 0, bytes));
                }
                _ => {
                    let gateway = *self.random.choose(&GATEWAYS);
                    entries.push(Entry {
                        op: InputOp::Disconnect,
                        connection: gateway,
                        bytes: Vec::new(),
                        plan: Plan::Disconnect(gateway),
                    });
                    Self::gateway(gateway, &mut entries);
                }
            }
        }
        // One that takes more is alone, so that what the others find is known.
        let busy = entries
            .iter()
            .any(|entry| matches!(entry.plan, Plan::Job(_)));
        if self.jobs.is_empty() && !busy && self.random.permille(150) {
            self.plan_heavy(&mut entries);
        }
        entries
    }

    /// The main thread has taken some of what it was told.
    fn plan_taken(&mut self, entries: &mut Vec<Entry>) {
        let known: Vec<u64> = self
            .ledger
            .range(self.taken..)
            .map(|entry| *entry.0)
            .collect();
        if known.is_empty() {
            return;
        }
        self.taken = *self.random.choose(&known);
        let bytes = self.taken.to_le_bytes().to_vec();
        entries.push(quiet(InputOp::EventsTaken, 0, bytes));
    }

    fn plan_publish(&mut self, entries: &mut Vec<Entry>) {
        if self.model.messages.len() > MESSAGES_MAX {
            return;
        }
        let own = self
            .random
            .permille(300)
            .then(|| self.random.below(TENANTS));
        let count = self.random.range(0, 8);
        let now_ms = self.now_ms;
        let random = &mut self.random;
        let mut drafts = Vec::new();
        for _ in 0..count {
            let plain = random.permille(400);
            self.serial += 1;
            let options = Options {
                key: random.permille(300).then(|| random.range(0, 12)),
                level: random.below(3) as u8,
                cost: *random.choose(&[1, 1, 1, 2, 7]),
                at_ms: random.permille(250).then(|| {
                    let far = *random.choose(&[0, 50, 4_000, 100_000, 7_000_000, 91 * 86_400_000]);
                    now_ms - 10 + random.range(0, 20) + far
                }),
                ttl_ms: random
                    .permille(250)
                    .then(|| *random.choose(&[1, 500, 5_000, 90_000, 40_000_000])),
                callback: random.permille(300),
                callback_events: random.permille(200).then(|| random.next() as u32 & 0x7fe),
                order: random.permille(200).then(|| random.below(2)),
                tag: random.permille(100),
            };
            drafts.push(Draft {
                serial: self.serial,
                tenant: own.unwrap_or_else(|| random.below(TENANTS)),
                sender: random.below(SENDERS + 1),
                payload_bytes: *random.choose(&[0, 10, 100, 3_000]),
                options: if plain { Options::default() } else { options },
            });
        }
        let destination = self.random.below(DESTINATIONS);
        let id = self.id();
        let bytes = frames::publish(id, destination, own.is_none(), &drafts);
        let as_call = self.random.permille(200);
        let connection = own.map_or(PLATFORM, |own| PLATFORM + 1 + own as u32);
        let (op, connection, bytes) = if as_call {
            (InputOp::Call, id, frames::call(1, own, &bytes))
        } else {
            (InputOp::Frame, connection, bytes)
        };
        entries.push(Entry {
            op,
            connection,
            bytes,
            plan: Plan::Publish {
                connection,
                op: if as_call { 4 } else { 1 },
                id,
                destination,
                drafts,
            },
        });
    }

    fn plan_settle(&mut self, entries: &mut Vec<Entry>) {
        let gateway = *self.random.choose(&GATEWAYS);
        let number = self.random.range(1, DESTINATIONS as u64) as u32;
        let mut said = Vec::new();
        let part = *self.random.choose(&[200, 600, 1000]);
        for ((connection, delivery), key) in &self.model.out {
            let destination = self.model.messages[key].destination as u32;
            if *connection == gateway && destination + 1 == number && self.random.permille(part) {
                let outcome = self.random.weighted(&[30, 15, 30, 12, 3, 8]) as u8;
                let code = self
                    .random
                    .permille(500)
                    .then(|| self.random.range(0, 9) as u32);
                let after_ms = match outcome {
                    2 => self
                        .random
                        .permille(500)
                        .then(|| *self.random.choose(&[0, 5, 900, 80_000])),
                    4 => Some(1),
                    _ => None,
                };
                said.push((*delivery, outcome, code, after_ms));
            }
        }
        entries.push(self.settlement(gateway, number, said));
    }

    fn settlement(&mut self, connection: u32, number: u32, said: Vec<frames::SettledAs>) -> Entry {
        let id = self.id();
        let bytes = frames::settle(id, number, &said);
        let plan = Plan::Settle {
            connection,
            id,
            number,
            said,
        };
        Entry {
            op: InputOp::Frame,
            connection,
            bytes,
            plan,
        }
    }

    /// An id of any kind: known, forgotten, refused, invented.
    fn any_id(&mut self) -> (MessageId, Option<Key>) {
        let known: Vec<Key> = self.model.messages.keys().copied().collect();
        match self.random.below(12) {
            0 => (MessageId([self.random.below(256) as u8; 16]), None),
            1 => {
                let key = self.random.next() & 0xffff_ffff;
                (id_of(key), Some(key))
            }
            2 if !self.ever.is_empty() => {
                let key = *self.random.choose(&self.ever);
                (id_of(key), Some(key))
            }
            _ if !known.is_empty() => {
                let key = *self.random.choose(&known);
                (id_of(key), Some(key))
            }
            _ => (id_of(1 << 16), Some(1 << 16)),
        }
    }

    fn plan_receipts(&mut self, entries: &mut Vec<Entry>) {
        let mut receipts = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..self.random.range(1, 6) {
            let (id, key) = self.any_id();
            let status = self.random.range(6, 8) as u8;
            let code = self
                .random
                .permille(500)
                .then(|| self.random.range(0, 9) as u32);
            sent.push((id, status, code));
            receipts.push((key, status, code));
        }
        let id = self.id();
        entries.push(Entry {
            op: InputOp::Frame,
            connection: GATEWAYS[0],
            bytes: frames::receipts(id, &sent),
            plan: Plan::Receipts { id, receipts },
        });
    }

    fn plan_ids(&mut self, entries: &mut Vec<Entry>) {
        if self.jobs.iter().any(|asked| asked.job.is_heavy()) {
            return;
        }
        let tenant = self
            .random
            .permille(400)
            .then(|| self.random.below(TENANTS));
        let mut ids = Vec::new();
        let mut keys = Vec::new();
        for _ in 0..self.random.range(1, 8) {
            let (id, key) = self.any_id();
            ids.push(id);
            keys.push(key);
        }
        let id = self.id();
        let choice = self.random.below(6);
        let (op, bytes, job) = match choice {
            0 | 1 => (None, frames::ids(6, id, &ids), Job::Cancel(keys)),
            2 => (None, frames::ids(7, id, &ids), Job::Status(keys)),
            3 => (
                Some(InputOp::Find),
                frames::find(ids[0], tenant, false),
                Job::Find(keys[0]),
            ),
            4 => {
                let filter = Filter {
                    tenant,
                    ..Filter::default()
                };
                let bytes = frames::choose_dead(&filter, Some(&ids));
                (Some(InputOp::Replay), bytes, Job::Replay(keys))
            }
            _ => {
                let filter = Filter {
                    tenant,
                    ..Filter::default()
                };
                let bytes = frames::choose_dead(&filter, Some(&ids));
                (Some(InputOp::Purge), bytes, Job::Purge(keys))
            }
        };
        let as_call = self.random.permille(300);
        let connection = tenant.map_or(PLATFORM, |tenant| PLATFORM + 1 + tenant as u32);
        let (op, connection, bytes, answer) = match op {
            Some(op) => (op, id, bytes, 2),
            None if as_call => (InputOp::Call, id, frames::call(1, tenant, &bytes), 4),
            None => (InputOp::Frame, connection, bytes, 1),
        };
        entries.push(self.ask(op, connection, bytes, answer, id, tenant, job));
    }

    #[allow(clippy::too_many_arguments, reason = "as many as an entry has")]
    fn ask(
        &self,
        op: InputOp,
        connection: u32,
        bytes: Vec<u8>,
        answer: u8,
        id: u32,
        tenant: Option<usize>,
        job: Job,
    ) -> Entry {
        let asked = Asked {
            op: answer,
            connection,
            id,
            tenant,
            job,
            exchange: self.exchange + 1,
        };
        Entry {
            op,
            connection,
            bytes,
            plan: Plan::Job(asked),
        }
    }

    fn plan_heavy(&mut self, entries: &mut Vec<Entry>) {
        let random = &mut self.random;
        let mut filter = Filter {
            destination: random.permille(500).then(|| random.below(DESTINATIONS)),
            tenant: random.permille(500).then(|| random.below(TENANTS)),
            sender: None,
        };
        let tenant = random.permille(200).then(|| random.below(TENANTS));
        let id = self.id();
        let (op, bytes, job) = match self.random.below(7) {
            0 => {
                filter.sender = self
                    .random
                    .permille(500)
                    .then(|| self.random.range(1, 3) as usize);
                let bytes = frames::cancel_all(&filter);
                (InputOp::CancelAll, bytes, Job::CancelAll(filter, 0))
            }
            1 => (
                InputOp::Replay,
                frames::choose_dead(&filter, None),
                Job::ReplayAll(filter),
            ),
            2 => (
                InputOp::Purge,
                frames::choose_dead(&filter, None),
                Job::PurgeAll(filter),
            ),
            3 => {
                let (message, key) = self.any_id();
                (
                    InputOp::Redact,
                    frames::redact(message, tenant),
                    Job::Redact(key),
                )
            }
            4 => {
                let (message, key) = self.any_id();
                (
                    InputOp::Forget,
                    frames::redact(message, tenant),
                    Job::Forget(key),
                )
            }
            5 => {
                let of = self.random.below(TENANTS);
                (InputOp::Erase, frames::erase(of, ""), Job::Erase(of))
            }
            _ => {
                let (message, key) = self.any_id();
                (
                    InputOp::Find,
                    frames::find(message, tenant, true),
                    Job::Trace(key, None),
                )
            }
        };
        entries.push(self.ask(op, id, bytes, 2, id, tenant, job));
    }

    /// One exchange, predicted and compared.
    fn exchange(&mut self, entries: Vec<Entry>) {
        self.exchange += 1;
        let inputs: Vec<InputEntry<'_>> = entries
            .iter()
            .map(|each| entry(each.op, each.connection, &each.bytes))
            .collect();
        let input = write_input(self.exchange, &inputs);
        let committed = self.exchange - 1 - self.pending.len() as u64;
        self.committed = committed;
        let output = self
            .shard
            .step(self.now_ms * 1000, committed, &input)
            .expect("a step");
        for (index, key) in output.wants.chunks(9).enumerate() {
            let record = self.pages.get(key).expect("a wanted record is stored");
            self.shard.provide(index, record).expect("a record");
        }
        let mut effects = Vec::new();
        let needed = self
            .shard
            .emit(&mut effects)
            .expect("emit")
            .expect_err("too small");
        effects.resize(needed, 0);
        self.shard.emit(&mut effects).expect("emit").expect("room");
        self.judge(entries, &output.journal, &effects);
        self.pending.push_back((
            output.journal,
            self.model.clone(),
            (
                std::mem::take(&mut self.telling),
                std::mem::take(&mut self.telling_usage),
            ),
        ));
        self.compare();
    }

    fn compare(&self) {
        self.shard.check();
        let live = self
            .model
            .messages
            .iter()
            .filter(|(_, message)| message.is_live());
        let found = self.shard.messages();
        assert_eq!(
            found.len(),
            live.clone().count(),
            "messages that have not ended"
        );
        for (found, (key, message)) in found.iter().zip(live) {
            let serial = message.draft.serial;
            assert_eq!((found.key, found.state), (*key, message.state), "m{serial}");
            assert_eq!(found.attempts, message.attempts, "attempts of m{serial}");
            assert_eq!(found.flags, message.flags, "flags of m{serial}");
        }
        let ended = self
            .model
            .messages
            .iter()
            .filter(|(_, message)| !message.is_live());
        let found: Vec<(Key, u8)> = self
            .shard
            .ended_messages()
            .iter()
            .map(|found| (found.key, found.state))
            .collect();
        let expected: Vec<(Key, u8)> = ended.map(|(key, message)| (*key, message.state)).collect();
        assert_eq!(found, expected, "messages that are remembered");
    }
}

fn connect(connection: u32, scopes: u8, tenant: Option<usize>) -> Entry {
    let name = tenant.map(frames::tenant_name);
    Entry {
        op: InputOp::Connect,
        connection,
        bytes: wire::connect(scopes, name.as_deref()),
        plan: Plan::Quiet,
    }
}

fn quiet(op: InputOp, connection: u32, bytes: Vec<u8>) -> Entry {
    Entry {
        op,
        connection,
        bytes,
        plan: Plan::Quiet,
    }
}

impl Job {
    fn is_heavy(&self) -> bool {
        !matches!(
            self,
            Self::Cancel(_) | Self::Status(_) | Self::Find(_) | Self::Replay(_) | Self::Purge(_)
        )
    }
}

#[path = "inspect.rs"]
mod inspect;
#[path = "judge.rs"]
mod judge;
