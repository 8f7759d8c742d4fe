//! Which gateway of a destination takes its next message: start-time fair queueing over those that
//! can take one now, by weight.
//!
//! A lane is a gateway at one destination. The first is that of all subscriptions that name none: of
//! weight 100, without a rate or a cap, always up. A destination has lanes only from the first
//! subscription on that names a gateway, and keeps them: coming back gains nothing.

use super::destination::Destination;
use super::gateway::{Gateway, Gateways};

/// Weight of the subscriptions that name no gateway.
pub const WEIGHT_IMPLICIT: u32 = 100;

/// Cost 1 at weight 1, in the unit of tags: all weights divide it to 10⁻⁵.
const UNIT: u128 = 1 << 32;

/// The gateway of the first lane.
const IMPLICIT: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub struct Lane {
    gateway: u32,
    /// Its gateway names this destination now.
    pub named: bool,
    weight: u32,
    /// Start tag of its next message.
    tag: u128,
    last_served: u64,
    /// Cost handed to it since the start.
    pub served: u64,
    /// Its deliveries without an outcome, here.
    pub in_flight: u64,
    /// Scratch of a choice: the consumer that would take the next message.
    best: Option<usize>,
}

impl Lane {
    fn new(gateway: u32, weight: u32) -> Self {
        Self {
            gateway,
            named: true,
            weight,
            tag: 0,
            last_served: 0,
            served: 0,
            in_flight: 0,
            best: None,
        }
    }

    /// Place of its gateway; none: that of subscriptions without a name.
    pub fn gateway(&self) -> Option<u32> {
        (self.gateway != IMPLICIT).then_some(self.gateway)
    }

    fn set_weight(&mut self, weight: u32, v: u128) {
        if self.weight != weight {
            // Rule 6: a lead is scaled, so the new weight counts from the next message on.
            let lead = self.tag.saturating_sub(v);
            self.tag = self.tag.min(v) + lead * u128::from(self.weight) / u128::from(weight);
            self.weight = weight;
        }
    }
}

/// The lanes of a destination; empty: only subscriptions without a name.
#[derive(Debug, Default)]
pub struct Lanes {
    pub list: Vec<Lane>,
    /// Start tag of the last message that was handed out.
    v: u128,
    /// A rate of a gateway, and not slots or credit, keeps work back.
    pub paced: bool,
}

impl Lanes {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The gateway of a lane; none: the implicit one.
    pub fn gateway(&self, lane: u32) -> Option<u32> {
        self.list.get(lane as usize).and_then(Lane::gateway)
    }

    fn lane_of(&mut self, place: u32, gateway: &Gateway) -> u32 {
        if self.list.is_empty() {
            self.list.push(Lane::new(IMPLICIT, WEIGHT_IMPLICIT));
        }
        let known = self.list.iter().position(|lane| lane.gateway == place);
        let lane = known.unwrap_or_else(|| {
            self.list.push(Lane::new(place, gateway.weight));
            self.list.len() - 1
        });
        lane as u32
    }

    /// The gateway was configured anew.
    pub fn put(&mut self, place: u32, destination: &str, gateway: &Gateway) -> bool {
        let v = self.v;
        let Some(lane) = self.list.iter_mut().find(|lane| lane.gateway == place) else {
            return false;
        };
        lane.named = gateway.names(destination);
        lane.set_weight(gateway.weight, v);
        true
    }

    /// Charges a lane for a message of that cost (rules 3 and 4).
    pub fn serve(&mut self, lane: u32, cost: u32, turn: u64) {
        let lane = &mut self.list[lane as usize];
        // Time away earns nothing (rule 2).
        self.v = self.v.max(lane.tag);
        lane.tag = self.v + u128::from(cost) * UNIT / u128::from(lane.weight);
        lane.last_served = turn;
        lane.served += u64::from(cost);
        lane.in_flight += 1;
    }
}

impl Destination {
    /// The lane of a gateway that names this destination, made on first use.
    pub fn lane_of(&mut self, place: u32, gateway: &Gateway) -> u32 {
        self.lanes.lane_of(place, gateway)
    }

    /// Notes for each lane which consumer would take its next message.
    fn note_consumers(&mut self, now_us: u64) {
        for lane in &mut self.lanes.list {
            lane.best = None;
        }
        for (place, consumer) in self.consumers.iter().enumerate() {
            let lane = &mut self.lanes.list[consumer.lane as usize];
            if lane.named
                && consumer.can_take(now_us)
                && lane
                    .best
                    .is_none_or(|other| consumer.goes_before(&self.consumers[other]))
            {
                lane.best = Some(place);
            }
        }
    }

