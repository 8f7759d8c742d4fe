//! Publishers, gateways and the operator: what comes in next.

use super::entities::{self, Change, DESTINATIONS, GATEWAYS, SETS, TENANTS};
use super::model::{Key, Plan, Planned, Sent, payload, recipient_name, sender_name};
use super::wire::{self, Publishing, Said};
use super::world::World;
use fairlead_core::exchange::InputOp;
use std::collections::BTreeMap;

/// Waiting and in flight at most, so that a run stays quick.
const MESSAGES_MAX: usize = 6_000;
const SENDERS: usize = 4;

/// An option out of range.
const NO_COST: [u8; 4] = [0x81, 0xa1, b'c', 0x00];

/// Tenant, sender, serial, payload, whether it goes as a str, options: 0 none, 1 nil, 2 an empty map,
/// 3 `NO_COST`.
type Draft = (Option<usize>, usize, u64, Vec<u8>, bool, u8);

/// How a gateway deals with what it got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// Everything was sent, at once.
    Prompt,
    /// Any outcome, some at a time.
    Mixed,
    /// Seldom an answer, so leases end.
    Slow,
}

#[derive(Clone, Copy, Debug)]
pub struct Got {
    pub delivery: u64,
    pub number: u32,
    pub key: Key,
}

pub struct Client {
    pub connection: u32,
    pub tenant: Option<usize>,
    pub scopes: u8,
    pub manner: Manner,
    pub subscriptions: Vec<u32>,
    /// Delivered and not answered.
    pub inbox: Vec<Got>,
    pub last_delivery: u64,
    pub parked: bool,
    /// Publishes without an answer.
    pub publishing: BTreeMap<u32, Vec<u64>>,
    /// Final outcomes without an answer.
    pub settling: BTreeMap<u32, Vec<Key>>,
    pub next_id: u32,
}

impl Client {
    pub fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }
}

fn frame(connection: u32, bytes: Vec<u8>, plan: Plan) -> Planned {
    Planned {
        op: InputOp::Frame,
        connection,
        bytes,
        plan,
    }
}

/// One entry of an operator.
pub fn request(op: InputOp, number: u32, bytes: Vec<u8>, plan: Plan) -> Planned {
    Planned {
        op,
        connection: number,
        bytes,
        plan,
    }
}

impl World {
    /// What comes in with the next exchange.
    pub fn plan(&mut self) -> Vec<Planned> {
        let mut planned = std::mem::take(&mut self.next_inputs);
        if self.clients.len() < self.profile.clients && self.random.permille(300) {
            planned.push(self.connect_any());
        }
        for _ in 0..self.random.range(0, self.profile.actions) {
            if self.clients.is_empty() || self.random.permille(self.profile.operator) {
                self.operate(&mut planned);
                continue;
            }
            let place = self.random.below(self.clients.len());
            if self.random.permille(15) {
                planned.push(self.disconnect(place));
                continue;
            }
            let publishes = self.clients[place].scopes & 1 > 0;
            let consumes = self.clients[place].scopes & 2 > 0;
            match (publishes, consumes) {
                (true, true) if self.random.permille(500) => self.publish(place, &mut planned),
                (true, false) => self.publish(place, &mut planned),
                _ => self.consume(place, &mut planned),
            }
            if self.random.permille(self.profile.faults) && place < self.clients.len() {
                planned.push(self.fault(place));
            }
        }
        planned
    }

    fn connect_any(&mut self) -> Planned {
        let tenant = self
            .random
            .permille(400)
            .then(|| self.random.below(TENANTS));
        let scopes = if tenant.is_some() {
            1
        } else {
            *self.random.choose(&[1, 2, 2, 2, 3, 7, 10])
        };
        let manner = *self.random.choose(&self.profile.manners.clone());
        self.connect(tenant, scopes, manner)
    }

    pub fn connect(&mut self, tenant: Option<usize>, scopes: u8, manner: Manner) -> Planned {
        self.next_connection += 1;
        let connection = self.next_connection;
        self.clients.push(Client {
            connection,
            tenant,
            scopes,
            manner,
            subscriptions: Vec::new(),
            inbox: Vec::new(),
            last_delivery: 0,
            parked: false,
            publishing: BTreeMap::new(),
            settling: BTreeMap::new(),
            next_id: 0,
        });
        let name = tenant.map(entities::tenant_name);
        let bytes = wire::connect(scopes, name.as_deref());
        Planned {
            op: InputOp::Connect,
            connection,
            bytes,
            plan: Plan::Connect { scopes },
        }
    }

