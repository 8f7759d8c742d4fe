//! The world around one shard: its worker, its disk, time, crashes, and what its clients saw.

use super::clients::{Client, Got, Manner, request};
use super::disk::{self, Disk};
use super::entities::{
    Change, DESTINATIONS, Destination, Entities, GATEWAYS, Habits, PLAIN, SETS, TENANTS,
};
use super::model::{Durable, Happened, Key, Model, Plan, Planned, Sent};
use super::quota::{Path, Quotas};
use super::random::Random;
use super::wire::{self, Delivered, Frame, OkRest};
use super::{HASH_KEY, SHARD, json};
use crate::input::entry;
use fairlead_core::exchange::{InputEntry, InputOp, write_input};
use fairlead_core::message_id::MessageId;
use fairlead_core::record::{DeltaReader, message_key};
use fairlead_core::shard::{Bounds, Memory, Options, Shard};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};

/// Exchanges under way at most.
const UNDER_WAY: usize = 3;

thread_local! {
    /// Steps made by the world of this thread: named when a run fails.
    pub static STEP: Cell<u64> = const { Cell::new(0) };
}

/// What is done wrong on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Wrong {
    #[default]
    Nothing,
    /// Effects leave before their records are flushed.
    ReleaseEarly,
    /// Effects leave in another order than their exchanges.
    ReleaseShuffled,
    /// A stored record is damaged and its checksum is not looked at.
    DamageUnseen,
}

pub struct Profile {
    pub clients: usize,
    pub actions: u64,
    pub operator: u64,
    /// Subscriptions that name a gateway, of 1,000.
    pub named: u64,
    pub faults: u64,
    pub large: u64,
    pub manners: Vec<Manner>,
    pub outcomes: Vec<u32>,
    pub habits: Habits,
    crash: u64,
    /// How readily transactions move on.
    eager: u64,
    slow_time: bool,
    twin: bool,
}

impl Profile {
    fn new(random: &mut Random) -> Self {
        let manners = match random.below(4) {
            0 => vec![Manner::Prompt],
            1 => vec![Manner::Mixed],
            2 => vec![Manner::Mixed, Manner::Prompt],
            _ => vec![Manner::Mixed, Manner::Prompt, Manner::Slow],
        };
        let mut some = |weight: u32| if random.permille(700) { weight } else { 0 };
        let outcomes = vec![40, some(10), some(15), some(10), some(8), some(10)];
        Self {
            clients: random.range(2, 14) as usize,
            actions: random.range(2, 12),
            operator: *random.choose(&[10, 50, 200]),
            named: *random.choose(&[0, 300, 700]),
            faults: *random.choose(&[0, 20, 60]),
            large: *random.choose(&[0, 30, 200]),
            manners,
            outcomes,
            habits: Habits::new(random),
            crash: *random.choose(&[0, 5, 15, 60]),
            eager: *random.choose(&[300, 600, 950]),
            slow_time: random.permille(300),
            twin: random.permille(300),
        }
    }
}

/// One exchange whose effects have not left.
struct Pending {
    effects: Vec<u8>,
    journal: Vec<u8>,
    happened: Happened,
    now_us: u64,
    /// Destination, set and tenant of each delivery.
    paths: Vec<Path>,
    /// Limits after each change that came with it, in order.
    changes: Vec<Entities>,
    /// Destinations deleted, with the version that was.
    deleted: Vec<(usize, u64)>,
}

/// What the clients together know of a message.
#[derive(Default)]
pub struct Seen {
    /// Delivered there and not answered.
    open: Option<u32>,
    /// A delivery ended without an answer.
    doubt: bool,
    /// The daemon took a final outcome.
    settled: bool,
}

impl Seen {
    /// Its gateway says that it did not do it.
    pub fn returned(&mut self, connection: u32) {
        if self.open == Some(connection) {
            self.open = None;
        }
    }
}

