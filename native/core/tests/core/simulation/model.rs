//! What a shard should do, told in the plainest way: every message with its state, every queue as a
//! sorted set. It takes the same inputs, predicts replies, outcomes and returns exactly, and judges
//! what was handed out.

use super::entities::{self, Change, DESTINATIONS, Entities, GATEWAYS, PLAIN, TENANTS};
use super::quota::Path;
use super::wire::{self, Delivered, Effects, Frame, OkRest, Said};
use super::{HASH_KEY, SHARD, json};
use fairlead_core::exchange::InputOp;
use fairlead_core::message_id::MessageId;
use fairlead_core::record::{
    self, BatchRecord, JournalEntry, JournalReader, LogRecord, Return, message_key, parse_key,
};
use fairlead_core::shard::{Memory, MessageState, OUTCOME_EXPIRED, OUTCOME_PURGED};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub type Key = u64;
/// Destination, tenant, sender (0: none is named).
pub type QueueName = (usize, usize, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    InFlight,
    Timed,
    Dead,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub serial: u64,
    pub queue: QueueName,
    pub payload_bytes: usize,
    pub accepted_ms: u64,
    pub state: State,
    pub attempts: u32,
    pub doubtful: bool,
    pub due_ms: u64,
}

/// What a publisher sent, by serial number.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub queue: QueueName,
    pub payload_bytes: usize,
}

pub fn payload(serial: u64, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| b'a' + ((serial as usize).wrapping_mul(31).wrapping_add(at * 7) % 26) as u8)
        .collect()
}

/// What one input entry means.
#[derive(Clone, Debug)]
pub enum Plan {
    Connect {
        scopes: u8,
    },
    Disconnect,
    Park(bool),
    Publish {
        id: u32,
        serials: Vec<u64>,
        destination: usize,
        fault: u32,
    },
    Subscribe {
        id: u32,
        number: u32,
        destination: usize,
        credit: u32,
        gateway: Option<usize>,
    },
    Credit {
        id: u32,
        number: u32,
        add: u32,
    },
    Settle {
        id: u32,
        number: u32,
        said: Vec<Said>,
    },
    /// A frame refused whatever the state: its code, 0 for any.
    Bad {
        id: u32,
        code: u32,
        needs: u8,
    },
    Configure(Change),
    GatewayUp {
        gateway: usize,
        up: bool,
    },
    InUse {
        destination: usize,
    },
    GatewayInUse {
        gateway: usize,
    },
    Json,
    Checkpoint,
    DiskFull(bool),
    UsageTaken,
}

#[derive(Clone, Debug)]
pub struct Planned {
    pub op: InputOp,
    pub connection: u32,
    pub bytes: Vec<u8>,
    pub plan: Plan,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    Ok(u32),
    Published { id: u32, serials: Vec<u64> },
    Settled { id: u32, applied: u64, unknown: u64 },
    Error { id: u32, code: u32 },
    AnyError,
    Close,
}

/// What became of messages in one exchange.
#[derive(Clone, Debug, Default)]
pub struct Happened {
    pub accepted: Vec<(Key, Message)>,
    pub returns: Vec<Return>,
    pub settled: Vec<(u8, Key)>,
    pub handed: Vec<Key>,
}

/// The messages that a disk holds.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    pub messages: BTreeMap<Key, Message>,
    /// Serials of all that ever got there.
    pub known: BTreeSet<u64>,
}

impl Durable {
    pub fn apply(&mut self, happened: &Happened) {
        for (key, message) in &happened.accepted {
            self.known.insert(message.serial);
            assert!(self.messages.insert(*key, message.clone()).is_none());
        }
        for back in &happened.returns {
            let message = self
                .messages
                .get_mut(&back.key)
                .expect("a message that returns");
            message.state = if back.reason >= 32 {
                State::Dead
            } else if back.due_ms > 0 {
                State::Timed
            } else {
                State::Waiting
            };
            message.attempts = back.attempts;
            message.doubtful = back.flags & 1 == 1;
            message.due_ms = back.due_ms;
        }
        for (_, key) in &happened.settled {
            assert!(self.messages.remove(key).is_some());
        }
        for key in &happened.handed {
            self.messages
                .get_mut(key)
                .expect("a message that leaves")
                .state = State::InFlight;
        }
    }
}

#[derive(Default)]
struct Queue {
    due: BTreeSet<Key>,
    timed: usize,
    in_flight: usize,
    rest_until_us: u64,
}

struct Subscription {
    destination: usize,
    gateway: Option<usize>,
    credit: u32,
    rest_until_us: u64,
    /// A lease ended since it settled last.
    late: bool,
    slowed: Option<Slowed>,
}

/// A gateway with a name, over all its subscriptions.
struct Gateway {
    up: bool,
    in_flight: u32,
    rest_until_us: u64,
    slowed: Option<Slowed>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            up: true,
            in_flight: 0,
            rest_until_us: 0,
            slowed: None,
        }
    }
}

/// What throttling left of a gateway's rate (rule 10).
#[derive(Clone, Copy)]
struct Slowed {
    /// Of 10,000.
    part: u64,
    since_us: u64,
    next_us: u64,
}

impl Slowed {
    fn halved(before: Option<Self>, until_us: u64) -> Self {
        let part = before.map_or(10_000, |slowed| slowed.part_at(until_us));
        Self {
            part: (part / 2).max(100),
            since_us: until_us,
            next_us: before.map_or(until_us, |slowed| slowed.next_us),
        }
    }

    /// What is left after one message; none: all of it is back.
    fn took(mut self, whole: Option<f64>, now_us: u64) -> Option<Self> {
        let rate = whole.unwrap_or(f64::MAX) * self.part_at(now_us) as f64 / 10_000.0;
        #[allow(clippy::cast_sign_loss, reason = "a rate is positive")]
        let interval_us = (1e6 / rate.max(1e-6)) as u64;
        self.next_us = self.next_us.max(now_us).saturating_add(interval_us);
        (self.part_at(now_us) < 10_000).then_some(self)
    }

