//! Destinations, sets and tenants as the operator keeps them: outside the shard, so they survive it.

use super::random::Random;
use super::wire;
use crate::input::configure_input;

pub const DESTINATIONS: usize = 5;
pub const SETS: usize = 4;
pub const TENANTS: usize = 10;
pub const GATEWAYS: usize = 3;

#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    pub in_flight_max: Option<u32>,
    pub lease_ms: u64,
    pub attempts_max: u32,
    pub fail_in_doubt: bool,
    pub fair_by: u32,
    pub paused: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    pub weight: u32,
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    pub in_flight_max: Option<u32>,
    pub strict: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    pub set: usize,
    pub weight: u32,
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    pub in_flight_max: Option<u32>,
    pub paused: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// 0 pull, 1 webhook, 2 smpp.
    pub kind: u32,
    pub destinations: Vec<usize>,
    pub weight: u32,
    pub rate_per_sec: Option<f64>,
    pub burst: u64,
    pub in_flight_max: Option<u32>,
    pub paused: bool,
}

/// One change, as `configure` carries it.
#[derive(Clone, Debug)]
pub enum Change {
    Destination(usize, Option<Destination>),
    Set(usize, Option<Set>),
    Tenant(usize, Option<Tenant>),
    Gateway(usize, Option<Gateway>),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entities {
    pub destinations: [Option<Destination>; DESTINATIONS],
    pub sets: [Option<Set>; SETS],
    pub tenants: [Option<Tenant>; TENANTS],
    pub gateways: [Option<Gateway>; GATEWAYS],
}

pub fn destination_name(place: usize) -> String {
    format!("d{place}")
}

pub fn set_name(place: usize) -> String {
    if place == 0 {
        "default".to_owned()
    } else {
        format!("set{place}")
    }
}

pub fn tenant_name(place: usize) -> String {
    format!("t{place}")
}

pub fn gateway_name(place: usize) -> String {
    format!("g{place}")
}

pub const PLAIN: Destination = Destination {
    rate_per_sec: None,
    burst: 1,
    in_flight_max: None,
    lease_ms: 30_000,
    attempts_max: 16,
    fail_in_doubt: false,
    fair_by: 0,
    paused: false,
};

/// How often an entity has what; of 1,000.
#[derive(Clone, Debug)]
pub struct Habits {
    pub rate: u64,
    pub cap: u64,
    pub pause: u64,
    pub strict: u64,
    pub fail_in_doubt: u64,
    pub short_lease: u64,
    pub few_attempts: u64,
}

impl Habits {
    pub fn new(random: &mut Random) -> Self {
        // Each run leaves some habits out, so that the others are seen alone.
        let mut some = |chance: u64| if random.permille(600) { chance } else { 0 };
        Self {
            rate: some(300),
            cap: some(300),
            pause: some(100),
            strict: some(400),
            fail_in_doubt: some(300),
            short_lease: some(400),
            few_attempts: some(300),
        }
    }

    fn limits(&self, random: &mut Random) -> (Option<f64>, u64, Option<u32>) {
        let rates = [0.5, 3.7, 10.0, 100.0, 1234.5, 5000.0];
        let rate = random.permille(self.rate).then(|| *random.choose(&rates));
        let burst = *random.choose(&[0, 1, 1, 5, 50]);
        let cap = *random.choose(&[1, 2, 7, 10, 40, 300]);
        (rate, burst, random.permille(self.cap).then_some(cap))
    }

    pub fn destination(&self, random: &mut Random) -> Destination {
        let (rate_per_sec, burst, in_flight_max) = self.limits(random);
        let short = random.permille(self.short_lease);
        Destination {
            rate_per_sec,
            burst,
            in_flight_max,
            lease_ms: if short {
                random.range(5, 2_000)
            } else {
                random.range(10_000, 60_000)
            },
            attempts_max: if random.permille(self.few_attempts) {
                random.range(1, 3) as u32
            } else {
                16
            },
            fail_in_doubt: random.permille(self.fail_in_doubt),
            fair_by: random.below(3) as u32,
            paused: random.permille(self.pause),
        }
    }

    pub fn set(&self, random: &mut Random) -> Set {
        let (rate_per_sec, burst, in_flight_max) = self.limits(random);
        Set {
            weight: *random.choose(&[1, 50, 100, 100, 10_000]),
            rate_per_sec,
            burst,
            in_flight_max,
            strict: random.permille(self.strict),
        }
    }

    pub fn gateway(&self, random: &mut Random) -> Gateway {
        let (rate_per_sec, burst, in_flight_max) = self.limits(random);
        Gateway {
            kind: *random.choose(&[0, 0, 0, 1]),
            destinations: (0..DESTINATIONS).filter(|_| random.permille(700)).collect(),
            weight: *random.choose(&[1, 50, 100, 100, 10_000]),
            rate_per_sec,
            burst,
            in_flight_max,
            paused: random.permille(self.pause),
        }
    }

    pub fn tenant(&self, random: &mut Random) -> Tenant {
        let (rate_per_sec, burst, in_flight_max) = self.limits(random);
        Tenant {
            set: random.below(SETS),
            weight: *random.choose(&[1, 10, 100, 100, 1000]),
            rate_per_sec,
            burst,
            in_flight_max,
            paused: random.permille(self.pause),
        }
    }
}

impl Change {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Destination(place, fields) => {
                wire::configure_destination(&destination_name(*place), fields.as_ref())
            }
            Self::Set(place, fields) => wire::configure_set(&set_name(*place), fields.as_ref()),
            Self::Tenant(place, fields) => {
                let set = set_name(fields.as_ref().map_or(0, |fields| fields.set));
                wire::configure_tenant(&tenant_name(*place), fields.as_ref(), &set)
            }
            Self::Gateway(place, fields) => {
                wire::configure_gateway(&gateway_name(*place), fields.as_ref())
            }
        }
    }
}

impl Entities {
    pub fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::Destination(place, fields) => self.destinations[place] = fields,
            Change::Set(place, fields) => self.sets[place] = fields,
            Change::Tenant(place, fields) => self.tenants[place] = fields,
            Change::Gateway(place, fields) => self.gateways[place] = fields,
        }
    }

    pub fn set_of(&self, tenant: usize) -> usize {
        self.tenants[tenant].as_ref().map_or(0, |fields| fields.set)
    }

    pub fn is_strict(&self, tenant: usize) -> bool {
        self.sets[self.set_of(tenant)]
            .as_ref()
            .is_some_and(|set| set.strict)
    }

    /// What a shard gets before recovery.
    pub fn input(&self) -> Vec<u8> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        let changes = (self.destinations.iter().cloned().enumerate())
            .filter(|(_, fields)| fields.is_some())
            .map(|(place, fields)| Change::Destination(place, fields));
        all.extend(changes.map(|change| change.bytes()));
        for (place, fields) in self.sets.iter().cloned().enumerate() {
            if fields.is_some() {
                all.push(Change::Set(place, fields).bytes());
            }
        }
        for (place, fields) in self.tenants.iter().cloned().enumerate() {
            if fields.is_some() {
                all.push(Change::Tenant(place, fields).bytes());
            }
        }
        for (place, fields) in self.gateways.iter().cloned().enumerate() {
            if fields.is_some() {
                all.push(Change::Gateway(place, fields).bytes());
            }
        }
        configure_input(&all)
    }
}