pub struct World {
    pub random: Random,
    pub profile: Profile,
    wrong: Wrong,
    now_us: u64,
    shard: Shard,
    twin: Option<Shard>,
    bounds: Bounds,
    disk: Disk,
    pending: VecDeque<Pending>,
    committed: usize,
    flushed: usize,
    newest_committed: u64,
    exchange: u64,
    boot_id: u32,
    durable: Durable,
    pub model: Model,
    /// As the operator keeps them.
    entities: Entities,
    changes: Vec<Entities>,
    versions: [u64; DESTINATIONS],
    deleting: Vec<(usize, u64)>,
    pub clients: Vec<Client>,
    pub next_inputs: Vec<Planned>,
    pub sent: BTreeMap<u64, Sent>,
    pub seen: BTreeMap<Key, Seen>,
    acknowledged: BTreeSet<u64>,
    ids: BTreeSet<Key>,
    quotas: Quotas,
    pub next_serial: u64,
    pub next_connection: u32,
    pub next_request: u32,
    wake_after_ms: u32,
    digest: DefaultHasher,
    /// How often what happened.
    pub tally: BTreeMap<&'static str, u64>,
    /// What was told of usage, by tenant and number of the category: each record once.
    usage: BTreeMap<(Vec<u8>, u8), i64>,
    usage_through: u64,
}

/// Messages that ended are forgotten at once.
const NOTHING_REMEMBERED: Memory = Memory {
    retention_ms: 0,
    retention_bytes: 0,
    idempotency_keys: 1000,
    dead_letters: 0,
};

fn new_shard(boot_id: u32, now_us: u64, bounds: Bounds) -> Shard {
    let options = Options {
        shard: SHARD,
        boot_id,
        hash_key: HASH_KEY,
        now_us,
        memory: NOTHING_REMEMBERED,
    };
    Shard::with_bounds(options, bounds)
}

impl World {
    pub fn new(seed: u64, wrong: Wrong) -> Self {
        let mut random = Random(seed);
        let profile = Profile::new(&mut random);
        let now_us = 1_700_000_000_000_000;
        let mut entities = Entities::default();
        for place in 0..DESTINATIONS {
            let made = random.permille(850);
            entities.destinations[place] = made.then(|| profile.habits.destination(&mut random));
        }
        for place in 0..SETS {
            entities.sets[place] = random
                .permille(600)
                .then(|| profile.habits.set(&mut random));
        }
        for place in 0..TENANTS {
            entities.tenants[place] = random
                .permille(600)
                .then(|| profile.habits.tenant(&mut random));
        }
        for place in 0..GATEWAYS {
            entities.gateways[place] = random
                .permille(700)
                .then(|| profile.habits.gateway(&mut random));
        }
        let bounds = Bounds {
            cache_bytes: *random.choose(&[0, 50_000, 1 << 20, 32 << 20]),
            log_bytes: *random.choose(&[300, 5_000, 16 << 20]),
            log_kept_bytes: 0,
            batches_per_step: *random.choose(&[1, 3, 256]),
            deletes_per_step: *random.choose(&[1, 10, 500]),
            ..Bounds::default()
        };
        let mut world = Self {
            random,
            profile,
            wrong,
            now_us,
            shard: new_shard(1, now_us, bounds),
            twin: None,
            bounds,
            disk: Disk::default(),
            pending: VecDeque::new(),
            committed: 0,
            flushed: 0,
            newest_committed: 0,
            exchange: 0,
            boot_id: 0,
            durable: Durable::default(),
            model: Model::default(),
            entities,
            changes: Vec::new(),
            versions: [0; DESTINATIONS],
            deleting: Vec::new(),
            clients: Vec::new(),
            next_inputs: Vec::new(),
            sent: BTreeMap::new(),
            seen: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            ids: BTreeSet::new(),
            quotas: Quotas::default(),
            next_serial: 0,
            next_connection: 0,
            next_request: 100,
            wake_after_ms: 0,
            digest: DefaultHasher::new(),
            tally: BTreeMap::new(),
            usage: BTreeMap::new(),
            usage_through: 0,
        };
        world.start();
        world
    }

    /// A run: traffic and crashes, then everything is drained.
    pub fn run(&mut self, steps: u64) {
        for step in 0..steps {
            STEP.set(step);
            self.tick();
            if step % 8 == 0 {
                self.check();
            }
        }
        STEP.set(steps);
        self.drain();
    }

    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    fn check(&self) {
        self.shard.check();
        if let Some(twin) = &self.twin {
            twin.check();
        }
        self.model.compare(&self.shard.messages());
    }

    fn tick(&mut self) {
        self.advance();
        if self.pending.len() < UNDER_WAY {
            let planned = self.plan();
            self.exchange(&planned);
        }
        if self.random.permille(self.profile.crash / 2) {
            return self.crash();
        }
        self.progress();
        if self.random.permille(self.profile.crash / 2) {
            self.crash();
        }
    }

