//! A gate with its store, driven step by step.

use super::disk::{Pages, apply};
use super::wire::{
    self, Ask, Counted, Effects, Entry, Id, Policy, Release, Resource, Said, read_effects,
};
use crate::input::{self, chunks, configure_input, entry};
use fairlead_core::exchange::{InputEntry, InputOp, SCOPE_GATE, write_input};
use fairlead_core::gate::table::Table;
use fairlead_core::gate::{Gate, Options};
use std::sync::Arc;

pub const START_US: u64 = 1_790_000_000_000_000;
pub const SECOND_US: u64 = 1_000_000;
/// The platform's connection, which names tenants.
pub const PLATFORM: u32 = 1;

pub fn options(now_us: u64) -> Options {
    Options {
        boot_id: 7,
        hash_key: *b"0123456789abcdef",
        now_us,
        relaxed: false,
        grace_ms: 5_000,
        permits_max: 100_000,
        keys_max: 10_000,
        log_bytes_max: 4 * 1024 * 1024,
        instance: 1,
    }
}

pub struct Bench {
    pub gate: Gate,
    pub options: Options,
    pub pages: Pages,
    pub now_us: u64,
    pub exchange: u64,
    pub entities: Vec<Vec<u8>>,
    next_id: u32,
    pub wake_after_ms: u32,
    pub counters: [u64; 28],
    pub flush: bool,
    pub journal: Vec<u8>,
    /// What tenants were counted for since it was last emptied.
    pub counted: Vec<Counted>,
}

impl Bench {
    pub fn new(entities: &[Vec<u8>]) -> Self {
        Self::with(options(START_US), entities)
    }

    pub fn with(options: Options, entities: &[Vec<u8>]) -> Self {
        let table = Arc::new(Table::new(options.keys_max * 2 + 1000));
        let gate = Gate::new(options.clone(), table);
        let mut bench = Self {
            gate,
            now_us: options.now_us,
            options,
            pages: Pages::new(),
            exchange: 0,
            entities: entities.to_vec(),
            next_id: 0,
            wake_after_ms: 0,
            counters: [0; 28],
            flush: false,
            journal: Vec::new(),
            counted: Vec::new(),
        };
        bench.start();
        bench
    }

    fn start(&mut self) {
        let input = configure_input(&self.entities);
        self.gate.configure(self.now_us, &input).unwrap();
        for chunk in chunks(&self.pages, 7, |_| true) {
            self.gate.recover(self.now_us, &chunk).unwrap();
        }
        self.gate.recover_finish(self.now_us).unwrap();
        self.gate.check();
        self.connect(PLATFORM, "");
    }

    /// Ends this gate as `kill -9` does; another begins with what is stored.
    pub fn restart(&mut self, after_us: u64) {
        self.now_us += after_us;
        self.options.now_us = self.now_us;
        let table = Arc::new(Table::new(self.options.keys_max * 2 + 1000));
        self.gate = Gate::new(self.options.clone(), table);
        self.exchange = 0;
        self.start();
    }

