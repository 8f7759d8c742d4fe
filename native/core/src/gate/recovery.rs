//! Recovery: permits are again where they were, and have one lease from the restart to be claimed.

use super::chain::Take;
use super::permit::{FINISHING, Permit, RECOVERED};
use super::{Fatal, Gate, NONE};
use crate::record::{
    GateGrant, GateKey, GateLog, GateMark, GatePiece, JournalEntry, JournalReader, RecordError,
    parse_gate_key, parse_gate_mark,
};
use std::collections::{BTreeMap, HashMap};

#[derive(Clone, Copy)]
struct Stored {
    generation: u32,
    /// Its place in `keys`.
    key: u32,
    seats: u16,
    lease_ms: u32,
    finishing: bool,
    lease_end_us: u64,
}

/// Resource and tenant.
type KeyName = (Box<[u8]>, Box<[u8]>);

/// What the records say, until all are read.
#[derive(Default)]
pub(super) struct Recovered {
    generations: u64,
    lease_ms: u64,
    clean: bool,
    through: u64,
    permits: BTreeMap<u32, Stored>,
    keys: Vec<KeyName>,
    key_of: HashMap<KeyName, u32>,
    pieces: u32,
    old: Vec<(u64, u32)>,
    /// First and last sequence of the log that is stored.
    log: Option<(u64, u64)>,
    log_bytes: u64,
}

impl Recovered {
    fn read(&mut self, key: GateKey, value: &[u8]) -> Result<(), RecordError> {
        match key {
            GateKey::Mark(mark) => {
                let number = parse_gate_mark(value, mark)?;
                match mark {
                    GateMark::Generations => self.generations = number,
                    GateMark::Lease => self.lease_ms = number,
                    GateMark::Clean => self.clean = true,
                    GateMark::Through => self.through = number,
                }
            }
            GateKey::Piece { snapshot, piece } => {
                if snapshot != self.through {
                    self.old.push((snapshot, piece));
                    return Ok(());
                }
                self.pieces = self.pieces.max(piece + 1);
                let piece = GatePiece::parse(value)?;
                let keys = self.keys_of(&piece.keys);
                for grant in &piece.permits {
                    self.put(grant, &keys);
                }
            }
            GateKey::Log { sequence } => {
                let first = self.log.map_or(sequence, |(first, _)| first);
                self.log = Some((first, sequence));
                if sequence < self.through {
                    return Ok(());
                }
                self.log_bytes += value.len() as u64;
                self.replay(&GateLog::parse(value)?);
            }
        }
        Ok(())
    }

    /// Entries about permits that a piece says have ended meanwhile are without effect.
    fn replay(&mut self, log: &GateLog<'_>) {
        for &(slot, generation) in &log.ended {
            let is_it = |stored: &Stored| stored.generation == generation;
            if self.permits.get(&slot).is_some_and(is_it) {
                self.permits.remove(&slot);
            }
        }
        for renewal in &log.renewed {
            if let Some(stored) = self.permits.get_mut(&renewal.slot)
                && stored.generation == renewal.generation
            {
                stored.lease_ms = renewal.lease_ms;
                stored.finishing = renewal.finishing;
                stored.lease_end_us = log.at_us + u64::from(renewal.lease_ms) * 1000;
            }
        }
        let keys = self.keys_of(&log.keys);
        for grant in &log.granted {
            self.put(grant, &keys);
        }
    }

    fn put(&mut self, grant: &GateGrant, keys: &[u32]) {
        let stored = Stored {
            generation: grant.generation,
            key: keys[grant.key as usize],
            seats: grant.seats,
            lease_ms: grant.lease_ms,
            finishing: grant.finishing,
            lease_end_us: grant.lease_end_us,
        };
        self.permits.insert(grant.slot, stored);
    }

    fn keys_of(&mut self, names: &[(&[u8], &[u8])]) -> Vec<u32> {
        let place = |&(resource, tenant): &(&[u8], &[u8])| {
            let names: KeyName = (resource.into(), tenant.into());
            if let Some(&place) = self.key_of.get(&names) {
                return place;
            }
            let place = self.keys.len() as u32;
            self.keys.push(names.clone());
            self.key_of.insert(names, place);
            place
        };
        names.iter().map(place).collect()
    }
}

