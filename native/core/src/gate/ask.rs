//! One ask for seats: granted, waiting or refused.
//!
//! No barging: where somebody waits, whoever comes queues behind, also if a seat is free that is too
//! few for the one who waits. Only seats of the key's own floor are taken past the line: they are kept
//! free for nobody else.

use super::chain::Take;
use super::decisions::{Decision, What};
use super::key::Blocked;
use super::permit::{FRESH, LOCAL_PERMIT, Permit};
use super::waiter::Waiter;
use super::{Gate, KEY, LOCAL, NONE, RESOURCE, TENANT};
use crate::error::Code;
use crate::exchange::GateMode;
use crate::limits;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub connection: u32,
    pub seats: u16,
    /// None: the resource's.
    pub lease_ms: Option<u32>,
    /// None: as long as the policy allows.
    pub wait_ms: Option<u64>,
    /// Never waits.
    pub reject: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Granted {
        slot: u32,
        lease_ms: u32,
    },
    Waiting {
        ticket: u32,
        position: u32,
        estimate_ms: Option<u64>,
    },
    Impeded {
        code: Code,
        retry_after_ms: Option<u64>,
        estimate_ms: Option<u64>,
    },
}

/// Told to come again when nothing better is known, ms.
const RETRY_MS: u64 = 1000;

impl Gate {
    /// Why nobody is let in at all just now.
    pub(super) fn closed(&mut self) -> Option<Answer> {
        let (code, retry_after_ms) = if self.draining {
            (Code::GateRecovering, RETRY_MS)
        } else if self.closed_until_us > self.now_us {
            let left_ms = (self.closed_until_us - self.now_us).div_ceil(1000);
            (Code::GateRecovering, left_ms)
        } else if self.permits.is_full() {
            (Code::TooManyPermits, RETRY_MS)
        } else {
            return None;
        };
        self.counters.impede(code);
        Some(Answer::Impeded {
            code,
            retry_after_ms: Some(retry_after_ms),
            estimate_ms: None,
        })
    }

    pub(super) fn unknown_resource(&mut self) -> Answer {
        self.counters.impede(Code::UnknownResource);
        Answer::Impeded {
            code: Code::UnknownResource,
            retry_after_ms: None,
            estimate_ms: None,
        }
    }

    pub(super) fn too_many_keys(&mut self) -> Answer {
        self.counters.impede(Code::TooManyGateKeys);
        Answer::Impeded {
            code: Code::TooManyGateKeys,
            retry_after_ms: Some(RETRY_MS),
            estimate_ms: None,
        }
    }

    /// Judges an ask for a key that is open, while the gate is not closed.
    #[inline]
    pub(super) fn ask(&mut self, key: u32, ask: &Ask) -> Answer {
        match self.try_now(key, u32::from(ask.seats)) {
            Ok(()) => {
                let slot = self.grant(key, ask.connection, ask.seats, ask.lease_ms);
                let lease_ms = self.permits.get(slot).lease_ms;
                Answer::Granted { slot, lease_ms }
            }
            Err(at) => self.impede(key, ask, at),
        }
    }

    /// Takes seats for one who just came, or says which cap is in the way.
    #[inline]
    fn try_now(&mut self, key: u32, seats: u32) -> Result<(), usize> {
        let at = &self.keys[key as usize];
        let tenant_waits = !self.tenants[at.tenant as usize].line.is_empty();
        let resource_waits = !self.resources[at.resource as usize].line.is_empty();
        if at.waiting > 0 || tenant_waits || resource_waits {
            self.stand_behind(key, seats)?;
        }
        match self.table.take(&self.keys[key as usize].cells, seats) {
            Take::Taken => Ok(()),
            Take::Refused { at } => Err(at),
        }
    }

    /// Which cap somebody waits for already, if this ask has to wait behind them.
    fn stand_behind(&self, key: u32, seats: u32) -> Result<(), usize> {
        let at = &self.keys[key as usize];
        if at.waiting > 0 {
            return Err(at.blocked.line().unwrap_or(KEY));
        }
        if self.is_over_limit(key, seats) {
            return Err(KEY);
        }
        if !self.tenants[at.tenant as usize].line.is_empty() {
            return Err(TENANT);
        }
        if !self.resources[at.resource as usize].line.is_empty() && !self.fills_floor(key, seats) {
            return Err(RESOURCE);
        }
        Ok(())
    }

    /// Its own limit leaves no room, whoever else waits.
    pub(super) fn is_over_limit(&self, key: u32, seats: u32) -> bool {
        self.is_full(key, KEY, seats)
    }

    /// A cap of a key's, but its resource's, has no room.
    pub(super) fn is_full(&self, key: u32, at: usize, seats: u32) -> bool {
        let counts = self.table.read(self.keys[key as usize].cells[at]);
        counts.cap.is_some_and(|cap| counts.used + seats > cap)
    }

    /// These seats are kept free for this key and no other.
    pub(super) fn fills_floor(&self, key: u32, seats: u32) -> bool {
        let key = &self.keys[key as usize];
        key.floor_kept > 0 && self.table.read(key.cells[KEY]).used + seats <= key.floor_kept
    }