    pub fn disconnect(&mut self, place: usize) -> Planned {
        let client = self.clients.swap_remove(place);
        self.forget_client(&client);
        let connection = client.connection;
        Planned {
            op: InputOp::Disconnect,
            connection,
            bytes: Vec::new(),
            plan: Plan::Disconnect,
        }
    }

    fn publish(&mut self, place: usize, planned: &mut Vec<Planned>) {
        if self.model.messages.len() > MESSAGES_MAX {
            return;
        }
        let count = match self.random.weighted(&[40, 40, 15, 1]) {
            0 => 1,
            1 => self.random.range(2, 20),
            2 => self.random.range(21, 500),
            _ => 0,
        };
        let longest = if count <= 12 && self.random.permille(self.profile.large) {
            65_536
        } else {
            *self.random.choose(&[0, 20, 200, 1500])
        };
        let destination = self.random.below(DESTINATIONS);
        let client = &self.clients[place];
        let (connection, own) = (client.connection, client.tenant);
        let one_tenant = self.random.below(TENANTS);
        let mixed = self.random.permille(500);
        let mut messages: Vec<Draft> = Vec::new();
        for _ in 0..count {
            let of = if mixed {
                self.random.below(TENANTS)
            } else {
                one_tenant
            };
            let tenant = match own {
                None => Some(of),
                Some(own) => self.random.permille(500).then_some(own),
            };
            let sender = self.random.below(SENDERS + 1);
            let bytes = self.random.range(0, longest) as usize;
            let bytes = if longest > 2000 && self.random.permille(300) {
                65_536
            } else {
                bytes
            };
            self.next_serial += 1;
            let serial = self.next_serial;
            let sent = Sent {
                queue: (destination, tenant.or(own).expect("either"), sender),
                payload_bytes: bytes,
            };
            self.sent.insert(serial, sent);
            let as_str = self.random.permille(100);
            let options = *self.random.choose(&[0, 0, 0, 1, 2]);
            messages.push((
                tenant,
                sender,
                serial,
                payload(serial, bytes),
                as_str,
                options,
            ));
        }
        let id = if self.random.permille(150) {
            0
        } else {
            self.clients[place].id()
        };
        let serials: Vec<u64> = messages.iter().map(|message| message.2).collect();
        let mut fault = 0;
        if !messages.is_empty() && self.random.permille(self.profile.faults) {
            fault = self.spoil(own, &mut messages);
        }
        let name = if fault == 3001 {
            "nowhere".to_owned()
        } else {
            entities::destination_name(destination)
        };
        let bytes = encode(id, &name, &messages, fault);
        if id > 0 && fault == 0 {
            self.clients[place].publishing.insert(id, serials.clone());
        }
        let plan = Plan::Publish {
            id,
            serials,
            destination,
            fault,
        };
        planned.push(frame(connection, bytes, plan));
    }

    /// Makes one message wrong; the code its frame is refused with.
    fn spoil(&mut self, own: Option<usize>, messages: &mut [Draft]) -> u32 {
        let place = self.random.below(messages.len());
        let message = &mut messages[place];
        match self.random.below(4) {
            0 if own.is_none() => {
                message.0 = None;
                3013
            }
            0 => {
                message.0 = Some((own.expect("a tenant") + 1) % TENANTS);
                2005
            }
            1 => {
                message.3 = vec![b'x'; 65_537];
                message.4 = false;
                1009
            }
            2 => {
                message.5 = 3;
                1020
            }
            _ => 3001,
        }
    }

    fn consume(&mut self, place: usize, planned: &mut Vec<Planned>) {
        let client = &self.clients[place];
        let subscriptions = client.subscriptions.len();
        let subscribe = if subscriptions == 0 { 900 } else { 60 };
        if self.random.permille(subscribe) {
            planned.push(self.subscribe(place, None));
            return;
        }
        match self.random.weighted(&[60, 25, 3]) {
            0 => self.settle(place, planned),
            1 if subscriptions > 0 => {
                let number = *self
                    .random
                    .choose(&self.clients[place].subscriptions.clone());
                let add = *self.random.choose(&[1, 3, 20, 100, 500, 2000]);
                planned.push(self.credit(place, number, add));
            }
            _ => {
                let client = &mut self.clients[place];
                client.parked = !client.parked;
                let (connection, parked) = (client.connection, client.parked);
                let op = if parked {
                    InputOp::Park
                } else {
                    InputOp::Unpark
                };
                planned.push(request(op, connection, Vec::new(), Plan::Park(parked)));
            }
        }
    }

