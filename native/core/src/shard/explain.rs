//! Answers to an operator: why a queue is served when it is, and who uses the shard.

use super::destination::{Destination, Owner};
use super::gateway::{Gateway, Gateways};
use super::lane::WEIGHT_IMPLICIT;
use super::{Fatal, Shard, TenantTotals};
use crate::exchange::{GatewayKind, decode_explain, decode_stats};
use crate::tree::{self, NodeId};
use std::collections::HashMap;
use std::fmt::Write;

/// Set in the tie-break of a node that was served since it became backlogged.
const SERVED: u64 = 1 << 63;

/// A JSON number, or null for what JSON cannot say.
fn number(out: &mut String, value: f64) {
    if value.is_finite() {
        let _ = write!(out, "{value}");
    } else {
        out.push_str("null");
    }
}

/// Names hold only characters that JSON leaves as they are.
fn text(out: &mut String, value: &[u8]) {
    out.push('"');
    out.push_str(&String::from_utf8_lossy(value));
    out.push('"');
}

/// The second part of a score (rule 3): newly backlogged nodes come first, each group by its turn.
fn turn(out: &mut String, tie: u64) {
    let fresh = tie & SERVED == 0;
    let _ = write!(out, r#","fresh":{fresh},"turn":{}"#, tie & !SERVED);
}

impl Destination {
    /// Set, tenant and sender of a queue.
    fn names(&self, queue: NodeId) -> (&[u8], &[u8], &[u8]) {
        let Owner::Queue {
            tenant,
            name: queue,
            ..
        } = &self.owners[queue as usize]
        else {
            return (&[], &[], &[]);
        };
        let (name, sender) = (&self.tenant(*tenant).name, &queue.sender);
        let set = self.set_of(*tenant).map(|set| &self.owners[set as usize]);
        let Some(Owner::Set { name: set, .. }) = set else {
            return (&[], name, sender);
        };
        (set, name, sender)
    }

    fn write_names(&self, out: &mut String, queue: NodeId) {
        let (set, tenant, sender) = self.names(queue);
        out.push_str(r#""set":"#);
        text(out, set);
        out.push_str(r#","tenant":"#);
        text(out, tenant);
        let (rank, ordered) = match &self.owners[queue as usize] {
            Owner::Queue { name, .. } => (name.rank, name.ordered),
            _ => (0, false),
        };
        let named = |out: &mut String, name: &[u8]| {
            if name.is_empty() {
                out.push_str("null");
            } else {
                text(out, name);
            }
        };
        out.push_str(r#","sender":"#);
        named(out, if ordered { &[] } else { sender });
        out.push_str(r#","orderKey":"#);
        named(out, if ordered { sender } else { &[] });
        let _ = write!(out, r#","level":{rank}"#);
    }

    /// `rate`: what the destination and its gateways do, cost a second; infinite: not limited.
    fn write_queue(&self, out: &mut String, queue: NodeId, rate: f64, now_us: u64) {
        let explained = self.tree.explain(queue, now_us);
        let per_sec = explained.portion_per_sec.unwrap_or(f64::INFINITY);
        out.push('{');
        self.write_names(out, queue);
        let _ = write!(
            out,
            r#","waiting":{},"inFlight":{},"eligible":{}"#,
            self.tree.waiting(queue),
            self.tree.in_flight(queue),
            explained.eligible
        );
        for (name, value) in [
            ("portion", explained.portion),
            ("portionPerSec", per_sec.min(rate * explained.portion)),
            ("owed", explained.owed),
            ("got", explained.got),
            ("lag", explained.lag),
        ] {
            let _ = write!(out, r#","{name}":"#);
            number(out, value);
        }
        out.push_str(r#","score":["#);
        for (place, level) in explained.score.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            let _ = write!(out, r#"{{"weight":{},"debt":"#, level.weight);
            number(out, level.debt);
            turn(out, level.tie);
            if let Some(state) = level.level {
                let _ = write!(
                    out,
                    r#","level":{{"rank":{},"floor":{},"lead":"#,
                    state.rank, state.floor
                );
                number(out, state.lead);
                out.push('}');
            }
            out.push('}');
        }
        out.push_str("]}");
    }

    fn write_picks(&self, out: &mut String) {
        let pick = |out: &mut String, queue: NodeId, debt: f64, tie: u64| {
            out.push('{');
            self.write_names(out, queue);
            out.push_str(r#","debt":"#);
            number(out, debt);
            turn(out, tie);
            out.push('}');
        };
        for (place, trace) in self.tree.last_picks().enumerate() {
            if place > 0 {
                out.push(',');
            }
            out.push_str(r#"{"picked":"#);
            pick(out, trace.queue, trace.score.0, trace.score.1);
            out.push_str(r#","runnerUp":"#);
            match trace.runner_up {
                Some((queue, debt, tie)) => pick(out, queue, debt, tie),
                None => out.push_str("null"),
            }
            out.push('}');
        }
    }
}

/// A gateway at a destination as it is explained.
struct Told<'a> {
    /// None: the subscriptions that name no gateway.
    gateway: Option<&'a Gateway>,
    weight: u32,
    in_flight: u64,
    credit: u64,
    rests_ms: u64,
    part: f64,
    served: u64,
}

impl Told<'_> {
    fn write(&self, out: &mut String) {
        let Self { gateway, .. } = self;
        out.push_str(r#"{"name":"#);
        match gateway {
            Some(gateway) => text(out, gateway.name.as_bytes()),
            None => out.push_str("null"),
        }
        let kind = gateway.map_or(GatewayKind::Pull, |gateway| gateway.kind);
        let _ = write!(
            out,
            r#","type":"{}","up":{},"paused":{},"weight":{},"ratePerSec":"#,
            kind.name(),
            gateway.is_none_or(|gateway| gateway.up),
            gateway.is_some_and(|gateway| gateway.paused),
            self.weight,
        );
        let rate = gateway.and_then(|gateway| gateway.rate_per_sec);
        number(out, rate.unwrap_or(f64::INFINITY));
        let _ = write!(out, r#","inFlight":{},"inFlightMax":"#, self.in_flight);
        match gateway.and_then(|gateway| gateway.in_flight_max) {
            Some(most) => {
                let _ = write!(out, "{most}");
            }
            None => out.push_str("null"),
        }
        let _ = write!(
            out,
            r#","credit":{},"restsMs":{},"part":"#,
            self.credit, self.rests_ms
        );
        number(out, self.part);
        let _ = write!(out, r#","served":{}}}"#, self.served);
    }
}

impl Destination {
    /// Its rate and that of its gateways, cost a second: infinite if nothing limits it, or none is up.
    fn rate_with(&self, gateways: &Gateways, now_us: u64) -> f64 {
        let own = self.fields.rate_per_sec.unwrap_or(f64::INFINITY);
        let rate = self.gateway_rate(gateways, own, now_us);
        own.min(if rate > 0.0 { rate } else { f64::INFINITY })
    }

    fn credit_of(&self, lane: u32) -> u64 {
        let consumers = self.consumers.iter();
        consumers
            .filter(|consumer| consumer.lane == lane)
            .map(|consumer| u64::from(consumer.credit))
            .sum()
    }

    /// The subscriptions that name no gateway; none: there is none.
    fn implicit_gateway(&self, now_us: u64) -> Option<Told<'_>> {
        let own = || self.consumers.iter().filter(|consumer| consumer.lane == 0);
        let rests = own().map(|consumer| consumer.rest_until_us.saturating_sub(now_us));
        let named = self.lanes.list.iter().skip(1);
        Some(Told {
            gateway: None,
            weight: WEIGHT_IMPLICIT,
            in_flight: self.in_flight - named.clone().map(|lane| lane.in_flight).sum::<u64>(),
            credit: self.credit_of(0),
            rests_ms: rests.min()?.div_ceil(1000),
            part: own().fold(0.0, |most, consumer| consumer.part_at(now_us).max(most)),
            served: self.served_cost - named.map(|lane| lane.served).sum::<u64>(),
        })
    }

    fn named_gateway<'a>(&self, place: u32, gateway: &'a Gateway, now_us: u64) -> Told<'a> {
        let lanes = (0..).zip(&self.lanes.list);
        let lane = lanes
            .clone()
            .find(|(_, lane)| lane.gateway() == Some(place));
        Told {
            gateway: Some(gateway),
            weight: gateway.weight,
            in_flight: gateway.in_flight,
            credit: lane.map_or(0, |(lane, _)| self.credit_of(lane)),
            rests_ms: gateway.rests_ms(now_us),
            part: gateway.part_at(now_us),
            served: lane.map_or(0, |(_, lane)| lane.served),
        }
    }
}

impl Shard {
    /// That of subscriptions without a name first, then those that are configured to serve it.
    fn write_gateways(&self, out: &mut String, destination: &Destination) {
        let now_us = self.now_us;
        let named = self.gateways.iter();
        let named = named
            .filter(|(_, gateway)| gateway.names(&destination.name))
            .map(|(place, gateway)| destination.named_gateway(place, gateway, now_us));
        let implicit = destination.implicit_gateway(now_us);
        for (place, told) in implicit.into_iter().chain(named).enumerate() {
            if place > 0 {
                out.push(',');
            }
            told.write(out);
        }
    }

    pub(super) fn explain_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let asked = decode_explain(bytes)?;
        let place = self.destination_names.get(asked.destination.as_bytes());
        let Some(&place) = place else {
            self.reply_json(request, r#"{"error":"unknownDestination"}"#);
            return Ok(());
        };
        let destination = &self.destinations[place as usize];
        let queues: Vec<NodeId> = (0..destination.owners.len() as NodeId)
            .filter(|&node| matches!(destination.owners[node as usize], Owner::Queue { .. }))
            .collect();
        let mut out = String::new();
        let _ = write!(
            out,
            r#"{{"destination":"{}","waiting":{},"inFlight":{},"consumers":{},"credit":{},"queueCount":{},"queues":["#,
            destination.name,
            destination.tree.waiting(tree::ROOT),
            destination.in_flight,
            destination.consumers.len(),
            destination
                .consumers
                .iter()
                .map(|consumer| u64::from(consumer.credit))
                .sum::<u64>(),
            queues.len(),
        );
        let shown = queues
            .iter()
            .skip(asked.offset as usize)
            .take(asked.limit as usize);
        let rate = destination.rate_with(&self.gateways, self.now_us);
        for (place, &queue) in shown.enumerate() {
            if place > 0 {
                out.push(',');
            }
            destination.write_queue(&mut out, queue, rate, self.now_us);
        }
        out.push_str(r#"],"lastPicks":["#);
        destination.write_picks(&mut out);
        out.push_str(r#"],"gateways":["#);
        self.write_gateways(&mut out, destination);
        out.push_str("]}");
        self.reply_json(request, &out);
        Ok(())
    }

    /// Totals of the tenants that used the shard most, the others in one line, and refusals by code.
    pub(super) fn stats_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let top = decode_stats(bytes)? as usize;
        let mut tenants: HashMap<&[u8], (TenantTotals, u64, u64)> = HashMap::new();
        for (name, totals) in &self.totals {
            tenants.entry(name).or_default().0 = *totals;
        }
        for destination in &self.destinations {
            for (name, &node) in &destination.tenants {
                let entry = tenants.entry(name).or_default();
                let tenant = destination.tenant(node);
                entry.0.accepted += tenant.accepted;
                entry.0.delivered += tenant.delivered;
                entry.1 += u64::from(destination.tree.waiting(node));
                entry.2 += u64::from(destination.tree.in_flight(node));
            }
        }
        let mut sorted: Vec<_> = tenants.into_iter().collect();
        sorted.sort_unstable_by(|(name, a), (other, b)| {
            (b.0.accepted, *name).cmp(&(a.0.accepted, *other))
        });
        let mut other = (self.other_totals, 0, 0);
        for (_, rest) in sorted.iter().skip(top) {
            other.0.accepted += rest.0.accepted;
            other.0.delivered += rest.0.delivered;
            other.1 += rest.1;
            other.2 += rest.2;
        }
        let mut out = String::from(r#"{"tenants":["#);
        let write = |out: &mut String, (totals, waiting, in_flight): &(TenantTotals, u64, u64)| {
            let _ = write!(
                out,
                r#""accepted":{},"delivered":{},"waiting":{waiting},"inFlight":{in_flight}}}"#,
                totals.accepted, totals.delivered
            );
        };
        for (place, (name, entry)) in sorted.iter().take(top).enumerate() {
            out.push_str(if place > 0 {
                r#",{"tenant":"#
            } else {
                r#"{"tenant":"#
            });
            text(&mut out, name);
            out.push(',');
            write(&mut out, entry);
        }
        out.push_str(r#"],"other":{"#);
        write(&mut out, &other);
        out.push_str(r#","refused":{"#);
        for (place, (code, count)) in self.refused.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let _ = write!(out, r#"{comma}"{code}":{count}"#);
        }
        let _ = write!(
            out,
            r#"}},"cacheBytes":{},"batches":{}}}"#,
            self.cache.bytes(),
            self.batches.len()
        );
        self.reply_json(request, &out);
        Ok(())
    }
}
