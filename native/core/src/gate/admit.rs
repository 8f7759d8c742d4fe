//! Lets in who waits, when room has come.
//!
//! A key stands in one line at most. Blocked by its own limit it waits for its own permits only, and is
//! in nobody's way. A cap with room takes the first of its line:
//!
//! - it fits: it is granted, charged, and the key gets in line anew for its next waiter;
//! - another cap has no room: it moves there, and the next of this line is tried;
//! - this cap has no room: it stays first. Wants it several seats, it is *pinned*: nobody passes it
//!   before it is served or gone, so the seats that come free add up for it. Of a line thus nothing
//!   fits that the first does not, but for keys with an unfilled floor, which are tried after it.
//!
//! A key chosen by its tenant's cap moves on to the resource's line if somebody waits there; one chosen
//! by the resource's cap is not sent back to a line of the tenant that has room. One that was sent back too
//! often keeps the tenant's seats the next time (`kept`).

use super::chain::Take;
use super::decisions::{Decision, What};
use super::key::Blocked;
use super::line::{Line, Rank};
use super::{Gate, KEY, NONE, RESOURCE, TENANT};
use crate::error::Code;
use crate::exchange::GateMode;

impl Gate {
    pub(super) fn line(&self, key: u32, side: usize) -> &Line {
        let at = &self.keys[key as usize];
        if side == TENANT {
            &self.tenants[at.tenant as usize].line
        } else {
            &self.resources[at.resource as usize].line
        }
    }

    pub(super) fn line_mut(&mut self, key: u32, side: usize) -> &mut Line {
        let at = &self.keys[key as usize];
        if side == TENANT {
            &mut self.tenants[at.tenant as usize].line
        } else {
            &mut self.resources[at.resource as usize].line
        }
    }

    /// Seats of this key came free: whoever they were in the way of is tried.
    pub(super) fn room(&mut self, key: u32) {
        let at = &self.keys[key as usize];
        let (tenant, resource) = (at.tenant, at.resource);
        if at.blocked == Blocked::Key {
            self.leave_line(key);
            self.place(key);
        }
        self.serve_resource(resource);
        self.serve_tenant(tenant);
    }

    pub(super) fn serve_resource(&mut self, resource: u32) {
        while let Some(rank) = self.resources[resource as usize].line.first() {
            if !self.serve(rank.key, RESOURCE) {
                break;
            }
        }
        self.serve_floored(resource);
        self.serve_let_go();
    }

    pub(super) fn serve_tenant(&mut self, tenant: u32) {
        while let Some(rank) = self.tenants[tenant as usize].line.first() {
            if !self.serve(rank.key, TENANT) {
                break;
            }
        }
    }

    /// Keys in line whose own floor has room where the first of the line has none.
    fn serve_floored(&mut self, resource: u32) {
        let mut at = 0;
        while let Some(&key) = self.resources[resource as usize].floored.get(at) {
            let head = self.keys[key as usize].first;
            let seats = u32::from(self.waiters.get(head).seats);
            if self.fills_floor(key, seats) && self.take_for_head(key, seats) == Take::Taken {
                self.step_out(key);
                self.admit(key);
                self.place(key);
                self.rest(key, RESOURCE);
                at = 0;
            } else {
                at += 1;
            }
        }
    }

    /// Tries the head of the first key in a line; false when the line has to wait.
    fn serve(&mut self, key: u32, side: usize) -> bool {
        let head = self.keys[key as usize].first;
        let seats = u32::from(self.waiters.get(head).seats);
        if side == TENANT && self.has_to_line_up(key, seats) {
            // With room at the tenant's cap it stands where somebody waits for the other's.
            let mut chain = [KEY, TENANT].into_iter();
            if let Some(at) = chain.find(|at| self.is_full(key, *at, seats)) {
                return self.refused(key, side, at, seats);
            }
            self.keep_if_lost(key, seats);
            self.leave_line(key);
            self.block(key, RESOURCE);
            return true;
        }
        match self.take_for_head(key, seats) {
            Take::Taken => {
                let tag = self.keys[key as usize].tags[side];
                self.line_mut(key, side).picked(tag);
                self.step_out(key);
                self.admit(key);
                self.place(key);
                self.rest(key, side);
                true
            }
            Take::Refused { at } => self.refused(key, side, at, seats),
        }
    }

    fn has_to_line_up(&self, key: u32, seats: u32) -> bool {
        let resource = self.keys[key as usize].resource;
        !self.resources[resource as usize].line.is_empty() && !self.fills_floor(key, seats)
    }

    /// The first of a line has no room at cap `at`.
    fn refused(&mut self, key: u32, side: usize, at: usize, seats: u32) -> bool {
        if self.never_fits(key, seats) {
            self.leave_line(key);
            self.place(key);
            return true;
        }
        if at != side {
            match (side, at) {
                (RESOURCE, TENANT) => self.lost_turn(key),
                (TENANT, RESOURCE) => self.keep_if_lost(key, seats),
                _ => {}
            }
            self.leave_line(key);
            self.block(key, at);
            return true;
        }
        if seats > 1 {
            let rank = self.keys[key as usize].rank.expect("it is in line");
            self.line_mut(key, side).pin(rank);
        }
        false
    }