    fn advance(&mut self) {
        let random = &mut self.random;
        let weights = if self.profile.slow_time {
            [20, 50, 20, 3, 1, 3, 0]
        } else {
            [10, 25, 30, 15, 5, 15, 1]
        };
        self.now_us += match random.weighted(&weights) {
            0 => 0,
            1 => random.range(1, 1_000),
            2 => random.range(1_000, 20_000),
            3 => random.range(20_000, 500_000),
            4 => random.range(500_000, 10_000_000),
            // Just when the shard wants to be woken.
            5 => u64::from(self.wake_after_ms) * 1000,
            _ => random.range(10_000_000, 4_000_000_000),
        };
    }

    /// The operator's own change: kept before the shard gets it.
    pub fn put(&mut self, change: &Change) {
        match change {
            Change::Destination(place, None) => {
                self.deleting.push((*place, self.versions[*place]));
                return;
            }
            Change::Destination(place, Some(_)) => self.versions[*place] += 1,
            _ => {}
        }
        self.entities.apply(change);
        self.changes.push(self.entities.clone());
    }

    fn exchange(&mut self, planned: &[Planned]) {
        self.exchange += 1;
        let entries: Vec<InputEntry<'_>> = planned
            .iter()
            .map(|planned| entry(planned.op, planned.connection, &planned.bytes))
            .collect();
        let input = write_input(self.exchange, &entries);
        let (now_us, committed) = (self.now_us, self.newest_committed);
        let pages = &self.disk.committed;
        let output = serve(&mut self.shard, now_us, committed, &input, pages);
        let (journal, effects) = (&output.journal, &output.effects);
        if let Some(twin) = &mut self.twin {
            let other = serve(twin, now_us, committed, &input, pages);
            assert!(
                *journal == other.journal,
                "the journal depends on the cache"
            );
            same_effects(effects, &other.effects);
        }
        let bound = if committed + 1 == self.exchange {
            self.bounds.cache_bytes
        } else {
            usize::MAX / 2
        };
        // What this exchange stored and read back is not yet held to the bound.
        let fresh = journal.len() + output.wants * (70 << 10);
        assert!(
            self.shard.cache_bytes() <= bound + fresh,
            "the cache's bound"
        );
        self.digest.write(journal);
        self.digest.write(effects);
        let parsed = wire::parse_effects(effects);
        assert_eq!(
            (parsed.exchange, parsed.boot_id),
            (self.exchange, self.boot_id)
        );
        assert!(parsed.wake_after_ms <= 60_000);
        self.wake_after_ms = parsed.wake_after_ms;
        let happened = self
            .model
            .step(now_us, planned, &self.sent, journal, &parsed);
        self.tally(&happened, &output);
        let paths = happened
            .handed
            .iter()
            .map(|key| self.model.path_of(*key))
            .collect();
        let pending = Pending {
            journal: output.journal,
            happened,
            now_us,
            paths,
            changes: std::mem::take(&mut self.changes),
            deleted: std::mem::take(&mut self.deleting),
            effects: output.effects,
        };
        if self.wrong == Wrong::ReleaseEarly {
            self.release(&pending);
        }
        self.pending.push_back(pending);
    }

    pub fn count(&mut self, what: &'static str, times: usize) {
        *self.tally.entry(what).or_default() += times as u64;
    }

    fn tally(&mut self, happened: &Happened, output: &Served) {
        self.count("accepted", happened.accepted.len());
        self.count("deliveries", happened.handed.len());
        self.count("wanted records", output.wants);
        let named = happened.handed.iter();
        let named = named.filter(|key| self.model.path_of(**key).3.is_some());
        let named = named.count();
        self.count("through named gateways", named);
        self.count("twin exchanges", usize::from(self.twin.is_some()));
        for back in &happened.returns {
            let what = match back.reason {
                2 => "retries",
                4 => "throttled",
                5 => "not attempted",
                16 => "disconnects",
                17 => "lease ends",
                32 | 33 => "died",
                _ => "in doubt at a restart",
            };
            self.count(what, 1);
        }
        let given_up = happened
            .settled
            .iter()
            .filter(|(outcome, _)| *outcome > 3)
            .count();
        self.count("given up", given_up);
        self.count("settled", happened.settled.len() - given_up);
    }

