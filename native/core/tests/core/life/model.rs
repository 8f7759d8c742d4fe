//! What becomes of every message, told in the plainest way. The model takes the same inputs, predicts
//! answers, outcomes and returns, and judges what only the shard can choose.

use super::caps::{Caps, Of};
use super::frames::{
    self, CALLBACK, Draft, Filter, TAG, id_of, order_name, sender_name, tenant_name,
};
use super::settings::{LEASE_MS, SENDERS, Settings};
use fairlead_core::record::Return;
use fairlead_core::shard::Memory;
use std::collections::{BTreeMap, BTreeSet};

pub type Key = u64;

pub const WAITING: u8 = 1;
pub const IN_FLIGHT: u8 = 2;
pub const TIMED: u8 = 3;
pub const SCHEDULED: u8 = 4;
pub const SENT: u8 = 8;
pub const DELIVERED: u8 = 9;
pub const UNDELIVERED: u8 = 10;
pub const FAILED: u8 = 11;
pub const EXPIRED: u8 = 12;
pub const CANCELLED: u8 = 13;
pub const DEAD: u8 = 14;
pub const GIVEN_UP: u8 = 15;

const DOUBTFUL: u8 = 1;
const REPLAYED: u8 = 2;
const HOUR_MS: u64 = 3_600_000;

/// Destination, tenant, level, whether an order key names it, name (0: none).
pub type Queue = (usize, usize, u8, bool, usize);

#[derive(Clone, Debug)]
pub struct Message {
    pub draft: Draft,
    pub destination: usize,
    pub level: u8,
    pub accepted_ms: u64,
    pub at_ms: u64,
    pub own_ms: u64,
    pub state: u8,
    pub attempts: u32,
    pub flags: u8,
    pub due_ms: u64,
    pub code: Option<u32>,
    pub ended_ms: u64,
    /// Its end was seen since the last restart: its time is known exactly.
    pub ended_here: bool,
    pub overdue: bool,
    pub replayed_until: Option<u64>,
    pub in_doubt: bool,
    pub redacted: bool,
    /// It may still be billed, and keeps what it took of its tenant's caps.
    pub holds: bool,
    pub dispatched_ms: u64,
    /// Time and state of all that the log tells.
    pub history: Vec<(u64, &'static str)>,
}

impl Message {
    pub fn is_live(&self) -> bool {
        matches!(self.state, WAITING | IN_FLIGHT | TIMED | SCHEDULED | DEAD)
    }

    pub fn waits(&self) -> bool {
        matches!(self.state, WAITING | TIMED | SCHEDULED)
    }

    pub fn queue(&self) -> Queue {
        let order = self.draft.options.order;
        let name = order.map_or(self.draft.sender, |order| order + 1);
        (
            self.destination,
            self.draft.tenant,
            self.level,
            order.is_some(),
            name,
        )
    }

    pub fn fits(&self, filter: &Filter) -> bool {
        filter.destination.is_none_or(|of| of == self.destination)
            && filter.tenant.is_none_or(|of| of == self.draft.tenant)
            && filter
                .sender
                .is_none_or(|of| of == self.draft.sender && self.draft.options.order.is_none())
    }

