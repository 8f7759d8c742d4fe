//! Callers within the process: the proxy, the daemon's own REST interface. Their permits have no
//! lease and no place in the journal: they end with the process.

use super::ask::{Answer, Ask};
use super::permit::LOCAL_PERMIT;
use super::{Gate, KEY, LOCAL};
use crate::limits::SEATS_PER_PERMIT;

/// Low bits of a permit's generation that its local number holds: the number is exact as a double.
const GENERATION_BITS: u32 = 20;

/// What `enter` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    Passed {
        permit: u64,
        used: u32,
        limit: Option<u32>,
    },
    Waiting {
        ticket: u32,
        used: u32,
        limit: Option<u32>,
        position: u32,
        /// 0: not known.
        estimate_ms: u64,
    },
    Impeded {
        code: u32,
        retry_after_ms: u64,
        used: u32,
        limit: Option<u32>,
        estimate_ms: Option<u64>,
    },
}

/// Names a key for as long as it is open: its place, and which of all that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    pub index: u32,
    /// From 1; never again another's.
    pub serial: u64,
}

impl Gate {
    /// Asks for seats; `wait_ms` none: as long as the policy allows, 0: not at all.
    ///
    /// One that waits is told by an `entered` effect of a later step. The handle is a shorter way to the
    /// same key next time; none: there is no such key.
    pub fn enter(
        &mut self,
        (resource, tenant): (&str, &str),
        seats: u32,
        wait_ms: Option<u64>,
        now_us: u64,
    ) -> (Entered, Option<Handle>) {
        self.now_us = self.now_us.max(now_us);
        match self.key_for(resource.as_bytes(), tenant.as_bytes()) {
            Ok(index) => {
                let serial = self.keys[index as usize].serial;
                let entered = self.enter_open(index, seats, wait_ms);
                (entered, Some(Handle { index, serial }))
            }
            Err(answer) => (self.entered(answer, None), None),
        }
    }

    /// As `enter`, of a key that is known from one before; none: it is not open any more.
    pub fn enter_key(
        &mut self,
        handle: Handle,
        seats: u32,
        wait_ms: Option<u64>,
        now_us: u64,
    ) -> Option<Entered> {
        let key = self.keys.get(handle.index as usize)?;
        if key.serial != handle.serial || key.is_free() {
            return None;
        }
        let is_known = self.resources[key.resource as usize].fields.is_some();
        self.now_us = self.now_us.max(now_us);
        if let Some(answer) = self.closed() {
            return Some(self.entered(answer, None));
        }
        if !is_known {
            let answer = self.unknown_resource();
            return Some(self.entered(answer, None));
        }
        Some(self.enter_open(handle.index, seats, wait_ms))
    }

    #[inline]
    fn enter_open(&mut self, key: u32, seats: u32, wait_ms: Option<u64>) -> Entered {
        let ask = Ask {
            connection: LOCAL,
            seats: seats.clamp(1, SEATS_PER_PERMIT) as u16,
            lease_ms: None,
            wait_ms,
            reject: false,
        };
        let answer = self.ask(key, &ask);
        self.entered(answer, Some(key))
    }

    #[inline]
    fn entered(&self, answer: Answer, key: Option<u32>) -> Entered {
        let counts = key.map(|key| self.table.read(self.keys[key as usize].cells[KEY]));
        let used = counts.map_or(0, |counts| counts.used);
        let limit = counts.and_then(|counts| counts.cap);
        match answer {
            Answer::Granted { slot, .. } => Entered::Passed {
                permit: self.local_number(slot),
                used,
                limit,
            },
            Answer::Waiting {
                ticket,
                position,
                estimate_ms,
            } => Entered::Waiting {
                ticket,
                used,
                limit,
                position,
                estimate_ms: estimate_ms.unwrap_or(0),
            },
            Answer::Impeded {
                code,
                retry_after_ms,
                estimate_ms,
            } => Entered::Impeded {
                code: code.number(),
                retry_after_ms: retry_after_ms.unwrap_or(0),
                used,
                limit,
                estimate_ms,
            },
        }
    }

    /// Ends a permit of `enter`; `ok`: whether what it was for went well, none: who asked left, which
    /// says nothing of the resource. False: it had ended.
    pub fn leave(&mut self, permit: u64, ok: Option<bool>, now_us: u64) -> bool {
        self.now_us = self.now_us.max(now_us);
        let slot = permit as u32;
        let is_there = (slot as usize) < self.permits.slots() && {
            let at = self.permits.get(slot);
            let is_local = at.key != super::NONE && at.flags & LOCAL_PERMIT != 0;
            is_local && self.local_number(slot) == permit
        };
        if is_there {
            self.counters.released += 1;
            self.end_permit(slot, ok);
        }
        is_there
    }

    /// Takes a waiter of `enter` back. False: it does not wait any more.
    pub fn give_up(&mut self, ticket: u32, now_us: u64) -> bool {
        self.now_us = self.now_us.max(now_us);
        let waiter = self.waiter_of(LOCAL, ticket);
        if let Some(waiter) = waiter {
            self.end_waiter(waiter, None);
        }
        waiter.is_some()
    }

    /// Effects wait for the next step, or something is to be done sooner than the last one told.
    pub fn wants_step(&self) -> bool {
        self.wakes || self.effects.has_some()
    }

    pub(super) fn local_number(&self, slot: u32) -> u64 {
        let generation = self.permits.get(slot).generation & ((1 << GENERATION_BITS) - 1);
        u64::from(generation) << 32 | u64::from(slot)
    }
}