    fn commit(&mut self) {
        let pending = &self.pending[self.committed];
        disk::apply(&mut self.disk.committed, &pending.journal);
        self.committed += 1;
        let behind = (self.pending.len() - self.committed) as u64;
        self.newest_committed = self.exchange - behind;
    }

    fn flush(&mut self) {
        let pending = &self.pending[self.flushed];
        disk::apply(&mut self.disk.flushed, &pending.journal);
        self.durable.apply(&pending.happened);
        self.flushed += 1;
    }

    fn release_next(&mut self) {
        let shuffled = self.wrong == Wrong::ReleaseShuffled && self.flushed > 1;
        let place = usize::from(shuffled);
        let pending = self.pending.remove(place).expect("a flushed exchange");
        self.committed -= 1;
        self.flushed -= 1;
        if self.wrong != Wrong::ReleaseEarly {
            self.release(&pending);
        }
    }

    /// Some transactions commit, some are flushed, some effects leave: always in order.
    fn progress(&mut self) {
        let eager = self.profile.eager;
        while self.committed < self.pending.len() && self.random.permille(eager) {
            self.commit();
        }
        while self.flushed < self.committed && self.random.permille(eager) {
            self.flush();
        }
        while self.flushed > 0 && self.random.permille(eager) {
            self.release_next();
        }
    }

    fn progress_fully(&mut self) {
        while !self.pending.is_empty() {
            while self.committed < self.pending.len() {
                self.commit();
            }
            while self.flushed < self.committed {
                self.flush();
            }
            self.release_next();
        }
    }

    /// The effects of one exchange reach the world.
    fn release(&mut self, pending: &Pending) {
        for entities in &pending.changes {
            self.quotas.configure(entities, pending.now_us);
        }
        for path in &pending.paths {
            self.quotas.hand_out(*path, pending.now_us);
        }
        for (place, version) in &pending.deleted {
            if self.versions[*place] == *version
                && self.model.entities.destinations[*place].is_none()
            {
                self.entities.destinations[*place] = None;
            }
        }
        let effects = wire::parse_effects(&pending.effects);
        let mut delivered: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for effect in &effects.entries {
            if effect.op == 7 {
                self.fold(effect.connection == 1, effect.bytes);
                continue;
            }
            let found = self
                .clients
                .iter()
                .position(|client| client.connection == effect.connection);
            let Some(place) = found.filter(|_| effect.op != 2) else {
                continue;
            };
            if effect.op == 3 {
                let entry = self.disconnect(place);
                self.next_inputs.push(entry);
                continue;
            }
            match wire::parse_frame(effect.bytes) {
                Frame::Deliver {
                    subscription,
                    deliveries,
                } => {
                    for got in deliveries {
                        delivered
                            .entry(effect.connection)
                            .or_default()
                            .push(got.delivery);
                        self.take(place, subscription, &got);
                    }
                }
                Frame::Ok { id, rest } => self.answered(place, id, &rest),
                Frame::Error { id, .. } => {
                    self.clients[place].publishing.remove(&id);
                    self.clients[place].settling.remove(&id);
                }
            }
        }
        for (connection, mut numbers) in delivered {
            numbers.sort_unstable();
            let client = self
                .clients
                .iter_mut()
                .find(|client| client.connection == connection);
            let Some(client) = client else { continue };
            for number in numbers {
                assert_eq!(
                    number,
                    client.last_delivery + 1,
                    "deliveries of {connection}"
                );
                client.last_delivery = number;
            }
        }
    }

    /// A usage record arrives, and is taken some time later.
    fn fold(&mut self, again: bool, bytes: &[u8]) {
        let (sequence, list) = bytes.split_at(8);
        let sequence = u64::from_le_bytes(sequence.try_into().expect("8 bytes"));
        let bytes = sequence.to_le_bytes().to_vec();
        let entry = request(InputOp::UsageTaken, 0, bytes, Plan::UsageTaken);
        self.next_inputs.push(entry);
        if sequence <= self.usage_through {
            assert!(again, "usage record {sequence} was told twice");
            return;
        }
        self.usage_through = sequence;
        for delta in DeltaReader::parse(list).expect("a list").deltas() {
            if delta.tag.is_empty() {
                let cell = (delta.account.to_vec(), delta.category.number());
                *self.usage.entry(cell).or_default() += delta.sums.count;
            }
        }
    }