    fn part_at(&self, now_us: u64) -> u64 {
        let seconds = now_us.saturating_sub(self.since_us) / 1_000_000;
        (self.part + 500 * seconds).min(10_000)
    }
}

impl Subscription {
    fn ready_us(&self) -> u64 {
        let paced_us = self.slowed.map_or(0, |slowed| slowed.next_us);
        self.rest_until_us.max(paced_us)
    }
}

struct InFlight {
    key: Key,
    number: u32,
    dispatched_us: u64,
}

struct Connection {
    scopes: u8,
    parked: bool,
    subscriptions: BTreeMap<u32, Subscription>,
    in_flight: BTreeMap<u64, InFlight>,
    next_delivery: u64,
}

/// The shard as it stands after the newest step.
#[derive(Default)]
pub struct Model {
    pub messages: BTreeMap<Key, Message>,
    queues: BTreeMap<QueueName, Queue>,
    timed: BTreeSet<(u64, Key)>,
    tenant_rest_us: BTreeMap<(usize, usize), u64>,
    in_flight: BTreeMap<(usize, usize), usize>,
    work: [usize; DESTINATIONS],
    connections: BTreeMap<u32, Connection>,
    pub entities: Entities,
    disk_full: bool,
    gateways: [Gateway; GATEWAYS],
    /// Messages in flight through a gateway with a name.
    through: BTreeMap<Key, usize>,
    /// Decided at recovery, journaled by the first step.
    restart: Happened,
    memory: Option<Memory>,
    dead: BTreeSet<Key>,
    checkpoints: BTreeSet<u32>,
    pub answered_checkpoints: usize,
    counters: [u64; 11],
    now_us: u64,
    last_batch: u64,
    last_log: u64,
}

/// A body's part of a journal.
struct Stored {
    key: Key,
    serial: u64,
    accepted_ms: u64,
}

/// What the step at hand has done so far.
#[derive(Default)]
struct Step {
    happened: Happened,
    replies: BTreeMap<u32, VecDeque<Reply>>,
    /// Request id → the text it has to get, none for any.
    json: BTreeMap<u32, Option<&'static str>>,
    accepted: BTreeMap<u64, Key>,
    /// Times of returns that the log names: what is drawn is only judged.
    due_ms: BTreeMap<Key, u64>,
}

/// The destinations' own.
const VALIDITY_MS: u64 = 36_000_000;
const ACCEPTED: usize = 0;
const DELIVERED: usize = 2;
const SETTLED: [usize; 6] = [3, 4, 5, 6, 7, 8];
const RETURNED: usize = 9;
const FAILED_FINAL: usize = 10;

impl Model {
    /// A shard that recovered what `durable` holds.
    pub fn restart(durable: &Durable, entities: &Entities, memory: Memory, now_us: u64) -> Self {
        let mut model = Self {
            entities: entities.clone(),
            memory: Some(memory),
            now_us,
            ..Self::default()
        };
        model.messages = durable.messages.clone();
        let keys: Vec<Key> = model.messages.keys().copied().collect();
        for key in keys {
            model.recover(key);
        }
        model
    }

    fn recover(&mut self, key: Key) {
        let now_us = self.now_us;
        let message = self.messages.get_mut(&key).expect("just listed");
        let (destination, tenant, _) = message.queue;
        let fields = self.entities.destinations[destination]
            .as_ref()
            .unwrap_or(&PLAIN);
        if message.state == State::Dead {
            self.dead.insert(key);
            return;
        }
        if message.state == State::InFlight {
            message.attempts += 1;
            message.doubtful = true;
            message.state = State::Waiting;
            if fields.fail_in_doubt || message.attempts >= fields.attempts_max {
                message.state = State::Dead;
                self.restart.returns.push(Return {
                    key,
                    reason: if fields.fail_in_doubt { 33 } else { 32 },
                    attempts: message.attempts,
                    due_ms: now_us / 1000,
                    flags: 1,
                });
                self.dead.insert(key);
                return;
            }
            let attempts = message.attempts;
            self.restart.returns.push(Return {
                key,
                reason: 18,
                attempts,
                due_ms: 0,
                flags: 1,
            });
        }
        if message.state == State::Timed && message.due_ms * 1000 <= now_us {
            message.state = State::Waiting;
        }
        self.work[destination] += 1;
        let queue = self.queues.entry(message.queue).or_default();
        if message.state == State::Timed {
            queue.timed += 1;
            self.timed.insert((message.due_ms * 1000, key));
        } else {
            queue.due.insert(key);
        }
        self.in_flight.entry((destination, tenant)).or_default();
    }

    /// Whether the shard holds what it should.
    pub fn compare(&self, found: &[MessageState]) {
        assert_eq!(found.len(), self.messages.len(), "messages held");
        for (found, (key, message)) in found.iter().zip(&self.messages) {
            let expected = MessageState {
                key: *key,
                state: match message.state {
                    State::Waiting => record::STATE_WAITING,
                    State::InFlight => record::STATE_IN_FLIGHT,
                    State::Timed => record::STATE_TIMED,
                    State::Dead => 14,
                },
                attempts: message.attempts,
                flags: u8::from(message.doubtful),
                due_ms: if message.state == State::Timed {
                    message.due_ms
                } else {
                    0
                },
            };
            assert_eq!(*found, expected, "message {}", message.serial);
        }
    }

    /// Tenant, set and gateway of a message, for quotas.
    pub fn path_of(&self, key: Key) -> Path {
        let (destination, tenant, _) = self.messages[&key].queue;
        let gateway = self.through.get(&key).copied();
        (destination, self.entities.set_of(tenant), tenant, gateway)
    }

