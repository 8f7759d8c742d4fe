//! Sets, tenants, senders, pools and destinations as configured, live; `gateway_ops` has gateways.

use super::connection::SubscriptionRef;
use super::destination::{Destination, Owner, QueueOf};
use super::expiry::ExpiryLook;
use super::lane::Lanes;
use super::{Fatal, SenderConfig, Shard, TenantConfig};
use crate::error::Code;
use crate::exchange::{
    Change, DestinationFields, EntityKind, FairBy, LevelFloors, SenderFields, SetFields, SetOrder,
    SetPolicy, TenantFields, decode_configure, decode_in_use,
};
use crate::limits;
use crate::name_map::NameMap;
use crate::shard::outstanding::Outstanding;
use crate::tree::{self, Limits, NodeConfig, NodeId, Tree, TreeConfig};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

pub const DEFAULT_SET: &[u8] = b"default";

fn limits_of(rate_per_sec: Option<f64>, burst: u64, in_flight_max: Option<u32>) -> Limits {
    Limits {
        rate_per_sec,
        burst: u32::try_from(burst).unwrap_or(u32::MAX),
        in_flight_max,
    }
}

fn tree_config(fields: &DestinationFields) -> TreeConfig {
    TreeConfig {
        limits: limits_of(fields.rate_per_sec, fields.burst, fields.in_flight_max),
        fair_by: match fields.fair_by {
            FairBy::Auto => tree::FairBy::Auto,
            FairBy::Cost => tree::FairBy::Cost,
            FairBy::Time => tree::FairBy::Time,
        },
        lease_us: fields.lease_ms.saturating_mul(1000),
    }
}

pub(super) fn set_config(fields: &SetFields) -> NodeConfig {
    NodeConfig {
        weight: fields.weight,
        limits: limits_of(fields.rate_per_sec, fields.burst, fields.in_flight_max),
        paused: fields.paused,
        borrow_max: fields.borrow_max,
        ..NodeConfig::default()
    }
}

pub(super) fn tenant_config(fields: Option<&TenantConfig>) -> NodeConfig {
    fields.map_or_else(NodeConfig::default, |fields| NodeConfig {
        weight: fields.weight,
        limits: limits_of(fields.rate_per_sec, fields.burst, fields.in_flight_max),
        paused: fields.paused,
        ..NodeConfig::default()
    })
}

pub(super) fn level_config(rank: u8, floors: Option<&LevelFloors>) -> NodeConfig {
    let floor = floors.map_or(0.0, |floors| floors.floors[usize::from(rank)]);
    NodeConfig {
        rank,
        floor,
        ..NodeConfig::default()
    }
}

/// Of the sender's queue; the queues of a tenant have equal weights.
fn queue_config(fields: Option<&SenderConfig>) -> NodeConfig {
    fields.map_or_else(NodeConfig::default, |fields| NodeConfig {
        limits: limits_of(fields.rate_per_sec, fields.burst, fields.in_flight_max),
        paused: fields.paused,
        ..NodeConfig::default()
    })
}