    /// Everything has ended and was told: as many messages ended as were accepted.
    fn check_usage(&self) {
        let of = |account: &[u8], category: u8| {
            let found = self.usage.get(&(account.to_vec(), category));
            found.copied().unwrap_or(0)
        };
        let tenants: BTreeSet<&Vec<u8>> = self.usage.keys().map(|cell| &cell.0).collect();
        let mut accepted = 0;
        for tenant in tenants {
            // Sent, failed, expired, cancelled; a gateway that delivers at once has sent.
            let ended: i64 = [3, 6, 7, 8]
                .map(|category| of(tenant, category))
                .iter()
                .sum();
            assert_eq!(of(tenant, 1), ended, "accepted and ended of {tenant:?}");
            assert_eq!(
                of(tenant, 12),
                of(tenant, 3),
                "billed and sent of {tenant:?}"
            );
            assert!(of(tenant, 9) >= of(tenant, 3), "attempts of {tenant:?}");
            accepted += of(tenant, 1);
        }
        let known = i64::try_from(self.durable.known.len()).expect("few");
        assert_eq!(accepted, known, "accepted by all");
    }

    /// A client gets a delivery.
    fn take(&mut self, place: usize, number: u32, got: &Delivered<'_>) {
        let id = MessageId(got.id).place(&HASH_KEY).expect("our own id");
        let key = message_key(id.batch, id.index);
        let client = &mut self.clients[place];
        let seen = self.seen.entry(key).or_default();
        assert!(!seen.settled, "message {key:x} was settled and comes again");
        let before = seen.open.is_some() || seen.doubt;
        assert!(
            !before || got.flags & 1 == 1,
            "a repetition of {key:x} is not flagged"
        );
        seen.open = Some(client.connection);
        client.inbox.push(Got {
            delivery: got.delivery,
            number,
            key,
        });
    }

    fn answered(&mut self, place: usize, id: u32, rest: &OkRest) {
        let client = &mut self.clients[place];
        match rest {
            OkRest::Nothing => {}
            OkRest::Settled { unknown, .. } => {
                let finals = client.settling.remove(&id).expect("a settle that was sent");
                for key in finals.into_iter().filter(|_| *unknown == 0) {
                    self.seen.entry(key).or_default().settled = true;
                }
            }
            OkRest::Published { first, .. } => {
                let serials = client
                    .publishing
                    .remove(&id)
                    .expect("a publish that was sent");
                let Some(first) = first else { return };
                let first = MessageId(*first).place(&HASH_KEY).expect("our own id");
                let keys = message_key(first.batch, first.index)..;
                for (serial, key) in serials.into_iter().zip(keys) {
                    self.acknowledged.insert(serial);
                    assert!(self.ids.insert(key), "the id {key:x} was given twice");
                }
            }
        }
    }

    /// A connection ended: what it had without an answer is in doubt.
    pub fn forget_client(&mut self, client: &Client) {
        for got in &client.inbox {
            let seen = self.seen.entry(got.key).or_default();
            seen.doubt |= seen.open == Some(client.connection);
        }
        // Answers under way may get lost, so what was said of these is in doubt too.
        for key in client.settling.values().flatten() {
            let seen = self.seen.entry(*key).or_default();
            seen.doubt |= seen.open == Some(client.connection);
        }
    }

    /// The power goes: a prefix of what was committed and not flushed survives.
    fn crash(&mut self) {
        self.count("crashes", 1);
        let survivors = self.random.below(self.committed - self.flushed + 1);
        self.count("survivors", survivors);
        self.count(
            "lost exchanges",
            self.pending.len() - self.flushed - survivors,
        );
        for _ in 0..survivors {
            self.flush();
        }
        self.pending.clear();
        (self.committed, self.flushed) = (0, 0);
        self.disk.committed = self.disk.flushed.clone();
        self.clients.clear();
        self.next_inputs.clear();
        self.deleting.clear();
        for seen in self.seen.values_mut() {
            seen.doubt |= seen.open.take().is_some();
        }
        for serial in &self.acknowledged {
            assert!(
                self.durable.known.contains(serial),
                "acknowledged message {serial} is lost"
            );
        }
        if self.random.permille(100) {
            // Its work waits until it is there again.
            let place = self.random.below(DESTINATIONS);
            self.count("lost destinations", 1);
            self.entities.destinations[place] = None;
            self.versions[place] += 1;
        }
        self.now_us += self.random.range(0, 3_000_000);
        self.start();
    }

