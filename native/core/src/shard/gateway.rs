//! Gateways of a shard: who takes the messages of several destinations, within one rate and one cap.
//!
//! Owned here: the table of gateways with their buckets, rests and counts in flight over all their
//! destinations, and who waits for them. Which of a destination's gateways goes next: `lane`.
//! States of a gateway: unknown (named by nobody, or deleted: it gets nothing) → known; known it is
//! up or down, paused or not, resting or not, each on its own. Up until told otherwise.

use super::slowed::Slowed;
use crate::exchange::{GatewayFields, GatewayKind};
use crate::name_map::{NameHash, NameMap};
use crate::tree::{Bucket, Limits};
use std::collections::VecDeque;

/// A destination that has a message for the gateway and only lacks its rate or a place in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiter {
    destination: u32,
    /// Cost of its next message, as far as known.
    cost: u32,
}

#[derive(Debug)]
pub struct Gateway {
    pub name: Box<str>,
    /// Configured now.
    exists: bool,
    pub up: bool,
    pub paused: bool,
    pub kind: GatewayKind,
    pub weight: u32,
    pub in_flight_max: Option<u32>,
    destinations: Box<[Box<str>]>,
    /// Its own, cost a second.
    pub rate_per_sec: Option<f64>,
    bucket: Option<Bucket>,
    /// Deliveries without an outcome, over all destinations.
    pub in_flight: u64,
    /// Throttled until then, µs.
    rest_until_us: u64,
    /// What throttling left of its rate; none: all of it (rule 10).
    slowed: Option<Slowed>,
    /// Who is to have its next place: first come, first served, or a destination that is looked at
    /// first each time would take them all.
    waiters: VecDeque<Waiter>,
    /// The wake that was asked for the first of them.
    wake: (u32, u64),
}

impl Gateway {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            exists: false,
            up: true,
            paused: false,
            kind: GatewayKind::Pull,
            weight: 100,
            in_flight_max: None,
            destinations: Box::default(),
            rate_per_sec: None,
            bucket: None,
            in_flight: 0,
            rest_until_us: 0,
            slowed: None,
            waiters: VecDeque::new(),
            wake: (u32::MAX, 0),
        }
    }

    pub fn names(&self, destination: &str) -> bool {
        self.exists && self.destinations.iter().any(|name| **name == *destination)
    }

    /// Whether it takes messages at all now.
    pub fn is_open(&self) -> bool {
        self.exists && self.up && !self.paused
    }

    pub fn has_room(&self) -> bool {
        self.in_flight_max
            .is_none_or(|most| self.in_flight < u64::from(most))
    }

    /// When its rate and rests let a message of that cost pass, µs.
    pub fn ready_us(&self, cost: u32) -> u64 {
        let by_rate = self.bucket.map_or(0, |bucket| bucket.ready_us(cost));
        let paced = self.slowed.as_ref().map_or(0, |slowed| slowed.next_us);
        by_rate.max(paced).max(self.rest_until_us)
    }

    /// Whether a destination may hand it a message of that cost now.
    pub fn may_take(&self, destination: u32, cost: u32, now_us: u64) -> bool {
        let first = self.waiters.front();
        self.is_open()
            && self.has_room()
            && first.is_none_or(|first| first.destination == destination)
            && self.ready_us(cost) <= now_us
    }

    /// Part of its rate that throttling leaves it now, 0…1; 0: it rests.
    pub fn part_at(&self, now_us: u64) -> f64 {
        if self.rest_until_us > now_us {
            return 0.0;
        }
        let part = self.slowed.as_ref().map(|slowed| slowed.part(now_us));
        part.unwrap_or(1.0)
    }

    /// How long it still rests, ms.
    pub fn rests_ms(&self, now_us: u64) -> u64 {
        self.rest_until_us.saturating_sub(now_us).div_ceil(1000)
    }

    /// One of its messages was throttled. `has_rate`: there is a rate to take something from.
    pub fn throttle(&mut self, until_us: u64, has_rate: bool, now_us: u64) {
        let was_resting = self.rest_until_us > now_us;
        self.rest_until_us = self.rest_until_us.max(until_us);
        // Once a rest: a frame of a hundred refusals is one.
        if has_rate && !was_resting {
            self.slowed = Some(Slowed::halved(self.slowed, until_us));
        }
    }

    /// A message goes out. `rate_per_sec` is the destination's, for a gateway without one.
    pub fn take(&mut self, destination: u32, cost: u32, rate_per_sec: Option<f64>, now_us: u64) {
        self.in_flight += 1;
        if let Some(bucket) = &mut self.bucket {
            bucket.take(cost, now_us);
        }
        let rate = self.rate_per_sec.or(rate_per_sec).unwrap_or(f64::MAX);
        if let Some(slowed) = &mut self.slowed {
            slowed.take(rate, cost, now_us);
            if slowed.is_over(now_us) {
                self.slowed = None;
            }
        }
        self.leave(destination);
    }

    /// A destination that has a message for it waits for its turn.
    pub fn wait(&mut self, destination: u32, cost: u32) {
        let known = self.waiters.iter_mut();
        match known.into_iter().find(|one| one.destination == destination) {
            Some(known) => known.cost = cost,
            None => self.waiters.push_back(Waiter { destination, cost }),
        }
    }

    pub fn leave(&mut self, destination: u32) {
        let place = self
            .waiters
            .iter()
            .position(|one| one.destination == destination);
        if let Some(place) = place {
            self.waiters.remove(place);
        }
    }

    /// Destinations that wait, with the costs of their next messages.
    pub fn waiters(&self) -> impl Iterator<Item = (u32, u32)> {
        let waiters = self.waiters.iter();
        waiters.map(|waiter| (waiter.destination, waiter.cost))
    }

    /// What the first that waits is told: to look now, or when. None: nobody waits, or what they wait
    /// for makes itself heard.
    pub fn call(&mut self, now_us: u64) -> Option<(u32, u64)> {
        let Waiter { destination, cost } = *self.waiters.front()?;
        if !self.is_open() || !self.has_room() {
            return None;
        }
        let ready_us = self.ready_us(cost);
        if ready_us <= now_us {
            return Some((destination, now_us));
        }
        let (asked, at_us) = self.wake;
        if asked == destination && at_us > now_us && at_us <= ready_us {
            return None;
        }
        self.wake = (destination, ready_us);
        Some((destination, ready_us))
    }
}

