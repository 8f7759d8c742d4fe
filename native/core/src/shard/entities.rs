//! Sets, tenants and destinations as configured, and the nodes and queues made from them.

use super::connection::SubscriptionRef;
use super::destination::{Destination, Owner, Queue};
use super::{Fatal, Shard, TENANT_TOTALS_MAX, TenantConfig, TenantTotals};
use crate::error::Code;
use crate::exchange::{
    Change, DestinationFields, EntityKind, FairBy, SetFields, SetOrder, TenantFields,
    decode_configure, decode_in_use,
};
use crate::limits;
use crate::shard::destination::NameMap;
use crate::shard::outstanding::Outstanding;
use crate::tree::{self, Limits, NodeConfig, NodeId, NodeKind, Tree, TreeConfig};
use std::cmp::Reverse;

pub const DEFAULT_SET: &[u8] = b"default";
const WEIGHT_DEFAULT: u32 = 100;

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

fn set_config(fields: &SetFields) -> NodeConfig {
    NodeConfig {
        weight: fields.weight,
        limits: limits_of(fields.rate_per_sec, fields.burst, fields.in_flight_max),
        paused: false,
        ..NodeConfig::default()
    }
}

fn tenant_config(fields: Option<&TenantConfig>) -> NodeConfig {
    fields.map_or(
        NodeConfig {
            weight: WEIGHT_DEFAULT,
            limits: limits_of(None, 1, None),
            paused: false,
            ..NodeConfig::default()
        },
        |fields| NodeConfig {
            weight: fields.weight,
            limits: limits_of(fields.rate_per_sec, fields.burst, fields.in_flight_max),
            paused: fields.paused,
            ..NodeConfig::default()
        },
    )
}