    /// A new process on the disk as it is.
    fn start(&mut self) {
        self.boot_id += 1;
        self.exchange = 0;
        self.newest_committed = 0;
        self.wake_after_ms = 0;
        self.changes.clear();
        self.quotas.configure(&self.entities, self.now_us);
        if self.wrong == Wrong::DamageUnseen {
            self.damage_unseen();
        } else if !self.disk.flushed.is_empty() && self.random.permille(200) {
            self.damage_is_seen();
        }
        let chunk_bytes = *self.random.choose(&[1, 1000, 100_000, 16 << 20]);
        let chunks = disk::chunks(&self.disk.flushed, chunk_bytes);
        self.shard = self.recovered(self.bounds, &chunks);
        let small = Bounds {
            cache_bytes: 20_000,
            ..self.bounds
        };
        self.twin = self.profile.twin.then(|| self.recovered(small, &chunks));
        self.model = Model::restart(
            &self.durable,
            &self.entities,
            NOTHING_REMEMBERED,
            self.now_us,
        );
        self.model.compare(&self.shard.messages());
    }

    fn recovered(&self, bounds: Bounds, chunks: &[Vec<u8>]) -> Shard {
        let mut shard = new_shard(self.boot_id, self.now_us, bounds);
        shard
            .configure(self.now_us, &self.entities.input())
            .expect("configure");
        for chunk in chunks {
            shard.recover(self.now_us, chunk).expect("recover");
        }
        shard
            .recover_finish(self.now_us)
            .expect("the end of recovery");
        shard
    }

    /// Any flipped bit of any record refuses the start.
    fn damage_is_seen(&mut self) {
        let mut pages = self.disk.flushed.clone();
        let keys: Vec<Vec<u8>> = pages.keys().cloned().collect();
        let key = self.random.choose(&keys).clone();
        let mut value = pages[&key].to_vec();
        let place = self.random.below(value.len());
        value[place] ^= 1 << self.random.below(8);
        pages.insert(key.clone(), value.into());
        let mut shard = new_shard(self.boot_id, self.now_us, self.bounds);
        shard
            .configure(self.now_us, &self.entities.input())
            .expect("configure");
        let mut failed = false;
        for chunk in disk::chunks(&pages, 100_000) {
            failed = shard.recover(self.now_us, &chunk).is_err();
            if failed {
                break;
            }
        }
        // A log record that is contained in the state records is not needed; it is read all the same.
        assert!(
            failed,
            "bit flipped at {place} of {key:02x?} and nobody saw it"
        );
    }