    pub fn subscribe(&mut self, place: usize, destination: Option<usize>) -> Planned {
        let named = self.profile.named;
        let may_be_named = destination.is_none() && self.random.permille(named);
        let destination = destination.unwrap_or_else(|| self.random.below(DESTINATIONS));
        let credit = *self.random.choose(&[0, 1, 10, 100, 1000, 1000, 65_536]);
        let client = &mut self.clients[place];
        let number = client.subscriptions.len() as u32 * 3 + 1;
        client.subscriptions.push(number);
        let id = client.id();
        let gateway = may_be_named.then(|| self.random.below(GATEWAYS));
        let name = entities::destination_name(destination);
        let bytes = match gateway {
            Some(gateway) => {
                let gateway = entities::gateway_name(gateway);
                wire::subscribe_as(id, number, &name, credit, &gateway)
            }
            None => wire::subscribe(id, number, &name, credit),
        };
        frame(
            client.connection,
            bytes,
            Plan::Subscribe {
                id,
                number,
                destination,
                credit,
                gateway,
            },
        )
    }

    pub fn credit(&mut self, place: usize, number: u32, add: u32) -> Planned {
        let id = if self.random.permille(300) {
            0
        } else {
            self.clients[place].id()
        };
        let bytes = wire::credit(id, number, add);
        frame(
            self.clients[place].connection,
            bytes,
            Plan::Credit { id, number, add },
        )
    }

    /// Answers some of what was delivered through one subscription.
    pub fn settle(&mut self, place: usize, planned: &mut Vec<Planned>) {
        let client = &mut self.clients[place];
        let manner = client.manner;
        if manner == Manner::Slow && self.random.permille(900) {
            return;
        }
        let Some(number) = client.inbox.first().map(|got| got.number) else {
            return;
        };
        let all = manner == Manner::Prompt || self.random.permille(300);
        let random = &mut self.random;
        let part = *random.choose(&[50, 300, 700]);
        let mut taken: Vec<Got> = Vec::new();
        client.inbox.retain(|got| {
            let take = got.number == number && (all || random.permille(part));
            if take {
                taken.push(*got);
            }
            !take
        });
        let mut said: Vec<Said> = Vec::new();
        let mut finals: Vec<Key> = Vec::new();
        for got in &taken {
            let said_now = if manner == Manner::Prompt {
                Said::sent(got.delivery)
            } else {
                self.say(got.delivery)
            };
            if matches!(said_now.outcome, 0 | 1 | 3) {
                finals.push(got.key);
            } else if let Some(seen) = self.seen.get_mut(&got.key) {
                seen.returned(self.clients[place].connection);
            }
            said.push(said_now);
        }
        if self.random.permille(60) {
            let other = self.random.range(0, 100_000);
            said.push(self.say(*self.random.clone().choose(&[0, other, 4_294_967_295])));
        }
        if let Some(first) = said.first().copied()
            && self.random.permille(30)
        {
            said.push(first);
        }
        if said.is_empty() {
            return;
        }
        let client = &mut self.clients[place];
        let id = if self.random.permille(200) {
            0
        } else {
            client.id()
        };
        if id > 0 {
            client.settling.insert(id, finals);
        }
        let bytes = wire::settle(id, number, &said, self.random.permille(500));
        planned.push(frame(
            client.connection,
            bytes,
            Plan::Settle { id, number, said },
        ));
    }

    fn say(&mut self, delivery: u64) -> Said {
        let outcome = self.random.weighted(&self.profile.outcomes.clone()) as u8;
        let times = [0, 0, 1, 40, 700, 20_000, 3_000_000, 9_000_000];
        let retry_after_ms = match outcome {
            2 | 4 => self
                .random
                .permille(700)
                .then(|| *self.random.choose(&times)),
            _ => None,
        };
        let scope =
            (outcome == 4 && self.random.permille(700)).then(|| *self.random.choose(&[0_u8, 1, 2]));
        Said {
            delivery,
            outcome,
            retry_after_ms,
            scope,
        }
    }