impl Shard {
    /// Takes a `configure` and answers it once a reply is due (request id above 0).
    pub(super) fn configure_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let configure = decode_configure(bytes)?;
        let text = match configure.change {
            Change::Destination(Some(fields)) => {
                self.put_destination(configure.name, fields);
                r#"{"ok":true}"#
            }
            Change::Destination(None) => {
                if self.remove_destination(configure.name.as_bytes()) {
                    r#"{"ok":true}"#
                } else {
                    r#"{"ok":false,"error":"inUse"}"#
                }
            }
            Change::Set(fields) => {
                self.put_set(configure.name.as_bytes(), fields);
                r#"{"ok":true}"#
            }
            Change::Tenant(fields) => {
                self.put_tenant(configure.name.as_bytes(), fields);
                r#"{"ok":true}"#
            }
            Change::Sender(fields) => {
                self.put_sender(configure.name.as_bytes(), fields);
                r#"{"ok":true}"#
            }
            Change::Pool(fields) => {
                let name = configure.name.as_bytes();
                self.pools.put(name, fields, self.now_us);
                self.list_pooled();
                r#"{"ok":true}"#
            }
            Change::Gateway(fields) => {
                self.put_gateway(configure.name, fields);
                r#"{"ok":true}"#
            }
            Change::Price(list) => {
                self.put_price(configure.name, list);
                r#"{"ok":true}"#
            }
            Change::Cap(fields) => {
                self.put_cap(configure.name, fields);
                r#"{"ok":true}"#
            }
            Change::Billable(outcome) => {
                self.usage.billable = outcome;
                r#"{"ok":true}"#
            }
        };
        if request > 0 {
            self.reply_json(request, text);
        }
        Ok(())
    }

    pub(super) fn put_destination(&mut self, name: &str, fields: DestinationFields) -> u32 {
        let now_us = self.now_us;
        if let Some(&place) = self.destination_names.get(name.as_bytes()) {
            let destination = &mut self.destinations[place as usize];
            let shorter = fields.lease_ms < destination.fields.lease_ms;
            let other_validity = fields.validity_ms != destination.fields.validity_ms;
            destination.exists = true;
            destination.fields = fields;
            destination.set_admission(now_us);
            destination.tree.configure(tree_config(&fields), now_us);
            destination.tree.pause_root(fields.paused, now_us);
            if shorter {
                self.look_at_leases(place);
            }
            if other_validity {
                self.note_expiry(place, now_us);
            }
            self.list(place);
            return place;
        }
        let mut tree = Tree::new(tree_config(&fields), self.started_us);
        tree.pause_root(fields.paused, now_us);
        tree.set_entitled_weight(self.entitled_weight(), now_us);
        let place = self.destinations.len() as u32;
        self.destinations.push(Destination {
            name: name.into(),
            exists: true,
            fields,
            tree,
            owners: Vec::new(),
            sets: NameMap::with_hasher(self.names),
            tenants: NameMap::with_hasher(self.names),
            queues: NameMap::with_hasher(self.names),
            slots: FxHashMap::default(),
            admission: None,
            pooled: false,
            consumers: Vec::new(),
            lanes: Lanes::default(),
            outstanding: Outstanding::new(now_us),
            in_flight: 0,
            served: 0,
            served_cost: 0,
            listed: false,
            wake_us: u64::MAX,
            swept_us: now_us,
            expiry: ExpiryLook::default(),
        });
        self.destinations[place as usize].set_admission(now_us);
        self.destination_names.insert(name.as_bytes().into(), place);
        place
    }

    fn remove_destination(&mut self, name: &[u8]) -> bool {
        let Some(&place) = self.destination_names.get(name) else {
            return true;
        };
        let destination = &mut self.destinations[place as usize];
        if destination.tree.waiting(tree::ROOT) > 0 || destination.in_flight > 0 {
            return false;
        }
        destination.exists = false;
        true
    }

    /// A lease became shorter: those that run may be over.
    fn look_at_leases(&mut self, place: u32) {
        for (&number, client) in &mut self.connections {
            let here = |subscription: &SubscriptionRef| subscription.destination == place;
            if client.in_flight() > 0 && client.subscriptions.iter().any(here) {
                client.lease_check_us = self.now_us;
                self.leases.push(Reverse((self.now_us, number)));
            }
        }
    }

    /// `strict`: no message of a named sender leaves while one before it is in flight or in a timer.
    pub(super) fn keep_order(&mut self, place: u32, queue: NodeId) {
        let strict = self.is_strict_queue(place, queue);
        let destination = &mut self.destinations[place as usize];
        let in_flight = destination.tree.in_flight(queue) > 0;
        let entry = destination.queue_mut(queue);
        let blocked = strict && (in_flight || entry.timed > 0);
        if std::mem::replace(&mut entry.blocked, blocked) != blocked {
            destination.tree.block(queue, blocked, self.now_us);
        }
    }

    /// `keep_order` for every queue under a set or tenant.
    fn keep_order_under(&mut self, place: u32, node: NodeId) {
        let destination = &self.destinations[place as usize];
        let below = |owner: &Owner| match owner {
            Owner::Queue { tenant, .. } => {
                *tenant == node || destination.set_of(*tenant) == Some(node)
            }
            _ => false,
        };
        let owners = destination.owners.iter().zip(0..);
        let queues: Vec<NodeId> = owners
            .filter_map(|(owner, queue)| below(owner).then_some(queue))
            .collect();
        for queue in queues {
            self.keep_order(place, queue);
        }
    }

    fn put_set(&mut self, name: &[u8], fields: Option<SetFields>) {
        if let Some(fields) = fields {
            self.sets.insert(name.into(), fields);
        } else {
            self.sets.remove(name);
        }
        let fields = fields.unwrap_or_default();
        self.any_strict = self
            .sets
            .values()
            .any(|fields| fields.order == SetOrder::Strict);
        self.any_shuffle = self
            .sets
            .values()
            .any(|fields| fields.policy == SetPolicy::Shuffle);
        let entitled = self.entitled_weight();
        for place in 0..self.destinations.len() {
            let destination = &mut self.destinations[place];
            destination.tree.set_entitled_weight(entitled, self.now_us);
            if let Some(&node) = destination.sets.get(name) {
                destination
                    .tree
                    .configure_node(node, set_config(&fields), self.now_us);
                let strict_now = fields.order == SetOrder::Strict;
                let mut changed = false;
                if let Owner::Set {
                    strict, refuse_new, ..
                } = destination.owner_mut(node)
                {
                    *refuse_new = fields.refuse_new;
                    changed = std::mem::replace(strict, strict_now) != strict_now;
                }
                if changed {
                    self.keep_order_under(place as u32, node);
                }
                self.shuffle_set(place, node, &fields);
                self.tell_refusing(place);
            }
            self.list(place as u32);
        }
    }

    /// Sum of the weights of all sets there are, those without work too: what a set is entitled to
    /// does not grow while others are idle (rule 11).
    fn entitled_weight(&self) -> u64 {
        let sum: u64 = self
            .sets
            .values()
            .map(|fields| u64::from(fields.weight))
            .sum();
        let default = SetFields::default().weight;
        if self.sets.contains_key(DEFAULT_SET) {
            sum
        } else {
            sum + u64::from(default)
        }
    }

    /// Tenants refuse new work that their set refuses.
    fn tell_refusing(&mut self, place: usize) {
        let destination = &mut self.destinations[place];
        let tenants: Vec<NodeId> = destination.tenants.values().copied().collect();
        for node in tenants {
            let of_set = destination.set_of(node).is_some_and(|set| {
                matches!(
                    destination.owners[set as usize],
                    Owner::Set {
                        refuse_new: true,
                        ..
                    }
                )
            });
            let tenant = destination.tenant_mut(node);
            let own = self
                .tenants
                .get(&tenant.name)
                .and_then(TenantConfig::refusal);
            tenant.refuse_new = own.or(of_set.then_some(Code::RefusingNew));
        }
    }

    fn put_sender(&mut self, name: &[u8], fields: Option<SenderFields<'_>>) {
        if let Some(fields) = fields {
            self.senders.insert(
                name.into(),
                SenderConfig {
                    rate_per_sec: fields.rate_per_sec,
                    burst: fields.burst,
                    in_flight_max: fields.in_flight_max,
                    pool: fields.pool.map(|pool| pool.as_bytes().into()),
                    paused: fields.paused,
                    refuse_new: fields.refuse_new,
                },
            );
        } else {
            self.senders.remove(name);
        }
        let Some(split) = name.iter().position(|&byte| byte == b'/') else {
            return;
        };
        let (tenant, sender) = (&name[..split], &name[split + 1..]);
        for place in 0..self.destinations.len() {
            let destination = &self.destinations[place];
            if !destination.tenants.contains_key(tenant) {
                continue;
            }
            for level in 0..=limits::LEVEL_MAX {
                let of = QueueOf {
                    level,
                    ordered: false,
                    sender,
                };
                Destination::queue_name(tenant, of, &mut self.name);
                let queue = self.destinations[place].queues.get(self.name.as_slice());
                if let Some(&queue) = queue {
                    self.configure_queue(place, queue, name);
                }
            }
            self.list(place as u32);
        }
    }

    /// Gives a queue what is configured for its sender.
    pub(super) fn configure_queue(&mut self, place: usize, queue: NodeId, name: &[u8]) {
        let fields = self.senders.get(name);
        let pool = fields.and_then(|fields| fields.pool.clone());
        let pool = pool.map(|pool| self.pools.place_of(&pool));
        let fields = self.senders.get(name);
        let destination = &mut self.destinations[place];
        destination
            .tree
            .configure_node(queue, queue_config(fields), self.now_us);
        destination.pooled |= pool.is_some();
        let entry = destination.queue_mut(queue);
        entry.pool = pool;
        entry.refuse_new = fields.is_some_and(|fields| fields.refuse_new);
    }

    fn list_pooled(&mut self) {
        for place in 0..self.destinations.len() as u32 {
            if self.destinations[place as usize].pooled {
                self.list(place);
            }
        }
    }

    fn put_tenant(&mut self, name: &[u8], fields: Option<TenantFields<'_>>) {
        if let Some(fields) = fields {
            self.tenants.insert(
                name.into(),
                TenantConfig {
                    set: fields.set.as_bytes().into(),
                    weight: fields.weight,
                    rate_per_sec: fields.rate_per_sec,
                    burst: fields.burst,
                    in_flight_max: fields.in_flight_max,
                    paused: fields.paused,
                    refuse_new: fields.refuse_new,
                    refuse_code: fields.refuse_code,
                    level_floors: fields.level_floors,
                    waiting_max: fields.waiting_max.unwrap_or(u64::MAX),
                    waiting_bytes_max: fields.waiting_bytes_max.unwrap_or(u64::MAX),
                },
            );
        } else {
            self.tenants.remove(name);
        }
        let config = tenant_config(self.tenants.get(name));
        let set: Box<[u8]> = self
            .tenants
            .get(name)
            .map_or(DEFAULT_SET.into(), |tenant| tenant.set.clone());
        for place in 0..self.destinations.len() {
            let Some(&node) = self.destinations[place].tenants.get(name) else {
                continue;
            };
            let set_node = self.set_node(place, &set);
            let set_fields = self.sets.get(&set).copied().unwrap_or_default();
            if !self.may_stay(place, node, set_node, &set_fields) {
                let home = self.seat(place, set_node, &set, name);
                let destination = &mut self.destinations[place];
                destination.tree.move_to(node, home, self.now_us);
                if self.any_strict {
                    self.keep_order_under(place as u32, node);
                }
            }
            let destination = &mut self.destinations[place];
            destination.tree.configure_node(node, config, self.now_us);
            self.put_tenant_node(place, node, name);
            self.tell_refusing(place);
            self.list(place as u32);
        }
    }

    /// Bounds and levels of a tenant that has a node. One that gets levels has its queues moved under
    /// them; one that loses them keeps their nodes, without floors, until they are freed.
    fn put_tenant_node(&mut self, place: usize, node: NodeId, name: &[u8]) {
        let fields = self.tenants.get(name);
        let floors = fields.and_then(|fields| fields.level_floors);
        let (waiting_max, waiting_bytes_max) = fields.map_or((u64::MAX, u64::MAX), |fields| {
            (fields.waiting_max, fields.waiting_bytes_max)
        });
        let destination = &mut self.destinations[place];
        let tenant = destination.tenant_mut(node);
        (tenant.waiting_max, tenant.waiting_bytes_max) = (waiting_max, waiting_bytes_max);
        let levels = tenant.levels.clone();
        for (rank, &level) in levels.iter().enumerate() {
            if level != tree::ROOT {
                let config = level_config(rank as u8, floors.as_ref());
                destination.tree.configure_node(level, config, self.now_us);
            }
        }
        if floors.is_none() || !levels.is_empty() {
            return;
        }
        let owners = destination.owners.iter().zip(0..);
        let queues: Vec<(NodeId, u8)> = owners
            .filter_map(|(owner, queue)| match owner {
                Owner::Queue { tenant, name, .. } if *tenant == node => Some((queue, name.rank)),
                _ => None,
            })
            .collect();
        destination.tenant_mut(node).levels = vec![tree::ROOT];
        for (queue, rank) in queues {
            let level = self.level_node(place, node, rank);
            let destination = &mut self.destinations[place];
            destination.tree.move_to(queue, level, self.now_us);
        }
    }

    pub(super) fn in_use_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let asked = decode_in_use(bytes)?;
        let name = asked.name.as_bytes();
        let busy = |destination: &Destination, node: NodeId| {
            destination.tree.waiting(node) > 0 || destination.tree.in_flight(node) > 0
        };
        let in_use = match asked.kind {
            EntityKind::Destination => self.destination_names.get(name).is_some_and(|&place| {
                let destination = &self.destinations[place as usize];
                busy(destination, tree::ROOT)
            }),
            EntityKind::Set => self.destinations.iter().any(|destination| {
                destination
                    .sets
                    .get(name)
                    .is_some_and(|&node| busy(destination, node))
            }),
            EntityKind::Tenant => self.destinations.iter().any(|destination| {
                destination
                    .tenants
                    .get(name)
                    .is_some_and(|&node| busy(destination, node))
            }),
            EntityKind::Gateway => self.has_subscriptions(asked.name),
            EntityKind::Sender
            | EntityKind::Pool
            | EntityKind::Price
            | EntityKind::Cap
            | EntityKind::Billable => false,
        };
        self.reply_json(
            request,
            if in_use {
                r#"{"inUse":true}"#
            } else {
                r#"{"inUse":false}"#
            },
        );
        Ok(())
    }

    /// Puts a destination on the list of this exchange.
    pub(super) fn list(&mut self, place: u32) {
        let destination = &mut self.destinations[place as usize];
        if !destination.listed {
            destination.listed = true;
            self.listed.push(place);
        }
    }
}
