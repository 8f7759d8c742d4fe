//! What the operator configures, and how it goes to the shard.

use super::frames::{destination_name, sender_name, tenant_name};
use super::random::Random;
use fairlead_core::msgpack::{write_array_len, write_bool, write_nil, write_str, write_uint};

pub const DESTINATIONS: usize = 2;
pub const SETS: usize = 2;
pub const TENANTS: usize = 4;
pub const SENDERS: usize = 3;
pub const LEASE_MS: u64 = 60_000;

#[derive(Clone, Debug)]
pub struct Destination {
    pub attempts_max: u32,
    pub fail_in_doubt: bool,
    pub validity_ms: u64,
    pub base_ms: u64,
    pub max_ms: u64,
    pub jitter: f64,
    pub paused: bool,
    pub refuse_new: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Set {
    pub strict: bool,
    pub paused: bool,
    pub refuse_new: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Tenant {
    pub set: usize,
    pub levels: bool,
    pub waiting_max: Option<u64>,
    pub paused: bool,
    pub refuse_new: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Sender {
    pub pooled: bool,
    pub paused: bool,
    pub refuse_new: bool,
}

/// All of them; the last part of a path is tenant × `SENDERS` + sender − 1.
#[derive(Clone, Debug)]
pub struct Settings {
    pub destinations: Vec<Destination>,
    pub sets: Vec<Set>,
    pub tenants: Vec<Tenant>,
    pub senders: Vec<Sender>,
}

fn number(out: &mut Vec<u8>, value: f64) {
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

fn begin(out: &mut Vec<u8>, kind: u64, name: &str, fields: usize) {
    write_array_len(out, 3);
    write_uint(out, kind);
    write_str(out, name);
    write_array_len(out, fields);
}

impl Settings {
    pub fn new(random: &mut Random) -> Self {
        Self {
            destinations: (0..DESTINATIONS).map(|_| destination(random)).collect(),
            sets: (0..SETS).map(|_| set(random)).collect(),
            tenants: (0..TENANTS).map(|_| tenant(random)).collect(),
            senders: (0..TENANTS * SENDERS).map(|_| sender(random)).collect(),
        }
    }

    /// Changes one of them; the bytes of its `configure`.
    pub fn change(&mut self, random: &mut Random) -> Vec<u8> {
        match random.below(6) {
            0 | 1 => {
                let place = random.below(DESTINATIONS);
                self.destinations[place] = destination(random);
                self.destination(place)
            }
            2 => {
                let place = random.below(SETS);
                self.sets[place] = set(random);
                self.set(place)
            }
            3 | 4 => {
                let place = random.below(TENANTS);
                self.tenants[place] = tenant(random);
                self.tenant(place)
            }
            _ => {
                let place = random.below(TENANTS * SENDERS);
                self.senders[place] = sender(random);
                self.sender(place)
            }
        }
    }

    /// Everything goes: nothing is paused or refused.
    pub fn open(&mut self) -> Vec<Vec<u8>> {
        for destination in &mut self.destinations {
            (destination.paused, destination.refuse_new) = (false, false);
        }
        for set in &mut self.sets {
            (set.paused, set.refuse_new) = (false, false);
        }
        for tenant in &mut self.tenants {
            (tenant.paused, tenant.refuse_new) = (false, false);
        }
        for sender in &mut self.senders {
            (sender.paused, sender.refuse_new) = (false, false);
        }
        self.all()
    }

    pub fn all(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = (0..DESTINATIONS)
            .map(|place| self.destination(place))
            .collect();
        all.extend((0..SETS).map(|place| self.set(place)));
        all.extend((0..TENANTS).map(|place| self.tenant(place)));
        all.extend((0..TENANTS * SENDERS).map(|place| self.sender(place)));
        let mut pool = Vec::new();
        begin(&mut pool, 5, "shared", 2);
        number(&mut pool, 50.0);
        write_uint(&mut pool, 5);
        all.push(pool);
        all
    }

    fn destination(&self, place: usize) -> Vec<u8> {
        let fields = &self.destinations[place];
        let mut out = Vec::new();
        begin(&mut out, 1, &destination_name(place), 14);
        write_nil(&mut out);
        write_uint(&mut out, 1);
        write_nil(&mut out);
        write_uint(&mut out, LEASE_MS);
        write_uint(&mut out, fields.attempts_max.into());
        write_uint(&mut out, fields.fail_in_doubt.into());
        write_uint(&mut out, 0);
        write_bool(&mut out, fields.paused);
        write_uint(&mut out, fields.base_ms);
        write_uint(&mut out, fields.max_ms);
        number(&mut out, fields.jitter);
        write_uint(&mut out, fields.validity_ms);
        write_bool(&mut out, fields.refuse_new);
        write_uint(&mut out, 0);
        out
    }

    fn set(&self, place: usize) -> Vec<u8> {
        let fields = &self.sets[place];
        let mut out = Vec::new();
        let name = if place == 0 { "default" } else { "other" };
        begin(&mut out, 2, name, 11);
        write_uint(&mut out, 100);
        write_nil(&mut out);
        write_uint(&mut out, 1);
        write_nil(&mut out);
        write_uint(&mut out, fields.strict.into());
        write_nil(&mut out);
        write_bool(&mut out, fields.paused);
        write_bool(&mut out, fields.refuse_new);
        write_uint(&mut out, 0);
        write_uint(&mut out, 64);
        write_uint(&mut out, 4);
        out
    }

    fn tenant(&self, place: usize) -> Vec<u8> {
        let fields = &self.tenants[place];
        let mut out = Vec::new();
        begin(&mut out, 3, &tenant_name(place), 10);
        write_str(&mut out, if fields.set == 0 { "default" } else { "other" });
        write_uint(&mut out, 100);
        write_nil(&mut out);
        write_uint(&mut out, 1);
        write_nil(&mut out);
        write_bool(&mut out, fields.paused);
        write_bool(&mut out, fields.refuse_new);
        if fields.levels {
            write_array_len(&mut out, 3);
            number(&mut out, 0.0);
            number(&mut out, 0.2);
            number(&mut out, 0.1);
        } else {
            write_nil(&mut out);
        }
        match fields.waiting_max {
            Some(most) => write_uint(&mut out, most),
            None => write_nil(&mut out),
        }
        write_nil(&mut out);
        out
    }

    fn sender(&self, place: usize) -> Vec<u8> {
        let fields = &self.senders[place];
        let mut out = Vec::new();
        let (tenant, sender) = (
            tenant_name(place / SENDERS),
            sender_name(place % SENDERS + 1),
        );
        begin(&mut out, 4, &format!("{tenant}/{sender}"), 6);
        write_nil(&mut out);
        write_uint(&mut out, 1);
        write_nil(&mut out);
        if fields.pooled {
            write_str(&mut out, "shared");
        } else {
            write_nil(&mut out);
        }
        write_bool(&mut out, fields.paused);
        write_bool(&mut out, fields.refuse_new);
        out
    }
}

fn destination(random: &mut Random) -> Destination {
    Destination {
        attempts_max: *random.choose(&[1, 2, 3, 16]),
        fail_in_doubt: random.permille(300),
        validity_ms: *random.choose(&[2_000, 60_000, 36_000_000, 36_000_000]),
        base_ms: *random.choose(&[10, 1_000, 5_000]),
        max_ms: *random.choose(&[5_000, 600_000]),
        jitter: *random.choose(&[0.0, 0.2, 1.0]),
        paused: random.permille(250),
        refuse_new: random.permille(80),
    }
}

fn set(random: &mut Random) -> Set {
    Set {
        strict: random.permille(400),
        paused: random.permille(100),
        refuse_new: random.permille(60),
    }
}

fn tenant(random: &mut Random) -> Tenant {
    Tenant {
        set: random.below(SETS),
        levels: random.permille(500),
        waiting_max: random.permille(250).then(|| random.range(0, 30)),
        paused: random.permille(100),
        refuse_new: random.permille(60),
    }
}

fn sender(random: &mut Random) -> Sender {
    Sender {
        pooled: random.permille(200),
        paused: random.permille(100),
        refuse_new: random.permille(60),
    }
}