    pub fn step(&mut self, entries: &[InputEntry<'_>]) -> Vec<(u32, Said)> {
        self.exchange += 1;
        let input = write_input(self.exchange, entries);
        let stepped = self.gate.step(self.now_us, &input).unwrap();
        assert_eq!(stepped.effects_bytes, self.gate.effects().len());
        assert_eq!(stepped.journal_bytes, self.gate.journal().len());
        self.flush = stepped.flush;
        self.journal = self.gate.journal().to_vec();
        apply(&mut self.pages, &self.journal);
        let Effects {
            wake_after_ms,
            counters,
            said,
            counted,
        } = read_effects(self.gate.effects());
        self.wake_after_ms = wake_after_ms;
        self.counters = counters;
        self.counted.extend(counted);
        self.gate.check();
        said
    }

    pub fn pass(&mut self, after_us: u64) -> Vec<(u32, Said)> {
        self.now_us += after_us;
        self.step(&[])
    }

    pub fn one(&mut self, op: InputOp, connection: u32, bytes: &[u8]) -> Vec<(u32, Said)> {
        self.step(&[entry(op, connection, bytes)])
    }

    pub fn connect(&mut self, connection: u32, tenant: &str) {
        let bytes = input::connect(SCOPE_GATE, tenant);
        let said = self.one(InputOp::Connect, connection, &bytes);
        assert!(said.iter().all(|(to, _)| *to != connection));
    }

    pub fn disconnect(&mut self, connection: u32) -> Vec<(u32, Said)> {
        self.one(InputOp::Disconnect, connection, b"")
    }

    pub fn configure(&mut self, entity: Vec<u8>) -> Vec<(u32, Said)> {
        let mut said = self.one(InputOp::Configure, 99, &entity);
        let ok = said
            .iter()
            .position(|one| *one == (99, Said::Json(r#"{"ok":true}"#.to_owned())));
        said.remove(ok.expect("it is answered"));
        self.entities.push(entity);
        said
    }

    pub fn resource(&mut self, name: &str, fields: &Resource) -> Vec<(u32, Said)> {
        self.configure(wire::resource(name, Some(fields)))
    }

    pub fn policy(&mut self, resource: &str, tenant: &str, fields: &Policy) -> Vec<(u32, Said)> {
        self.configure(wire::policy(resource, tenant, Some(fields)))
    }

    pub fn acquire(&mut self, connection: u32, asks: &[Ask]) -> Vec<Entry> {
        self.next_id += 1;
        let frame = wire::acquire(self.next_id, asks);
        let said = self.one(InputOp::Frame, connection, &frame);
        let mut said = said.into_iter().filter(|(to, _)| *to == connection);
        match said.next() {
            Some((_, Said::Acquired(id, entries))) => {
                assert_eq!(id, self.next_id);
                entries
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn granted(&mut self, connection: u32, ask: Ask) -> Id {
        match self.acquire(connection, &[ask]).remove(0) {
            Entry::Granted { permit, .. } => permit,
            other => panic!("{other:?}"),
        }
    }

    pub fn waiting(&mut self, connection: u32, ask: Ask) -> u32 {
        match self.acquire(connection, &[ask]).remove(0) {
            Entry::Waiting { ticket, .. } => ticket,
            other => panic!("{other:?}"),
        }
    }

    pub fn impeded(&mut self, connection: u32, ask: Ask) -> u64 {
        match self.acquire(connection, &[ask]).remove(0) {
            Entry::Impeded { code, .. } => code,
            other => panic!("{other:?}"),
        }
    }

    /// Releases, and gives what others are told.
    pub fn release(&mut self, connection: u32, items: &[Release]) -> (u64, u64, Vec<(u32, Said)>) {
        self.next_id += 1;
        let frame = wire::release(self.next_id, items);
        let mut said = self.one(InputOp::Frame, connection, &frame);
        let at = said
            .iter()
            .position(|(to, what)| *to == connection && matches!(what, Said::Released(..)));
        match said.remove(at.expect("it is answered")) {
            (_, Said::Released(id, released, gone)) => {
                assert_eq!(id, self.next_id);
                (released, gone, said)
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn renew(
        &mut self,
        connection: u32,
        permits: &[Id],
        lease_ms: u64,
        flags: u64,
    ) -> Vec<u64> {
        self.next_id += 1;
        let frame = wire::renew(self.next_id, permits, lease_ms, flags);
        let said = self.one(InputOp::Frame, connection, &frame);
        match said.into_iter().find(|(to, _)| *to == connection) {
            Some((_, Said::Renewed(_, leases))) => leases,
            other => panic!("{other:?}"),
        }
    }

    /// Tickets that were let in, in order.
    pub fn admitted(said: &[(u32, Said)]) -> Vec<u32> {
        said.iter()
            .filter_map(|(_, what)| match what {
                Said::Admitted(ticket, ..) => Some(*ticket),
                _ => None,
            })
            .collect()
    }
}