    /// As clients are told: status, attempts, due, end, code.
    pub fn view(&self) -> (u8, u32, Option<u64>, Option<u64>, Option<u32>) {
        let status = match self.state {
            SCHEDULED => 2,
            WAITING | TIMED => 3,
            IN_FLIGHT => 4,
            SENT => 5,
            DELIVERED => 6,
            UNDELIVERED => 7,
            FAILED | DEAD | GIVEN_UP => 8,
            EXPIRED => 9,
            CANCELLED => 10,
            other => panic!("state {other}"),
        };
        let due_ms = match self.state {
            TIMED => Some(self.due_ms),
            SCHEDULED => Some(self.at_ms),
            _ => None,
        };
        let code = match self.state {
            FAILED | UNDELIVERED => self.code,
            DEAD if self.in_doubt => Some(3025),
            DEAD | GIVEN_UP => Some(3024),
            EXPIRED => Some(3026),
            _ => None,
        };
        let has_ended = !self.is_live() || self.state == DEAD;
        let attempts = self.attempts + u32::from(self.state == IN_FLIGHT);
        (
            status,
            attempts,
            due_ms,
            has_ended.then_some(self.ended_ms),
            code,
        )
    }
}

/// A change of status as it is told: status, code, time, attempts.
pub type Event = (u8, Option<u32>, u64, u32);

/// A stored record.
#[derive(Clone, Debug)]
pub struct Record {
    pub keys: Vec<Key>,
    /// When its last message ended, and whether that is known exactly.
    pub ended: Option<(u64, bool)>,
}

/// What a step is expected to log.
#[derive(Default)]
pub struct Expected {
    pub returns: Vec<Return>,
    pub settled: Vec<(u8, Key)>,
}

#[derive(Clone)]
pub struct Model {
    pub messages: BTreeMap<Key, Message>,
    pub records: BTreeMap<Key, Record>,
    /// Destination, tenant and key → message and hour.
    pub keys: BTreeMap<(usize, usize, u64), (Key, u64)>,
    /// Connection and delivery.
    pub out: BTreeMap<(u32, u64), Key>,
    pub settings: Settings,
    pub memory: Memory,
    pub now_ms: u64,
    /// Decided at recovery, logged by the first step.
    pub restart: Vec<Return>,
    pub known_serials: BTreeMap<u64, Key>,
    pub counts: BTreeMap<&'static str, u64>,
    /// Messages that came and that were forgotten since the start.
    pub accepted: u64,
    pub forgotten: u64,
    /// Forgotten one by one, while their records are kept.
    pub gone: BTreeSet<Key>,
    /// What is told of each message with a callback, also of those that are forgotten; and how much of
    /// that was there before this exchange.
    pub stories: BTreeMap<Key, Vec<Event>>,
    pub told: BTreeMap<Key, usize>,
    /// Decided at recovery, told by the first step.
    pub changed_at_restart: Vec<Key>,
    /// Attempts that ended with the process, and whether that made a dead letter; counted by the first
    /// step.
    pub tried_at_restart: Vec<(Key, bool)>,
    pub usage: Usage,
    /// 0 accepted, 1 sent, 2 delivered.
    pub billable: u64,
    pub caps: Caps,
    pub exchange: u64,
}

/// Tenant, number of the category, tag and day → count, usage and price.
pub type Usage = BTreeMap<(usize, u8, bool, u32), (i64, i128, i128)>;

/// What was billed in all.
pub fn billed(usage: &Usage, tenant: usize, of: Of) -> i128 {
    let own = usage.iter().filter(|((other, category, tagged, _), _)| {
        (*other, *category, *tagged) == (tenant, 12, false)
    });
    own.map(|(_, sums)| match of {
        Of::Count => sums.0.into(),
        Of::Cost => sums.1,
        Of::Price => sums.2,
    })
    .sum()
}

/// The UTC day of a time.
pub fn day_of(at_ms: u64) -> u32 {
    (at_ms / (24 * HOUR_MS)) as u32
}

impl Model {
    pub fn new(settings: &Settings, memory: Memory) -> Self {
        Self {
            messages: BTreeMap::new(),
            records: BTreeMap::new(),
            keys: BTreeMap::new(),
            out: BTreeMap::new(),
            settings: settings.clone(),
            memory,
            now_ms: 0,
            restart: Vec::new(),
            known_serials: BTreeMap::new(),
            counts: BTreeMap::new(),
            accepted: 0,
            forgotten: 0,
            gone: BTreeSet::new(),
            stories: BTreeMap::new(),
            told: BTreeMap::new(),
            changed_at_restart: Vec::new(),
            tried_at_restart: Vec::new(),
            usage: Usage::new(),
            billable: 1,
            caps: Caps::default(),
            exchange: 0,
        }
    }