    fn operate(&mut self, planned: &mut Vec<Planned>) {
        self.next_request += 1;
        let number = self.next_request;
        let destination = self.random.below(DESTINATIONS);
        let name = entities::destination_name(destination);
        let entry = match self.random.weighted(&[50, 6, 6, 8, 4, 2, 10]) {
            0 => {
                let change = self.change();
                self.put(&change);
                let bytes = change.bytes();
                request(InputOp::Configure, number, bytes, Plan::Configure(change))
            }
            1 => {
                let offset = self.random.below(20) as u32;
                let limit = self.random.below(40) as u32;
                let bytes = wire::explain(&name, offset, limit);
                request(InputOp::Explain, number, bytes, Plan::Json)
            }
            2 => {
                let bytes = wire::stats(self.random.below(12) as u32);
                request(InputOp::Stats, number, bytes, Plan::Json)
            }
            3 => request(InputOp::Checkpoint, number, Vec::new(), Plan::Checkpoint),
            4 => {
                let bytes = wire::in_use(1, &name);
                request(InputOp::InUse, number, bytes, Plan::InUse { destination })
            }
            6 if self.random.permille(300) => {
                let gateway = self.random.below(GATEWAYS);
                let bytes = wire::in_use(6, &entities::gateway_name(gateway));
                let plan = Plan::GatewayInUse { gateway };
                request(InputOp::InUse, number, bytes, plan)
            }
            6 => {
                let gateway = self.random.below(GATEWAYS);
                let up = self.random.permille(600);
                let bytes = wire::gateway_up(&entities::gateway_name(gateway), up);
                let plan = Plan::GatewayUp { gateway, up };
                request(InputOp::GatewayUp, number, bytes, plan)
            }
            _ => {
                let full = self.random.permille(200);
                let bytes = vec![u8::from(full)];
                request(InputOp::DiskFull, 0, bytes, Plan::DiskFull(full))
            }
        };
        planned.push(entry);
    }

    fn change(&mut self) -> Change {
        let habits = self.profile.habits.clone();
        let random = &mut self.random;
        match random.below(4) {
            3 => {
                let place = random.below(GATEWAYS);
                let fields = (!random.permille(120)).then(|| habits.gateway(random));
                Change::Gateway(place, fields)
            }
            0 if random.permille(120) => Change::Destination(random.below(DESTINATIONS), None),
            0 => {
                let place = random.below(DESTINATIONS);
                Change::Destination(place, Some(habits.destination(random)))
            }
            1 => {
                let place = random.below(SETS);
                let fields = (!random.permille(150)).then(|| habits.set(random));
                Change::Set(place, fields)
            }
            _ => {
                let place = random.below(TENANTS);
                let fields = (!random.permille(150)).then(|| habits.tenant(random));
                Change::Tenant(place, fields)
            }
        }
    }

    /// A frame that is refused whatever the state.
    fn fault(&mut self, place: usize) -> Planned {
        let id = self.clients[place].id();
        let connection = self.clients[place].connection;
        let (bytes, code, needs) = match self.random.below(5) {
            0 => (Vec::new(), 1001, 0),
            1 => {
                let mut bytes = vec![0x93, 99];
                fairlead_core::msgpack::write_uint(&mut bytes, id.into());
                bytes.push(0xc0);
                (bytes, 1002, 2)
            }
            2 => {
                let mut bytes = wire::publish(id, "d0", &[]);
                bytes.truncate(bytes.len() - 1);
                (bytes, 1001, 1)
            }
            3 => {
                let mut bytes = vec![*self.random.choose(&[0x05, 0xc1, 0xc0, 0xa3, 0x81, 0xdd])];
                let more = self.random.below(3);
                bytes.extend((0..more).map(|_| 0xff));
                (bytes, 0, 0)
            }
            _ => (wire::credit(id, 77_777, 5), 3006, 2),
        };
        let id = if bytes.is_empty() { 0 } else { id };
        frame(connection, bytes, Plan::Bad { id, code, needs })
    }
}

fn encode(id: u32, destination: &str, messages: &[Draft], fault: u32) -> Vec<u8> {
    let names: Vec<(Option<String>, Option<String>, String)> = messages
        .iter()
        .map(|(tenant, sender, serial, ..)| {
            (
                tenant.map(entities::tenant_name),
                sender_name(*sender),
                recipient_name(*serial),
            )
        })
        .collect();
    let publishing: Vec<Publishing<'_>> = messages
        .iter()
        .zip(&names)
        .map(
            |((_, _, _, payload, as_str, options), (tenant, sender, recipient))| Publishing {
                tenant: tenant.as_deref(),
                sender: sender.as_deref(),
                recipient,
                payload,
                as_str: *as_str,
                options: [&[][..], &[0xc0], &[0x80], &NO_COST][usize::from(*options)],
            },
        )
        .collect();
    let bytes = wire::publish(id, destination, &publishing);
    assert!(
        fault > 0 || bytes.len() <= 1 << 20,
        "a frame too large to send"
    );
    bytes
}