fn queue_config() -> NodeConfig {
    NodeConfig {
        weight: WEIGHT_DEFAULT,
        limits: limits_of(None, 1, None),
        paused: false,
        ..NodeConfig::default()
    }
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
            Change::Sender(_) | Change::Pool(_) => r#"{"ok":true}"#,
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
            destination.exists = true;
            destination.fields = fields;
            destination.tree.configure(tree_config(&fields), now_us);
            destination.tree.pause_root(fields.paused, now_us);
            if shorter {
                self.look_at_leases(place);
            }
            self.list(place);
            return place;
        }
        let mut tree = Tree::new(tree_config(&fields), self.started_us);
        tree.pause_root(fields.paused, now_us);
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
            consumers: Vec::new(),
            outstanding: Outstanding::new(now_us),
            in_flight: 0,
            served: 0,
            listed: false,
            wake_us: u64::MAX,
            swept_us: now_us,
        });
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
        let tree = &destination.tree;
        let busy = tree.in_flight(queue) > 0 || tree.waiting(queue) > tree.due(queue);
        let blocked = strict && busy;
        let entry = destination.queue_mut(queue);
        if std::mem::replace(&mut entry.blocked, blocked) != blocked {
            destination.tree.block(queue, blocked, self.now_us);
        }
    }

    /// `keep_order` for every queue under a set or tenant.
    fn keep_order_under(&mut self, place: u32, node: NodeId) {
        let destination = &self.destinations[place as usize];
        let below = |owner: &Owner| match owner {
            Owner::Queue { tenant, .. } => {
                *tenant == node || destination.tree.parent(*tenant) == Some(node)
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
        for place in 0..self.destinations.len() {
            let destination = &mut self.destinations[place];
            if let Some(&node) = destination.sets.get(name) {
                destination
                    .tree
                    .configure_node(node, set_config(&fields), self.now_us);
                let strict_now = fields.order == SetOrder::Strict;
                if let Owner::Set { strict, .. } = destination.owner_mut(node)
                    && std::mem::replace(strict, strict_now) != strict_now
                {
                    self.keep_order_under(place as u32, node);
                }
                self.list(place as u32);
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
            let destination = &mut self.destinations[place];
            if destination.tree.parent(node) != Some(set_node) {
                destination.tree.move_to(node, set_node, self.now_us);
                if self.any_strict {
                    self.keep_order_under(place as u32, node);
                }
            }
            let destination = &mut self.destinations[place];
            destination.tree.configure_node(node, config, self.now_us);
            self.list(place as u32);
        }
    }

    fn set_node(&mut self, place: usize, name: &[u8]) -> NodeId {
        let destination = &mut self.destinations[place];
        if let Some(&node) = destination.sets.get(name) {
            return node;
        }
        let fields = self.sets.get(name).copied().unwrap_or_default();
        let node =
            destination
                .tree
                .add(tree::ROOT, NodeKind::Set, set_config(&fields), self.now_us);
        destination.sets.insert(name.into(), node);
        let strict = fields.order == SetOrder::Strict;
        destination.set_owner(
            node,
            Owner::Set {
                name: name.into(),
                strict,
            },
        );
        node
    }

    fn tenant_node(&mut self, place: usize, name: &[u8]) -> NodeId {
        if let Some(&node) = self.destinations[place].tenants.get(name) {
            return node;
        }
        let config = self.tenants.get(name);
        let node_config = tenant_config(config);
        let set: Box<[u8]> = config.map_or(DEFAULT_SET.into(), |tenant| tenant.set.clone());
        let set_node = self.set_node(place, &set);
        let destination = &mut self.destinations[place];
        let node = destination
            .tree
            .add(set_node, NodeKind::Tenant, node_config, self.now_us);
        destination.tenants.insert(name.into(), node);
        destination.set_owner(
            node,
            Owner::Tenant {
                name: name.into(),
                accepted: 0,
                delivered: 0,
            },
        );
        node
    }

    /// The queue of a tenant's sender (empty: the tenant's own), made on first use.
    pub(super) fn queue_node(
        &mut self,
        place: u32,
        tenant: &[u8],
        sender: &[u8],
    ) -> Result<(NodeId, NodeId), Code> {
        let place = place as usize;
        let tenant_node = self.tenant_node(place, tenant);
        Destination::queue_name(tenant_node, sender, &mut self.name);
        if let Some(&node) = self.destinations[place].queues.get(self.name.as_slice()) {
            return Ok((tenant_node, node));
        }
        if self.counters.queues >= limits::QUEUES_PER_SHARD as u64 {
            // A sweep of everything takes a while: once a second at most.
            if self.now_us >= self.swept_all_us + 1_000_000 {
                self.swept_all_us = self.now_us;
                self.sweep_all();
            }
            if self.counters.queues >= limits::QUEUES_PER_SHARD as u64 {
                return Err(Code::TooManyQueues);
            }
            // The sweep may have freed the tenant's node too.
            let again = self.tenant_node(place, tenant);
            Destination::queue_name(again, sender, &mut self.name);
        }
        let tenant_node = self.tenant_node(place, tenant);
        let destination = &mut self.destinations[place];
        let node = destination
            .tree
            .add(tenant_node, NodeKind::Queue, queue_config(), self.now_us);
        destination.queues.insert(self.name.as_slice().into(), node);
        destination.set_owner(
            node,
            Owner::Queue {
                tenant: tenant_node,
                sender: sender.into(),
                queue: Box::<Queue>::default(),
            },
        );
        self.counters.queues += 1;
        Ok((tenant_node, node))
    }

    /// Frees idle nodes of one destination, looking at `budget` of them.
    pub(super) fn sweep(&mut self, place: usize, budget: usize) {
        let mut freed = std::mem::take(&mut self.freed);
        let destination = &mut self.destinations[place];
        destination.tree.sweep(budget, self.now_us, &mut freed);
        for node in freed.drain(..) {
            let owner = std::mem::replace(destination.owner_mut(node), Owner::Free);
            match owner {
                Owner::Free => {}
                Owner::Set { name, .. } => {
                    destination.sets.remove(&name);
                }
                Owner::Tenant {
                    name,
                    accepted,
                    delivered,
                } => {
                    destination.tenants.remove(&name);
                    let room = self.totals.len() < TENANT_TOTALS_MAX;
                    let totals: &mut TenantTotals = if room || self.totals.contains_key(&name) {
                        self.totals.entry(name).or_default()
                    } else {
                        &mut self.other_totals
                    };
                    totals.accepted += accepted;
                    totals.delivered += delivered;
                }
                Owner::Queue {
                    tenant,
                    sender,
                    queue,
                } => {
                    debug_assert!(queue.is_empty(), "a queue with messages was freed");
                    Destination::queue_name(tenant, &sender, &mut self.name);
                    destination.queues.remove(self.name.as_slice());
                    self.counters.queues -= 1;
                }
            }
        }
        self.freed = freed;
    }

    /// Frees every idle node of the shard: at the bound of queues, before one is refused.
    fn sweep_all(&mut self) {
        for place in 0..self.destinations.len() {
            let nodes = self.destinations[place].owners.len();
            // Children first, then the parents that lost their last child.
            for _ in 0..3 {
                self.sweep(place, nodes + 1);
            }
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
            EntityKind::Sender | EntityKind::Pool => false,
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