    fn add_usage(&mut self, cell: (usize, u8, bool, u32), usage: u64) {
        let sums = self.usage.entry(cell).or_default();
        sums.0 += 1;
        sums.1 += i128::from(usage);
    }

    /// Something happened today that is counted alone.
    pub fn use_one(&mut self, tenant: usize, category: u8) {
        self.add_usage((tenant, category, false, day_of(self.now_ms)), 1);
    }

    fn use_of(&mut self, key: Key, category: u8) {
        let tenant = self.messages[&key].draft.tenant;
        self.use_one(tenant, category);
    }

    /// An attempt of the message is over, whatever came of it.
    pub fn tried(&mut self, key: Key) {
        self.use_of(key, 9);
    }

    /// A gateway took the message, or delivered it at once.
    pub fn sent(&mut self, key: Key) {
        self.use_of(key, 3);
        if self.billable == 1 {
            self.bill(key);
        }
    }

    /// For the day of its acceptance.
    fn bill(&mut self, key: Key) {
        let message = &self.messages[&key];
        let cost = message.draft.options.cost.max(1);
        let day = day_of(message.accepted_ms);
        let price = self.caps.price(message.accepted_ms, cost.into());
        let cell = (message.draft.tenant, 12, false, day);
        if !message.holds {
            // A receipt came after its end.
            let message = message.clone();
            self.caps.take(&message);
            self.count("billed after their end");
        }
        self.message(key).holds = false;
        self.add_usage(cell, cost.into());
        self.usage.get_mut(&cell).expect("just added").2 += price;
    }

    /// It will never be billed.
    fn let_go(&mut self, key: Key) {
        let message = self.messages[&key].clone();
        if message.holds {
            self.message(key).holds = false;
            self.caps.give_back(&message, self.exchange);
            if self
                .caps
                .all
                .iter()
                .any(|cap| cap.tenant == message.draft.tenant)
            {
                self.count("given back");
            }
        }
    }