    /// The last byte of a batch record is another, and its checksum is that of the damaged bytes.
    fn damage_unseen(&mut self) {
        let batches = self.disk.flushed.range(vec![2]..vec![3]);
        let Some((key, value)) = batches.last() else {
            return;
        };
        let (key, mut value) = (key.clone(), value.to_vec());
        *value.last_mut().expect("a record") ^= 0x40;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&value[..4]), &value[8..]);
        value[4..8].copy_from_slice(&checksum.to_le_bytes());
        self.disk.flushed.insert(key.clone(), value.clone().into());
        self.disk.committed.insert(key, value.into());
    }

    /// Everything that waits leaves through well-behaved gateways; then the disk is empty.
    pub fn drain(&mut self) {
        self.progress_fully();
        let mut planned = std::mem::take(&mut self.next_inputs);
        while !self.clients.is_empty() {
            planned.push(self.disconnect(0));
        }
        for place in 0..DESTINATIONS {
            let kept = self.model.entities.destinations[place]
                .clone()
                .unwrap_or(PLAIN);
            let fields = Destination {
                rate_per_sec: None,
                paused: false,
                lease_ms: 60_000,
                ..kept
            };
            self.configure(Change::Destination(place, Some(fields)), &mut planned);
        }
        for place in 0..SETS {
            let mut fields = self.model.entities.sets[place].clone();
            if let Some(fields) = &mut fields {
                fields.rate_per_sec = None;
            }
            self.configure(Change::Set(place, fields), &mut planned);
        }
        for place in 0..TENANTS {
            let mut fields = self.model.entities.tenants[place].clone();
            if let Some(fields) = &mut fields {
                (fields.rate_per_sec, fields.paused) = (None, false);
            }
            self.configure(Change::Tenant(place, fields), &mut planned);
        }
        for place in 0..DESTINATIONS {
            planned.push(self.connect(None, 2, Manner::Prompt));
            planned.push(self.subscribe(place, Some(place)));
        }
        self.exchange(&planned);
        self.progress_fully();
        self.check();
        let mut idle = 0;
        while !self.model.messages.is_empty() {
            let before = self.model.messages.len();
            self.drain_step();
            idle = if self.model.messages.len() < before {
                0
            } else {
                idle + 1
            };
            assert!(idle < 400, "{before} messages wait and nothing moves");
        }
        self.checkpoint();
    }

    fn configure(&mut self, change: Change, planned: &mut Vec<Planned>) {
        self.put(&change);
        self.next_request += 1;
        let bytes = change.bytes();
        let entry = request(
            InputOp::Configure,
            self.next_request,
            bytes,
            Plan::Configure(change),
        );
        planned.push(entry);
    }

    /// Answers all, gives credit back, and sleeps as long as the shard says.
    fn drain_step(&mut self) {
        let mut planned = std::mem::take(&mut self.next_inputs);
        for place in 0..self.clients.len() {
            while !self.clients[place].inbox.is_empty() {
                self.settle(place, &mut planned);
            }
            let number = self.clients[place].subscriptions[0];
            planned.push(self.credit(place, number, 200));
        }
        self.now_us += u64::from(self.wake_after_ms) * 1000;
        self.exchange(&planned);
        self.progress_fully();
    }

    /// After a checkpoint of a shard without messages its disk holds two marks and nothing else.
    fn checkpoint(&mut self) {
        self.next_request += 1;
        let answered = self.model.answered_checkpoints;
        let entry = request(
            InputOp::Checkpoint,
            self.next_request,
            Vec::new(),
            Plan::Checkpoint,
        );
        self.exchange(&[entry]);
        self.progress_fully();
        for _ in 0..20_000 {
            let planned = std::mem::take(&mut self.next_inputs);
            if self.wake_after_ms > 0 && planned.is_empty() {
                break;
            }
            self.exchange(&planned);
            self.progress_fully();
        }
        let answered_now = self.model.answered_checkpoints;
        assert!(answered_now > answered, "no answer to a checkpoint");
        self.count("checkpoints", answered_now);
        let left: Vec<&Vec<u8>> = self.disk.flushed.keys().collect();
        assert!(
            left == [&vec![1, 2], &vec![1, 3], &vec![1, 5]],
            "left on disk: {left:02x?}"
        );
        self.check_usage();
        self.check();
    }
}

/// What one exchange gave.
struct Served {
    journal: Vec<u8>,
    effects: Vec<u8>,
    wants: usize,
}

/// A step and its emit, as the worker makes them.
fn serve(
    shard: &mut Shard,
    now_us: u64,
    committed: u64,
    input: &[u8],
    pages: &disk::Pages,
) -> Served {
    let output = shard.step(now_us, committed, input).expect("a step");
    assert!(
        output.wants.len() <= 9 * 1024,
        "{} wants",
        output.wants.len() / 9
    );
    for (index, key) in output.wants.chunks(9).enumerate() {
        let record = pages
            .get(key)
            .unwrap_or_else(|| panic!("{key:02x?} is wanted, not stored"));
        shard.provide(index, record).expect("a record");
    }
    let mut effects = Vec::new();
    let needed = shard
        .emit(&mut effects)
        .expect("emit")
        .expect_err("a buffer too small");
    effects.resize(needed, 0);
    let written = shard
        .emit(&mut effects)
        .expect("emit")
        .expect("a buffer large enough");
    assert_eq!(written, needed);
    Served {
        journal: output.journal,
        effects,
        wants: output.wants.len() / 9,
    }
}

/// The same but for what stats tell about the cache.
fn same_effects(one: &[u8], other: &[u8]) {
    if one == other {
        return;
    }
    let (one, other) = (wire::parse_effects(one), wire::parse_effects(other));
    assert_eq!(one.entries.len(), other.entries.len());
    for (one, other) in one.entries.iter().zip(&other.entries) {
        let stats = one.op == 2 && json::number(one.bytes, "cacheBytes").is_some();
        assert!(
            stats || one.bytes == other.bytes,
            "effects depend on the cache"
        );
    }
}