/// A gateway keeps its place for as long as the shard lives, also when it is deleted.
#[allow(clippy::struct_field_names, reason = "they are the gateways")]
#[derive(Debug)]
pub struct Gateways {
    names: NameMap<u32>,
    gateways: Vec<Gateway>,
    started_us: u64,
}

impl Gateways {
    /// Buckets are empty at `started_us` (rule 9).
    pub fn new(names: NameHash, started_us: u64) -> Self {
        Self {
            names: NameMap::with_hasher(names),
            gateways: Vec::new(),
            started_us,
        }
    }

    /// Place of a gateway that is configured.
    pub fn find(&self, name: &str) -> Option<u32> {
        let place = *self.names.get(name.as_bytes())?;
        self.at(place).exists.then_some(place)
    }

    pub fn len(&self) -> usize {
        self.gateways.len()
    }

    pub fn at(&self, place: u32) -> &Gateway {
        &self.gateways[place as usize]
    }

    pub fn at_mut(&mut self, place: u32) -> &mut Gateway {
        &mut self.gateways[place as usize]
    }

    /// Those that are configured, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Gateway)> {
        let known = (0..).zip(&self.gateways);
        known.filter(|(_, gateway)| gateway.exists)
    }

    /// Takes what is configured, and gives its place; none: an unknown one was deleted.
    pub fn put(
        &mut self,
        name: &str,
        fields: Option<GatewayFields<'_>>,
        now_us: u64,
    ) -> Option<u32> {
        let known = self.names.get(name.as_bytes()).copied();
        let place = match (known, &fields) {
            (Some(place), _) => place,
            (None, None) => return None,
            (None, Some(_)) => {
                let place = self.gateways.len() as u32;
                self.names.insert(name.as_bytes().into(), place);
                self.gateways.push(Gateway::new(name));
                place
            }
        };
        let started_us = self.started_us;
        let gateway = self.at_mut(place);
        let Some(fields) = fields else {
            gateway.exists = false;
            return Some(place);
        };
        // One that is made anew knows nothing of the old one but what is in flight and its bucket:
        // to delete it and put it again gives no burst.
        if !gateway.exists {
            (gateway.up, gateway.rest_until_us, gateway.slowed) = (true, 0, None);
        }
        gateway.exists = true;
        gateway.kind = fields.kind;
        gateway.weight = fields.weight.max(1);
        gateway.paused = fields.paused;
        gateway.rate_per_sec = fields.rate_per_sec;
        gateway.in_flight_max = fields.in_flight_max;
        let names = fields.destinations.iter().map(|name| Box::from(*name));
        gateway.destinations = names.collect();
        let limits = Limits {
            rate_per_sec: fields.rate_per_sec,
            burst: u32::try_from(fields.burst).unwrap_or(u32::MAX),
            in_flight_max: None,
        };
        gateway.bucket = match &gateway.bucket {
            Some(bucket) => bucket.resized(&limits, now_us),
            None => Bucket::new(&limits, started_us),
        };
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = 1_000_000_000;

    fn fields<'a>() -> GatewayFields<'a> {
        GatewayFields {
            kind: GatewayKind::Pull,
            destinations: vec!["a", "b"],
            weight: 100,
            rate_per_sec: None,
            burst: 1,
            in_flight_max: None,
            paused: false,
        }
    }

    fn table(fields: GatewayFields<'_>) -> Gateways {
        let mut gateways = Gateways::new(NameHash::new(&[7; 16]), 0);
        assert_eq!(gateways.put("g", Some(fields), NOW_US), Some(0));
        gateways
    }

    #[test]
    fn keeps_its_place_when_it_is_deleted_and_put_again() {
        let mut gateways = table(fields());
        gateways.at_mut(0).in_flight = 7;
        gateways.at_mut(0).up = false;
        assert_eq!(gateways.put("g", None, NOW_US), Some(0));
        assert_eq!(gateways.find("g"), None);
        assert!(!gateways.at(0).names("a") && !gateways.at(0).is_open());
        assert_eq!(gateways.put("g", Some(fields()), NOW_US), Some(0));
        assert_eq!(gateways.find("g"), Some(0));
        assert!(gateways.at(0).is_open(), "it is up until told");
        assert_eq!(gateways.at(0).in_flight, 7);
        assert_eq!(gateways.put("other", None, NOW_US), None);
    }

    #[test]
    fn deleting_and_putting_it_again_gives_no_burst() {
        let rated = || GatewayFields {
            rate_per_sec: Some(10.0),
            ..fields()
        };
        let mut gateways = table(rated());
        gateways.at_mut(0).take(0, 1, None, NOW_US);
        let before = gateways.at(0).ready_us(1);
        assert!(before > NOW_US + 90_000);
        gateways.put("g", None, NOW_US);
        gateways.put("g", Some(rated()), NOW_US);
        assert_eq!(gateways.at(0).ready_us(1), before);
    }

    #[test]
    fn a_place_goes_to_who_waited_first() {
        let mut gateways = table(GatewayFields {
            in_flight_max: Some(1),
            ..fields()
        });
        let gateway = gateways.at_mut(0);
        gateway.take(0, 1, None, NOW_US);
        assert!(!gateway.may_take(1, 1, NOW_US), "its cap");
        gateway.wait(1, 1);
        gateway.wait(0, 1);
        assert_eq!(gateway.call(NOW_US), None, "what is in flight will tell");
        gateway.in_flight -= 1;
        assert!(!gateway.may_take(0, 1, NOW_US) && gateway.may_take(1, 1, NOW_US));
        assert_eq!(gateway.call(NOW_US), Some((1, NOW_US)));
        gateway.leave(1);
        assert_eq!(gateway.call(NOW_US), Some((0, NOW_US)), "it left its turn");
    }

    #[test]
    fn who_waits_first_is_woken_once_when_the_bucket_has_its_cost() {
        let mut gateways = table(GatewayFields {
            rate_per_sec: Some(10.0),
            burst: 5,
            ..fields()
        });
        let gateway = gateways.at_mut(0);
        gateway.take(0, 5, None, NOW_US);
        gateway.wait(1, 3);
        let (place, at_us) = gateway.call(NOW_US).expect("a wake");
        assert_eq!(place, 1);
        assert!((290_000..=300_001).contains(&(at_us - NOW_US)), "{at_us}");
        assert_eq!(gateway.call(NOW_US), None, "it was asked for");
        assert_eq!(gateway.call(at_us), Some((1, at_us)));
    }

    #[test]
    fn throttled_it_rests_and_then_has_half_of_its_rate() {
        let mut gateways = table(GatewayFields {
            rate_per_sec: Some(100.0),
            ..fields()
        });
        let gateway = gateways.at_mut(0);
        let until_us = NOW_US + 2_000_000;
        gateway.throttle(until_us, true, NOW_US);
        gateway.throttle(until_us, true, NOW_US);
        assert_eq!(
            (gateway.rests_ms(NOW_US), gateway.part_at(NOW_US)),
            (2_000, 0.0)
        );
        assert!(!gateway.may_take(0, 1, until_us - 1));
        assert!(gateway.may_take(0, 1, until_us));
        assert!(
            (gateway.part_at(until_us) - 0.5).abs() < 1e-9,
            "once a rest"
        );
        gateway.take(0, 1, Some(1.0), until_us);
        assert_eq!(gateway.ready_us(1), until_us + 20_000, "of its own rate");
    }
}