    fn use_accepted(&mut self, key: Key) {
        let message = &self.messages[&key];
        let (tenant, tagged) = (message.draft.tenant, message.draft.options.tag);
        let bytes = message.draft.payload_bytes as u64;
        let cost = u64::from(message.draft.options.cost.max(1));
        let day = day_of(self.now_ms);
        let mut counted = vec![(1, 1), (10, bytes), (11, cost)];
        let price = self.caps.price(message.accepted_ms, cost);
        let whole = message.clone();
        self.caps.take(&whole);
        if self.billable == 0 {
            counted.push((12, cost));
            for tagged in [false, true] {
                if !tagged || whole.draft.options.tag {
                    self.usage.entry((tenant, 12, tagged, day)).or_default().2 += price;
                }
            }
        } else {
            self.message(key).holds = true;
        }
        for (category, usage) in counted {
            self.add_usage((tenant, category, false, day), usage);
            if tagged {
                self.add_usage((tenant, category, true, day), usage);
            }
        }
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn message(&mut self, key: Key) -> &mut Message {
        self.messages.get_mut(&key).expect("a known message")
    }

    /// The message's status is another now.
    fn tell(&mut self, key: Key) {
        let now_ms = self.now_ms;
        let message = &self.messages[&key];
        if !message.draft.options.callback || message.redacted {
            return;
        }
        let (status, attempts, _, _, code) = message.view();
        let event = (status, code, now_ms, attempts);
        self.stories.entry(key).or_default().push(event);
        self.count("events");
    }

    /// What recovery decided is told with the first step.
    pub fn tell_restart(&mut self) {
        for key in std::mem::take(&mut self.changed_at_restart) {
            self.tell(key);
        }
        for (key, dies) in std::mem::take(&mut self.tried_at_restart) {
            self.tried(key);
            if dies {
                self.use_of(key, 6);
            }
        }
    }

    /// When the validity ends, ms.
    pub fn expiry_ms(&self, message: &Message) -> u64 {
        let validity_ms = self.settings.destinations[message.destination].validity_ms;
        match (message.replayed_until, message.own_ms) {
            (Some(until_ms), _) => until_ms,
            (None, 0) => message.accepted_ms + validity_ms,
            (None, own_ms) => own_ms,
        }
    }

    /// Whether a message that comes back ends: a timer said so, or its destination's validity is over.
    fn is_over(&self, message: &Message) -> bool {
        let by_timer = message.replayed_until.is_some() || message.own_ms > 0;
        message.overdue || (!by_timer && self.expiry_ms(message) <= self.now_ms)
    }

    /// The process ended; the same records and these settings.
    pub fn restart(&mut self, settings: &Settings, now_ms: u64) {
        self.settings = settings.clone();
        self.now_ms = now_ms;
        self.out.clear();
        self.restart.clear();
        self.changed_at_restart.clear();
        self.tried_at_restart.clear();
        let keys: Vec<Key> = self.messages.keys().copied().collect();
        for key in keys {
            let message = self.messages.get_mut(&key).expect("listed");
            message.overdue = false;
            message.ended_here = false;
            let fields = &self.settings.destinations[message.destination];
            match message.state {
                IN_FLIGHT => {
                    message.attempts += 1;
                    message.flags |= DOUBTFUL;
                    let in_doubt = fields.fail_in_doubt;
                    let dies = in_doubt || message.attempts >= fields.attempts_max;
                    let reason = match (dies, in_doubt) {
                        (false, _) => 18,
                        (true, true) => 33,
                        (true, false) => 32,
                    };
                    message.state = if dies { DEAD } else { WAITING };
                    message.in_doubt = dies && in_doubt;
                    message.ended_ms = now_ms;
                    self.changed_at_restart.push(key);
                    self.tried_at_restart.push((key, dies));
                    self.restart.push(Return {
                        key,
                        reason,
                        attempts: message.attempts,
                        due_ms: if dies { now_ms } else { 0 },
                        flags: message.flags,
                    });
                }
                TIMED if message.due_ms <= now_ms => message.state = WAITING,
                SCHEDULED if message.at_ms <= now_ms => {
                    message.state = WAITING;
                    if message.draft.options.callback {
                        self.changed_at_restart.push(key);
                        self.restart.push(due(key, message.flags));
                    }
                }
                _ => {}
            }
            let is_replayed = message.flags & REPLAYED != 0;
            let is_queued = message.waits();
            message.replayed_until = (is_replayed && is_queued).then(|| {
                let validity_ms = self.settings.destinations[message.destination].validity_ms;
                if message.own_ms > now_ms {
                    message.own_ms
                } else {
                    now_ms + validity_ms
                }
            });
        }
        for record in self.records.values_mut() {
            if let Some(ended) = &mut record.ended {
                ended.1 = false;
            }
        }
        let usage = &self.usage;
        let holding = self.messages.values().filter(|message| message.holds);
        self.caps
            .restart(|tenant, of| billed(usage, tenant, of), holding);
    }

    /// A record is forgotten with its messages.
    pub fn remove(&mut self, key: Key) {
        self.let_go(key);
        self.messages.remove(&key).expect("it was remembered");
    }

    /// Other prices: what is held is held at them.
    pub fn change_prices(&mut self, prices: Vec<(u64, u64)>) {
        let before = self.caps.clone();
        self.caps.prices = prices;
        for message in self.messages.values().filter(|message| message.holds) {
            let mut old = before.clone();
            let reserved =
                |caps: &Caps| caps.all.iter().map(|cap| cap.reserved).collect::<Vec<_>>();
            old.take(message);
            let was: Vec<i128> = reserved(&old);
            self.caps.take(message);
            for (place, was) in was.iter().enumerate() {
                self.caps.all[place].reserved -= was - before.all[place].reserved;
            }
        }
    }

    /// As `accept` makes it.
    pub fn message_of(&self, destination: usize, draft: &Draft) -> Message {
        let now_ms = self.now_ms;
        let options = &draft.options;
        let at_ms = options.at_ms.filter(|at_ms| *at_ms > now_ms).unwrap_or(0);
        let validity_ms = self.settings.destinations[destination].validity_ms;
        let own_ms = match options.ttl_ms {
            Some(ttl_ms) => at_ms.max(now_ms) + ttl_ms,
            None if at_ms > 0 => at_ms + validity_ms,
            None => 0,
        };
        let levels = self.settings.tenants[draft.tenant].levels;
        Message {
            destination,
            level: if levels { options.level } else { 0 },
            accepted_ms: now_ms,
            at_ms,
            own_ms,
            state: if at_ms > 0 { SCHEDULED } else { WAITING },
            attempts: 0,
            flags: 0,
            due_ms: 0,
            code: None,
            ended_ms: 0,
            ended_here: false,
            overdue: false,
            replayed_until: None,
            in_doubt: false,
            redacted: false,
            holds: false,
            dispatched_ms: 0,
            history: Vec::new(),
            draft: draft.clone(),
        }
    }

    pub fn settled(&mut self, key: Key, state: u8, outcome: u8, expected: &mut Expected) {
        self.ended(key, state);
        expected.settled.push((outcome, key));
    }

    pub fn ended(&mut self, key: Key, state: u8) {
        let now_ms = self.now_ms;
        let message = self.message(key);
        message.state = state;
        (message.ended_ms, message.ended_here) = (now_ms, true);
        message.replayed_until = None;
        match state {
            DELIVERED => self.use_of(key, 4),
            UNDELIVERED => self.use_of(key, 5),
            FAILED => self.use_of(key, 6),
            EXPIRED => self.use_of(key, 7),
            CANCELLED => self.use_of(key, 8),
            _ => {}
        }
        if state == DELIVERED && self.billable == 2 {
            self.bill(key);
        }
        if !(state == SENT && self.billable == 2) {
            self.let_go(key);
        }
        if state != GIVEN_UP {
            self.tell(key);
        }
    }

    pub fn trim_dead(&mut self, expected: &mut Expected) {
        let dead = |message: &Message| message.state == DEAD;
        while self
            .messages
            .values()
            .filter(|message| dead(message))
            .count()
            > self.memory.dead_letters
        {
            let oldest = self.messages.iter().find(|(_, message)| dead(message));
            let key = *oldest.expect("there are too many").0;
            self.count("dropped");
            self.settled(key, GIVEN_UP, 23, expected);
        }
    }

    /// The end of a delivery that was not settled for good.
    pub fn give_back(
        &mut self,
        key: Key,
        reason: u8,
        attempted: bool,
        doubtful: bool,
        after_ms: u64,
        expected: &mut Expected,
    ) {
        let now_ms = self.now_ms;
        if attempted {
            self.tried(key);
        }
        let over = self.is_over(&self.messages[&key]);
        let expiry_ms = self.expiry_ms(&self.messages[&key]);
        let message = self.messages.get_mut(&key).expect("in flight");
        assert_eq!(message.state, IN_FLIGHT);
        let fields = &self.settings.destinations[message.destination];
        message.attempts += u32::from(attempted);
        message.flags |= u8::from(doubtful);
        let exhausted = attempted && message.attempts >= fields.attempts_max;
        let in_doubt = doubtful && fields.fail_in_doubt;
        let by_timer = message.own_ms > 0 || message.replayed_until.is_some();
        let mut back = Return {
            key,
            reason,
            attempts: message.attempts,
            due_ms: 0,
            flags: message.flags,
        };
        if exhausted || in_doubt {
            (back.reason, back.due_ms) = (if in_doubt { 33 } else { 32 }, now_ms);
            (message.state, message.ended_ms) = (DEAD, now_ms);
            message.in_doubt = in_doubt;
            expected.returns.push(back);
            self.tell(key);
            self.use_of(key, 6);
            self.count("died");
            return self.trim_dead(expected);
        }
        if over {
            message.state = WAITING;
            expected.returns.push(back);
            return self.settled(key, EXPIRED, 20, expected);
        }
        if after_ms > 0 {
            back.due_ms = now_ms + after_ms;
            if !by_timer {
                back.due_ms = back.due_ms.min(expiry_ms);
            }
            message.due_ms = back.due_ms;
        }
        message.state = if after_ms > 0 { TIMED } else { WAITING };
        expected.returns.push(back);
        self.tell(key);
    }

    /// A message that has ended is forgotten before its record is.
    pub fn forget(&mut self, key: Key, expected: &mut Expected) {
        self.let_go(key);
        let message = self.messages.remove(&key).expect("a known message");
        assert!(!message.is_live(), "forgotten before its end");
        for record in self.records.values_mut() {
            record.keys.retain(|other| *other != key);
        }
        self.gone.insert(key);
        self.forgotten += 1;
        expected.settled.push((25, key));
        self.count("forgotten on request");
    }

    /// A dead letter goes back to its queue.
    pub fn replay(&mut self, key: Key, expected: &mut Expected) {
        let now_ms = self.now_ms;
        let message = self.messages.get_mut(&key).expect("a dead letter");
        assert_eq!(message.state, DEAD, "only dead letters are replayed");
        let validity_ms = self.settings.destinations[message.destination].validity_ms;
        message.state = WAITING;
        (message.attempts, message.overdue) = (0, false);
        message.flags = REPLAYED | message.flags & DOUBTFUL;
        message.replayed_until = Some(if message.own_ms > now_ms {
            message.own_ms
        } else {
            now_ms + validity_ms
        });
        expected.returns.push(Return {
            key,
            reason: 19,
            attempts: 0,
            due_ms: 0,
            flags: message.flags,
        });
        self.tell(key);
        self.count("replayed");
    }

    /// Timers: what was due waits, what has no validity of its own left ends.
    pub fn fire(&mut self, expected: &mut Expected) {
        let now_ms = self.now_ms;
        let keys: Vec<Key> = self.messages.keys().copied().collect();
        for key in keys {
            let message = &self.messages[&key];
            let by_timer = message.own_ms > 0 || message.replayed_until.is_some();
            let over = by_timer && self.expiry_ms(message) <= now_ms;
            let message = self.messages.get_mut(&key).expect("listed");
            match message.state {
                SCHEDULED if message.at_ms <= now_ms => {
                    message.state = WAITING;
                    if message.draft.options.callback {
                        expected.returns.push(due(key, message.flags));
                        self.tell(key);
                    }
                }
                TIMED if message.due_ms <= now_ms => message.state = WAITING,
                _ => {}
            }
            let message = self.messages.get_mut(&key).expect("listed");
            if over && message.waits() {
                self.count("expired by a timer");
                self.settled(key, EXPIRED, 20, expected);
            } else if over && message.is_live() {
                message.overdue = true;
            }
        }
        let lease_over = |message: &Message| message.dispatched_ms + LEASE_MS <= now_ms;
        let late: Vec<(u32, u64)> = self
            .out
            .iter()
            .filter(|(_, key)| lease_over(&self.messages[*key]))
            .map(|(delivery, _)| *delivery)
            .collect();
        for delivery in late {
            let key = self.out.remove(&delivery).expect("listed");
            self.count("lease ends");
            self.give_back(key, 17, true, true, 0, expected);
        }
    }

    /// The shard's own time for another attempt, judged.
    pub fn back_off_ms(&self, key: Key, drawn_due_ms: Option<u64>) -> u64 {
        let message = &self.messages[&key];
        let fields = &self.settings.destinations[message.destination];
        let doubled = fields.base_ms << message.attempts.min(20);
        let whole = doubled.min(fields.max_ms) as f64;
        let Some(due_ms) = drawn_due_ms.filter(|due_ms| *due_ms > self.now_ms) else {
            return whole as u64;
        };
        let after_ms = due_ms - self.now_ms;
        let within = after_ms as f64 >= whole * (1.0 - fields.jitter) - 1.0
            && after_ms as f64 <= whole * (1.0 + fields.jitter) + 1.0;
        let is_end =
            due_ms == self.expiry_ms(message) || message.attempts + 1 >= fields.attempts_max;
        assert!(
            within || is_end,
            "again after {after_ms} ms, not {whole} ± {}",
            fields.jitter
        );
        after_ms
    }

    /// A receipt of a gateway; whether it was applied.
    pub fn receipt(
        &mut self,
        key: Option<Key>,
        status: u8,
        code: Option<u32>,
        expected: &mut Expected,
    ) -> bool {
        let Some(message) = key.and_then(|key| self.messages.get_mut(&key)) else {
            return false;
        };
        let key = key.expect("just found");
        let before = message.state;
        if !matches!(before, SENT | DELIVERED | UNDELIVERED | FAILED) {
            return false;
        }
        let (state, outcome, reason) = match status {
            6 => (DELIVERED, 1, 0),
            7 => (UNDELIVERED, 24, 35),
            _ => (FAILED, 3, 34),
        };
        let is_news = match before {
            SENT => true,
            DELIVERED => false,
            _ => state == DELIVERED,
        };
        if !is_news {
            return true;
        }
        let code = code.filter(|code| *code > 0 && state != DELIVERED);
        message.code = code;
        if let Some(code) = code {
            expected.returns.push(Return {
                key,
                reason,
                attempts: message.attempts,
                due_ms: code.into(),
                flags: message.flags,
            });
            self.ended(key, state);
        } else {
            self.settled(key, state, outcome, expected);
        }
        self.count("receipts");
        true
    }

    /// Why a message of a publish frame is not taken; none: it is. `Err`: the one it repeats.
    pub fn judge(&self, destination: usize, draft: &Draft) -> Result<Option<u32>, Key> {
        let now_ms = self.now_ms;
        let options = &draft.options;
        if let Some(key) = options.key {
            let ident = (destination, draft.tenant, key);
            if let Some((first, hour)) = self.keys.get(&ident)
                && hour + 24 >= now_ms / HOUR_MS
            {
                return Err(*first);
            }
            if self.keys.len() >= self.memory.idempotency_keys {
                return Ok(Some(3018));
            }
        }
        if options
            .at_ms
            .is_some_and(|at_ms| at_ms > now_ms + 90 * 24 * HOUR_MS)
        {
            return Ok(Some(1020));
        }
        let tenant = &self.settings.tenants[draft.tenant];
        let set = &self.settings.sets[tenant.set];
        let by_sender = draft.sender > 0
            && options.order.is_none()
            && self.settings.senders[draft.tenant * SENDERS + draft.sender - 1].refuse_new;
        if tenant.refuse_new || set.refuse_new || by_sender {
            return Ok(Some(3022));
        }
        let live = self.messages.values().filter(|message| {
            (message.destination, message.draft.tenant) == (destination, draft.tenant)
                && message.is_live()
                && message.state != DEAD
        });
        if tenant
            .waiting_max
            .is_some_and(|most| live.count() as u64 >= most)
        {
            return Ok(Some(3003));
        }
        Ok(None)
    }

    pub fn accept(&mut self, destination: usize, draft: &Draft, key: Key) {
        let now_ms = self.now_ms;
        let options = &draft.options;
        let message = self.message_of(destination, draft);
        assert!(
            self.messages.insert(key, message).is_none(),
            "{key:x} came before"
        );
        assert!(self.known_serials.insert(draft.serial, key).is_none());
        if options.callback {
            self.stories.insert(key, vec![(1, None, now_ms, 0)]);
        }
        self.tell(key);
        self.use_accepted(key);
        self.accepted += 1;
        if let Some(name) = options.key {
            self.keys
                .insert((destination, draft.tenant, name), (key, now_ms / HOUR_MS));
        }
    }

    /// Judges a delivery.
    pub fn hand_out(&mut self, key: Key) {
        let now_ms = self.now_ms;
        let message = &self.messages[&key];
        let serial = message.draft.serial;
        assert_eq!(message.state, WAITING, "state of {serial}");
        assert!(message.at_ms <= now_ms, "{serial} is sent too early");
        assert!(
            self.expiry_ms(message) > now_ms,
            "{serial} is sent too late"
        );
        let (destination, tenant, _, ordered, name) = message.queue();
        let queue = message.queue();
        assert!(!self.settings.destinations[destination].paused);
        let fields = &self.settings.tenants[tenant];
        let set = &self.settings.sets[fields.set];
        assert!(!fields.paused && !set.paused, "paused");
        if !ordered && name > 0 {
            assert!(!self.settings.senders[tenant * SENDERS + name - 1].paused);
        }
        for (other, message) in &self.messages {
            if message.queue() != queue {
                continue;
            }
            let before = message.state == WAITING && *other < key;
            assert!(
                !before || self.expiry_ms(message) <= now_ms,
                "order within a queue"
            );
            let blocks = matches!(message.state, IN_FLIGHT | TIMED);
            assert!(
                !(set.strict && name > 0 && blocks),
                "strict order of {serial}"
            );
        }
        let message = self.message(key);
        (message.state, message.dispatched_ms) = (IN_FLIGHT, now_ms);
        self.tell(key);
    }

    /// The object that an operator gets.
    pub fn json(&self, key: Key) -> String {
        let message = &self.messages[&key];
        let draft = &message.draft;
        let options = &draft.options;
        let (status, attempts, due_ms, ended_ms, code) = message.view();
        let names = [
            "scheduled",
            "queued",
            "sending",
            "sent",
            "delivered",
            "undelivered",
        ];
        let more = ["failed", "expired", "cancelled"];
        let status = names
            .iter()
            .chain(&more)
            .nth(usize::from(status) - 2)
            .expect("a status");
        let text =
            |value: Option<String>| value.map_or("null".to_owned(), |value| format!("\"{value}\""));
        let number =
            |value: Option<u64>| value.map_or("null".to_owned(), |value| value.to_string());
        let id: String = id_of(key)
            .0
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let (recipient, payload) = if message.redacted {
            (None, String::new())
        } else {
            (
                Some(format!("m{}", draft.serial)),
                base64(&frames::payload(draft)),
            )
        };
        let dead = message.state == DEAD;
        let reason = match (dead, message.in_doubt) {
            (false, _) => "null",
            (true, true) => "\"inDoubt\"",
            (true, false) => "\"attemptsExhausted\"",
        };
        format!(
            concat!(
                r#"{{"id":"{}","destination":"d{}","tenant":"{}","sender":{},"recipient":{},"#,
                r#""payload":"{}","status":"{}","attempts":{},"code":{},"acceptedMs":{},"#,
                r#""dueMs":{},"expiresMs":{},"endedMs":{},"cost":{},"level":{},"orderKey":{},"#,
                r#""tag":{},"callback":{},"inDoubt":{},"redacted":{},"deadLetter":{},"reason":{}}}"#
            ),
            id,
            message.destination,
            tenant_name(draft.tenant),
            text((draft.sender > 0).then(|| sender_name(draft.sender))),
            text(recipient),
            payload,
            status,
            attempts,
            number(code.map(u64::from)),
            message.accepted_ms,
            number(due_ms),
            self.expiry_ms(message),
            number(ended_ms),
            options.cost.max(1),
            message.level,
            text(options.order.map(order_name)),
            text(options.tag.then(|| TAG.to_owned())),
            text((options.callback && !message.redacted).then(|| CALLBACK.to_owned())),
            message.flags & DOUBTFUL != 0,
            message.redacted,
            dead,
            reason,
        )
    }
}

/// A scheduled message with a callback is due.
fn due(key: Key, flags: u8) -> Return {
    Return {
        key,
        reason: 20,
        attempts: 0,
        due_ms: 0,
        flags,
    }
}

fn base64(bytes: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0_u32, |bits, (at, byte)| {
            bits | u32::from(*byte) << (16 - 8 * at)
        });
        for place in 0..4 {
            let letter = letters[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place > group.len() {
                '='
            } else {
                char::from(letter)
            });
        }
    }
    out
}