    /// Takes one exchange: predicts, and compares with what the shard did.
    pub fn step(
        &mut self,
        now_us: u64,
        planned: &[Planned],
        sent: &BTreeMap<u64, Sent>,
        journal: &[u8],
        effects: &Effects<'_>,
    ) -> Happened {
        self.now_us = self.now_us.max(now_us);
        let mut step = Step::default();
        let died = |back: &&Return| matches!(back.reason, 32 | 33);
        self.counters[FAILED_FINAL] += self.restart.returns.iter().filter(died).count() as u64;
        std::mem::swap(&mut step.happened, &mut self.restart);
        self.trim_dead(&mut step);
        let (stored, log) = self.read_journal(journal);
        let log = log
            .as_deref()
            .map(|log| LogRecord::parse(log).expect("a log record"));
        if let Some(log) = &log {
            step.due_ms = log.returns().map(|back| (back.key, back.due_ms)).collect();
        }
        step.accepted = stored
            .iter()
            .map(|stored| (stored.serial, stored.key))
            .collect();
        for planned in planned {
            self.entry(planned, sent, &mut step);
        }
        assert_eq!(
            step.happened.accepted.len(),
            stored.len(),
            "messages journaled"
        );
        for stored in &stored {
            assert_eq!(stored.accepted_ms, self.now_us / 1000, "time of acceptance");
        }
        self.fire(&mut step);
        if let Some(log) = &log {
            self.expire(log, &mut step);
        }
        check_log(log.as_ref(), &mut step.happened);
        self.deliveries(log.as_ref(), effects, &mut step);
        self.replies(effects, &mut step);
        self.compare_counters(effects);
        step.happened
    }

    fn read_journal(&mut self, journal: &[u8]) -> (Vec<Stored>, Option<Vec<u8>>) {
        let mut stored = Vec::new();
        let mut log = None;
        for entry in JournalReader::new(journal).expect("a journal") {
            let JournalEntry::Put { key, value } = entry.expect("a journal entry") else {
                continue;
            };
            match parse_key(key).expect("a known key") {
                record::Key::Batch { batch, first_index } => {
                    let parsed = BatchRecord::parse(value).expect("a batch record");
                    assert_eq!(
                        (parsed.batch(), parsed.message(0).index),
                        (batch, first_index)
                    );
                    assert!(batch >= self.last_batch, "batch {batch} came before");
                    self.last_batch = batch;
                    for message in parsed.messages() {
                        stored.push(Stored {
                            key: message_key(batch, message.index),
                            serial: serial_of(message.body),
                            accepted_ms: parsed.accepted_ms(),
                        });
                    }
                }
                record::Key::Log { sequence } => {
                    assert!(log.is_none(), "two log records in one exchange");
                    assert!(sequence > self.last_log, "log {sequence} came before");
                    self.last_log = sequence;
                    log = Some(value.to_vec());
                }
                _ => {}
            }
        }
        (stored, log)
    }

    fn entry(&mut self, planned: &Planned, sent: &BTreeMap<u64, Sent>, step: &mut Step) {
        let connection = planned.connection;
        match &planned.plan {
            Plan::Connect { scopes } => {
                let client = Connection {
                    scopes: *scopes,
                    parked: false,
                    subscriptions: BTreeMap::new(),
                    in_flight: BTreeMap::new(),
                    next_delivery: 1,
                };
                self.connections.insert(connection, client);
            }
            Plan::Disconnect => {
                if let Some(client) = self.connections.remove(&connection) {
                    for slot in client.in_flight.into_values() {
                        self.doubt(slot.key, 16, step);
                    }
                }
            }
            Plan::Park(parked) => {
                if let Some(client) = self.connections.get_mut(&connection) {
                    client.parked = *parked;
                }
            }
            Plan::Configure(change) => self.configure(connection, change, step),
            Plan::InUse { destination } => {
                let busy = self.work[*destination] > 0;
                let text = if busy {
                    r#"{"inUse":true}"#
                } else {
                    r#"{"inUse":false}"#
                };
                step.json.insert(connection, Some(text));
            }
            Plan::Json => {
                step.json.insert(connection, None);
            }
            Plan::GatewayUp { gateway, up } => {
                let known = self.entities.gateways[*gateway].is_some();
                if known {
                    self.gateways[*gateway].up = *up;
                }
                let text = if known {
                    r#"{"ok":true}"#
                } else {
                    r#"{"error":"unknownGateway"}"#
                };
                step.json.insert(connection, Some(text));
            }
            Plan::GatewayInUse { gateway } => {
                let mut all = self
                    .connections
                    .values()
                    .flat_map(|one| one.subscriptions.values());
                // The daemon ends its own subscriptions when it deletes a gateway that it drives.
                let fields = self.entities.gateways[*gateway].as_ref();
                let is_pulled = fields.is_some_and(|fields| fields.kind == 0);
                let text = if is_pulled && all.any(|one| one.gateway == Some(*gateway)) {
                    r#"{"inUse":true}"#
                } else {
                    r#"{"inUse":false}"#
                };
                step.json.insert(connection, Some(text));
            }
            Plan::Checkpoint => {
                self.checkpoints.insert(connection);
            }
            Plan::DiskFull(full) => self.disk_full = *full,
            Plan::UsageTaken => {}
            _ => {
                if self.connections.contains_key(&connection) {
                    let replies = self.frame(connection, &planned.plan, sent, step);
                    step.replies.entry(connection).or_default().extend(replies);
                }
            }
        }
    }