    /// A permit for seats that were taken.
    #[inline]
    pub(super) fn grant(
        &mut self,
        key: u32,
        connection: u32,
        seats: u16,
        lease_ms: Option<u32>,
    ) -> u32 {
        let now_us = self.now_us;
        let at = &mut self.keys[key as usize];
        let is_local = connection == LOCAL;
        let lease_ms = lease_ms.unwrap_or(at.policy.lease_ms);
        at.permits += 1;
        at.granted += 1;
        let slot = self.permits.take(Permit {
            key,
            generation: 0,
            connection,
            seats,
            flags: if is_local { LOCAL_PERMIT } else { FRESH },
            lease_ms: if is_local { 0 } else { lease_ms },
            charged_us: 0,
            granted_us: now_us,
            lease_end_us: if is_local {
                u64::MAX
            } else {
                now_us + u64::from(lease_ms) * 1000
            },
            prev: NONE,
            next: NONE,
        });
        self.charge(key, slot);
        self.counters.granted += 1;
        self.counters.seats += u64::from(seats);
        if is_local {
            self.counters.entered += 1;
            self.counters.local += 1;
        } else {
            let lease_end_us = self.permits.get(slot).lease_end_us;
            self.leases.set(slot, lease_end_us);
            self.log.granted.push(slot);
            self.lease_granted(u64::from(lease_ms));
            let tenant = self.keys[key as usize].tenant;
            self.counts.granted(&mut self.tenants[tenant as usize]);
            self.own_permit(connection, slot);
        }
        self.note_used(key, What::Granted, 0, seats);
        slot
    }

    pub(super) fn note_used(&mut self, key: u32, what: What, code: u16, seats: u16) {
        let used = self.table.read(self.keys[key as usize].cells[KEY]).used;
        self.note(
            key,
            Decision {
                what,
                code,
                seats,
                used,
            },
        );
    }

    /// Waits, if the policy has it and it is worth it.
    #[cold]
    fn impede(&mut self, key: u32, ask: &Ask, at: usize) -> Answer {
        let seats = u32::from(ask.seats);
        let policy = self.keys[key as usize].policy;
        let estimate_ms = self.estimate_ms(key, seats, true);
        let refuse = |gate: &mut Self, code: Code, retry_after_ms: u64| {
            gate.refuse(
                key,
                ask.seats,
                code,
                Some(retry_after_ms.max(1)),
                estimate_ms,
            )
        };
        let retry_ms = estimate_ms
            .unwrap_or(RETRY_MS)
            .min(limits::GATE_WAIT_MS_MAX);
        let allowed_ms = ask
            .wait_ms
            .map_or(policy.wait_ms, |asked| asked.min(policy.wait_ms));
        let never_waits = ask.reject || policy.mode == GateMode::Reject || allowed_ms == 0;
        if never_waits || self.never_fits(key, seats) {
            return refuse(self, Code::ConcurrencyLimit, retry_ms);
        }
        let waiting = self.keys[key as usize].waiting;
        if waiting >= policy.waiters_max || self.waiters.count() >= limits::GATE_WAITERS {
            return refuse(self, Code::WaitersFull, retry_ms);
        }
        if let Some(estimate_ms) = estimate_ms
            && estimate_ms > allowed_ms
        {
            return refuse(self, Code::WouldWaitTooLong, estimate_ms - allowed_ms);
        }
        let ticket = self.wait(key, ask, allowed_ms, at);
        let used = self.table.read(self.keys[key as usize].cells[KEY]).used;
        self.note(
            key,
            Decision {
                what: What::Waiting,
                code: 0,
                seats: ask.seats,
                used,
            },
        );
        Answer::Waiting {
            ticket,
            position: waiting + 1,
            estimate_ms,
        }
    }

    fn refuse(
        &mut self,
        key: u32,
        seats: u16,
        code: Code,
        retry_after_ms: Option<u64>,
        estimate_ms: Option<u64>,
    ) -> Answer {
        self.counters.impede(code);
        self.keys[key as usize].impeded += 1;
        self.note_used(key, What::Impeded, code.number() as u16, seats);
        Answer::Impeded {
            code,
            retry_after_ms,
            estimate_ms,
        }
    }

    /// More seats than a cap has at all.
    pub(super) fn never_fits(&self, key: u32, seats: u32) -> bool {
        self.keys[key as usize].cells.iter().any(|cell| {
            let cap = self.table.read(*cell).cap;
            cap.is_some_and(|cap| seats > cap)
        })
    }

    fn wait(&mut self, key: u32, ask: &Ask, allowed_ms: u64, at: usize) -> u32 {
        let now_us = self.now_us;
        let ticket = self.next_ticket(ask.connection);
        let policy = self.keys[key as usize].policy;
        let due_us = if policy.mode == GateMode::Delay {
            let at = &mut self.keys[key as usize];
            at.paced_us = at.paced_us.max(now_us) + policy.pace_us;
            at.paced_us
        } else {
            0
        };
        let until_us = now_us + allowed_ms * 1000;
        let prev = self.keys[key as usize].last;
        let waiter = self.waiters.add(Waiter {
            key,
            seats: ask.seats,
            connection: ask.connection,
            ticket,
            lease_ms: ask.lease_ms.unwrap_or(policy.lease_ms),
            since_us: now_us,
            until_us,
            due_us,
            lost: 0,
            keeps: false,
            prev,
            next: NONE,
            connection_prev: NONE,
            connection_next: NONE,
        });
        self.own_waiter(ask.connection, waiter);
        self.waits.set(waiter, until_us);
        self.counters.queued += 1;
        let seats = u64::from(ask.seats);
        self.turns += 1;
        let entry = &mut self.keys[key as usize];
        entry.waiting += 1;
        entry.waiting_seats += seats;
        entry.last = waiter;
        if prev == NONE {
            entry.first = waiter;
            entry.fresh = true;
            entry.began = self.turns;
            if due_us > now_us {
                entry.blocked = Blocked::Pace;
                self.paces.set(key, due_us);
            } else {
                self.block(key, at);
            }
        } else {
            self.waiters.get_mut(prev).next = waiter;
            self.more_seats_in_line(key, seats);
        }
        ticket
    }
}