    /// Finds what the head of a key that stands nowhere waits for, or lets it in, as long as it can.
    pub(super) fn place(&mut self, key: u32) {
        loop {
            let at = &mut self.keys[key as usize];
            at.blocked = Blocked::No;
            let head = at.first;
            if head == NONE {
                return;
            }
            let waiter = *self.waiters.get(head);
            let seats = u32::from(waiter.seats);
            if waiter.due_us > self.now_us && at.policy.mode == GateMode::Delay {
                at.blocked = Blocked::Pace;
                self.paces.set(key, waiter.due_us);
                self.wakes = true;
                return;
            }
            if self.never_fits(key, seats) {
                self.unlink_waiter(head);
                self.tell_refused(&waiter, Code::ConcurrencyLimit);
                continue;
            }
            let at = if self.is_over_limit(key, seats) {
                KEY
            } else if !self.keeps(key) && !self.line(key, TENANT).is_empty() {
                TENANT
            } else if self.has_to_line_up(key, seats) {
                RESOURCE
            } else {
                match self.take_for_head(key, seats) {
                    Take::Taken => {
                        self.admit(key);
                        continue;
                    }
                    Take::Refused { at } => at,
                }
            };
            if at == KEY {
                self.let_go(key);
            }
            return self.block(key, at);
        }
    }

    /// The key, which stands nowhere, waits for that cap from now on.
    pub(super) fn block(&mut self, key: u32, at: usize) {
        let side = match at {
            TENANT => Blocked::Tenant,
            RESOURCE => Blocked::Resource,
            _ => Blocked::Key,
        };
        self.keys[key as usize].blocked = side;
        let cell = self.keys[key as usize].cells[at];
        if at == KEY {
            self.table.set_waiters(cell, true);
            return;
        }
        let tag = self
            .line(key, at)
            .entry_tag(self.keys[key as usize].tags[at]);
        let entry = &mut self.keys[key as usize];
        entry.tags[at] = tag;
        // Of one tag: who began to wait since its last service, then who was served least recently.
        let order = if entry.fresh {
            entry.began
        } else {
            1 << 63 | entry.served
        };
        let rank = Rank { tag, order, key };
        entry.rank = Some(rank);
        let (weight, seats) = (entry.policy.weight, entry.waiting_seats);
        let has_floor = entry.policy.floor > 0;
        let now_us = self.now_us;
        let head_seats = self.waiters.get(self.keys[key as usize].first).seats;
        let line = self.line_mut(key, at);
        let begins = line.since_us().is_none();
        line.insert(rank, weight, seats, now_us);
        if head_seats > 1 && line.first() == Some(rank) {
            line.pin(rank);
        }
        if begins {
            self.table.set_waiters(cell, true);
        }
        if at == RESOURCE && has_floor {
            let resource = self.keys[key as usize].resource;
            self.resources[resource as usize].floored.push(key);
        }
    }

    /// Takes a key out of where it stands.
    pub(super) fn leave_line(&mut self, key: u32) {
        let side = self.keys[key as usize].blocked.line();
        self.step_out(key);
        if let Some(side) = side {
            self.rest(key, side);
        }
    }

    /// Nobody waits any more, if the line of this key is empty now.
    pub(super) fn rest(&mut self, key: u32, side: usize) {
        let line = self.line_mut(key, side);
        if line.is_empty() && line.since_us().is_some() {
            line.rest();
            let cell = self.keys[key as usize].cells[side];
            self.table.set_waiters(cell, false);
        }
    }

    /// As `leave_line`, for a key that may get in line again at once: the line goes on meanwhile.
    pub(super) fn step_out(&mut self, key: u32) {
        let entry = &mut self.keys[key as usize];
        let blocked = std::mem::replace(&mut entry.blocked, Blocked::No);
        let (weight, seats) = (entry.policy.weight, entry.waiting_seats);
        let cells = entry.cells;
        match blocked {
            Blocked::No => {}
            Blocked::Pace => self.paces.clear(key),
            Blocked::Key => {
                self.table.set_waiters(cells[KEY], false);
            }
            Blocked::Tenant | Blocked::Resource => {
                let side = blocked.line().expect("one of the two");
                let rank = self.keys[key as usize].rank.take().expect("in line");
                self.line_mut(key, side).remove(rank, weight, seats);
                let resource = self.keys[key as usize].resource;
                let floored = &mut self.resources[resource as usize].floored;
                if side == RESOURCE
                    && let Some(at) = floored.iter().position(|other| *other == key)
                {
                    floored.swap_remove(at);
                }
            }
        }
    }

    /// The seats that a key's waiters want have become more.
    pub(super) fn more_seats_in_line(&mut self, key: u32, seats: u64) {
        if let Some(side) = self.keys[key as usize].blocked.line() {
            self.line_mut(key, side).seats += seats;
        }
    }

    /// A permit for the head of a key, whose seats were taken; the key stands nowhere.
    fn admit(&mut self, key: u32) {
        let head = self.keys[key as usize].first;
        let waiter = *self.waiters.get(head);
        self.turns += 1;
        let entry = &mut self.keys[key as usize];
        entry.fresh = false;
        entry.served = self.turns;
        self.unlink_waiter(head);
        self.counters.admitted += 1;
        let slot = self.grant(key, waiter.connection, waiter.seats, Some(waiter.lease_ms));
        // The next one goes a pace later, however long this one had to wait beyond its time.
        let next = self.keys[key as usize].first;
        if waiter.due_us > 0 && next != NONE {
            let due_us = self.now_us + self.keys[key as usize].policy.pace_us;
            let next = self.waiters.get_mut(next);
            next.due_us = next.due_us.max(due_us);
        }
        let used = self.table.read(self.keys[key as usize].cells[KEY]).used;
        self.note(
            key,
            Decision {
                what: What::Admitted,
                code: 0,
                seats: waiter.seats,
                used,
            },
        );
        self.tell_granted(&waiter, slot);
    }
}