    fn configure(&mut self, request: u32, change: &Change, step: &mut Step) {
        if let Change::Destination(place, None) = change
            && self.work[*place] > 0
        {
            step.json
                .insert(request, Some(r#"{"ok":false,"error":"inUse"}"#));
            return;
        }
        if let Change::Gateway(place, Some(_)) = change
            && self.entities.gateways[*place].is_none()
        {
            let in_flight = self.gateways[*place].in_flight;
            self.gateways[*place] = Gateway {
                in_flight,
                ..Gateway::default()
            };
        }
        self.entities.apply(change);
        step.json.insert(request, Some(r#"{"ok":true}"#));
    }

    /// Replies to one client frame, after doing what it says.
    fn frame(
        &mut self,
        connection: u32,
        plan: &Plan,
        sent: &BTreeMap<u64, Sent>,
        step: &mut Step,
    ) -> Vec<Reply> {
        let now_us = self.now_us;
        let client = self
            .connections
            .get_mut(&connection)
            .expect("a known connection");
        let lacks = |scope: u8| client.scopes & scope == 0;
        let error = |id: u32, code: u32| vec![Reply::Error { id, code }];
        let ok = |id: u32| {
            if id > 0 {
                vec![Reply::Ok(id)]
            } else {
                Vec::new()
            }
        };
        match plan {
            Plan::Publish { id, .. } if lacks(1) => error(*id, 2004),
            Plan::Publish {
                id,
                serials,
                destination,
                fault,
            } => {
                if *fault > 0 {
                    return error(*id, *fault);
                }
                if self.entities.destinations[*destination].is_none() {
                    return error(*id, 3001);
                }
                if self.disk_full {
                    return error(*id, 3014);
                }
                self.accept(*id, serials, sent, step)
            }
            Plan::Subscribe { id, .. } | Plan::Credit { id, .. } | Plan::Settle { id, .. }
                if lacks(2) =>
            {
                error(*id, 2004)
            }
            Plan::Subscribe {
                id,
                number,
                destination,
                credit,
                gateway,
            } => {
                if self.entities.destinations[*destination].is_none() {
                    return error(*id, 3001);
                }
                if client.subscriptions.contains_key(number) {
                    return error(*id, 3007);
                }
                if *credit > 65_536 {
                    return error(*id, 3008);
                }
                let fits = |gateway: usize| {
                    let fields = self.entities.gateways[gateway].as_ref();
                    fields.is_some_and(|fields| {
                        fields.destinations.contains(destination)
                            && (fields.kind == 0 || client.scopes & 8 > 0)
                    })
                };
                if gateway.is_some_and(|gateway| !fits(gateway)) {
                    return error(*id, 3029);
                }
                let (destination, credit) = (*destination, *credit);
                let subscription = Subscription {
                    destination,
                    gateway: *gateway,
                    credit,
                    rest_until_us: 0,
                    late: false,
                    slowed: None,
                };
                client.subscriptions.insert(*number, subscription);
                ok(*id)
            }
            Plan::Credit { id, number, add } => {
                let Some(subscription) = client.subscriptions.get_mut(number) else {
                    return error(*id, 3006);
                };
                let credit = u64::from(subscription.credit) + u64::from(*add);
                if credit > 65_536 {
                    return error(*id, 3008);
                }
                subscription.credit = credit as u32;
                ok(*id)
            }
            Plan::Settle { id, number, said } => {
                let Some(subscription) = client.subscriptions.get_mut(number) else {
                    return error(*id, 3006);
                };
                subscription.late = said.iter().any(|said| said.outcome == 5);
                let mut applied = 0;
                for said in said {
                    let client = self.connections.get_mut(&connection).expect("still there");
                    let known = client.in_flight.get(&said.delivery);
                    if known.is_none_or(|slot| slot.number != *number) {
                        continue;
                    }
                    let slot = client.in_flight.remove(&said.delivery).expect("just seen");
                    applied += 1;
                    self.outcome(connection, &slot, said, step);
                }
                let unknown = said.len() as u64 - applied;
                if *id == 0 {
                    return Vec::new();
                }
                vec![Reply::Settled {
                    id: *id,
                    applied,
                    unknown,
                }]
            }
            Plan::Bad { id, needs, .. } if *needs > 0 && lacks(*needs) => error(*id, 2004),
            Plan::Bad { code: 0, .. } => vec![Reply::AnyError],
            Plan::Bad { id, code: 1001, .. } => {
                vec![
                    Reply::Error {
                        id: *id,
                        code: 1001,
                    },
                    Reply::Close,
                ]
            }
            Plan::Bad { id, code, .. } => error(*id, *code),
            other => unreachable!("{other:?} is no frame at {now_us}"),
        }
    }

    fn accept(
        &mut self,
        id: u32,
        serials: &[u64],
        sent: &BTreeMap<u64, Sent>,
        step: &mut Step,
    ) -> Vec<Reply> {
        for serial in serials {
            let key = *step
                .accepted
                .get(serial)
                .expect("an accepted message is journaled");
            let in_order = step
                .happened
                .accepted
                .last()
                .is_none_or(|(last, _)| *last < key);
            assert!(in_order, "keys follow the order of acceptance");
            let Sent {
                queue,
                payload_bytes,
            } = sent[serial];
            let message = Message {
                serial: *serial,
                queue,
                payload_bytes,
                accepted_ms: self.now_us / 1000,
                state: State::Waiting,
                attempts: 0,
                doubtful: false,
                due_ms: 0,
            };
            assert!(
                self.messages.insert(key, message.clone()).is_none(),
                "a key was used twice"
            );
            step.happened.accepted.push((key, message));
            self.queues.entry(queue).or_default().due.insert(key);
            self.work[queue.0] += 1;
            self.counters[ACCEPTED] += 1;
        }
        if id == 0 {
            return Vec::new();
        }
        vec![Reply::Published {
            id,
            serials: serials.to_vec(),
        }]
    }

    fn outcome(&mut self, connection: u32, slot: &InFlight, said: &Said, step: &mut Step) {
        let now_us = self.now_us;
        self.counters[SETTLED[usize::from(said.outcome)]] += 1;
        match said.outcome {
            0 | 1 | 3 => self.finish(slot.key, said.outcome, step),
            2 => {
                let after_ms = match said.retry_after_ms {
                    Some(after_ms) => after_ms.min(3_600_000),
                    None => self.back_off_ms(slot.key, step),
                };
                self.give_back(slot.key, 2, true, false, after_ms, step);
            }
            outcome => {
                let (destination, tenant, _) = self.messages[&slot.key].queue;
                let queue = self.messages[&slot.key].queue;
                self.give_back(slot.key, outcome, false, false, 0, step);
                if outcome == 5 {
                    return;
                }
                let rest_ms = said.retry_after_ms.unwrap_or(1000).min(60_000);
                let until_us = now_us + rest_ms * 1000;
                match said.scope.unwrap_or(0) {
                    1 => {
                        let known = self.tenant_rest_us.entry((destination, tenant));
                        let until = known.or_default();
                        *until = until_us.max(*until);
                    }
                    2 => {
                        let queue = self.queues.entry(queue).or_default();
                        queue.rest_until_us = queue.rest_until_us.max(until_us);
                    }
                    _ => {
                        let client = self.connections.get_mut(&connection).expect("its own");
                        let subscription =
                            client.subscriptions.get_mut(&slot.number).expect("its own");
                        if let Some(place) = subscription.gateway {
                            self.throttle(place, destination, until_us);
                            return;
                        }
                        let was_resting = subscription.rest_until_us > now_us;
                        subscription.rest_until_us = subscription.rest_until_us.max(until_us);
                        let fields = self.entities.destinations[destination].as_ref();
                        if !was_resting
                            && fields.is_some_and(|fields| fields.rate_per_sec.is_some())
                        {
                            let before = subscription.slowed;
                            subscription.slowed = Some(Slowed::halved(before, until_us));
                        }
                    }
                }
            }
        }
    }

    /// All of a gateway rests.
    fn throttle(&mut self, place: usize, destination: usize, until_us: u64) {
        let rates = [
            self.entities.gateways[place]
                .as_ref()
                .and_then(|fields| fields.rate_per_sec),
            self.entities.destinations[destination]
                .as_ref()
                .and_then(|fields| fields.rate_per_sec),
        ];
        let gateway = &mut self.gateways[place];
        let was_resting = gateway.rest_until_us > self.now_us;
        gateway.rest_until_us = gateway.rest_until_us.max(until_us);
        if !was_resting && rates.iter().any(Option::is_some) {
            gateway.slowed = Some(Slowed::halved(gateway.slowed, until_us));
        }
    }

    /// The message leaves its flight; its queue.
    fn land(&mut self, key: Key) -> QueueName {
        if let Some(place) = self.through.remove(&key) {
            self.gateways[place].in_flight -= 1;
        }
        let queue = self.messages[&key].queue;
        assert_eq!(self.messages[&key].state, State::InFlight);
        self.queues.get_mut(&queue).expect("a queue").in_flight -= 1;
        *self
            .in_flight
            .get_mut(&(queue.0, queue.1))
            .expect("a tenant") -= 1;
        queue
    }

    fn finish(&mut self, key: Key, outcome: u8, step: &mut Step) {
        let queue = self.land(key);
        self.work[queue.0] -= 1;
        self.messages.remove(&key);
        step.happened.settled.push((outcome, key));
    }

    fn doubt(&mut self, key: Key, reason: u8, step: &mut Step) {
        self.counters[RETURNED] += 1;
        self.give_back(key, reason, true, true, 0, step);
    }

    fn give_back(
        &mut self,
        key: Key,
        reason: u8,
        attempted: bool,
        doubtful: bool,
        after_ms: u64,
        step: &mut Step,
    ) {
        let (destination, _, _) = self.messages[&key].queue;
        let fields = self.entities.destinations[destination]
            .as_ref()
            .unwrap_or(&PLAIN);
        let attempts = self.messages[&key].attempts + u32::from(attempted);
        let too_many = attempted && attempts >= fields.attempts_max;
        let in_doubt = doubtful && fields.fail_in_doubt;
        let expiry_ms = self.messages[&key].accepted_ms + VALIDITY_MS;
        let is_over = expiry_ms <= self.now_us / 1000;
        let queue = self.land(key);
        let message = self.messages.get_mut(&key).expect("in flight");
        message.attempts = attempts;
        message.doubtful |= doubtful;
        if too_many || in_doubt {
            message.state = State::Dead;
            let (due_ms, flags) = (self.now_us / 1000, u8::from(message.doubtful));
            let reason = if in_doubt { 33 } else { 32 };
            step.happened.returns.push(Return {
                key,
                reason,
                attempts,
                due_ms,
                flags,
            });
            self.counters[FAILED_FINAL] += 1;
            self.work[destination] -= 1;
            self.dead.insert(key);
            return self.trim_dead(step);
        }
        let due_ms = if after_ms > 0 && !is_over {
            (self.now_us + after_ms * 1000)
                .div_ceil(1000)
                .min(expiry_ms)
        } else {
            0
        };
        message.due_ms = due_ms;
        let flags = u8::from(message.doubtful);
        step.happened.returns.push(Return {
            key,
            reason,
            attempts,
            due_ms,
            flags,
        });
        let queue = self.queues.get_mut(&queue).expect("a queue");
        if due_ms > 0 {
            message.state = State::Timed;
            queue.timed += 1;
            self.timed.insert((due_ms * 1000, key));
        } else {
            message.state = State::Waiting;
            queue.due.insert(key);
        }
    }

    /// A time drawn by the shard: within the jitter around its doubled base.
    fn back_off_ms(&self, key: Key, step: &Step) -> u64 {
        let message = &self.messages[&key];
        let whole_ms = (1000_u64 << message.attempts.min(20)).min(600_000);
        let Some(&due_ms) = step.due_ms.get(&key) else {
            return whole_ms;
        };
        let after_ms = due_ms.saturating_sub(self.now_us.div_ceil(1000));
        let expiry_ms = message.accepted_ms + VALIDITY_MS;
        let within = (whole_ms * 8 / 10..=whole_ms * 12 / 10 + 1).contains(&after_ms);
        let ends = due_ms == expiry_ms || due_ms <= self.now_us / 1000;
        assert!(
            within || ends,
            "tried again after {after_ms} ms, not {whole_ms}"
        );
        after_ms.max(1)
    }

    /// The oldest dead letters leave when there are too many.
    fn trim_dead(&mut self, step: &mut Step) {
        let most = self.memory.map_or(0, |memory| memory.dead_letters);
        while self.dead.len() > most {
            let key = self.dead.pop_first().expect("there are too many");
            self.messages.remove(&key).expect("a dead letter");
            step.happened.settled.push((OUTCOME_PURGED, key));
        }
    }

    /// What the shard found without validity: it has to be, and to wait.
    fn expire(&mut self, log: &LogRecord<'_>, step: &mut Step) {
        let expired = log
            .settled()
            .filter(|(outcome, _)| *outcome == OUTCOME_EXPIRED);
        for key in expired.flat_map(|(_, runs)| runs.flat_map(record::Run::keys)) {
            let message = self.messages.remove(&key).expect("a message that waits");
            let expiry_ms = message.accepted_ms + VALIDITY_MS;
            assert!(expiry_ms <= self.now_us / 1000, "expired too early");
            let queue = self.queues.get_mut(&message.queue).expect("a queue");
            match message.state {
                State::Waiting => assert!(queue.due.remove(&key)),
                State::Timed => {
                    queue.timed -= 1;
                    self.timed.remove(&(message.due_ms * 1000, key));
                }
                other => panic!("{key:x} expired and was {other:?}"),
            }
            self.work[message.queue.0] -= 1;
            step.happened.settled.push((OUTCOME_EXPIRED, key));
        }
    }

    /// Timers and leases.
    fn fire(&mut self, step: &mut Step) {
        while let Some(&(due_us, key)) = self.timed.first() {
            if due_us > self.now_us {
                break;
            }
            self.timed.pop_first();
            let message = self.messages.get_mut(&key).expect("a timed message");
            message.state = State::Waiting;
            let queue = self.queues.get_mut(&message.queue).expect("a queue");
            queue.timed -= 1;
            queue.due.insert(key);
        }
        let now_us = self.now_us;
        let entities = &self.entities;
        let messages = &self.messages;
        let over = |slot: &InFlight| {
            let fields = entities.destinations[messages[&slot.key].queue.0].as_ref();
            slot.dispatched_us + fields.unwrap_or(&PLAIN).lease_ms * 1000 <= now_us
        };
        let mut ended = Vec::new();
        for client in self.connections.values_mut() {
            let subscriptions = &mut client.subscriptions;
            client.in_flight.retain(|_, slot| {
                let over = over(slot);
                if over {
                    ended.push(slot.key);
                    subscriptions.get_mut(&slot.number).expect("its").late = true;
                }
                !over
            });
        }
        for key in ended {
            self.doubt(key, 17, step);
        }
    }

    fn deliveries(&mut self, log: Option<&LogRecord<'_>>, effects: &Effects<'_>, step: &mut Step) {
        let mut frames: BTreeMap<Key, (u32, u32, Delivered<'_>)> = BTreeMap::new();
        let mut deliver_bytes = 0;
        for effect in effects.entries.iter().filter(|effect| effect.op == 1) {
            let Frame::Deliver {
                subscription,
                deliveries,
            } = wire::parse_frame(effect.bytes)
            else {
                continue;
            };
            assert!(
                effect.bytes.len() <= 1 << 20,
                "a deliver frame of {}",
                effect.bytes.len()
            );
            deliver_bytes += effect.bytes.len();
            assert!(!deliveries.is_empty());
            for delivered in deliveries {
                let place = MessageId(delivered.id)
                    .place(&HASH_KEY)
                    .expect("our own id");
                assert_eq!(place.shard, SHARD);
                let key = message_key(place.batch, place.index);
                let before = frames.insert(key, (effect.connection, subscription, delivered));
                assert!(before.is_none(), "{key:x} stands in two deliveries");
            }
        }
        assert!(
            deliver_bytes <= 4 << 20,
            "deliveries of {deliver_bytes} bytes"
        );
        assert!(frames.len() <= 4096, "{} picks", frames.len());
        let handed: Vec<Key> = log
            .map(|log| log.handed_out().flat_map(record::Run::keys).collect())
            .unwrap_or_default();
        assert_eq!(
            handed.len(),
            frames.len(),
            "deliveries and what the log says of them"
        );
        for key in handed {
            let (connection, number, delivered) =
                frames.remove(&key).expect("a logged delivery is delivered");
            self.hand_out(key, connection, number, &delivered);
            step.happened.handed.push(key);
        }
    }

    fn hand_out(&mut self, key: Key, connection: u32, number: u32, delivered: &Delivered<'_>) {
        let now_us = self.now_us;
        let message = self
            .messages
            .get_mut(&key)
            .expect("a message that is not settled");
        assert_eq!(message.state, State::Waiting, "state of {}", message.serial);
        let expiry_ms = message.accepted_ms + VALIDITY_MS;
        assert!(expiry_ms > now_us / 1000, "handed out without validity");
        assert_eq!(delivered.expires_ms, expiry_ms, "end of validity");
        let (destination, tenant, sender) = message.queue;
        // The content is what the publisher sent.
        assert_eq!(delivered.tenant, entities::tenant_name(tenant));
        assert_eq!(delivered.sender.map(str::to_owned), sender_name(sender));
        assert_eq!(delivered.recipient, recipient_name(message.serial));
        assert_eq!(
            delivered.payload,
            payload(message.serial, message.payload_bytes),
            "payload"
        );
        assert_eq!(
            delivered.attempt,
            message.attempts + 1,
            "attempt of {}",
            message.serial
        );
        assert_eq!(
            delivered.flags,
            u8::from(message.doubtful),
            "flags of {}",
            message.serial
        );
        assert_eq!(delivered.accepted_ms, message.accepted_ms);
        message.state = State::InFlight;
        self.check_scope(destination, tenant);
        let strict = sender > 0 && self.entities.is_strict(tenant);
        let queue = self
            .queues
            .get_mut(&(destination, tenant, sender))
            .expect("a queue");
        assert_eq!(queue.due.first(), Some(&key), "order within its queue");
        assert!(queue.rest_until_us <= now_us, "a sender rests");
        let busy = queue.in_flight + queue.timed > 0;
        assert!(!strict || !busy, "strict order of a sender");
        queue.due.pop_first();
        queue.in_flight += 1;
        *self.in_flight.entry((destination, tenant)).or_default() += 1;
        self.check_caps(destination, tenant);
        self.counters[DELIVERED] += 1;
        self.check_consumer(destination, connection, number);
        let client = self.connections.get_mut(&connection).expect("a connection");
        assert_eq!(
            delivered.delivery, client.next_delivery,
            "deliveries count up"
        );
        client.next_delivery += 1;
        let slot = InFlight {
            key,
            number,
            dispatched_us: now_us,
        };
        client.in_flight.insert(delivered.delivery, slot);
        let subscription = client
            .subscriptions
            .get_mut(&number)
            .expect("a subscription");
        subscription.credit -= 1;
        let fields = self.entities.destinations[destination].as_ref();
        let whole = fields.and_then(|fields| fields.rate_per_sec);
        subscription.slowed = subscription
            .slowed
            .and_then(|slowed| slowed.took(whole, now_us));
        if let Some(place) = subscription.gateway {
            let own = self.entities.gateways[place].as_ref();
            let own = own.and_then(|fields| fields.rate_per_sec);
            let gateway = &mut self.gateways[place];
            let slowed = gateway.slowed;
            gateway.slowed = slowed.and_then(|slowed| slowed.took(own.or(whole), now_us));
            gateway.in_flight += 1;
            self.through.insert(key, place);
        }
    }

    /// A gateway with a name takes messages of the destination, is up, has room and does not rest.
    fn check_gateway(&self, destination: usize, gateway: usize) {
        let fields = self.entities.gateways[gateway].as_ref();
        let fields = fields.expect("a gateway that was deleted gets nothing");
        assert!(fields.destinations.contains(&destination), "not its own");
        assert!(!fields.paused, "a paused gateway");
        let most = fields.in_flight_max.unwrap_or(u32::MAX);
        let state = &self.gateways[gateway];
        assert!(state.up, "a gateway that is down");
        assert!(state.in_flight < most, "{} through {most}", state.in_flight);
        let paced_us = state.slowed.map_or(0, |slowed| slowed.next_us);
        let ready_us = state.rest_until_us.max(paced_us);
        assert!(ready_us <= self.now_us, "a gateway with a name rests");
    }

    fn check_scope(&self, destination: usize, tenant: usize) {
        let fields = self.entities.destinations[destination].as_ref();
        assert!(
            fields.is_some_and(|fields| !fields.paused),
            "a paused destination"
        );
        let fields = self.entities.tenants[tenant].as_ref();
        assert!(
            fields.is_none_or(|fields| !fields.paused),
            "a paused tenant"
        );
        let rest_us = self
            .tenant_rest_us
            .get(&(destination, tenant))
            .copied()
            .unwrap_or(0);
        assert!(rest_us <= self.now_us, "a tenant rests");
    }

    fn check_caps(&self, destination: usize, tenant: usize) {
        let at = |tenant: usize| {
            self.in_flight
                .get(&(destination, tenant))
                .copied()
                .unwrap_or(0)
        };
        let within = |count: usize, cap: Option<u32>, what: &str| {
            assert!(
                cap.is_none_or(|cap| count <= cap as usize),
                "{count} in flight of {what}"
            );
        };
        let all: usize = (0..TENANTS).map(at).sum();
        let fields = self.entities.destinations[destination].as_ref();
        within(
            all,
            fields.and_then(|fields| fields.in_flight_max),
            "a destination",
        );
        let set = self.entities.set_of(tenant);
        let of_set: usize = (0..TENANTS)
            .filter(|other| self.entities.set_of(*other) == set)
            .map(at)
            .sum();
        let fields = self.entities.sets[set].as_ref();
        within(
            of_set,
            fields.and_then(|fields| fields.in_flight_max),
            "a set",
        );
        let fields = self.entities.tenants[tenant].as_ref();
        within(
            at(tenant),
            fields.and_then(|fields| fields.in_flight_max),
            "a tenant",
        );
    }

    /// The one with most credit left among those that can be served; those that are late come last.
    fn check_consumer(&self, destination: usize, connection: u32, number: u32) {
        let rank = |subscription: &Subscription| (!subscription.late, subscription.credit);
        let own = self.connections[&connection].subscriptions[&number].gateway;
        if let Some(gateway) = own {
            self.check_gateway(destination, gateway);
        }
        let mut most = (false, 0);
        for client in self.connections.values().filter(|client| !client.parked) {
            for subscription in client.subscriptions.values() {
                if subscription.destination == destination
                    && subscription.gateway == own
                    && subscription.ready_us() <= self.now_us
                    && subscription.credit > 0
                {
                    most = most.max(rank(subscription));
                }
            }
        }
        let client = &self.connections[&connection];
        let subscription = &client.subscriptions[&number];
        assert_eq!(
            subscription.destination, destination,
            "another destination's delivery"
        );
        assert!(!client.parked, "a parked connection");
        assert!(subscription.ready_us() <= self.now_us, "a gateway rests");
        assert!(
            subscription.credit > 0 && rank(subscription) == most,
            "most credit first, late ones last"
        );
    }

    fn replies(&mut self, effects: &Effects<'_>, step: &mut Step) {
        let mut done = BTreeSet::new();
        let mut last = None;
        let mut delivering = false;
        for effect in effects.entries.iter().filter(|effect| effect.op != 7) {
            if last != Some(effect.connection) {
                assert!(
                    done.insert(effect.connection),
                    "entries of a connection are apart"
                );
                last = Some(effect.connection);
                delivering = false;
            }
            if effect.op == 2 {
                self.json(effect.connection, effect.bytes, step);
                continue;
            }
            let mut expected = || {
                let replies = step.replies.get_mut(&effect.connection);
                replies
                    .and_then(VecDeque::pop_front)
                    .expect("a reply that was not expected")
            };
            if effect.op == 3 {
                assert_eq!(effect.bytes, 4400_u16.to_le_bytes());
                assert_eq!(expected(), Reply::Close);
                continue;
            }
            match wire::parse_frame(effect.bytes) {
                Frame::Deliver { .. } => delivering = true,
                frame => {
                    assert!(!delivering, "an answer follows deliveries");
                    let expected = expected();
                    check_reply(&expected, &frame, &step.accepted);
                    // Damage that is no frame at all also ends the socket.
                    if let (Reply::AnyError, Frame::Error { code: 1001, .. }) = (&expected, &frame)
                    {
                        step.replies
                            .get_mut(&effect.connection)
                            .expect("its list")
                            .push_front(Reply::Close);
                    }
                }
            }
        }
        for (connection, left) in &step.replies {
            assert!(
                left.is_empty(),
                "connection {connection} waits for {left:?}"
            );
        }
        assert!(
            step.json.is_empty(),
            "requests without an answer: {:?}",
            step.json
        );
    }

    fn json(&mut self, request: u32, text: &[u8], step: &mut Step) {
        json::check(text);
        if self.checkpoints.remove(&request) {
            assert!(text.starts_with(br#"{"ok":true,"through":"#));
            self.answered_checkpoints += 1;
            return;
        }
        let expected = step
            .json
            .remove(&request)
            .expect("a reply nobody asked for");
        if let Some(expected) = expected {
            assert_eq!(std::str::from_utf8(text), Ok(expected));
        }
    }

    fn compare_counters(&self, effects: &Effects<'_>) {
        let counters = &effects.counters;
        for place in [
            ACCEPTED,
            DELIVERED,
            3,
            4,
            5,
            6,
            7,
            8,
            RETURNED,
            FAILED_FINAL,
        ] {
            assert_eq!(counters[place], self.counters[place], "counter {place}");
        }
        let in_flight: usize = self.in_flight.values().sum();
        assert_eq!(counters[12], in_flight as u64, "in flight");
        let waiting = self.messages.len() - in_flight - self.dead.len();
        assert_eq!(counters[11], waiting as u64, "waiting");
        // No batch leaves before its last message, so the oldest may be a settled one's time.
        let oldest = self
            .messages
            .values()
            .find(|message| message.state != State::Dead)
            .map_or(0, |message| message.accepted_ms);
        assert_eq!(counters[15], oldest, "when the oldest was accepted");
    }
}

pub fn sender_name(sender: usize) -> Option<String> {
    (sender > 0).then(|| format!("+44{sender}"))
}

pub fn recipient_name(serial: u64) -> String {
    format!("m{serial}")
}

fn serial_of(body: &[u8]) -> u64 {
    let mut reader = fairlead_core::msgpack::Reader::new(body);
    reader.str().expect("a tenant");
    if !reader.nil().expect("a sender") {
        reader.str().expect("a sender");
    }
    let recipient = std::str::from_utf8(reader.str().expect("a recipient")).expect("ASCII");
    recipient[1..].parse().expect("a serial number")
}

fn check_log(log: Option<&LogRecord<'_>>, happened: &mut Happened) {
    let mut returns: Vec<Return> = log.map(|log| log.returns().collect()).unwrap_or_default();
    returns.sort_unstable_by_key(|back| back.key);
    happened.returns.sort_unstable_by_key(|back| back.key);
    assert_eq!(returns, happened.returns, "what came back");
    let mut settled: Vec<(u8, Key)> = Vec::new();
    if let Some(log) = log {
        for (outcome, runs) in log.settled() {
            settled.extend(runs.flat_map(record::Run::keys).map(|key| (outcome, key)));
        }
    }
    settled.sort_unstable();
    happened.settled.sort_unstable();
    assert_eq!(settled, happened.settled, "what was settled");
}

fn check_reply(expected: &Reply, frame: &Frame<'_>, accepted: &BTreeMap<u64, Key>) {
    match (expected, frame) {
        (
            Reply::Ok(id),
            Frame::Ok {
                id: got,
                rest: OkRest::Nothing,
            },
        ) => assert_eq!(id, got),
        (Reply::AnyError, Frame::Error { .. }) => {}
        (
            Reply::Error { id, code },
            Frame::Error {
                id: got,
                code: number,
            },
        ) => {
            assert_eq!((id, code), (got, number), "an error");
        }
        (
            Reply::Settled {
                id,
                applied,
                unknown,
            },
            Frame::Ok { id: got, rest },
        ) => {
            assert_eq!(id, got);
            let rest_expected = OkRest::Settled {
                applied: *applied,
                unknown: *unknown,
            };
            assert_eq!(*rest, rest_expected);
        }
        (Reply::Published { id, serials }, Frame::Ok { id: got, rest }) => {
            assert_eq!(id, got);
            let OkRest::Published {
                first,
                count,
                refused,
            } = rest
            else {
                panic!("{rest:?} is no answer to a publish");
            };
            assert_eq!(*count, serials.len() as u64);
            assert!(refused.is_empty(), "{refused:?} were refused");
            assert_eq!(first.is_none(), serials.is_empty());
            let Some(first) = first else { return };
            let place = MessageId(*first).place(&HASH_KEY).expect("our own id");
            let first = message_key(place.batch, place.index);
            for (serial, key) in serials.iter().zip(first..) {
                assert_eq!(
                    accepted[serial], key,
                    "a message id is the first and its position"
                );
            }
        }
        other => panic!("another reply than expected: {other:?}"),
    }
}