impl Gate {
    /// Stored records as a journal of puts, their keys ascending over all chunks.
    pub fn recover(&mut self, now_us: u64, chunk: &[u8]) -> Result<(), Fatal> {
        self.now_us = self.now_us.max(now_us);
        let Some(recovered) = &mut self.recovering else {
            return Err(Fatal::State("recovery was finished".to_owned()));
        };
        let stored = |key: &[u8], error| Fatal::Stored {
            name: format!("the gate's record {key:02x?}"),
            error,
        };
        let entries = JournalReader::new(chunk).map_err(|error| stored(&[], error))?;
        for entry in entries {
            match entry.map_err(|error| stored(&[], error))? {
                JournalEntry::Put { key, value } => {
                    let Some(named) = parse_gate_key(key) else {
                        return Err(stored(key, RecordError::Damaged));
                    };
                    recovered
                        .read(named, value)
                        .map_err(|error| stored(key, error))?;
                }
                JournalEntry::Delete { key } => return Err(stored(key, RecordError::Damaged)),
            }
        }
        Ok(())
    }

    /// Ends recovery; before the first `step`.
    pub fn recover_finish(&mut self, now_us: u64) -> Result<(), Fatal> {
        self.now_us = self.now_us.max(now_us);
        let Some(recovered) = self.recovering.take() else {
            return Err(Fatal::State("recovery was finished".to_owned()));
        };
        self.log.base = recovered.generations;
        self.log.ceiling = recovered.generations;
        self.permits.set_base(recovered.generations as u32);
        self.restore_permits(&recovered)?;
        self.restore_log(recovered);
        Ok(())
    }

    fn restore_log(&mut self, recovered: Recovered) {
        let (first, last) = recovered.log.unwrap_or((1, 0));
        let unfinished = recovered.old.iter().map(|(number, _)| number + 1).max();
        self.log.next = (last + 1)
            .max(recovered.through)
            .max(unfinished.unwrap_or(1));
        self.log.first = if recovered.log.is_some() {
            first
        } else {
            self.log.next
        };
        self.log.bytes = recovered.log_bytes;
        self.log.clean_stored = recovered.clean;
        self.log.lease_ms = recovered.lease_ms;
        let snapshot = (recovered.through > 0).then_some((recovered.through, recovered.pieces));
        self.snapshot
            .recovered(snapshot, recovered.old, recovered.through);
        if recovered.clean {
            self.forget_lease_mark();
        } else if recovered.lease_ms > 0 {
            self.closed_until_us = self.now_us + recovered.lease_ms * 1000;
        }
    }

    /// Permits whose lease is not over, counted without regard to the limits of now.
    fn restore_permits(&mut self, recovered: &Recovered) -> Result<(), Fatal> {
        let mut opened: Vec<u32> = vec![NONE; recovered.keys.len()];
        for (&slot, stored) in &recovered.permits {
            if stored.lease_end_us <= self.now_us {
                continue;
            }
            let place = stored.key as usize;
            if opened[place] == NONE {
                let (resource, tenant) = &recovered.keys[place];
                opened[place] = self.reopen(resource, tenant)?;
            }
            let key = opened[place];
            let seats = u32::from(stored.seats);
            if self.table.take(&self.keys[key as usize].cells, seats) != Take::Taken {
                return Err(Fatal::State(
                    "more seats are stored than a cell holds".to_owned(),
                ));
            }
            let lease_end_us = self.now_us + u64::from(stored.lease_ms) * 1000;
            let permit = Permit {
                key,
                generation: stored.generation,
                connection: NONE,
                seats: stored.seats,
                flags: RECOVERED | if stored.finishing { FINISHING } else { 0 },
                lease_ms: stored.lease_ms,
                charged_us: 0,
                granted_us: self.now_us,
                lease_end_us,
                prev: NONE,
                next: NONE,
            };
            self.permits.restore(slot, permit);
            self.keys[key as usize].permits += 1;
            self.counters.seats += u64::from(seats);
            self.leases.set(slot, lease_end_us);
        }
        for key in opened {
            if key != NONE {
                self.set_caps(key);
            }
        }
        Ok(())
    }

    /// A key of a stored permit, without caps for now; also above `keys_max`, which is for new ones.
    fn reopen(&mut self, resource: &[u8], tenant: &[u8]) -> Result<u32, Fatal> {
        let resource = self.resource_of(resource).map_err(|_| Fatal::Keys)?;
        let key = self
            .stored_key_at(resource, tenant)
            .map_err(|_| Fatal::Keys)?;
        for cell in self.keys[key as usize].cells {
            self.table.set_cap(cell, None);
        }
        Ok(key)
    }
}
