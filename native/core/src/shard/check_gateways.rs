//! What must hold of gateways between exchanges, for tests.

use super::Shard;
use super::connection::Connection;
use super::destination::Destination;

impl Shard {
    /// What is in flight through each gateway is what was handed to it; and who waits first for one
    /// is looked at when it can.
    pub(super) fn check_gateways(&self) {
        let mut slots = vec![0; self.gateways.len()];
        let mut of_lanes = vec![0; self.gateways.len()];
        for slot in self.connections.values().flat_map(Connection::deliveries) {
            let lanes = &self.destinations[slot.destination as usize].lanes;
            if let Some(gateway) = lanes.gateway(slot.lane) {
                slots[gateway as usize] += 1;
            }
        }
        for destination in &self.destinations {
            for lane in &destination.lanes.list {
                if let Some(gateway) = lane.gateway() {
                    of_lanes[gateway as usize] += lane.in_flight;
                }
            }
        }
        for (place, gateway) in self.gateways.iter() {
            let name = &gateway.name;
            assert_eq!(gateway.in_flight, slots[place as usize], "{name}: flying");
            assert_eq!(gateway.in_flight, of_lanes[place as usize], "{name}: lanes");
            let Some((first, cost)) = gateway.waiters().next() else {
                continue;
            };
            let ready_us = gateway.ready_us(cost);
            let listed = self.destinations[first as usize].listed;
            if !gateway.is_open() || !gateway.has_room() || listed {
                continue;
            }
            assert!(ready_us > self.now_us, "{name} is ready and nobody looks");
            let mut wakes = self.wakes.iter().map(|entry| entry.0);
            assert!(
                wakes.any(|(at_us, place)| place == first && at_us <= ready_us),
                "{name} needs a wake at {ready_us}"
            );
        }
    }

    /// Whether a subscription without a gateway could take the next message of a destination that is not
    /// looked at. What only a gateway keeps back stands in its line.
    pub(super) fn has_idle_gateway(&self, place: u32, destination: &Destination) -> bool {
        let lanes = &destination.lanes;
        let named = |lane: u32| lanes.list.get(lane as usize).is_none_or(|lane| lane.named);
        let ready = destination.consumers.iter();
        let mut ready = ready.filter(|one| one.can_take(self.now_us) && named(one.lane));
        ready.any(|consumer| {
            let Some(gateway) = lanes.gateway(consumer.lane) else {
                return true;
            };
            let gateway = self.gateways.at(gateway);
            let waits = gateway.waiters().any(|waiter| waiter.0 == place);
            assert!(
                waits || !gateway.is_open(),
                "{} has work for {} and does not wait",
                destination.name,
                gateway.name
            );
            false
        })
    }
}
