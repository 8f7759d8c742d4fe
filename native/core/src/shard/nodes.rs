//! Nodes and queues: made on first use with what is configured for them, freed when they are idle.

use super::destination::{Destination, Owner, Queue, QueueName, QueueOf, TenantNode};
use super::entities::{DEFAULT_SET, level_config, set_config, tenant_config};
use super::{Shard, TENANT_TOTALS_MAX, TenantConfig, TenantTotals};
use crate::error::Code;
use crate::exchange::{LEVELS_MAX, SetOrder};
use crate::limits;
use crate::tree::{self, NodeConfig, NodeId, NodeKind};

impl Shard {
    /// The node of a tenant's service level, made on first use.
    pub(super) fn level_node(&mut self, place: usize, tenant: NodeId, rank: u8) -> NodeId {
        let destination = &mut self.destinations[place];
        let entry = destination.tenant_mut(tenant);
        if entry.levels.len() <= usize::from(rank) {
            entry.levels.resize(usize::from(rank) + 1, tree::ROOT);
        }
        let known = entry.levels[usize::from(rank)];
        if known != tree::ROOT {
            return known;
        }
        let floors = self
            .tenants
            .get(&entry.name)
            .and_then(|fields| fields.level_floors);
        let config = level_config(rank, floors.as_ref());
        let node = destination
            .tree
            .add(tenant, NodeKind::Level, config, self.now_us);
        destination.tenant_mut(tenant).levels[usize::from(rank)] = node;
        destination.set_owner(node, Owner::Level { tenant, rank });
        node
    }

    pub(super) fn set_node(&mut self, place: usize, name: &[u8]) -> NodeId {
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
                refuse_new: fields.refuse_new,
            },
        );
        node
    }

    fn tenant_node(&mut self, place: usize, name: &[u8]) -> NodeId {
        if let Some(&node) = self.destinations[place].tenants.get(name) {
            return node;
        }
        let config = self.tenants.get(name);
        let (waiting_max, waiting_bytes_max) = config.map_or((u64::MAX, u64::MAX), |fields| {
            (fields.waiting_max, fields.waiting_bytes_max)
        });
        let refuse_new = config.and_then(TenantConfig::refusal);
        let levels = match config {
            Some(fields) if fields.level_floors.is_some() => vec![tree::ROOT],
            _ => Vec::new(),
        };
        let node_config = tenant_config(config);
        let set: Box<[u8]> = config.map_or(DEFAULT_SET.into(), |tenant| tenant.set.clone());
        let set_node = self.set_node(place, &set);
        let home = self.seat(place, set_node, &set, name);
        let account = self.usage.accounts.hold(name);
        let destination = &mut self.destinations[place];
        let node = destination
            .tree
            .add(home, NodeKind::Tenant, node_config, self.now_us);
        destination.tenants.insert(name.into(), node);
        let of_set = matches!(
            destination.owners[set_node as usize],
            Owner::Set {
                refuse_new: true,
                ..
            }
        );
        destination.set_owner(
            node,
            Owner::Tenant(Box::new(TenantNode {
                name: name.into(),
                account,
                accepted: 0,
                delivered: 0,
                refuse_new: refuse_new.or(of_set.then_some(Code::RefusingNew)),
                live: 0,
                bytes: 0,
                waiting_max,
                waiting_bytes_max,
                surcharges: [0; LEVELS_MAX],
                levels,
            })),
        );
        node
    }

    /// The queue of a tenant's sender (empty: the tenant's own), made on first use.
    pub(super) fn queue_node(
        &mut self,
        place: u32,
        tenant: &[u8],
        of: QueueOf<'_>,
    ) -> Result<(NodeId, NodeId), Code> {
        let place = place as usize;
        Destination::queue_name(tenant, of, &mut self.name);
        let destination = &self.destinations[place];
        if let Some(&node) = destination.queues.get(self.name.as_slice()) {
            let tenant_node = destination.tenant_of(node).expect("a queue has its tenant");
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
            // The sweep used the buffer.
            Destination::queue_name(tenant, of, &mut self.name);
        }
        let tenant_node = self.tenant_node(place, tenant);
        let node = self.add_queue(place, tenant_node, of);
        if !self.senders.is_empty() && !of.ordered && !of.sender.is_empty() {
            let name = [tenant, b"/", of.sender].concat();
            if self.senders.contains_key(name.as_slice()) {
                self.configure_queue(place, node, &name);
            }
        }
        Ok((tenant_node, node))
    }

    /// A new queue under the name in `self.name`.
    fn add_queue(&mut self, place: usize, tenant: NodeId, of: QueueOf<'_>) -> NodeId {
        let has_levels = !self.destinations[place].tenant(tenant).levels.is_empty();
        let parent = if has_levels {
            self.level_node(place, tenant, of.level)
        } else {
            tenant
        };
        let destination = &mut self.destinations[place];
        let node =
            destination
                .tree
                .add(parent, NodeKind::Queue, NodeConfig::default(), self.now_us);
        destination.queues.insert(self.name.as_slice().into(), node);
        destination.set_owner(
            node,
            Owner::Queue {
                tenant,
                name: Box::new(QueueName {
                    rank: of.level,
                    ordered: of.ordered,
                    sender: of.sender.into(),
                }),
                queue: Box::<Queue>::default(),
            },
        );
        self.counters.queues += 1;
        node
    }

    /// Frees idle nodes of one destination, looking at `budget` of them.
    pub(super) fn sweep(&mut self, place: usize, budget: usize) {
        let mut freed = std::mem::take(&mut self.freed);
        let destination = &mut self.destinations[place];
        destination.tree.sweep(budget, self.now_us, &mut freed);
        for node in freed.drain(..) {
            if let Some(admission) = &mut destination.admission {
                admission.forget(node);
            }
            let owner = std::mem::replace(destination.owner_mut(node), Owner::Free);
            match owner {
                Owner::Free => {}
                Owner::Set { name, .. } => {
                    destination.sets.remove(&name);
                }
                Owner::Slot { set, index } => {
                    destination.slots.remove(&(set, index));
                }
                Owner::Level { tenant, rank } => {
                    if let Owner::Tenant(tenant) = destination.owner_mut(tenant) {
                        tenant.levels[usize::from(rank)] = tree::ROOT;
                    }
                }
                Owner::Tenant(tenant) => {
                    let TenantNode {
                        name,
                        account,
                        accepted,
                        delivered,
                        ..
                    } = *tenant;
                    self.usage.accounts.release(account);
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
                    name,
                    queue,
                } => {
                    debug_assert!(queue.is_empty(), "a queue with messages was freed");
                    // Its tenant is freed after it, if at all.
                    let Owner::Tenant(tenant) = &destination.owners[tenant as usize] else {
                        unreachable!("queue {node} outlived its tenant");
                    };
                    Destination::queue_name(&tenant.name, name.as_of(), &mut self.name);
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
            for _ in 0..5 {
                self.sweep(place, nodes + 1);
            }
        }
    }
}

impl TenantConfig {
    /// What its new messages are refused with.
    pub(super) fn refusal(&self) -> Option<Code> {
        self.refuse_new.then_some(self.refuse_code)
    }
}