    /// The consumer that takes a message of that cost now: of the gateway with the smallest tag, of
    /// equals the one served longest ago.
    pub fn consumer_for(
        &mut self,
        gateways: &Gateways,
        place: u32,
        cost: u32,
        now_us: u64,
    ) -> Option<usize> {
        self.note_consumers(now_us);
        let v = self.lanes.v;
        let able = self.lanes.list.iter().filter(|lane| {
            lane.best.is_some()
                && lane
                    .gateway()
                    .is_none_or(|gateway| gateways.at(gateway).may_take(place, cost, now_us))
        });
        let best = able.min_by_key(|lane| (lane.tag.max(v), lane.last_served));
        best.and_then(|lane| lane.best)
    }

    /// After its turn: it waits for each gateway that lacks only rate or room for its next message, if
    /// it `wants` one at all, and for no other.
    pub fn wait_for_gateways(
        &mut self,
        gateways: &mut Gateways,
        place: u32,
        wants: Option<u32>,
        now_us: u64,
    ) {
        self.note_consumers(now_us);
        self.lanes.paced = false;
        for lane in &self.lanes.list {
            let Some(gateway) = lane.gateway() else {
                continue;
            };
            let gateway = gateways.at_mut(gateway);
            match wants {
                Some(cost) if lane.best.is_some() && gateway.is_open() => {
                    self.lanes.paced |= gateway.ready_us(cost) > now_us;
                    gateway.wait(place, cost);
                }
                _ => gateway.leave(place),
            }
        }
    }

    /// What its gateways take together now, cost a second: infinite if one has no limit, 0 if none is
    /// up. `own` is the destination's rate, infinite if it has none.
    pub fn gateway_rate(&self, gateways: &Gateways, own: f64, now_us: u64) -> f64 {
        let up = self.consumers.iter().filter(|consumer| !consumer.parked);
        let part_of = |part: f64, rate: f64| if part > 0.0 { part * rate } else { 0.0 };
        if self.lanes.is_empty() {
            return up
                .map(|consumer| part_of(consumer.part_at(now_us), own))
                .sum();
        }
        let mut seen = vec![false; self.lanes.list.len()];
        let mut sum = 0.0;
        for consumer in up {
            let lane = &self.lanes.list[consumer.lane as usize];
            let Some(gateway) = lane.gateway() else {
                sum += part_of(consumer.part_at(now_us), own);
                continue;
            };
            let gateway = gateways.at(gateway);
            let first = !std::mem::replace(&mut seen[consumer.lane as usize], true);
            if first && lane.named && gateway.is_open() {
                let rate = gateway.rate_per_sec.unwrap_or(own);
                sum += part_of(gateway.part_at(now_us), rate);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(weights: &[u32]) -> Lanes {
        let list = (0..).zip(weights);
        Lanes {
            list: list
                .map(|(place, &weight)| Lane::new(place, weight))
                .collect(),
            ..Lanes::default()
        }
    }

    /// Serves `count` messages of cost 1 among the lanes that are able; how many each got.
    fn serve(lanes: &mut Lanes, able: &[usize], count: u64) -> Vec<u64> {
        let before: Vec<u64> = lanes.list.iter().map(|lane| lane.served).collect();
        for turn in 0..count {
            let v = lanes.v;
            let key = |&&lane: &&usize| (lanes.list[lane].tag.max(v), lanes.list[lane].last_served);
            let lane = *able.iter().min_by_key(key).expect("one of them");
            lanes.serve(lane as u32, 1, turn);
        }
        let served = lanes.list.iter().zip(before);
        served.map(|(lane, before)| lane.served - before).collect()
    }

    #[test]
    fn lanes_share_by_weight() {
        let mut lanes = lanes(&[1, 3, 6]);
        assert_eq!(serve(&mut lanes, &[0, 1, 2], 1_000), [100, 300, 600]);
    }

    #[test]
    fn a_lane_that_comes_back_has_nothing_saved_up_and_owes_what_it_took_alone_to_nobody() {
        let mut lanes = lanes(&[100, 100]);
        serve(&mut lanes, &[0, 1], 10);
        serve(&mut lanes, &[1], 10_000);
        let served = serve(&mut lanes, &[0, 1], 100);
        assert!(served[0].abs_diff(50) <= 1, "{served:?}");
    }

    #[test]
    fn another_weight_counts_from_the_next_message_on() {
        let mut lanes = lanes(&[1, 1]);
        serve(&mut lanes, &[0, 1], 11);
        let v = lanes.v;
        lanes.list[0].set_weight(1_000, v);
        let served = serve(&mut lanes, &[0, 1], 1_001);
        assert!(served[0] >= 999, "{served:?}");
    }
}
