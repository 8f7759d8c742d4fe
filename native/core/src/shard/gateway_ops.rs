//! Gateways as configured and told up or down, live; what they are told when deliveries end.

use super::connection::InFlight;
use super::{Fatal, Shard};
use crate::exchange::{GatewayFields, GatewayKind, decode_gateway_up};
use std::cmp::Reverse;

impl Shard {
    pub(super) fn put_gateway(&mut self, name: &str, fields: Option<GatewayFields<'_>>) {
        if let Some(gateway) = self.gateways.put(name, fields, self.now_us) {
            self.tell_lanes(gateway);
        }
    }

    /// Its destinations learn what changed, and are looked at.
    fn tell_lanes(&mut self, gateway: u32) {
        for place in 0..self.destinations.len() {
            let destination = &mut self.destinations[place];
            let known = self.gateways.at(gateway);
            if destination.lanes.put(gateway, &destination.name, known) {
                self.list(place as u32);
            }
        }
    }

    pub(super) fn gateway_up_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let told = decode_gateway_up(bytes)?;
        let Some(gateway) = self.gateways.find(told.name) else {
            self.reply_json(request, r#"{"error":"unknownGateway"}"#);
            return Ok(());
        };
        self.gateways.at_mut(gateway).up = told.up;
        self.tell_lanes(gateway);
        self.reply_json(request, r#"{"ok":true}"#);
        Ok(())
    }

    /// Whether a client is subscribed under its name. The daemon itself always is, under those of the
    /// gateways that it drives, and ends that when they are deleted.
    pub(super) fn has_subscriptions(&self, name: &str) -> bool {
        let Some(gateway) = self.gateways.find(name) else {
            return false;
        };
        if self.gateways.at(gateway).kind != GatewayKind::Pull {
            return false;
        }
        self.destinations.iter().any(|destination| {
            let mut consumers = destination.consumers.iter();
            consumers.any(|consumer| destination.lanes.gateway(consumer.lane) == Some(gateway))
        })
    }

    /// A delivery through a gateway with a name is over.
    #[inline(never)]
    pub(super) fn landed_at_gateway(&mut self, slot: &InFlight) {
        let lanes = &mut self.destinations[slot.destination as usize].lanes;
        lanes.list[slot.lane as usize].in_flight -= 1;
        if let Some(gateway) = lanes.gateway(slot.lane) {
            self.gateways.at_mut(gateway).in_flight -= 1;
            self.call_gateway(gateway);
        }
    }

    /// All of a gateway rests: its subscriptions at all destinations.
    pub(super) fn throttle_gateway(&mut self, slot: &InFlight, until_us: u64) {
        let destination = &self.destinations[slot.destination as usize];
        let Some(place) = destination.lanes.gateway(slot.lane) else {
            return;
        };
        let gateway = self.gateways.at_mut(place);
        let rate = gateway.rate_per_sec.or(destination.fields.rate_per_sec);
        gateway.throttle(until_us, rate.is_some(), self.now_us);
        self.call_gateway(place);
    }

    /// After a destination's turn: whoever waits for one of its gateways and may go now is looked at.
    pub(super) fn call_gateways(&mut self, place: u32) {
        for lane in 0..self.destinations[place as usize].lanes.list.len() {
            let lanes = &self.destinations[place as usize].lanes;
            if let Some(gateway) = lanes.gateway(lane as u32) {
                self.call_gateway(gateway);
            }
        }
    }

    /// The destination that waits for the gateway first is looked at now, or when the gateway can.
    fn call_gateway(&mut self, gateway: u32) {
        let called = self.gateways.at_mut(gateway).call(self.now_us);
        match called {
            Some((place, at_us)) if at_us <= self.now_us => self.list(place),
            Some((place, at_us)) => self.wakes.push(Reverse((at_us, place))),
            None => {}
        }
    }
}
